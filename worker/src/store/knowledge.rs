//! What businesses know, in passages.
//!
//! Each operation takes a scope: no question, whatever stands in it, finds another business's passages. A source is
//! replaced as a whole: a reader sees the old passages or the new ones.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Result;
use crate::{companion::knowledge::Passage, scope::BusinessScope};

/// Words of a question that are searched for, at most.
const WORDS_MOST: usize = 32;
/// Words of what was said before a question.
const CONTEXT_WORDS: usize = 8;
/// Characters of a question in which its words are looked for: the last ones.
const QUESTION_MOST: usize = 2_000;
/// What a word in a title is worth, where one in the text is worth 1.
pub const TITLE_WEIGHT: i32 = 3;

/// A text that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeSource {
    /// Its name.
    pub source: String,
    /// How many passages it has.
    pub passages: u64,
    /// Characters of their titles and texts.
    pub characters: u64,
    /// The language by whose rules it is searched, in MongoDB's word; none where it is searched word for word.
    pub language: Option<String>,
    /// When it was loaded.
    pub loaded_at: Timestamp,
}

/// How much a business knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnowledgeSize {
    /// How many passages there are.
    pub passages: u64,
    /// Characters of their titles and texts.
    pub characters: u64,
    /// By the rules of which languages its sources are searched, for [`KnowledgeBase::search_knowledge`].
    pub languages: Vec<String>,
}

/// A passage that fits a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The passage.
    pub passage: Passage,
    /// The source that it is from.
    pub source: String,
    /// How well it fits; a larger one is better.
    pub score: f64,
}

/// What is asked: a customer's words, which are searched for and never obeyed.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The question.
    pub question: &'a str,
    /// What was said before it, which counts for less.
    pub before: &'a str,
}

impl<'a> From<&'a str> for Asked<'a> {
    fn from(question: &'a str) -> Self {
        Self { question, before: "" }
    }
}

/// What businesses know, under a scope.
#[async_trait]
pub trait KnowledgeBase {
    /// Replaces a source, or adds it. `language` is what an operator calls the language of the text; one that MongoDB
    /// does not stem, or none, is searched word for word.
    ///
    /// # Errors
    /// [`super::StoreError`]. After `Unavailable` the source is the old one or the new one; loading it again mends
    /// whichever it is.
    async fn put_knowledge(
        &self,
        scope: &BusinessScope,
        source: &str,
        passages: &[Passage],
        language: Option<&str>,
    ) -> Result<()>;

    /// Removes a source, and says how many passages it had.
    ///
    /// # Errors
    /// [`super::StoreError`]; some passages may be left then, and repeating the call removes them.
    async fn drop_knowledge(&self, scope: &BusinessScope, source: &str) -> Result<u64>;

    /// The sources of a business, by name.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn knowledge_sources(&self, scope: &BusinessScope) -> Result<Vec<KnowledgeSource>>;

    /// How much a business knows. Reads an index only.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn knowledge_size(&self, scope: &BusinessScope) -> Result<KnowledgeSize>;

    /// The passages of a business, by source and in the order of each; the first ones, of `most` characters together.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn whole_knowledge(&self, scope: &BusinessScope, most: usize) -> Result<Vec<Passage>>;

    /// The passages of a business that fit a question best, the best first; none where no word of it is in any. Each
    /// of the `languages` is that of some sources, by whose rules these are searched.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn search_knowledge(
        &self,
        scope: &BusinessScope,
        asked: Asked<'_>,
        languages: &[String],
        most: usize,
    ) -> Result<Vec<Found>>;
}

impl Asked<'_> {
    /// The words to be searched for, those of the question first.
    pub fn words(&self) -> Vec<String> {
        words(self.question, self.before)
    }
}

/// The words of a question. Its quotes, minus signs and other marks, which mean something to MongoDB's `$search`, are no
/// parts of words. Each word counts once; of too many the longest are kept, since short ones are in every text.
fn words(question: &str, context: &str) -> Vec<String> {
    let mut words = longest(question, WORDS_MOST);
    // What was said before helps where the question itself says little, and must not drown it.
    let room = (WORDS_MOST - words.len()).min(CONTEXT_WORDS);
    let before = longest(context, room + words.len()).into_iter().filter(|word| !words.contains(word));
    let before: Vec<String> = before.take(room).collect();
    words.extend(before);
    words
}

fn longest(text: &str, most: usize) -> Vec<String> {
    let beginning = text.char_indices().rev().nth(QUESTION_MOST - 1).map_or(0, |(at, _)| at);
    let text = text.get(beginning..).unwrap_or_default().to_lowercase();
    // A mark that is not ASCII means nothing to `$search`, and may be a part of a word: vowel signs of Hindi are.
    let parts = text.split(|c: char| c.is_whitespace() || (c.is_ascii() && !c.is_ascii_alphanumeric()));
    let mut words: Vec<&str> = Vec::new();
    for word in parts.filter(|word| word.chars().any(char::is_alphanumeric)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    words.into_iter().take(most).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_words_of_a_question_are_searched_for() {
        let cases = [
            ("How much is the flan?", "much flan how the is"),
            ("\"exactly this\" -cake --flan", "exactly this cake flan"),
            ("{$where: 'business_id'}", "business where id"),
            ("is it is it IS", "is it"),
            ("नमस्ते", "नमस्ते"),
            ("?! 👍 …", ""),
        ];
        for (question, expected) in cases {
            assert_eq!(words(question, "").join(" "), expected, "{question}");
        }
        let before = "We bake sourdough, croissants and wonderful cakes for celebrations every Saturday morning";
        let searched = words("And the flan?", before).join(" ");
        assert!(searched.starts_with("flan and the "), "{searched}");
        assert_eq!(searched.split(' ').count(), 3 + CONTEXT_WORDS, "what was said before does not drown the question");
    }

    proptest! {
        #[test]
        fn no_question_has_operators_or_too_many_words(question in "(\\PC|[\"\\- \n]){0,3000}") {
            let words = words(&question, &question).join(" ");
            prop_assert!(!words.contains(['"', '-', '\'', '$', '\n']));
            prop_assert!(words.split(' ').count() <= WORDS_MOST);
        }
    }
}
