//! The tag that each customer text of a judged run carries, so that an answer can say which message it answers.
//!
//! A tag is `#m` and the number, at least six digits: `#m000017`. It is plain text to everybody but the judge, and
//! comes through Markdown, WhatsApp's markup and JSON as it is.

use std::{fmt, str::FromStr};

/// Names one customer's message of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u64);

const OPENING: &str = "#m";
const DIGITS_LEAST: usize = 6;

impl Tag {
    /// The tags of a text in the order of their appearance, one that stands there twice twice.
    ///
    /// Only what [`Tag`] itself would write is one: neither `#m17` nor `#m0000017` is a tag.
    pub fn find_all(text: &str) -> Vec<Self> {
        occurrences(text).map(|(_, tag, _)| tag).collect()
    }
}

/// Each tag of a text: where it begins, in bytes, the tag, and the text behind it.
pub(crate) fn occurrences(text: &str) -> impl Iterator<Item = (usize, Tag, &str)> {
    text.match_indices(OPENING).filter_map(|(at, opening)| {
        let behind = text.get(at + opening.len()..)?;
        let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        let (digits, rest) = behind.split_at_checked(end)?;
        Some((at, number(digits)?, rest))
    })
}

/// The tag with these digits, in the one way to write it.
fn number(digits: &str) -> Option<Tag> {
    let padded = digits.len() > DIGITS_LEAST && digits.starts_with('0');
    (digits.len() >= DIGITS_LEAST && !padded).then(|| digits.parse().ok().map(Tag)).flatten()
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{OPENING}{:0DIGITS_LEAST$}", self.0)
    }
}

/// The text is not one tag and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tag is #m and at least six digits")]
pub struct NoTag;

impl FromStr for Tag {
    type Err = NoTag;

    fn from_str(text: &str) -> Result<Self, NoTag> {
        let digits = text.strip_prefix(OPENING).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(number).ok_or(NoTag)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_are_found_in_the_order_of_the_text() {
        let text = "ANS #m000018 #m000017.2, (#m1234567) #m000018";
        assert_eq!(Tag::find_all(text), [18, 17, 1_234_567, 18].map(Tag));
    }

    #[test]
    fn what_no_tag_would_write_is_none() {
        for text in ["", "#m", "#m17", "#m00017", "#m0000017", "m000017", "#M000017", "#m00001x", "# m000017"] {
            assert!(Tag::find_all(text).is_empty(), "{text}");
            assert_eq!(text.parse::<Tag>(), Err(NoTag), "{text}");
        }
        assert!(Tag::find_all("#m99999999999999999999999").is_empty(), "no such number");
        assert_eq!("#m000017 ".parse::<Tag>(), Err(NoTag));
    }

    proptest! {
        #[test]
        fn a_tag_reads_back_wherever_it_stands(number: u64, before in "[^0-9]*", after in "([^0-9].*)?") {
            let tag = Tag(number);
            prop_assert_eq!(tag.to_string().parse(), Ok(tag));
            let text = format!("{before}{tag}{after}");
            prop_assert!(Tag::find_all(&text).contains(&tag), "{}", text);
        }
    }
}
