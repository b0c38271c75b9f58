//! The transcript: every message in and out, by number and Meta's id.
//!
//! It serves people, analytics and one promise: a message older than its conversation remembers is known to be
//! answered by it. A status that comes before its message leaves a shell. So does a message whose customer was
//! forgotten: it is known, and no text ever comes back to it.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use shared::{
    ids::{MessageId, PhoneNumberId, SessionId},
    trace::TraceParent,
};

use super::Result;
use crate::{
    conversation::{BusinessId, MailboxItem, Usage},
    scope::CustomerScope,
};

/// The fields that are kept of a forgotten message: nothing of its text, nor whose it was. What is counted stays.
pub const SHELL: &[&str] = &[
    "direction",
    "business_id",
    "type",
    "phone_number_id",
    "id",
    "timestamp",
    "received_at",
    "status",
    "status_at",
    "status_rank",
    "error_code",
    "pricing",
    "usage",
    "waited_millis",
    "expire_at",
];

/// A message from a customer.
#[derive(Debug)]
pub struct Inbound<'a> {
    /// Which conversation.
    pub session: &'a SessionId,
    /// Whose it is.
    pub business_id: &'a BusinessId,
    /// The message.
    pub item: &'a MailboxItem,
    /// Meta's type, such as `text`.
    pub kind: &'a str,
    /// Whether its turn is over: it will not be answered again.
    pub answered: bool,
    /// What its file says, where somebody has found out just now.
    pub words: Option<&'a Words>,
    /// Its customer took it back: nothing of what it says is kept.
    pub taken_back: bool,
}

/// A message to a customer.
#[derive(Debug)]
pub struct Outbound<'a> {
    /// Which conversation.
    pub session: &'a SessionId,
    /// Whose it is.
    pub business_id: &'a BusinessId,
    /// The number that it was sent from.
    pub number: &'a PhoneNumberId,
    /// Meta's id.
    pub wamid: &'a MessageId,
    /// The reply that it is part of; none where a person sent it.
    pub reply_id: Option<&'a str>,
    /// Meta's type, such as `text`.
    pub kind: &'a str,
    /// The text.
    pub body: &'a str,
    /// What its reply cost, with one part of it.
    pub usage: Option<&'a Usage>,
    /// How long the customer had waited for it, with the first part of a reply.
    pub waited: Option<Duration>,
    /// The turn that sent it: in its trace goes on what becomes of it.
    pub trace: Option<TraceParent>,
}

impl<'a> Outbound<'a> {
    /// A text that a person of the business wrote.
    pub fn by_a_person(
        session: &'a SessionId,
        business_id: &'a BusinessId,
        number: &'a PhoneNumberId,
        wamid: &'a MessageId,
        body: &'a str,
    ) -> Self {
        let (reply_id, kind, usage, waited, trace) = (None, "text", None, None, None);
        Self { session, business_id, number, wamid, reply_id, kind, body, usage, waited, trace }
    }
}

/// What a customer's file says, once somebody has found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// In words.
    pub words: String,
    /// It was spoken, and understood.
    pub is_speech: bool,
    /// In which language it was spoken, by ISO 639-1.
    pub language: Option<String>,
}

/// A message that another one refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quoted {
    /// One of ours.
    Ours(String),
    /// One of the customer's.
    Theirs(String),
}

impl Quoted {
    /// What it says.
    pub fn words(&self) -> &str {
        match self {
            Self::Ours(words) | Self::Theirs(words) => words,
        }
    }
}

/// A text that was sent.
#[derive(Debug)]
pub struct SentText {
    /// Which conversation.
    pub session: SessionId,
    /// The reply that it is a part of.
    pub reply_id: String,
    /// The text.
    pub body: String,
    /// How far it has come, by its statuses: see [`crate::message::Status::rank`]. None where there were none.
    pub rank: Option<i32>,
    /// The turn that sent it.
    pub trace: Option<TraceParent>,
}

/// A message of ours that is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnRecord {
    /// Whose it is.
    pub business: BusinessId,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// The turn that sent it.
    pub trace: Option<TraceParent>,
}

/// What became of a message to a customer.
#[derive(Debug, Clone)]
pub struct StatusUpdate {
    /// The number that it was sent from.
    pub number: PhoneNumberId,
    /// Meta's id of the message.
    pub wamid: MessageId,
    /// Meta's word.
    pub status: String,
    /// The number of that word. What it takes the place of, [`crate::message::replaced_by`] says.
    pub rank: i32,
    /// Meta's time.
    pub at: Timestamp,
    /// `pricing`, as JSON text.
    pub pricing: Option<String>,
    /// For `failed`: Meta's error code.
    pub error_code: Option<i64>,
}

/// The transcript. What comes twice, or in another order, changes nothing.
#[async_trait]
pub trait Transcript {
    /// Records a customer's message.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn record_inbound(&self, inbound: &Inbound<'_>) -> Result<()>;

    /// Records a message to a customer.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn record_outbound(&self, outbound: &Outbound<'_>) -> Result<()>;

    /// Records what a turn answered and what it sent. After an error some of it may be on record, and all of it may be given
    /// once more. Every message to a customer is of a reply.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn record_turn(&self, inbound: &[Inbound<'_>], outbound: &[Outbound<'_>]) -> Result<()>;

    /// Keeps what a customer's file says, for whoever goes on with its turn.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn keep_words(&self, scope: &CustomerScope, item: &MailboxItem, kind: &str, words: &Words) -> Result<()>;

    /// What a file of this customer says, where somebody has found out.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn words_of(&self, scope: &CustomerScope, number: &PhoneNumberId, id: &MessageId) -> Result<Option<Words>>;

    /// A message of this customer's conversation; none where it is another's, whoever refers to it.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn quoted(&self, scope: &CustomerScope, number: &PhoneNumberId, id: &MessageId) -> Result<Option<Quoted>>;

    /// Records a status; the transcript's own only ever moves forward. Gives its message, where that is on record.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn record_status(&self, update: &StatusUpdate) -> Result<Option<OnRecord>>;

    /// A text of ours, and the reply that it is a part of; none where it is not on record, or a person wrote it.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn sent_text(&self, number: &PhoneNumberId, id: &MessageId) -> Result<Option<SentText>>;

    /// Whether a message of ours is on record.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn is_recorded_outbound(&self, number: &PhoneNumberId, id: &MessageId) -> Result<bool>;

    /// Whether a message was answered, or deliberately not.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn was_answered(&self, number: &PhoneNumberId, id: &MessageId) -> Result<bool>;

    /// The content of a message that was too large for its mailbox, as JSON text.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn message_content(&self, scope: &CustomerScope, item: &MailboxItem) -> Result<Option<String>>;
}
