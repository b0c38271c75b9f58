//! What the judge is told about a run: who took part, which secrets were planted, what is excused.
//!
//! Nothing in it comes from the system that is judged, except the reasons for which messages are excused; and of those
//! the scenario says which it allows.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::Tag;

/// A business of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// What the journal calls the owner of its token.
    pub name: String,
    /// Its numbers.
    pub phone_number_ids: Vec<String>,
    /// A word that stands in its persona or instructions: in each chat request of this business, in no other, and
    /// in nothing that another business sends. Letters, digits, `-` and `_` only.
    pub canary: Option<String>,
    /// The texts with which it says that it cannot answer.
    pub apologies: Vec<String>,
}

impl Tenant {
    /// A business with one number, no planted secret and no known apology.
    pub fn new(name: impl Into<String>, phone_number_id: impl Into<String>) -> Self {
        let phone_number_ids = vec![phone_number_id.into()];
        Self { name: name.into(), phone_number_ids, canary: None, apologies: Vec::new() }
    }

    /// The same business with one more number.
    #[must_use]
    pub fn and_number(mut self, phone_number_id: impl Into<String>) -> Self {
        self.phone_number_ids.push(phone_number_id.into());
        self
    }

    /// The same business with a planted secret.
    #[must_use]
    pub fn with_canary(self, word: impl Into<String>) -> Self {
        Self { canary: Some(word.into()), ..self }
    }

    /// The same business with one more text that is an apology.
    #[must_use]
    pub fn apologising(mut self, text: impl Into<String>) -> Self {
        self.apologies.push(text.into());
        self
    }
}

/// A word that one customer tells one business. It may stand in the AI requests about this customer of this business,
/// and in what the business sends to them, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerCanary {
    /// The word: letters, digits, `-` and `_` only.
    pub word: String,
    /// The business's name.
    pub business: String,
    /// The customer, as the journal calls them: the phone number, else the user id.
    pub customer: String,
}

/// A message that need not be answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// By its tag.
    Tag(Tag),
    /// By Meta's id, at whichever number.
    Id(String),
}

impl From<Tag> for Subject {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<&str> for Subject {
    fn from(id: &str) -> Self {
        Self::Id(id.to_owned())
    }
}

impl From<String> for Subject {
    fn from(id: String) -> Self {
        Self::Id(id)
    }
}

/// How many chat requests may be answered, that is: paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatLimits {
    /// For one and the same set of messages. More than one where a process was killed after it had asked.
    pub per_answer: usize,
    /// For one message, in whatever company: newer messages make the answer to be thought over again.
    pub per_message: usize,
}

impl Default for ChatLimits {
    /// One, and two more because of newer messages.
    fn default() -> Self {
        Self { per_answer: 1, per_message: 3 }
    }
}

/// Whose answers must not wait for a flood at others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fairness {
    /// The businesses which little is written to.
    pub quiet: BTreeSet<String>,
    /// How long after its acknowledgement a message is due.
    pub quiet_time: Duration,
    /// How many turns of other businesses may begin between the moment when a message is due and its own turn.
    pub turns_between_most: usize,
}

/// The marks between which a process was frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeMarks {
    /// The mark that begins it.
    pub begin: String,
    /// The mark that ends it. Without one it lasts to the end of the run.
    pub end: String,
}

/// A run as the judge must know it. The default knows nobody and excuses nothing.
///
/// What is not said here is taken from the journal where it can be: the business of a number is the one that the
/// stand-in for Meta had registered, else the number stands for a business of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scenario {
    /// The businesses.
    pub businesses: Vec<Tenant>,
    /// What customers told in confidence.
    pub customer_canaries: Vec<CustomerCanary>,
    /// Messages without an answer, and why, such as the dead letters of the database.
    pub excused: BTreeMap<Subject, String>,
    /// The reasons that count.
    pub allowed_reasons: BTreeSet<String>,
    /// What may be paid for.
    pub chats: ChatLimits,
    /// Who must not wait; without it nobody is looked at.
    pub fairness: Option<Fairness>,
    /// How the run notes that a process was frozen.
    pub freezes: Vec<FreezeMarks>,
}

impl Scenario {
    /// A run of these businesses.
    pub fn of(businesses: impl IntoIterator<Item = Tenant>) -> Self {
        Self { businesses: businesses.into_iter().collect(), ..Self::default() }
    }

    /// What a customer tells a business in confidence.
    #[must_use]
    pub fn telling(
        mut self,
        word: impl Into<String>,
        business: impl Into<String>,
        customer: impl Into<String>,
    ) -> Self {
        let (word, business, customer) = (word.into(), business.into(), customer.into());
        self.customer_canaries.push(CustomerCanary { word, business, customer });
        self
    }

    /// A message that was not answered, and why.
    #[must_use]
    pub fn excusing(mut self, subject: impl Into<Subject>, reason: impl Into<String>) -> Self {
        self.excused.insert(subject.into(), reason.into());
        self
    }

    /// A reason for which a message may stay without an answer.
    #[must_use]
    pub fn allowing(mut self, reason: impl Into<String>) -> Self {
        self.allowed_reasons.insert(reason.into());
        self
    }

    /// What may be paid for.
    #[must_use]
    pub fn with_chats(self, chats: ChatLimits) -> Self {
        Self { chats, ..self }
    }

    /// Who must not wait.
    #[must_use]
    pub fn with_fairness(self, fairness: Fairness) -> Self {
        Self { fairness: Some(fairness), ..self }
    }

    /// How the run notes that a process was frozen, and that it goes on.
    #[must_use]
    pub fn with_freezes(mut self, begin: impl Into<String>, end: impl Into<String>) -> Self {
        self.freezes.push(FreezeMarks { begin: begin.into(), end: end.into() });
        self
    }
}

/// Whether a word can be planted: whole words are looked for, and these are what words are made of.
pub fn is_canary(word: &str) -> bool {
    !word.is_empty() && word.chars().all(is_word)
}

/// What a word is made of.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}
