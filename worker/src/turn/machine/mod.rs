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

mod effect;
mod answering;
mod wishes;
mod delivering;
mod ending;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use shared::ids::{MessageId, PhoneNumberId};

pub use effect::{
    Allowance, Burial, Effect, Event, Remember, Repeat, Reply, Sending, Service, Token, Trouble, TroubleKind, Wish,
};

use super::Outcome;
use crate::conversation::{Consent, Conversation, MailboxItem, Outbox, ReplyKind};

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

impl Rules {
    /// How late after a try was begun its request may leave. Silence is reckoned from the beginning of the try, so a
    /// request that a pause held up would be taken for one that nobody heard of.
    pub fn try_most(&self) -> Duration {
        (self.send_evidence / 4).min(TRY_MOST)
    }
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
    /// Whether the customer asks for a person with these messages.
    asks_for_person: bool,
    /// What the customer asks for with these messages: the reply confirms it.
    wish: Option<Consent>,
    /// The reply under way.
    outbox: Option<Outbox>,
    /// The business's token, once it is known.
    token: Option<Token>,
    /// The message that the reply quotes.
    quotes: Option<MessageId>,
    /// What the number's permission is asked for.
    asked_for: Step,
    /// How long the reply that is being committed has to wait before it may be sent.
    held_back: Option<Duration>,
    /// The send whose outcome nobody could learn, and statuses do not flow.
    unheard: bool,
    /// A token is looked up again only once.
    token_renewed: bool,
    /// The part whose form Meta refused, and that goes as plain text.
    as_text: Option<usize>,
    /// How the turn is settled, once everything is recorded.
    ending: Option<Ending>,
    /// What Meta took in this turn.
    accepted: Vec<Accepted>,
}

/// A part that Meta took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Which reply.
    pub reply_id: String,
    /// The number that it was sent from.
    pub number: PhoneNumberId,
    /// Which part, from 0.
    pub part: usize,
    /// Meta's id.
    pub wamid: MessageId,
}

/// What needs permission to send.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Commit,
    Begin(usize),
    Record {
        part: usize,
        wamid: MessageId,
    },
    /// Whatever is not sent yet.
    Next,
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
            asks_for_person: false,
            wish: None,
            outbox: None,
            token: None,
            quotes: None,
            asked_for: Step::Commit,
            held_back: None,
            unheard: false,
            token_renewed: false,
            as_text: None,
            ending: None,
            accepted: Vec::new(),
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
            Event::Prepared { service, wants_answer, asks_for_person, wishes, quotes, filed } => {
                self.quotes = quotes;
                self.asks_for_person = asks_for_person;
                match self.leave_to_letters(&filed) {
                    Some(effect) => effect,
                    None => self.prepared(service, wants_answer, &wishes),
                }
            }
            Event::Composed(Ok(reply)) => self.composed(reply),
            Event::Composed(Err(trouble)) => self.ai_trouble(&trouble),
            Event::Overtaken => self.overtaken(),
            Event::Gathered => Effect::Reread,
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

    /// What Meta took in this turn, whether that is written down or not.
    pub fn accepted(&self) -> &[Accepted] {
        &self.accepted
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

    /// What the turn is about, where it cannot go on: the messages that it was about to settle, or of the reply under way,
    /// else the next one.
    pub fn at_hand(&self) -> Vec<MailboxItem> {
        let mailbox = &self.conversation.mailbox;
        match (&self.ending, &self.outbox) {
            (Some(Ending { number, messages, .. }), _) => {
                let ends = |item: &&MailboxItem| item.phone_number_id == *number && messages.contains(&item.id);
                mailbox.iter().filter(ends).cloned().collect()
            }
            (None, Some(outbox)) => outbox.answered_in(mailbox),
            (None, None) => crate::conversation::next_run(mailbox, 1).to_vec(),
        }
    }

    fn prepared(&mut self, service: Service, wants_answer: bool, wishes: &[Wish]) -> Effect {
        match self.outbox.take() {
            Some(outbox) => self.resume_prepared(outbox, service),
            None => match self.heed(wishes) {
                Some(effect) => effect,
                None => self.answer_prepared(service, wants_answer),
            },
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
