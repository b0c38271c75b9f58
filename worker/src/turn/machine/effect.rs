//! What a machine asks for, and what it is told.

use std::time::Duration;

use jiff::Timestamp;
use shared::ids::{MessageId, PhoneNumberId};

use crate::{
    business::{InDoubt, Unserved},
    conversation::{Aftermath, Consent, Conversation, MailboxItem, Outbox, Part, PartForm, ReplyKind},
    store::{CommitOutcome, Postponement, ReplayPolicy, Settled},
    turn::Outcome,
    whatsapp::SendError,
};

/// An access token as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token {
    /// Tells one token from another without being one.
    pub id: String,
    /// Why it cannot be used, for the operator.
    pub problem: Option<String>,
}

/// The business of the messages' number, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Service {
    /// It can be served.
    Served {
        /// Its token.
        token: Token,
        /// What it wants of a message in doubt.
        in_doubt: InDoubt,
        /// What its limits leave.
        allowance: Allowance,
    },
    /// It can be served, but Meta does not let its account send.
    Paused {
        /// Why, for the operator.
        why: String,
        /// How long that lasts, where that is known.
        left: Option<Duration>,
    },
    /// It cannot, or the number is no longer the conversation's business's.
    Unserved(Unserved),
}

/// What the business's limits leave for this customer. None of it counts where nothing is to be answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Allowance {
    /// Messages of one customer that are answered in a minute.
    pub messages_per_minute: Option<u64>,
    /// The business has used up its day; the next one begins in that time.
    pub day_is_over_for: Option<Duration>,
}

/// Why a message is sent again although it may have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Repeat {
    /// Statuses flow, and there is none of it.
    Silence,
    /// Statuses do not flow, and the business wants it sent rather than not.
    Policy,
}

/// One message to Meta.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sending {
    /// Which reply.
    pub reply_id: String,
    /// The number that it is sent from.
    pub from: PhoneNumberId,
    /// Which part, from 0.
    pub part: usize,
    /// Which try, from 1.
    pub attempt: u32,
    /// Its words.
    pub body: String,
    /// In which form.
    pub form: PartForm,
    /// The customer's message that it quotes.
    pub quotes: Option<MessageId>,
}

/// Why messages become dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Burial {
    /// A closed word.
    pub reason: &'static str,
    /// For the operator, without message text.
    pub detail: String,
    /// Whether they come back by themselves.
    pub replay: ReplayPolicy,
}

/// What a settled turn leaves in the memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Remember {
    /// Nothing.
    Nothing,
    /// What the customer said.
    Heard,
    /// What the customer wants to hear from now on, without a word of it.
    Wish(Consent),
    /// What the customer said, and the reply.
    HeardAndSaid {
        /// What it was.
        kind: ReplyKind,
        /// Its text.
        said: String,
        /// What it changes.
        aftermath: Box<Aftermath>,
    },
}

/// What the machine wants done. Each is answered by the [`Event`] that its line names.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Read what these messages say, and look up the business of their number. → [`Event::Prepared`]
    Prepare {
        /// The number that they were written to.
        number: PhoneNumberId,
        /// The messages of the turn, in the customer's order.
        items: Vec<MailboxItem>,
    },
    /// Find the words of a reply to the prepared messages. → [`Event::Composed`], or [`Event::Overtaken`] where the
    /// machine allows it
    Compose(ReplyKind),
    /// Find the words which say that a limit is reached, until then. → [`Event::Composed`]
    Excuse(Timestamp),
    /// Wait until the customer, who goes on writing, has paused. → [`Event::Gathered`]
    Gather,
    /// Say whether no status waited any more at some time in the last `within` before the turn. → [`Event::Heard`]
    Listen {
        /// Reckoned back from the beginning of the turn.
        within: Duration,
    },
    /// Ask whether the number may send one more message now. → [`Event::Permitted`]
    Permit,
    /// Write the reply, and its first part as `sending`. → [`Event::Committed`]
    Commit {
        /// The reply.
        outbox: Outbox,
        /// What it was thought over with; none: whatever came since waits for the next turn.
        seen: Option<Vec<MessageId>>,
    },
    /// Read the conversation again. → [`Event::Reread`]
    Reread,
    /// Write that the next try of a part begins. → [`Event::TryBegun`]
    BeginTry {
        /// Which reply.
        reply_id: String,
        /// Which part.
        part: usize,
        /// How many tries there were, as the machine believes.
        tries: u32,
        /// Set where the last try may have reached the customer.
        repeats: Option<Repeat>,
        /// Meta refused its form: it goes as plain text from now on.
        as_text: bool,
    },
    /// Ask Meta to send, once, if the lease outlasts the request. → [`Event::Sent`]
    Send(Sending),
    /// Read the business again and say whether its token is another one now. → [`Event::FreshToken`]
    FreshToken,
    /// Write that Meta has a part. → [`Event::PartRecorded`]
    RecordPart {
        /// Which reply.
        reply_id: String,
        /// Which part.
        part: usize,
        /// Meta's id.
        wamid: MessageId,
        /// Write the next part as `sending`, too.
        begin_next: bool,
    },
    /// File messages as dead letters. → [`Event::Filed`]
    File {
        /// The messages.
        items: Vec<MailboxItem>,
        /// Why.
        burial: Burial,
    },
    /// Write messages, and what was sent, into the transcript. → [`Event::Recorded`]
    Record {
        /// The customer's messages.
        items: Vec<MailboxItem>,
        /// They were not even read.
        buried: bool,
        /// The reply, as far as it was sent.
        sent: Option<Outbox>,
    },
    /// End the turn. → [`Event::Settled`]
    Settle {
        /// The number that the messages were written to.
        number: PhoneNumberId,
        /// The messages that leave the mailbox.
        messages: Vec<MessageId>,
        /// What stays of them.
        memory: Remember,
    },
    /// Give the conversation back until later. → [`Event::Postponed`]
    Postpone(Postponement),
    /// Give the lease back, for there is nothing to do. → [`Event::Released`]
    Release,
    /// The turn is over.
    End(Outcome),
}

