//! A customer who asks to be forgotten: every conversation of theirs closes for good, and no text of theirs stays.

use async_trait::async_trait;
use shared::ids::SessionId;

use super::Result;

/// How many documents of each collection lost what they held of a customer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Conversations that were closed.
    pub conversations: u64,
    /// Messages of the transcript; their ids stay until they expire.
    pub messages: u64,
    /// Dead letters; they are discarded.
    pub dead_letters: u64,
    /// Account events, group messages and notes of the system; their ids stay until they expire.
    pub events: u64,
    /// Numbers and user ids that lead nowhere any more.
    pub identities: u64,
}

impl Forgotten {
    /// Counts what another step erased.
    pub fn add(&mut self, other: Self) {
        self.conversations += other.conversations;
        self.messages += other.messages;
        self.dead_letters += other.dead_letters;
        self.events += other.events;
        self.identities += other.identities;
    }
}

/// A customer who asks to be forgotten.
#[async_trait]
pub trait Forgetting {
    /// Erases one customer: the conversation, those that were or are to be merged with it, the transcript, dead letters,
    /// events and aliases. A message that was known remains known, as its id, until the transcript expires. May be repeated.
    ///
    /// # Errors
    /// [`super::StoreError`]; what was closed is finished by [`Self::forgotten_to_look_after`], and a repetition
    /// does the rest.
    async fn forget(&self, session: &SessionId) -> Result<Forgotten>;

    /// Closed conversations that are to be looked after now: each may be forgotten once more.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn forgotten_to_look_after(&self, most: i64) -> Result<Vec<SessionId>>;
}
