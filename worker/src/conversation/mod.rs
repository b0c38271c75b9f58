//! A conversation: the unit of order, exclusivity, retry, exactly-once and memory.
//!
//! One customer's talk with one business is one stored document. These are its parts in domain words; how they
//! are kept and changed atomically is the store's business, and what a turn does with them is the turn's.

mod aftermath;
mod limits;
mod notice;
mod operation;
mod part;
mod rules;
pub mod state;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    ids::{MessageId, PhoneNumberId, SessionId, Subdomain, UserId, WaId},
    trace::TraceParent,
};

pub use aftermath::{Aftermath, Consent, FactChange, Summary, Usage};
pub use limits::{
    ANSWERED_AGE, ANSWERED_KEPT, ANSWERED_MOST, BUCKET_MOST, BUCKET_REFILL, FACTS_MOST, MAILBOX_WITH_CONTENT,
    MEMORY_TURN_BYTES, MEMORY_TURNS, MINUTE, TURN_LINES, WINDOW,
};
pub use notice::{Announcement, HandOverReason, NOTICES_MOST, Notice, NoticeTaken};
pub use operation::{
    Beginning, Claim, CommitOutcome, CustomerIdChange, Landed, Landing, Memory, Postponement, Renewed, Resend, Settled,
};
pub use part::{Choice, Part, PartForm, PartState};
pub use rules::{bucket_wait, next_run};
pub(crate) use rules::{
    due, earlier, gathered, later, remembered, resend_id, sort_by_customers_order, whole_millis, window_end,
};

/// The business's `_id` in the database, as text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BusinessId(pub String);

/// What is known of the customer. At least one of the two ids is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Customer {
    /// The phone number, where the customer shows it.
    pub wa_id: Option<WaId>,
    /// The business-scoped user id, where Meta sends one.
    pub user_id: Option<UserId>,
    /// The name in the customer's own profile: untrusted text.
    pub name: Option<String>,
    /// The language that the customer speaks, by ISO 639-1, where a recording told it.
    #[serde(default)]
    pub language: Option<String>,
}

/// A message that has landed and is not answered yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MailboxItem {
    /// Meta's id, or one that ingest made up where Meta sent none.
    pub id: MessageId,
    /// The number that the customer wrote to.
    pub phone_number_id: PhoneNumberId,
    /// Meta's time of sending, to the second.
    pub timestamp: Timestamp,
    /// When ingest read the webhook.
    pub received_at: Timestamp,
    /// The position in the webhook's body.
    pub index: u32,
    /// The message as Meta sent it, as JSON text: numbers, key order and odd keys survive only so. None where it
    /// was too large for the mailbox and lies in the transcript.
    pub message: Option<String>,
    /// A message of our own that Meta accepted and then could not deliver, and that is to be sent once more; then
    /// `message` is its text, as it is. None for what a customer wrote.
    pub resend_of: Option<MessageId>,
    /// The trace that began with its webhook, in which its turn goes on; none of older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
}

/// A reply that was decided on, and how far it has been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    /// Fresh for each reply.
    pub reply_id: String,
    /// What it says.
    pub kind: ReplyKind,
    /// The number that it is sent from.
    pub phone_number_id: PhoneNumberId,
    /// The messages that it answers.
    pub answers: Vec<MessageId>,
    /// The messages that it is made of, in order.
    pub parts: Vec<Part>,
    /// What it changes once it is sent.
    pub aftermath: Aftermath,
    /// The turn that wrote it, in whose trace it goes on, whoever sends it; none of older ones.
    pub trace: Option<TraceParent>,
}

impl Outbox {
    /// The messages that it answers, out of a mailbox.
    pub fn answered_in(&self, mailbox: &[MailboxItem]) -> Vec<MailboxItem> {
        let answered =
            |item: &&MailboxItem| item.phone_number_id == self.phone_number_id && self.answers.contains(&item.id);
        mailbox.iter().filter(answered).cloned().collect()
    }

    /// Whether no part of it can have reached Meta.
    pub fn is_untouched(&self) -> bool {
        self.parts.iter().all(|part| part.state == PartState::Waiting && part.tries == part.not_sent)
    }
}

/// What a reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyKind {
    /// The companion's answer.
    Answer,
    /// That the companion cannot answer now.
    Apology,
    /// A part of an earlier reply once more, because Meta could not deliver it.
    Resend,
}

/// Who said a remembered line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The customer.
    Customer,
    /// The companion.
    Companion,
    /// A person of the business.
    Person,
}

/// One remembered line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryTurn {
    /// Who.
    pub speaker: Speaker,
    /// What.
    pub text: String,
}

