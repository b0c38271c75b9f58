//! The days of businesses, in numbers, and which of them have to be counted anew.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp, civil::Date};

use super::Result;
use crate::{
    analytics::Numbers,
    conversation::{BusinessId, Usage},
};

/// How long the numbers of a day are kept: two years can be told from each other.
pub const DAYS_KEPT: SignedDuration = SignedDuration::from_hours(800 * 24);

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

/// A day that has to be counted, in the hands of whoever took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayToCount {
    /// Whose.
    pub business: BusinessId,
    /// By the business's own clock.
    pub day: Date,
    /// The last change of it that was known when it was taken.
    pub marked_at: Timestamp,
}

/// What of a message is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFacts {
    /// It is the customer's, not ours.
    pub is_inbound: bool,
    /// Meta's type.
    pub kind: String,
    /// For the first part of a reply: how long the customer had waited for it.
    pub waited: Option<Duration>,
    /// The place of its status in `sent < delivered < read < played`.
    pub status_rank: Option<i32>,
    /// Meta's code, where it failed.
    pub error_code: Option<i64>,
    /// `pricing`, as JSON text.
    pub pricing: Option<String>,
    /// What its reply cost.
    pub usage: Option<Usage>,
}

/// The days of businesses.
#[async_trait]
pub trait Days {
    /// Something of these days has changed: they are to be counted, that long from now; later where a pause was made after
    /// the last count that is longer.
    ///
    /// # Errors
    /// [`super::StoreError`]; after `Unavailable` some may be marked.
    async fn mark_days(&self, days: &[(BusinessId, Date)], after: Duration) -> Result<()>;

    /// Takes a day that is due to be counted. Nobody else gets it for that time.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn take_day(&self, length: Duration) -> Result<Option<DayToCount>>;

    /// Shows what is counted of each message of a business that was written in a time, up to but not including its end.
    ///
    /// # Errors
    /// [`super::StoreError`]; some were shown then.
    async fn look_at_messages(
        &self,
        business: &BusinessId,
        from: Timestamp,
        until: Timestamp,
        show: &mut (dyn for<'m> FnMut(&'m MessageFacts) + Send),
    ) -> Result<()>;

    /// Keeps the numbers of a day, however often it was counted before. Where it was marked since it was taken it will be
    /// counted again, after a `pause`.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn keep_day(&self, day: &DayToCount, numbers: &Numbers, pause: Duration) -> Result<()>;

    /// The days that were counted, from the first to the last, those of one business or of all; by day, then by business.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn counted_days(&self, business: Option<&BusinessId>, first: Date, last: Date) -> Result<Vec<CountedDay>>;
}
