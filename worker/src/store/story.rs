//! What happened in a conversation, message by message: the transcript as an operator reads it.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use shared::ids::{MessageId, PhoneNumberId, SessionId};

use super::Result;
use crate::{
    conversation::Usage,
    message::{Treatment, parse, treatment},
};

/// A message of a conversation, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whether the customer wrote it.
    pub inbound: bool,
    /// The business's number, where it is known.
    pub number: Option<PhoneNumberId>,
    /// Meta's id, where it is known.
    pub id: Option<MessageId>,
    /// Meta's type, such as `text`.
    pub kind: String,
    /// When the customer sent it, by Meta; or when we knew that Meta had taken it.
    pub at: Timestamp,
    /// When it reached ingest; only of a customer's.
    pub received_at: Option<Timestamp>,
    /// When its turn was over; only of a customer's.
    pub answered_at: Option<Timestamp>,
    /// The reply that it is a part of; none where a person sent it.
    pub reply_id: Option<String>,
    /// What its reply cost, with one part of it.
    pub usage: Option<Usage>,
    /// How long the customer had waited for it, with the first part of a reply.
    pub waited: Option<Duration>,
    /// Meta's last word for what became of it.
    pub status: Option<String>,
    /// When Meta said so.
    pub status_at: Option<Timestamp>,
    /// Meta's error code, where it failed.
    pub error_code: Option<i64>,
    /// What it says, where that was asked for and is known.
    pub text: Option<String>,
}

/// The transcript of one conversation.
#[async_trait]
pub trait Story {
    /// The last messages of a conversation, no more than `most`, the oldest of them first. Without what they say, unless
    /// that is asked for.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn lines_of(&self, session: &SessionId, most: u32, with_texts: bool) -> Result<Vec<Line>>;
}

/// What a stored message says: what was sent, what was understood of its file, or what the customer wrote.
pub fn said(body: Option<&str>, words: Option<&str>, message: Option<&str>) -> Option<String> {
    let written = || match treatment(&parse(message?)?) {
        Treatment::Answer(words) | Treatment::Remember(words) => Some(words),
        Treatment::Record => None,
    };
    body.or(words).map(str::to_owned).or_else(written)
}
