//! What operators ask of the dead letters: which there are, what one holds, another try, an end.
//!
//! A decision is about the burial that the operator saw: it is written only where the letter was not buried again
//! since, so that nobody replays or discards what they have not looked at.

use std::fmt;

use async_trait::async_trait;
use futures_util::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use shared::ids::{MessageId, PhoneNumberId, SessionId};

use super::Result;
use crate::conversation::BusinessId;

/// A dead letter as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiledLetter {
    /// `_id`. Holds the id of the message, so it is not for a log line.
    pub id: String,
    /// The short name on the command line, from which nothing about the customer can be read; of letters that were
    /// filed before there were any, the `_id`.
    pub handle: String,
    /// A closed word, such as `unknown_business`.
    pub reason: String,
    /// Details, without message text or secrets.
    pub detail: String,
    /// When it was filed first.
    pub buried_at: Timestamp,
    /// When it was filed last.
    pub last_buried_at: Timestamp,
    /// How often it was filed.
    pub burials: i64,
    /// The number that it came to, where that is known.
    pub phone_number_id: Option<PhoneNumberId>,
    /// Whose it is, where a turn filed it.
    pub business_id: Option<BusinessId>,
    /// Which conversation, where a turn filed it.
    pub session: Option<SessionId>,
    /// The message's id, where it has one.
    pub message_id: Option<MessageId>,
    /// What is decided about it.
    pub state: LetterState,
    /// When it is deleted.
    pub expires_at: Option<Timestamp>,
    /// The envelope, or whatever the bytes were. None where it was not asked for, or the letter is discarded.
    pub body: Option<Vec<u8>>,
}

/// What is decided about a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterState {
    /// Nothing: an operator decides.
    Undecided,
    /// It comes back by itself when its business can be served.
    WaitsForBusiness {
        /// But not after this.
        until: Option<Timestamp>,
    },
    /// An operator wants it to be replayed, and a worker will.
    ReplayRequested {
        /// Since when.
        at: Option<Timestamp>,
    },
    /// It went back into its conversation.
    Replayed {
        /// When.
        at: Timestamp,
    },
    /// An operator gave it up; its body is gone.
    Discarded {
        /// When.
        at: Timestamp,
    },
}

/// Which dead letters are meant: those that satisfy everything that is set.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    /// With one of these handles or `_id`s; any where there are none.
    pub ids: Vec<String>,
    /// Of this business.
    pub owner: Option<LetterOwner>,
    /// With this reason.
    pub reason: Option<String>,
    /// First filed at or before this time.
    pub until: Option<Timestamp>,
    /// First filed at or after this time.
    pub since: Option<Timestamp>,
    /// As far as they are decided.
    pub standing: Standing,
}

/// Whose dead letters: those that name the business, and those that name no business but one of its numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterOwner {
    /// `_id`s of the business; one, unless several documents have its subdomain.
    pub businesses: Vec<BusinessId>,
    /// Its phone number ids.
    pub numbers: Vec<PhoneNumberId>,
}

/// How far dead letters are decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// Neither replayed nor discarded.
    #[default]
    Open,
    /// Replayed, and not discarded since.
    Replayed,
    /// Replayed or discarded.
    Closed,
    /// All.
    Any,
}

/// How dead letters are read. The default: all that are meant, the newest first, without what they hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// The longest buried first, as they must be replayed.
    pub oldest_first: bool,
    /// No more than that many.
    pub most: Option<u32>,
    /// With what they hold.
    pub with_bodies: bool,
}

/// Dead letters, read one after the other.
pub struct FiledLetters(BoxStream<'static, Result<FiledLetter>>);

impl FiledLetters {
    /// As a store reads them.
    pub fn new(letters: BoxStream<'static, Result<FiledLetter>>) -> Self {
        Self(letters)
    }

    /// The next one; none after the last.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn next_letter(&mut self) -> Result<Option<FiledLetter>> {
        self.0.next().await.transpose()
    }
}

impl fmt::Debug for FiledLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FiledLetters").finish_non_exhaustive()
    }
}

/// Dead letters as operators see them and decide about them.
#[async_trait]
pub trait LetterDesk {
    /// The dead letters that a filter means.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn filed_letters(&self, filter: &LetterFilter, reading: Reading) -> Result<FiledLetters>;

    /// How many dead letters a filter means, by reason; the most frequent reason first.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn count_letters(&self, filter: &LetterFilter) -> Result<Vec<(String, u64)>>;

    /// Marks a dead letter for replay by the next worker that looks, whatever its policy. May be repeated. False where
    /// it was replayed, discarded or buried again since it was read.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn request_replay(&self, letter: &FiledLetter) -> Result<bool>;

    /// Gives a dead letter up: its body goes, and it never comes back by itself. The rest stays until it expires. False
    /// where a worker is replaying it, or it was discarded or buried again since it was read.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn discard(&self, letter: &FiledLetter) -> Result<bool>;
}
