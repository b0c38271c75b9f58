//! A look through the whole database for what still names a customer.
//!
//! Of what this program writes it is known what is the customer's: that is counted exactly. Beyond that everything is
//! looked through for a number, a user id or a conversation of theirs, in whatever field, because others may keep
//! things beside ours. Businesses are not customers' data.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{Result, StoredCustomer};

/// What a look found.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Each collection, by name.
    pub collections: Vec<Looked>,
}

/// What a look found in one collection.
#[derive(Debug, Clone)]
pub struct Looked {
    /// The collection.
    pub collection: String,
    /// Documents that were looked through, beyond those that were counted.
    pub documents: u64,
    /// Whether there were more than was to be looked through.
    pub stopped_early: bool,
    /// What names the customer.
    pub traces: Vec<Trace>,
}

/// Documents of one collection that name the customer for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Why.
    pub remaining: Remaining,
    /// How many.
    pub documents: u64,
    /// The fields in which they name the customer, as far as that had to be found out.
    pub fields: BTreeSet<String>,
}

/// Why a document still names a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remaining {
    /// It holds something of the customer's.
    Theirs,
    /// A closed conversation, of which the name is left, so that what Meta sends again is known.
    Closed,
    /// It is another customer's, who had the same number or wrote of it.
    OfOthers,
    /// It is another business's.
    OfAnotherBusiness,
}

impl Remaining {
    /// Whether it may stay when the customer is forgotten.
    pub fn may_stay(self) -> bool {
        match self {
            Self::Theirs => false,
            Self::Closed | Self::OfOthers | Self::OfAnotherBusiness => true,
        }
    }
}

impl Look {
    /// Documents that hold something of the customer's.
    pub fn left(&self) -> u64 {
        let traces = self.collections.iter().flat_map(|looked| &looked.traces);
        traces.filter(|trace| !trace.remaining.may_stay()).map(|trace| trace.documents).sum()
    }
}

/// What names a customer, to be looked for in texts.
#[derive(Debug)]
pub struct Sought {
    ids: Vec<String>,
    sessions: Vec<String>,
}

impl Sought {
    /// A customer's numbers, user ids and conversations.
    pub fn new(customer: &StoredCustomer) -> Self {
        let texts = |set: &BTreeSet<String>| set.iter().cloned().collect();
        Self { ids: texts(&customer.whose.ids), sessions: texts(&customer.whose.sessions) }
    }

    /// Whether a text names the customer, however it writes a number.
    pub fn is_in(&self, text: &str) -> bool {
        self.sessions.iter().chain(&self.ids).any(|sought| has_word(text, sought))
            || numbers_in(text).any(|number| self.ids.contains(&number))
    }

    /// The path of a field by its name and that of what it is in, without the customer in it; and whether the name
    /// names them.
    pub fn path(&self, within: &str, name: &str) -> (String, bool) {
        let is_sought = self.is_in(name);
        let name = if is_sought { "…" } else { name };
        (if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") }, is_sought)
    }
}

/// Whether a text has another one in it that is not a part of something longer.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (text.get(..at), text.get(at + word.len()..));
        let goes_on = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !goes_on(before.and_then(|before| before.chars().next_back()))
            && !goes_on(after.and_then(|after| after.chars().next()))
    })
}

/// The phone numbers in a text, however people write them, as Meta does.
fn numbers_in(text: &str) -> impl Iterator<Item = String> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '+' | '-' | '(' | ')' | '/' | '.' | '\u{a0}');
    text.split(move |c: char| !is_part(c)).filter(|part| part.len() > 5).map(|part| {
        let digits: String = part.chars().filter(char::is_ascii_digit).collect();
        digits.trim_start_matches("00").to_owned()
    })
}

/// A look for what still names a customer.
#[async_trait]
pub trait Traces {
    /// Looks for a customer in every collection, in `most` documents of each at most.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn look_for(&self, customer: &StoredCustomer, most: u64) -> Result<Look>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "4915112345678";

    fn sought() -> Sought {
        Sought { ids: vec![NUMBER.to_owned(), "DE.1349".to_owned()], sessions: vec![format!("acme:{NUMBER}~0a")] }
    }

    #[test]
    fn a_number_is_found_however_it_is_written() {
        for text in [
            NUMBER,
            "call +49 (151) 123-456 78, please",
            "{\"from\":\"4915112345678\"}",
            "0049 151 12345678",
            "acme:4915112345678~0a",
            "user DE.1349.",
        ] {
            assert!(sought().is_in(text), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_the_customer_is_not_taken_for_them() {
        for text in ["49151123456780", "915112345678", "DE.13490", "XDE.1349", ""] {
            assert!(!sought().is_in(text), "{text}");
        }
    }

    #[test]
    fn a_field_that_is_called_as_the_customer_is_told_without_them() {
        assert_eq!(sought().path("", "who"), ("who".to_owned(), false));
        assert_eq!(sought().path("who", "phone"), ("who.phone".to_owned(), false));
        assert_eq!(sought().path("who", NUMBER), ("who.…".to_owned(), true));
    }
}
