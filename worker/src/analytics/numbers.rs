//! The numbers of a day, or of several.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::AnswerTimes;

/// What happened in a day of a business, or in several days, or of several businesses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Numbers {
    /// Messages of customers, by Meta's type.
    pub inbound: BTreeMap<String, u64>,
    /// Messages to customers that Meta took, by Meta's type.
    pub outbound: BTreeMap<String, u64>,
    /// From the webhook of the first message that a reply answers to its first part at Meta.
    pub answer_times: AnswerTimes,
    /// Messages to customers that arrived; those that were read are among them.
    pub delivered: u64,
    /// Messages to customers that were read.
    pub read: u64,
    /// What failed.
    pub failures: Failures,
    /// Messages to customers, by Meta's category of prices, such as `service`.
    pub priced: BTreeMap<String, Priced>,
    /// What the AI read and wrote, by model.
    pub models: BTreeMap<String, ModelUsage>,
    /// Recordings that were transcribed.
    pub transcriptions: u64,
    /// Characters that were spoken.
    pub spoken_characters: u64,
    /// What the AI and the voice cost, in millionths of a US dollar, at the prices of the day's last count. None where no
    /// price is known.
    pub cost_micros: Option<u64>,
    /// Conversations that went to a person, by what led to it: `tool`, `keyword`, `failure`, `person`.
    pub hand_overs: BTreeMap<String, u64>,
    /// Customers who wanted to hear no more.
    pub opt_outs: u64,
    /// Customers who wanted to hear again.
    pub opt_ins: u64,
    /// Customers who were told that a limit is reached.
    pub limited: u64,
    /// Customers who were told that the companion has trouble.
    pub apologies: u64,
}

/// What failed, by the word or the code for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failures {
    /// Messages that Meta took and could not deliver, by its error code.
    pub undelivered: BTreeMap<String, u64>,
    /// Messages that ended as dead letters, by their reason.
    pub dead_letters: BTreeMap<String, u64>,
}

/// How many messages Meta bills, and how many it does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Priced {
    /// With `pricing.billable`.
    pub billable: u64,
    /// Without.
    pub free: u64,
}

/// What a chat model did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelUsage {
    /// Calls.
    pub calls: u64,
    /// Tokens of the prompts.
    pub tokens_in: u64,
    /// Tokens of the answers.
    pub tokens_out: u64,
}

impl Numbers {
    /// Messages of customers.
    pub fn received(&self) -> u64 {
        self.inbound.values().sum()
    }

    /// Messages to customers.
    pub fn sent(&self) -> u64 {
        self.outbound.values().sum()
    }

    /// Tokens, read and written.
    pub fn tokens(&self) -> u64 {
        self.models.values().map(|model| model.tokens_in + model.tokens_out).sum()
    }

    /// Messages that Meta bills.
    pub fn billable(&self) -> u64 {
        self.priced.values().map(|priced| priced.billable).sum()
    }

    /// Conversations that went to a person.
    pub fn handed_over(&self) -> u64 {
        self.hand_overs.values().sum()
    }

    /// The share of the messages to customers that arrived, from 0 to 1. None where none was sent.
    pub fn delivered_share(&self) -> Option<f64> {
        share(self.delivered, self.sent())
    }

    /// The share of the messages to customers that were read, from 0 to 1. None where none was sent. Customers may keep
    /// from Meta that they read.
    pub fn read_share(&self) -> Option<f64> {
        share(self.read, self.sent())
    }

    /// Adds another day.
    pub fn merge(&mut self, other: &Self) {
        add(&mut self.inbound, &other.inbound);
        add(&mut self.outbound, &other.outbound);
        self.answer_times.merge(&other.answer_times);
        self.delivered += other.delivered;
        self.read += other.read;
        self.failures.merge(&other.failures);
        for (category, priced) in &other.priced {
            self.priced.entry(category.clone()).or_default().merge(*priced);
        }
        for (model, usage) in &other.models {
            self.models.entry(model.clone()).or_default().merge(*usage);
        }
        self.transcriptions += other.transcriptions;
        self.spoken_characters += other.spoken_characters;
        self.cost_micros = match (self.cost_micros, other.cost_micros) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        add(&mut self.hand_overs, &other.hand_overs);
        self.opt_outs += other.opt_outs;
        self.opt_ins += other.opt_ins;
        self.limited += other.limited;
        self.apologies += other.apologies;
    }
}

impl Failures {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.undelivered.values().chain(self.dead_letters.values()).sum()
    }

    fn merge(&mut self, other: &Self) {
        add(&mut self.undelivered, &other.undelivered);
        add(&mut self.dead_letters, &other.dead_letters);
    }
}

impl Priced {
    fn merge(&mut self, other: Self) {
        self.billable += other.billable;
        self.free += other.free;
    }
}

impl ModelUsage {
    /// Adds another one's.
    pub fn merge(&mut self, other: Self) {
        self.calls += other.calls;
        self.tokens_in += other.tokens_in;
        self.tokens_out += other.tokens_out;
    }
}

fn add(to: &mut BTreeMap<String, u64>, other: &BTreeMap<String, u64>) {
    for (word, count) in other {
        *to.entry(word.clone()).or_default() += count;
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of messages are far below 2^52")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
