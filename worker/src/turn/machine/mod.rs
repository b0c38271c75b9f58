//! What a turn does next: the protocol of a reply as a pure state machine.
//!
//! [`Machine::begin`] takes a claimed conversation and asks for an [`Effect`]; what came of it goes into
//! [`Machine::step`] as an [`Event`], which asks for the next one, until [`Effect::End`]. There is no clock, no chance
//! and no I/O in here: times are the database's and come with the conversation, jitter comes with the [`Rules`]. So
//! the same decisions that run against MongoDB and Meta can be walked through in a model, with a crash, a pause or a
//! lost answer between any two effects.
//!
//! Before each request the database says `sending`; after it, what became of it. A crash at any place leaves either
//! "certainly not sent" or "in doubt", and doubt is settled by evidence, not by guessing.

mod answering;
mod delivering;
mod ending;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use shared::ids::{MessageId, PhoneNumberId};

use super::Outcome;
use crate::{
    business::{InDoubt, Unserved},
    conversation::{Conversation, MailboxItem, Outbox, ReplyKind},
    store::{CommitOutcome, Postponement, ReplayPolicy, Settled},
    whatsapp::SendError,
};

/// Leases that may expire in a row, each with a dead process behind it, before the messages count as poison.
const TAKEOVERS_MOST: u32 = 5;

/// See [`Rules::try_most`].
const TRY_MOST: Duration = Duration::from_secs(5);

/// Times of the installation.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// How long evidence of a first try is waited for.
    pub send_evidence: Duration,
    /// How long AI trouble may last before the apology.
    pub ai_give_up: Duration,
    /// A random delay between nothing and `first` × 2^`attempt`, at most `most`; the arguments in this order.
    pub jitter: fn(u32, Duration, Duration) -> Duration,
}

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
    },
    /// It cannot, or the number is no longer the conversation's business's.
    Unserved(Unserved),
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
    /// The text.
    pub body: String,
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

impl Rules {
    /// How late after a try was begun its request may leave. Silence is reckoned from the beginning of the try, so a
    /// request that a pause held up would be taken for one that nobody heard of.
    pub fn try_most(&self) -> Duration {
        (self.send_evidence / 4).min(TRY_MOST)
    }
}

/// What a settled turn leaves in the memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Remember {
    /// Nothing.
    Nothing,
    /// What the customer said.
    Heard,
    /// What the customer said, and the reply.
    HeardAndSaid {
        /// What it was.
        kind: ReplyKind,
        /// Its text.
        said: String,
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
    /// Find the words of a reply to the prepared messages. → [`Event::Composed`]
    Compose(ReplyKind),
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
            Self::Prepare { .. } | Self::Compose(_) | Self::Listen { .. } | Self::Permit | Self::Reread => false,
            Self::Send(_) | Self::FreshToken | Self::File { .. } | Self::Record { .. } | Self::Settle { .. } => false,
            Self::Postpone(_) | Self::Release | Self::End(_) => false,
        }
    }

    /// A closed word, such as `commit`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prepare { .. } => "prepare",
            Self::Compose(_) => "compose",
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
    },
    /// Of [`Effect::Compose`].
    Composed(Result<Reply, Trouble>),
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

/// The words of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Fresh for each reply.
    pub id: String,
    /// What is sent, in order; none of it blank, at least one.
    pub parts: Vec<String>,
}

/// Why there are no words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// How long the provider wants to be left alone.
    pub retry_after: Option<Duration>,
    /// For the operator, without message text.
    pub detail: String,
}

/// One turn of one conversation, between two effects.
#[derive(Debug, Clone)]
pub struct Machine {
    rules: Rules,
    conversation: Conversation,
    /// The messages of this turn.
    run: Vec<MailboxItem>,
    /// What is being composed or was composed last.
    composing: ReplyKind,
    regenerations: u32,
    /// The reply under way.
    outbox: Option<Outbox>,
    /// The business's token, once it is known.
    token: Option<Token>,
    /// What the number's permission is asked for.
    asked_for: Step,
    /// The send whose outcome nobody could learn, and statuses do not flow.
    unheard: bool,
    /// A token is looked up again only once.
    token_renewed: bool,
    /// How the turn is settled, once everything is recorded.
    ending: Option<Ending>,
}

