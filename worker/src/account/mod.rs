//! What Meta lets an account do: bans, restrictions and removals as one standing, by which its businesses send or wait.
//!
//! [`Notice`] says what an event of Meta means, [`AccountStanding`] keeps what the latest of each cause said, and
//! [`Pause`] is what follows for sending. All of it is pure: times come from whoever asks.

mod notice;
mod watch;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use notice::account_of;
pub use notice::{FIELDS, Notice, NoticeLevel};
pub use watch::watch_accounts;

/// What a conversation waits for in place of another token: that its account may send.
///
/// No fingerprint of a token is this word, so whoever looks for conversations that wait for another token than the
/// current one finds these as soon as there is a current one again.
pub const PAUSED: &str = "paused";

/// Why an account may be kept from sending. Each is lifted by itself: a ban is not over because an app was installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Meta disabled or deleted the account.
    Ban,
    /// Meta restricts what it may send, for a time.
    Restriction,
    /// The account is no longer connected to our app.
    Removal,
    /// The Graph API refused a message for what the account is.
    Refusal,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ban, Self::Restriction, Self::Removal, Self::Refusal];

    /// A closed word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Restriction => "restriction",
            Self::Removal => "removal",
            Self::Refusal => "refusal",
        }
    }
}

/// What the latest event of a cause said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When it was so: when the event reached us. Meta's events of this kind bear no time of their own.
    pub at: Timestamp,
    /// Whether sending must stop.
    pub stops: bool,
    /// Until when, where that is known.
    pub until: Option<Timestamp>,
    /// For the operator: closed words of Meta's, such as `DISABLED_UPDATE DISABLE`.
    pub why: String,
}

/// A mark on its way into a standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingChange {
    /// Of which cause.
    pub cause: Cause,
    /// What is so now.
    pub mark: Mark,
}

/// What is known of one WhatsApp Business Account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStanding {
    /// The account's id.
    #[serde(rename = "_id")]
    pub waba_id: String,
    /// The latest of each cause.
    #[serde(default)]
    pub marks: BTreeMap<Cause, Mark>,
}

impl AccountStanding {
    /// An account of which nothing has been said.
    pub fn new(waba_id: &str) -> Self {
        Self { waba_id: waba_id.to_owned(), marks: BTreeMap::new() }
    }

    /// Takes a change in, unless something later is known of the same cause.
    pub fn apply(&mut self, change: &StandingChange) {
        let is_stale = self.marks.get(&change.cause).is_some_and(|known| known.at > change.mark.at);
        if !is_stale {
            self.marks.insert(change.cause, change.mark.clone());
        }
    }

    /// What keeps the account from sending: the one of its marks that lasts longest. None: nothing does.
    pub fn pause(&self, now: Timestamp) -> Option<Pause> {
        let stopping = self.marks.iter().filter(|(_, mark)| mark.stops);
        let pauses = stopping.map(|(cause, mark)| Pause { cause: *cause, until: mark.until, why: mark.why.clone() });
        let lasts = |pause: &Pause| pause.until.unwrap_or(Timestamp::MAX);
        pauses.filter(|pause| pause.lasts_at(now)).max_by_key(lasts)
    }
}

/// That an account must not send now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pause {
    /// Why.
    pub cause: Cause,
    /// Until when, where that is known.
    pub until: Option<Timestamp>,
    /// For the operator.
    pub why: String,
}

impl Pause {
    /// Whether it is not over yet.
    pub fn lasts_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn change(cause: Cause, time: i64, stops: bool, until: Option<i64>) -> StandingChange {
        let mark = Mark { at: at(time), stops, until: until.map(at), why: format!("{time}") };
        StandingChange { cause, mark }
    }

    fn standing(changes: &[StandingChange]) -> AccountStanding {
        let mut standing = AccountStanding::new("1");
        changes.iter().for_each(|change| standing.apply(change));
        standing
    }

    #[test]
    fn the_latest_of_a_cause_counts_in_whatever_order_they_come() {
        let (banned, lifted) = (change(Cause::Ban, 10, true, None), change(Cause::Ban, 20, false, None));
        assert_eq!(standing(&[banned.clone(), lifted.clone()]).pause(at(30)), None);
        assert_eq!(standing(&[lifted, banned.clone()]).pause(at(30)), None, "never backwards");
        assert_eq!(standing(&[banned]).pause(at(30)).map(|pause| pause.cause), Some(Cause::Ban));
        assert_eq!(AccountStanding::new("1").pause(at(30)), None);
    }

    #[test]
    fn a_restriction_ends_by_itself_and_a_longer_cause_outlasts_it() {
        let restricted = change(Cause::Restriction, 10, true, Some(50));
        let alone = standing(std::slice::from_ref(&restricted));
        assert_eq!(alone.pause(at(49)).and_then(|pause| pause.until), Some(at(50)));
        assert_eq!(alone.pause(at(50)), None);
        let both = standing(&[change(Cause::Removal, 5, true, None), restricted]);
        assert_eq!(both.pause(at(20)).map(|pause| (pause.cause, pause.until)), Some((Cause::Removal, None)));
        assert!(both.pause(at(60)).is_some());
    }

    #[test]
    fn a_standing_is_stored_by_its_account() {
        let known = standing(&[change(Cause::Ban, 10, true, None)]);
        let stored = serde_json::to_value(&known).expect("JSON");
        assert_eq!((&stored["_id"], &stored["marks"]["ban"]["stops"]), (&"1".into(), &true.into()));
        assert_eq!(serde_json::from_value::<AccountStanding>(stored).expect("it is one"), known);
        for cause in Cause::ALL {
            assert_eq!(serde_json::to_value(cause).expect("JSON"), cause.name());
        }
    }
}
