//! A piece of an answer: which message it answers and, of an answer too long for one message, the how manieth piece
//! it is.
//!
//! A short answer names the bare tag, `#m000017`. A long one is written in paragraphs, and each names the tag with
//! the paragraph's number, `#m000017.2`. How many of them make up a message to the customer is the sender's affair:
//! the judge counts the paragraphs, not the messages.

use std::{collections::BTreeMap, fmt};

use crate::{Tag, tag::occurrences};

/// A piece of the answer to one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Piece {
    pub(super) tag: Tag,
    /// From 1; none where the answer is one piece.
    pub(super) number: Option<u32>,
}

impl Piece {
    /// The pieces of a text, each with the place where it is first named, in bytes.
    pub(super) fn find_all(text: &str) -> BTreeMap<Self, usize> {
        let mut found = BTreeMap::new();
        for (at, tag, rest) in occurrences(text) {
            found.entry(Self { tag, number: number(rest) }).or_insert(at);
        }
        found
    }
}

/// The number of a piece behind its tag. A dot that ends a sentence is none.
fn number(rest: &str) -> Option<u32> {
    let behind = rest.strip_prefix('.')?;
    behind.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "{}.{number}", self.tag),
            None => write!(f, "{}", self.tag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_with_their_numbers_and_first_places() {
        let found: Vec<_> = Piece::find_all("ANS #m000018.1 #m000017. Yes. #m000017 #m000018.12")
            .into_iter()
            .map(|(piece, at)| (piece.to_string(), at))
            .collect();
        let expected = [("#m000017", 15), ("#m000018.1", 4), ("#m000018.12", 39)];
        assert_eq!(found, expected.map(|(text, at)| (text.to_owned(), at)));
    }
}