/// What needs permission to send.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Commit,
    Begin(usize),
    Record { part: usize, wamid: MessageId },
}

/// How a turn is settled.
#[derive(Debug, Clone)]
struct Ending {
    number: PhoneNumberId,
    messages: Vec<MessageId>,
    memory: Remember,
}

impl Machine {
    /// A turn of a conversation that was just claimed, and the first thing that it wants.
    pub fn begin(conversation: Conversation, rules: Rules) -> (Self, Effect) {
        let mut machine = Self {
            rules,
            conversation,
            run: Vec::new(),
            composing: ReplyKind::Answer,
            regenerations: 0,
            outbox: None,
            token: None,
            asked_for: Step::Commit,
            unheard: false,
            token_renewed: false,
            ending: None,
        };
        let effect = machine.first();
        (machine, effect)
    }

    fn first(&mut self) -> Effect {
        let outbox = self.conversation.outbox.take();
        if self.conversation.takeovers >= TAKEOVERS_MOST {
            return self.bury_poison(outbox);
        }
        match outbox {
            Some(outbox) => self.resume(outbox),
            None => self.answer(),
        }
    }

    /// Takes what came of the last effect, and says what to do next.
    pub fn step(&mut self, event: Event) -> Effect {
        match event {
            Event::Prepared { service, wants_answer } => self.prepared(service, wants_answer),
            Event::Composed(Ok(reply)) => self.composed(reply),
            Event::Composed(Err(trouble)) => self.ai_trouble(&trouble),
            Event::Heard(drained) => self.heard(drained),
            Event::Permitted(wait) => self.permitted(wait),
            Event::Committed(outcome) => self.committed(outcome),
            Event::Reread(Some(conversation)) => {
                self.conversation = *conversation;
                self.answer()
            }
            Event::TryBegun(true) => self.begun(),
            Event::Sent(Ok(wamid)) => self.sent(wamid),
            Event::Sent(Err(error)) => self.not_sent(&error),
            Event::FreshToken(token) => self.fresh_token(token),
            Event::PartRecorded(true) => self.part_recorded(),
            Event::Filed => self.filed(),
            Event::Recorded => self.recorded(),
            Event::Settled(Some(settled)) => Effect::End(Outcome::Settled { due_in: settled.due_in }),
            Event::Postponed(true) | Event::Released => Effect::End(Outcome::Postponed),
            Event::Reread(None)
            | Event::TryBegun(false)
            | Event::PartRecorded(false)
            | Event::Settled(None)
            | Event::Postponed(false) => Effect::End(Outcome::Lost),
        }
    }

    /// The conversation as it was last read.
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// The times that it goes by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The messages of the turn.
    pub fn run(&self) -> &[MailboxItem] {
        &self.run
    }

    /// The number that the turn answers from.
    pub fn number(&self) -> Option<PhoneNumberId> {
        let run = self.run.first().map(|item| item.phone_number_id.clone());
        run.or_else(|| self.outbox.as_ref().map(|outbox| outbox.phone_number_id.clone()))
    }

    /// What the turn is about, where it cannot go on: the messages of the reply under way, else the next one.
    pub fn at_hand(&self) -> Vec<MailboxItem> {
        match &self.outbox {
            Some(outbox) => outbox.answered_in(&self.conversation.mailbox),
            None => crate::conversation::next_run(&self.conversation.mailbox, 1).to_vec(),
        }
    }

    fn prepared(&mut self, service: Service, wants_answer: bool) -> Effect {
        match self.outbox.take() {
            Some(outbox) => self.resume_prepared(outbox, service),
            None => self.answer_prepared(service, wants_answer),
        }
    }

    /// The time at which the lease was taken, by the database's clock.
    fn now(&self) -> Timestamp {
        self.conversation.claimed_at
    }
}

fn ids(items: &[MailboxItem]) -> Vec<MessageId> {
    items.iter().map(|item| item.id.clone()).collect()
}
