//! What the companion may know when it answers: one business, and one customer of it.
//!
//! A situation is made of a business and a conversation that belong together, or not at all, and everything that goes
//! into a prompt or a tool is taken from it. So no code of the companion can mix what two tenants or two customers said.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use super::provider::Picture;
use crate::{
    business::Business,
    conversation::{Conversation, Customer, Recollection},
    scope::BusinessScope,
};

/// One customer of one business, at one time.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    business: &'a Business,
    conversation: &'a Conversation,
    now: Timestamp,
    in_trouble: bool,
    acted: &'a AtomicBool,
}

impl<'a> Situation<'a> {
    /// None where the conversation is another business's. `acted` is set before a tool of the business is called.
    pub fn of(
        business: &'a Business,
        conversation: &'a Conversation,
        now: Timestamp,
        acted: &'a AtomicBool,
    ) -> Option<Self> {
        let in_trouble = conversation.ai_failing_since.is_some();
        (business.id == conversation.business_id).then_some(Self { business, conversation, now, in_trouble, acted })
    }

    /// Something outside is about to change, perhaps.
    pub(super) fn act(&self) {
        self.acted.store(true, Ordering::Relaxed);
    }

    /// The first of the messages that are to be answered, the same however often the answer is thought over.
    pub(super) fn first_message(&self) -> &'a str {
        self.conversation.mailbox.first().map_or("", |item| item.id.expose())
    }

    /// The business.
    pub fn business(&self) -> &'a Business {
        self.business
    }

    /// The right to read what is the business's.
    pub fn scope(&self) -> BusinessScope {
        self.business.scope()
    }

    /// The customer.
    pub fn customer(&self) -> &'a Customer {
        &self.conversation.customer
    }

    /// The conversation's name, for the business's own tools.
    pub fn session(&self) -> &'a str {
        self.conversation.id.expose()
    }

    /// What is remembered of the customer.
    pub fn memory(&self) -> &'a Recollection {
        &self.conversation.memory
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The last try to answer failed: the plainest way is the best now.
    pub fn is_in_trouble(&self) -> bool {
        self.in_trouble
    }

    /// The language that is most probably spoken, by ISO 639-1.
    pub fn language(&self) -> Option<&'static str> {
        let fixed = self.business.companion.language.as_deref().and_then(super::language_code);
        fixed.or_else(|| self.customer().language.as_deref().and_then(super::language_code))
    }
}

/// What the customer said and showed, to be answered now.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// In the customer's order; never empty where there is something to answer.
    pub said: Vec<Said>,
    /// The messages to which these refer, each in a line of its own.
    pub quotes: Vec<String>,
}

/// One message of the customer.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its words, or what is to be said about it in square brackets.
    pub words: String,
    /// The customer's own of these: what they wrote, spoke or tapped, and nothing that we say about it or that stands in
    /// a document.
    pub own: Option<String>,
    /// What it shows.
    pub picture: Option<Picture>,
}

impl Said {
    /// Words alone, the customer's own.
    pub fn words(words: impl Into<String>) -> Self {
        let words = words.into();
        Self { own: Some(words.clone()), words, picture: None }
    }
}

impl Question {
    /// Whether the customer said one of these words or phrases, whatever stands around it.
    pub fn names_one_of(&self, keywords: &[String]) -> bool {
        let words = |text: &str| {
            let only_words = |c: char| if c.is_alphanumeric() { c } else { ' ' };
            let text: String = text.to_lowercase().chars().map(only_words).collect();
            format!(" {} ", text.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        let written: Vec<String> = self.said.iter().filter_map(|said| said.own.as_deref()).map(words).collect();
        let asked = keywords.iter().map(|keyword| words(keyword)).filter(|keyword| !keyword.trim().is_empty());
        asked.into_iter().any(|keyword| written.iter().any(|text| text.contains(&keyword)))
    }

    /// All words, a message a line.
    pub fn words(&self) -> String {
        self.said.iter().map(|said| said.words.as_str()).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_is_found_as_a_word_and_not_within_one_or_in_a_document() {
        let keywords = ["human".to_owned(), "speak to someone".to_owned(), "!".to_owned()];
        let asks =
            |words: &str| Question { said: vec![Said::words(words)], ..Question::default() }.names_one_of(&keywords);
        for words in ["Human!", "I want a HUMAN, please", "can I speak  to someone?"] {
            assert!(asks(words), "{words}");
        }
        for words in ["humane", "someone spoke", "!", ""] {
            assert!(!asks(words), "{words}");
        }
        let document = Said { own: None, ..Said::words("[The customer sent the document \"a\":] human") };
        assert!(!Question { said: vec![document], ..Question::default() }.names_one_of(&keywords));
    }
}
