//! The days of businesses, in numbers.

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};

use super::Result;
use crate::{analytics::Numbers, conversation::BusinessId};

/// A day of a business as it was counted last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedDay {
    /// Whose.
    pub business: BusinessId,
    /// By the business's own clock.
    pub day: Date,
    /// What happened in it, as far as it is known.
    pub numbers: Numbers,
    /// When it was counted.
    pub counted_at: Timestamp,
}

/// The days of businesses.
#[async_trait]
pub trait Days {
    /// The days that were counted, from the first to the last, those of one business or of all; by day, then by business.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn counted_days(&self, business: Option<&BusinessId>, first: Date, last: Date) -> Result<Vec<CountedDay>>;
}
