//! How a conversation stands, in a word.

use jiff::Timestamp;

use super::words::{harmless, utc};
use crate::conversation::state::State;

/// How a conversation stands: of what holds at once, what an operator wants to know first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A worker has it in hand.
    Answering,
    /// A person has it.
    HandedOver(Timestamp),
    /// Something went wrong, and is tried again.
    Waits { until: Timestamp, because: String },
    /// A worker takes it when its customer pauses, or has no time for it yet.
    Due,
    /// Nothing to do.
    Idle,
}

impl Standing {
    /// Of a conversation at that time.
    pub(crate) fn of(state: &State, now: Timestamp) -> Self {
        let is_held = state.lease.as_ref().is_some_and(|lease| lease.until > now);
        match (state.handed_over_until, state.retry_at) {
            _ if is_held => Self::Answering,
            (Some(until), _) if until > now => Self::HandedOver(until),
            (_, Some(until)) if until > now => {
                let because = state.last_error.as_ref().map(|error| error.reason.clone());
                Self::Waits { until, because: because.unwrap_or_else(|| "unknown".to_owned()) }
            }
            _ if state.due_at.is_some() => Self::Due,
            _ => Self::Idle,
        }
    }

    /// The word for a script.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Answering => "answering",
            Self::HandedOver(_) => "handed_over",
            Self::Waits { .. } => "waits",
            Self::Due => "due",
            Self::Idle => "idle",
        }
    }

    /// The words for a person.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Answering => "answering".to_owned(),
            Self::HandedOver(until) => format!("handed over until {}", utc(*until)),
            Self::Waits { until, because } => format!("waits until {} because of {}", utc(*until), harmless(because)),
            Self::Due => "due".to_owned(),
            Self::Idle => "idle".to_owned(),
        }
    }
}

/// When the customer wrote last.
pub(crate) fn last_activity(state: &State) -> Option<Timestamp> {
    state.last_land.as_ref().map(|last| last.at)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use shared::ids::SessionId;

    use super::*;
    use crate::conversation::{
        BusinessId,
        state::{LastError, Lease},
    };

    #[test]
    fn what_an_operator_wants_to_know_first_is_said() {
        let now = Timestamp::UNIX_EPOCH;
        let later = now + SignedDuration::from_hours(1);
        let mut state = State::begun(&SessionId::from_stored("acme:1"), &BusinessId("acme".to_owned()), None);
        let is = |state: &State| Standing::of(state, now);
        assert_eq!(is(&state), Standing::Idle);
        state.due_at = Some(later);
        assert_eq!(is(&state), Standing::Due);
        state.retry_at = Some(later);
        state.last_error = Some(LastError { reason: "ai".to_owned(), detail: String::new(), at: now });
        assert_eq!(is(&state).words(), "waits until 1970-01-01 01:00:00 UTC because of ai");
        state.handed_over_until = Some(now);
        assert_eq!(is(&state).word(), "waits", "that is over");
        state.handed_over_until = Some(later);
        assert_eq!(is(&state), Standing::HandedOver(later));
        state.lease =
            Some(Lease { worker: "w".to_owned(), epoch: 1, nonce: 7, taken_at: now, until: later, taken_over: false });
        assert_eq!(is(&state), Standing::Answering);
    }
}
