//! What the companions of businesses have used, by day: for their limits.

use async_trait::async_trait;
use jiff::civil::Date;

use super::Result;
use crate::conversation::BusinessId;

/// What was used in a day of a business.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayUsage {
    /// Replies that customers got.
    pub replies: u64,
    /// Tokens of the chat model, read and written.
    pub tokens: u64,
    /// Characters that were spoken.
    pub speech_characters: u64,
}

/// What businesses have used. It is counted when a reply is settled: what a worker that dies there has not counted is not
/// counted.
#[async_trait]
pub trait UsageBook {
    /// Adds to a day of a business.
    ///
    /// # Errors
    /// [`super::StoreError`]; after `Unavailable` it may be added.
    async fn add_usage(&self, business: &BusinessId, day: Date, used: &DayUsage) -> Result<()>;

    /// What was used in a day of a business.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn usage_of_day(&self, business: &BusinessId, day: Date) -> Result<DayUsage>;
}
