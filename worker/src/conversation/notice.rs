//! Word to the business that a person is wanted.
//!
//! A notice is written by the update that hands a conversation over, so that there is one wherever there was a
//! hand-over, and stays in the document until the business has taken it. Its id is decided with the reply: whoever
//! delivers it, and however often, the business can tell a repetition.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::{ids::SessionId, retry::full_jitter};
use uuid::Uuid;

use super::{BusinessId, Customer};

/// Notices that wait in one conversation; the oldest goes first.
pub const NOTICES_MOST: usize = 8;
/// After this a notice is of no use to anybody.
const NOTICE_AGE: SignedDuration = SignedDuration::from_hours(24);
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Why a conversation went to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandOverReason {
    /// The companion called its tool: the customer wanted it, or it could not help.
    Tool,
    /// The customer said one of the business's words for it.
    Keyword,
    /// The AI failed for too long.
    Failure,
}

impl HandOverReason {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Keyword => "keyword",
            Self::Failure => "failure",
        }
    }
}

/// A notice that a reply brings about once it is settled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Announcement {
    /// Fresh for each.
    pub id: String,
    /// Why.
    pub reason: HandOverReason,
}

impl Announcement {
    /// A new one.
    pub fn of(reason: HandOverReason) -> Self {
        Self { id: Uuid::new_v4().simple().to_string(), reason }
    }
}

/// A notice that waits to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Notice {
    /// Its own; the business is told.
    pub id: String,
    /// Why.
    pub reason: HandOverReason,
    /// When the conversation was handed over.
    pub at: Timestamp,
    /// Deliveries that were begun.
    pub tries: u32,
    /// Nobody delivers it before.
    pub try_at: Timestamp,
}

impl Notice {
    /// Whether it has been tried for long enough.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) >= NOTICE_AGE
    }

    /// How long to wait after a delivery that failed: longer each time, and never so short that the same trouble is
    /// met again.
    pub fn pause(&self) -> Duration {
        let attempt = self.tries.saturating_sub(1);
        let least = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt.min(30))).min(LONGEST_PAUSE) / 2;
        least + full_jitter(attempt, FIRST_PAUSE, LONGEST_PAUSE) / 2
    }
}

/// A notice that somebody is about to deliver, with what there is to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeTaken {
    /// The conversation.
    pub session: SessionId,
    /// Whose it is.
    pub business_id: BusinessId,
    /// Who the customer is.
    pub customer: Customer,
    /// A person has the conversation until then; none where it was given back meanwhile.
    pub until: Option<Timestamp>,
    /// The notice, with this try.
    pub notice: Notice,
    /// The store's clock.
    pub taken_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(tries: u32) -> Notice {
        let at = Timestamp::UNIX_EPOCH;
        Notice { id: "n".to_owned(), reason: HandOverReason::Tool, at, tries, try_at: at }
    }

    #[test]
    fn pauses_grow_from_seconds_to_an_hour_and_never_vanish() {
        for (tries, least, most) in [(1, 2, 5), (2, 5, 10), (5, 40, 80), (12, 1_800, 3_600), (4_000, 1_800, 3_600)] {
            for _ in 0..50 {
                let pause = notice(tries).pause();
                let bounds = Duration::from_secs(least)..=Duration::from_secs(most);
                assert!(bounds.contains(&pause), "{tries}: {pause:?}");
            }
        }
    }

    #[test]
    fn a_day_is_long_enough() {
        let hours = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        assert!(!notice(1).is_overdue(hours(23)) && notice(1).is_overdue(hours(24)));
    }

    #[test]
    fn a_reason_is_stored_as_the_word_for_it() {
        for reason in [HandOverReason::Tool, HandOverReason::Keyword, HandOverReason::Failure] {
            assert_eq!(serde_json::to_value(reason).expect("JSON"), reason.word());
        }
    }
}
