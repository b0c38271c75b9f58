//! What a reply changes besides what was said.
//!
//! It is decided with the reply's words, written into the outbox with them, and applied by the operation that settles
//! the turn: whoever settles it, and however many workers died on the way, it happens once, and only if the customer
//! got the reply.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Announcement, HandOverReason};

/// What a reply changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Aftermath {
    /// What was learned about the customer, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<FactChange>,
    /// Older lines in fewer words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// A person has the conversation for that long from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<Duration>,
    /// Why, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand_over_reason: Option<HandOverReason>,
    /// Nothing is answered until then, however late the reply goes out that says so: a limit is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited_until: Option<Timestamp>,
    /// That the business is told of it. Beside the hand-over, so that a worker which does not know of it hands over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announcement: Option<Box<Announcement>>,
    /// The language that the customer speaks, by ISO 639-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The customer wants to hear no more, or to hear again. Unlike the rest it holds from the commitment on: who wants
    /// silence has it, whether the confirmation can be sent or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// What the reply cost.
    pub usage: Usage,
}

/// Whether a customer wants to hear from the business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// No more.
    Withdrawn,
    /// Again.
    Given,
}

/// A change of what is known about a customer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactChange {
    /// This is known now.
    Learned {
        /// New in the conversation.
        id: String,
        /// One sentence, at most [`super::MEMORY_TURN_BYTES`].
        text: String,
    },
    /// This is no longer so.
    Dropped {
        /// Which fact.
        id: String,
    },
}

impl FactChange {
    /// Which fact it is about.
    pub fn id(&self) -> &str {
        match self {
            Self::Learned { id, .. } | Self::Dropped { id } => id,
        }
    }
}

/// Lines of the memory in fewer words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Summary {
    /// With what the summary before it said; at most [`super::MEMORY_TURN_BYTES`].
    pub text: String,
    /// The time of the newest line that it stands for: lines up to it leave the memory.
    pub until: Timestamp,
}

/// What a reply cost. Calls that were cut off or failed are not in it, for nobody says what they cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// The chat model that answered last.
    pub model: String,
    /// Chat calls.
    pub calls: u32,
    /// Tokens of the prompts.
    pub tokens_in: u64,
    /// Tokens of the answers.
    pub tokens_out: u64,
    /// Recordings that were transcribed.
    pub transcriptions: u32,
    /// Characters that were spoken.
    pub spoken_characters: u64,
}

impl Usage {
    /// Adds what a call beside the answer cost.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.tokens_in += other.tokens_in;
        self.tokens_out += other.tokens_out;
    }

    /// Adds one chat call.
    pub fn add_chat(&mut self, model: &str, tokens_in: u64, tokens_out: u64) {
        model.clone_into(&mut self.model);
        self.calls += 1;
        self.tokens_in += tokens_in;
        self.tokens_out += tokens_out;
    }
}