/// A remembered line, with its time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Remembered {
    /// Who.
    pub speaker: Speaker,
    /// What.
    pub text: String,
    /// When it was written down, by the database's clock. The lines of one turn have one time.
    pub at: Timestamp,
}

/// Something that was learned about a customer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fact {
    /// Short, and its own within the conversation.
    pub id: String,
    /// One sentence.
    pub text: String,
    /// When it was learned, by the database's clock.
    pub at: Timestamp,
}

/// What is remembered of one customer of one business.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Recollection {
    /// The last lines, oldest first.
    pub lines: Vec<Remembered>,
    /// What was said before them.
    pub summary: Option<String>,
    /// What was learned, oldest first.
    pub facts: Vec<Fact>,
}

/// A conversation as a turn sees it, read when its lease was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The session id.
    pub id: SessionId,
    /// Whose it is.
    pub business_id: BusinessId,
    /// The business's subdomain when the session began; none for the fallback business.
    pub subdomain: Option<Subdomain>,
    /// Who the customer is.
    pub customer: Customer,
    /// Landed, not yet answered; in the customer's order.
    pub mailbox: Vec<MailboxItem>,
    /// A reply under way.
    pub outbox: Option<Outbox>,
    /// What is remembered of this customer.
    pub memory: Recollection,
    /// Failed tries since the last success.
    pub attempts: u32,
    /// Leases that expired in a row: processes that died with this conversation in hand.
    pub takeovers: u32,
    /// Since when the AI fails for these messages.
    pub ai_failing_since: Option<Timestamp>,
    /// When the customer was last told that the AI fails, if nothing was answered since.
    pub apologised_at: Option<Timestamp>,
    /// A person has the conversation until then.
    pub handed_over_until: Option<Timestamp>,
    /// Since when the customer wants to hear no more.
    pub opted_out_at: Option<Timestamp>,
    /// How many messages landed in the minute that began with one of them.
    pub minute: Option<Minute>,
    /// A limit of the business leaves the customer, who knows of it, without an answer until then.
    pub limited_until: Option<Timestamp>,
    /// Until when each of the business's numbers may write to this customer, by the last message that it got.
    pub windows: BTreeMap<PhoneNumberId, Timestamp>,
    /// For each of the business's numbers, when its bucket of messages to this customer is full again; see
    /// [`bucket_wait`].
    pub buckets: BTreeMap<PhoneNumberId, Timestamp>,
    /// The database's clock when the lease was taken.
    pub claimed_at: Timestamp,
}

/// How much a customer wrote in a minute that began with a message. The next message after it begins another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Minute {
    /// When the first one landed.
    pub began_at: Timestamp,
    /// How many landed since, with that one.
    pub messages: u32,
}

/// The right to work on a conversation. A write of a holder that is no longer the conversation's matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeaseKey {
    /// Which conversation.
    pub session: SessionId,
    /// Whose lease it must still be.
    pub holder: Holder,
}

/// Who has a lease, by which taking of it. The epoch is not enough: a taking that the database lost with its primary leaves
/// its epoch to the next one, which may even be the same worker's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    /// This process, and no other nor a later one.
    pub worker: Arc<str>,
    /// Counts the takings of the lease up.
    pub epoch: i64,
    /// Random, of this taking alone.
    pub nonce: i64,
}

/// Whether a customer who wrote this is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rhythm {
    /// Probably: a question, a tap, a spoken message.
    Complete,
    /// Nobody knows.
    Plain,
    /// Probably not: a greeting, or a piece of a sentence.
    Unfinished,
}

/// How long to wait for more messages before a conversation is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietTime {
    /// After the last message.
    pub quiet: Duration,
    /// After the first one, at most.
    pub ceiling: Duration,
}

impl QuietTime {
    /// People send a thought in several messages, but nobody waits for ever: the ceiling is five seconds, or
    /// four times the quiet time where that is longer.
    pub fn new(quiet: Duration) -> Self {
        Self { quiet, ceiling: (quiet * 4).max(Duration::from_secs(5)) }
    }

    /// The same after a message of this rhythm: half as long, or twice. The ceiling stays.
    #[must_use]
    pub fn after(self, rhythm: Rhythm) -> Self {
        let quiet = match rhythm {
            Rhythm::Complete => self.quiet / 2,
            Rhythm::Plain => self.quiet,
            Rhythm::Unfinished => self.quiet * 2,
        };
        Self { quiet: quiet.min(self.ceiling), ..self }
    }

    /// How long somebody must be silent who wrote while they were being answered: they are in the middle of it.
    pub fn again(self) -> Duration {
        const LEAST: Duration = Duration::from_secs(1);
        const MOST: Duration = Duration::from_secs(5);
        // A turn waits with the conversation in hand, so not as long as a business may wait before one.
        (self.quiet * 2).clamp(LEAST, MOST)
    }
}