impl Effect {
    /// Whether it writes `sending` for a part.
    pub fn begins_a_try(&self) -> bool {
        match self {
            Self::Commit { .. } | Self::BeginTry { .. } => true,
            Self::RecordPart { begin_next, .. } => *begin_next,
            Self::Prepare { .. } | Self::Compose(_) | Self::Excuse(_) | Self::Gather | Self::Listen { .. } => false,
            Self::Permit | Self::Reread => false,
            Self::Send(_) | Self::FreshToken | Self::File { .. } | Self::Record { .. } | Self::Settle { .. } => false,
            Self::Postpone(_) | Self::Release | Self::End(_) => false,
        }
    }

    /// Whether nobody has the conversation in hand afterwards.
    pub fn gives_the_lease_back(&self) -> bool {
        matches!(self, Self::Settle { .. } | Self::Postpone(_) | Self::Release)
    }

    /// A closed word, such as `commit`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prepare { .. } => "prepare",
            Self::Compose(_) => "compose",
            Self::Excuse(_) => "excuse",
            Self::Gather => "gather",
            Self::Listen { .. } => "listen",
            Self::Permit => "permit",
            Self::Commit { .. } => "commit",
            Self::Reread => "reread",
            Self::BeginTry { .. } => "begin_try",
            Self::Send(_) => "send",
            Self::FreshToken => "fresh_token",
            Self::RecordPart { .. } => "record_part",
            Self::File { .. } => "file",
            Self::Record { .. } => "record",
            Self::Settle { .. } => "settle",
            Self::Postpone(_) => "postpone",
            Self::Release => "release",
            Self::End(_) => "end",
        }
    }
}

/// What came of an effect.
#[derive(Debug)]
pub enum Event {
    /// Of [`Effect::Prepare`].
    Prepared {
        /// The business.
        service: Service,
        /// Whether any of the messages wants an answer.
        wants_answer: bool,
        /// Whether any of them asks for a person, by the business's words for it.
        asks_for_person: bool,
        /// The messages that ask for silence, or for an end to it, as far as the business lets them.
        wishes: Vec<Wish>,
        /// The newest of several that are answered: the reply quotes it, so that it is clear what it covers.
        quotes: Option<MessageId>,
        /// The messages of the mailbox that an earlier turn filed as dead letters, and did not come to settle.
        filed: Vec<MessageId>,
    },
    /// Of [`Effect::Compose`].
    Composed(Result<Reply, Trouble>),
    /// Of [`Effect::Compose`]: the customer wrote more, and the call was cut off.
    Overtaken,
    /// Of [`Effect::Gather`].
    Gathered,
    /// Of [`Effect::Listen`].
    Heard(bool),
    /// Of [`Effect::Permit`]: how long to wait, if not at once.
    Permitted(Option<Duration>),
    /// Of [`Effect::Commit`].
    Committed(CommitOutcome),
    /// Of [`Effect::Reread`]; none: the lease is somebody else's.
    Reread(Option<Box<Conversation>>),
    /// Of [`Effect::BeginTry`]; false: not mine any more, or no longer so.
    TryBegun(bool),
    /// Of [`Effect::Send`]: Meta's id of the message.
    Sent(Result<MessageId, SendError>),
    /// Of [`Effect::FreshToken`]: the token, where it is another one that can be used.
    FreshToken(Option<Token>),
    /// Of [`Effect::RecordPart`]; false: not mine any more.
    PartRecorded(bool),
    /// Of [`Effect::File`].
    Filed,
    /// Of [`Effect::Record`].
    Recorded,
    /// Of [`Effect::Settle`]; none: not mine any more.
    Settled(Option<Settled>),
    /// Of [`Effect::Postpone`]; false: not mine any more.
    Postponed(bool),
    /// Of [`Effect::Release`].
    Released,
}

impl Event {
    /// Whether a write has succeeded that names the lease: the claim before it is durable.
    pub fn shows_the_lease(&self) -> bool {
        matches!(self, Self::Committed(CommitOutcome::Committed) | Self::TryBegun(true))
    }
}

/// A message that is a wish as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wish {
    /// Which message.
    pub message: MessageId,
    /// What it asks for.
    pub consent: Consent,
}

/// The words of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Fresh for each reply.
    pub id: String,
    /// What is sent, in order; none of it blank, at least one, none tried yet.
    pub parts: Vec<Part>,
    /// What it changes.
    pub aftermath: Aftermath,
}

/// Whose trouble it is that there are no words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The AI's, or that of a file which a customer sent.
    Ai,
    /// Meta refused the business's token, when a file was to be fetched.
    Token,
    /// Meta cannot be reached, or throttles: nothing could be sent either.
    Graph,
}

/// Why there are no words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// How long after the turn had begun.
    pub after: Duration,
    /// How long what failed had been tried.
    pub took: Duration,
    /// How long the provider wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Whose trouble it is.
    pub kind: TroubleKind,
    /// For the operator, without message text.
    pub detail: String,
}
