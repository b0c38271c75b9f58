//! What happened in the days of businesses that the transcript does not tell, and what their limits go by.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::civil::Date;

use super::Result;
use crate::conversation::BusinessId;

/// What was used in a day of a business, and what happened in it besides messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayUsage {
    /// Replies that customers got. Like the next two, counted only where the business has limits.
    pub replies: u64,
    /// Tokens of the chat model, read and written.
    pub tokens: u64,
    /// Characters that were spoken.
    pub speech_characters: u64,
    /// Conversations that went to a person, by what led to it.
    pub hand_overs: BTreeMap<&'static str, u64>,
    /// Customers who wanted to hear no more.
    pub opt_outs: u64,
    /// Customers who wanted to hear again.
    pub opt_ins: u64,
    /// Customers who were told that a limit is reached.
    pub limited: u64,
    /// Customers who were told that the companion has trouble.
    pub apologies: u64,
}

/// What may lead to a person, as it is counted.
pub const HAND_OVER_REASONS: [&str; 4] = ["tool", "keyword", "failure", "person"];

impl DayUsage {
    /// The counts by the name under which they are stored. Those of hand-overs are one deeper.
    pub fn counts(&self) -> Vec<(String, u64)> {
        let single = [
            ("replies", self.replies),
            ("tokens", self.tokens),
            ("speech_characters", self.speech_characters),
            ("opt_outs", self.opt_outs),
            ("opt_ins", self.opt_ins),
            ("limited", self.limited),
            ("apologies", self.apologies),
        ];
        let single = single.into_iter().map(|(name, count)| (name.to_owned(), count));
        single.chain(self.hand_overs.iter().map(|(reason, count)| (format!("hand_overs.{reason}"), *count))).collect()
    }

    /// The same, from the counts by name.
    pub fn from_counts(count: impl Fn(&str) -> u64) -> Self {
        let hand_overs = HAND_OVER_REASONS.iter().map(|reason| (*reason, count(&format!("hand_overs.{reason}"))));
        Self {
            replies: count("replies"),
            tokens: count("tokens"),
            speech_characters: count("speech_characters"),
            hand_overs: hand_overs.filter(|(_, count)| *count > 0).collect(),
            opt_outs: count("opt_outs"),
            opt_ins: count("opt_ins"),
            limited: count("limited"),
            apologies: count("apologies"),
        }
    }
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
