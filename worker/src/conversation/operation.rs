//! What the operations on a conversation take and answer, whoever keeps it.

use std::time::Duration;

use jiff::Timestamp;
use shared::{
    ids::{MessageId, PhoneNumberId, SessionId, Subdomain, UserId, WaId},
    trace::TraceParent,
};

use super::{Aftermath, BusinessId, Conversation, Customer, LeaseKey, MailboxItem, MemoryTurn, QuietTime, ReplyKind};

/// A message on its way into its conversation.
#[derive(Debug, Clone, Copy)]
pub struct Landing<'a> {
    /// Which conversation.
    pub session: &'a SessionId,
    /// Whose it is.
    pub business_id: &'a BusinessId,
    /// The business's subdomain.
    pub subdomain: Option<&'a Subdomain>,
    /// What the message tells about the customer.
    pub customer: &'a Customer,
    /// The message.
    pub item: &'a MailboxItem,
    /// How long to wait for more.
    pub quiet: QuietTime,
    /// Land it although it is older than what the conversation remembers, because the transcript was asked.
    pub looked_up: bool,
}

/// What became of a landing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landed {
    /// It is in the mailbox. Due in that time, if nobody has the lease.
    New {
        /// From now.
        due_in: Duration,
        /// Nothing else waits in the mailbox, no person has the conversation, and its customer has not opted out: they may
        /// be shown that somebody reads and writes.
        first: bool,
    },
    /// It was there, or was answered.
    Duplicate,
    /// So old that only the transcript can tell whether it was answered; nothing was changed.
    AskTranscript,
    /// The mailbox takes no more content; nothing was changed.
    NoRoomForContent,
    /// The conversation went on elsewhere; nothing was changed. Where it names itself it was forgotten: it takes nothing
    /// more, and its customer has to begin another one.
    Moved(SessionId),
}

/// A message of ours that Meta accepted and then could not deliver, for a reason that passes.
#[derive(Debug, Clone, Copy)]
pub struct Resend<'a> {
    /// Which conversation.
    pub session: &'a SessionId,
    /// The number that it was sent from.
    pub number: &'a PhoneNumberId,
    /// The reply that it was a part of.
    pub reply_id: &'a str,
    /// Which part.
    pub part: usize,
    /// Its id at Meta.
    pub wamid: &'a MessageId,
    /// Its text, at most 4,096 UTF-16 units.
    pub body: &'a str,
    /// When it failed, by Meta.
    pub failed_at: Timestamp,
    /// How long to wait for what else the customer writes.
    pub quiet: QuietTime,
    /// The trace of its reply.
    pub trace: Option<TraceParent>,
}

/// A lease that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// For guarded operations.
    pub lease: LeaseKey,
    /// The conversation at that moment.
    pub conversation: Conversation,
    /// Somebody had the lease before, and let it run out.
    pub taken_over: bool,
}

/// Why and how long a conversation waits.
#[derive(Debug, Clone)]
pub struct Postponement {
    /// From now.
    pub delay: Duration,
    /// A word for the operator, such as `throttled`.
    pub reason: &'static str,
    /// Details for the operator, without message text or secrets.
    pub detail: String,
    /// Waiting for evidence of a send: no failed attempt, and over as soon as no part is in doubt.
    pub for_evidence: bool,
    /// Set where the AI is what failed: for how long it was tried.
    pub ai: Option<Duration>,
    /// A part that is known not to have been sent.
    pub not_sent: Option<usize>,
    /// The fingerprint of the business's token, where that is what was refused or cannot be decrypted: another token
    /// ends the wait.
    pub token: Option<String>,
}

/// A conversation that begins before its customer has written.
#[derive(Debug, Clone, Copy)]
pub struct Beginning<'a> {
    /// Which one.
    pub session: &'a SessionId,
    /// Whose it is.
    pub business_id: &'a BusinessId,
    /// The business's subdomain; none for the fallback business.
    pub subdomain: Option<&'a Subdomain>,
    /// What is known of the customer.
    pub customer: &'a Customer,
}

/// A lease after its renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// Which one.
    pub lease: LeaseKey,
    /// How many messages wait in the mailbox.
    pub mailbox: usize,
}

/// What became of a reply that was to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is in the outbox; its first part may be sent.
    Committed,
    /// Messages came that it does not answer.
    NewerMessages,
    /// A person has the conversation now.
    HandedOver,
    /// The customer wants to hear no more.
    OptedOut,
    /// The lease is somebody else's.
    Fenced,
}

/// Lines to remember and what else a settled turn leaves behind.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// New lines, oldest first.
    pub turns: Vec<MemoryTurn>,
    /// What the customer got, if anything.
    pub reply: Option<ReplyKind>,
    /// What the reply changes.
    pub aftermath: Aftermath,
}

/// A settled conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// When the messages that are left are due, from now; none where none is left.
    pub due_in: Option<Duration>,
}

/// An id of a customer that is theirs no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerIdChange {
    /// A phone number.
    Phone {
        /// The former one.
        old: WaId,
        /// The one that came in its place, where that is known.
        new: Option<WaId>,
    },
    /// A business-scoped user id.
    User {
        /// The former one.
        old: UserId,
        /// The one that came in its place.
        new: UserId,
    },
}
