//! What cannot be handled and must not be lost, with the reason and its bytes; and its way back.
//!
//! A letter goes back into its conversation as often as a replay of it is begun, and lands there once: each replay of
//! one burial has the same id, which landing knows. What became of it is written only where it was not buried again
//! since. What operators ask and decide is in `filed_letters`.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use shared::ids::{PhoneNumberId, SessionId};

use super::Result;
use crate::conversation::BusinessId;

/// 64 bits: two letters of one installation do not have the same.
const HANDLE_DIGITS: usize = 16;

/// Whether a dead letter comes back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayPolicy {
    /// When an operator says so.
    ByHand,
    /// When the business of its number can be served.
    WhenServed,
    /// The same, but for a day at most: later the customer no longer expects an answer.
    WhenServedWithinADay,
}

/// A dead letter.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Deterministic, so that filing it twice changes nothing.
    pub id: String,
    /// A closed word, such as `unknown_business`.
    pub reason: &'static str,
    /// Details for the operator, without message text or secrets.
    pub detail: String,
    /// The number that it came to, where that is known.
    pub phone_number_id: Option<PhoneNumberId>,
    /// Whose it is, where that is known.
    pub business_id: Option<BusinessId>,
    /// Which conversation, where that is known.
    pub session: Option<SessionId>,
    /// The AMQP message id.
    pub message_id: Option<String>,
    /// An envelope, or whatever the bytes were.
    pub body: Vec<u8>,
    /// Whether it comes back by itself.
    pub replay: ReplayPolicy,
    /// Whether a turn buried it: its conversation then counts its id as answered, and a replay needs another.
    pub counted_as_answered: bool,
}

/// A dead letter that waits for its business, or whose replay was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingLetter {
    /// Its id.
    pub id: String,
    /// Why it was filed.
    pub reason: String,
    /// The AMQP message id.
    pub message_id: Option<String>,
    /// The envelope.
    pub body: Vec<u8>,
    /// How often it was buried.
    pub count: i64,
    /// The number under which it is replayed, where its own id counts as answered. Each replay of a turn's burial
    /// has the same number, that of its next burial another; a late delivery of the same message changes nothing.
    pub replay_number: Option<i64>,
}

/// Dead letters as the worker files and replays them.
#[async_trait]
pub trait DeadLetters {
    /// Files a dead letter; the same one again only counts, and says anew why and whether it comes back. One that was
    /// discarded is open again, with its body.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn bury(&self, letter: &DeadLetter) -> Result<()>;

    /// Files a letter again whose replay failed, unless it was buried again since: of several workers that replay one
    /// burial, one counts.
    ///
    /// `number` is the one that it came to, where only the replay found it out.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn bury_again(
        &self,
        letter: &WaitingLetter,
        reason: &'static str,
        detail: &str,
        replay: ReplayPolicy,
        number: Option<&PhoneNumberId>,
    ) -> Result<()>;

    /// The numbers with dead letters that wait for their business.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn waiting_numbers(&self) -> Result<Vec<PhoneNumberId>>;

    /// Some of the dead letters of a number that wait for its business, oldest first.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn waiting_letters(&self, number: &PhoneNumberId, most: i64) -> Result<Vec<WaitingLetter>>;

    /// How often turns have buried each of these letters; those that there are not are left out.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn turn_burials(&self, ids: &[String]) -> Result<BTreeMap<String, i64>>;

    /// Takes up one of the letters whose replay an operator asked for, the longest buried first. For `hold` nobody else
    /// takes it up; if its worker dies, another one does after that.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn take_up_requested(&self, hold: Duration) -> Result<Option<WaitingLetter>>;

    /// Marks a dead letter as replayed, unless it was buried again since.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn mark_replayed(&self, letter: &WaitingLetter) -> Result<()>;
}

/// The short name of a letter on the command line. Its id is long, and holds the id of the message, which tells who the
/// customer is.
pub fn letter_handle(id: &str) -> String {
    hex::encode(Sha256::digest(id)).chars().take(HANDLE_DIGITS).collect()
}
