//! The parts of a stored conversation that say more than a turn needs to know.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    ids::{MessageId, PhoneNumberId},
    trace::TraceParent,
};

use crate::conversation::{Aftermath, Holder, MailboxItem, Outbox, Part, PartForm, PartState, ReplyKind};

/// A message in the mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Waiting {
    /// The message.
    #[serde(flatten)]
    pub item: MailboxItem,
    /// When it landed.
    pub landed_at: Timestamp,
}

/// A message that was answered, or needed no answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answered {
    /// Its id.
    pub id: MessageId,
    /// The number that it was written to.
    pub phone_number_id: PhoneNumberId,
    /// When it was sent, by Meta.
    pub timestamp: Timestamp,
}

/// Why a conversation waited last.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LastError {
    /// A word for the operator.
    pub reason: String,
    /// Details for the operator.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

/// Who works on a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// Which process; random at each start.
    pub worker: String,
    /// Which taking of the lease.
    pub epoch: i64,
    /// Tells it from one of the same epoch that was lost.
    #[serde(default)]
    pub nonce: i64,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Until when nobody else may take it.
    pub until: Timestamp,
    /// It was taken from somebody who had let it run out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_over: bool,
}

impl Lease {
    /// Who has it.
    pub fn holder(&self) -> Holder {
        Holder { worker: self.worker.as_str().into(), epoch: self.epoch, nonce: self.nonce }
    }
}

/// A reply under way, with every try.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OutboxRecord {
    /// Fresh for each reply.
    pub reply_id: String,
    /// What it says.
    pub kind: ReplyKind,
    /// The number that it is sent from.
    pub phone_number_id: PhoneNumberId,
    /// The messages that it answers.
    pub answers: Vec<MessageId>,
    /// The messages that it is made of, in order.
    pub parts: Vec<PartRecord>,
    /// What it changes once it is sent.
    pub aftermath: Aftermath,
    /// The turn that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
}

/// One message of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PartRecord {
    /// Its position, from 0.
    pub n: usize,
    /// What is sent.
    pub body: String,
    /// In which form.
    pub form: PartForm,
    /// How far it is.
    pub state: PartState,
    /// Meta's id, once it is known.
    pub wamid: Option<MessageId>,
    /// The tries so far.
    pub tries: Vec<Try>,
    /// How many of these are known not to have reached the customer.
    #[serde(default)]
    pub not_sent: u32,
}

/// One try to send a part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Try {
    /// Its number, from 1.
    pub n: u32,
    /// When it began.
    pub at: Timestamp,
}

/// A reply that is settled, of which Meta may yet report that it could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LastReply {
    /// Its id.
    pub id: String,
    /// The parts that went back into the mailbox.
    pub resent: BTreeSet<usize>,
}

/// What ends a wait besides time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WaitsFor {
    /// The fingerprint of the business's token that could not be used; any other one ends the wait.
    pub token: String,
}

/// What became of the last landing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LastLand {
    /// Which case it was.
    pub verdict: Verdict,
    /// When the last message was taken in; where none was yet, when the first one came.
    pub at: Timestamp,
}

/// The cases of a landing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Into the mailbox.
    New,
    /// Known.
    Duplicate,
    /// Only the transcript can tell.
    AskTranscript,
    /// No room for its content.
    NoRoom,
    /// The conversation went on elsewhere.
    Moved,
}

impl From<&OutboxRecord> for Outbox {
    fn from(record: &OutboxRecord) -> Self {
        Self {
            reply_id: record.reply_id.clone(),
            kind: record.kind,
            phone_number_id: record.phone_number_id.clone(),
            answers: record.answers.clone(),
            parts: record.parts.iter().map(Part::from).collect(),
            aftermath: record.aftermath.clone(),
            trace: record.trace,
        }
    }
}

impl From<&PartRecord> for Part {
    fn from(record: &PartRecord) -> Self {
        Self {
            body: record.body.clone(),
            form: record.form.clone(),
            state: record.state,
            wamid: record.wamid.clone(),
            tries: u32::try_from(record.tries.len()).unwrap_or(u32::MAX),
            not_sent: record.not_sent,
            last_try_at: record.tries.last().map(|last| last.at),
        }
    }
}
