//! What businesses know, in passages: `knowledge` has one document a passage, `_id` = `{business _id}:{source}:{n}`.
//!
//! Each operation takes a scope, and the business is an equality prefix of the index that is searched: no question,
//! whatever stands in it, finds another business's passages. Of a question only its words reach MongoDB.
//!
//! A source is replaced in one transaction. This is the one place that has any: an operator's command changes many
//! documents here, no turn waits for it, and a reader sees the old ones or the new ones. A crash in between leaves the
//! old ones.

use futures_util::future::try_join_all;
use jiff::Timestamp;
use mongodb::{
    Collection,
    bson::{DateTime, Document, doc},
    options::IndexOptions,
};

use super::{Result, Store, corrupt, from_bson, languages::NONE, stemmed_language};
use crate::{companion::knowledge::Passage, scope::BusinessScope};

/// Words of a question that are searched for, at most.
const WORDS_MOST: usize = 32;
/// Words of what was said before a question.
const CONTEXT_WORDS: usize = 8;
/// Characters of a question in which its words are looked for: the last ones.
const QUESTION_MOST: usize = 2_000;
/// What a word in a title is worth, where one in the text is worth 1.
const TITLE_WEIGHT: i32 = 3;

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
    /// By the rules of which languages its sources are searched, for [`Store::search_knowledge`].
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

impl Store {
    /// Creates the indexes of the collection. Idempotent.
    pub(super) async fn prepare_knowledge(&self) -> anyhow::Result<()> {
        // With all that `knowledge_size` adds up, so that it reads no text.
        let in_order = doc! { "business_id": 1, "source": 1, "n": 1, "characters": 1, "language": 1 };
        self.index("knowledge", in_order, IndexOptions::default()).await?;
        let words = doc! { "business_id": 1, "title": "text", "text": "text" };
        let options = IndexOptions::builder()
            .weights(doc! { "title": TITLE_WEIGHT, "text": 1 })
            .default_language(NONE.to_owned())
            .language_override("language".to_owned());
        self.index("knowledge", words, options.build()).await
    }

    /// Replaces a source, or adds it. `language` is what an operator calls the language of the text; one that MongoDB
    /// does not stem, or none, is searched word for word.
    ///
    /// # Errors
    /// [`super::StoreError`]. After `Unavailable` the source is the old one or the new one; loading it again mends
    /// whichever it is.
    pub async fn put_knowledge(
        &self,
        scope: &BusinessScope,
        source: &str,
        passages: &[Passage],
        language: Option<&str>,
    ) -> Result<()> {
        let language = language.and_then(stemmed_language).unwrap_or(NONE);
        let loaded_at = self.now();
        let row = |(n, passage): (i64, &Passage)| row(scope, source, n, passage, language, loaded_at);
        let rows: Vec<Document> = (0..).zip(passages).map(row).collect();
        let (knowledge, filter) = (self.knowledge(), of_source(scope, source));
        let mut session = self.client.start_session().await?;
        let replacing = session.start_transaction().and_run2(async move |session| {
            knowledge.delete_many(filter.clone()).session(&mut *session).await?;
            if !rows.is_empty() {
                knowledge.insert_many(&rows).session(&mut *session).await?;
            }
            Ok(())
        });
        Ok(replacing.await?)
    }

    /// Removes a source, and says how many passages it had.
    ///
    /// # Errors
    /// [`super::StoreError`]; some passages may be left then, and repeating the call removes them.
    pub async fn drop_knowledge(&self, scope: &BusinessScope, source: &str) -> Result<u64> {
        Ok(self.knowledge().delete_many(of_source(scope, source)).await?.deleted_count)
    }

    /// The sources of a business, by name.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn knowledge_sources(&self, scope: &BusinessScope) -> Result<Vec<KnowledgeSource>> {
        let adding_up = vec![
            doc! { "$match": of(scope) },
            doc! { "$group": {
                "_id": "$source",
                "passages": { "$sum": 1_i64 },
                "characters": { "$sum": "$characters" },
                "language": { "$first": "$language" },
                "loaded_at": { "$max": "$loaded_at" },
            } },
            doc! { "$sort": { "_id": 1 } },
        ];
        let mut cursor = self.knowledge().aggregate(adding_up).await?;
        let mut sources = Vec::new();
        while cursor.advance().await? {
            let group = cursor.deserialize_current()?;
            sources.push(KnowledgeSource {
                source: group.get_str("_id").map_err(corrupt("passage"))?.to_owned(),
                passages: count(&group, "passages"),
                characters: count(&group, "characters"),
                language: group.get_str("language").ok().filter(|name| *name != NONE).map(str::to_owned),
                loaded_at: group.get_datetime("loaded_at").map(|at| from_bson(*at)).map_err(corrupt("passage"))?,
            });
        }
        Ok(sources)
    }

    /// How much a business knows. Reads an index only.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn knowledge_size(&self, scope: &BusinessScope) -> Result<KnowledgeSize> {
        let adding_up = vec![
            doc! { "$match": of(scope) },
            doc! { "$group": {
                "_id": "$language",
                "passages": { "$sum": 1_i64 },
                "characters": { "$sum": "$characters" },
            } },
            doc! { "$sort": { "_id": 1 } },
        ];
        let mut cursor = self.knowledge().aggregate(adding_up).await?;
        let mut size = KnowledgeSize::default();
        while cursor.advance().await? {
            let group = cursor.deserialize_current()?;
            size.passages = size.passages.saturating_add(count(&group, "passages"));
            size.characters = size.characters.saturating_add(count(&group, "characters"));
            size.languages.push(group.get_str("_id").map_err(corrupt("passage"))?.to_owned());
        }
        Ok(size)
    }

    /// The passages of a business, by source and in the order of each; the first ones, of `most` characters together.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn whole_knowledge(&self, scope: &BusinessScope, most: usize) -> Result<Vec<Passage>> {
        let mut cursor = self.knowledge().find(of(scope)).sort(doc! { "source": 1, "n": 1 }).await?;
        let (mut passages, mut room) = (Vec::new(), most);
        while cursor.advance().await? {
            let passage = read(&cursor.deserialize_current()?)?;
            let Some(left) = room.checked_sub(passage.characters()) else { break };
            room = left;
            passages.push(passage);
        }
        Ok(passages)
    }

    /// The passages of a business that fit a question best, the best first; none where no word of it is in any. Each
    /// of the `languages` is that of some sources, by whose rules these are searched.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn search_knowledge(
        &self,
        scope: &BusinessScope,
        asked: Asked<'_>,
        languages: &[String],
        most: usize,
    ) -> Result<Vec<Found>> {
        let words = words(asked.question, asked.before);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let searching = languages.iter().map(|language| self.search_in_language(scope, &words, language, most));
        let mut found: Vec<Found> = try_join_all(searching).await?.into_iter().flatten().collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(most);
        Ok(found)
    }

    async fn search_in_language(
        &self,
        scope: &BusinessScope,
        words: &str,
        language: &str,
        most: usize,
    ) -> Result<Vec<Found>> {
        let mut filter = of(scope);
        filter.extend(doc! { "language": language, "$text": { "$search": words, "$language": language } });
        let score = doc! { "$meta": "textScore" };
        let mut cursor = self
            .knowledge()
            .find(filter)
            .projection(doc! { "title": 1, "text": 1, "source": 1, "score": score.clone() })
            .sort(doc! { "score": score, "source": 1, "n": 1 })
            .limit(i64::try_from(most).unwrap_or(i64::MAX))
            .await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            let row = cursor.deserialize_current()?;
            found.push(Found {
                passage: read(&row)?,
                source: row.get_str("source").map_err(corrupt("passage"))?.to_owned(),
                score: row.get_f64("score").map_err(corrupt("passage"))?,
            });
        }
        Ok(found)
    }

    fn knowledge(&self) -> Collection<Document> {
        self.db.collection("knowledge")
    }
}

fn of(scope: &BusinessScope) -> Document {
    doc! { "business_id": scope.id().0.as_str() }
}

fn of_source(scope: &BusinessScope, source: &str) -> Document {
    doc! { "business_id": scope.id().0.as_str(), "source": source }
}

fn row(
    scope: &BusinessScope,
    source: &str,
    n: i64,
    passage: &Passage,
    language: &str,
    loaded_at: DateTime,
) -> Document {
    let business_id = scope.id().0.as_str();
    // A colon in the name could make one id of two businesses'.
    let name = source.replace('%', "%25").replace(':', "%3A");
    doc! {
        "_id": format!("{business_id}:{name}:{n}"),
        "business_id": business_id,
        "source": source,
        "n": n,
        "title": passage.title.as_str(),
        "text": passage.text.as_str(),
        "characters": i64::try_from(passage.characters()).unwrap_or(i64::MAX),
        "language": language,
        "loaded_at": loaded_at,
    }
}

fn read(row: &Document) -> Result<Passage> {
    let text = |field: &str| row.get_str(field).map(str::to_owned).map_err(corrupt("passage"));
    Ok(Passage { title: text("title")?, text: text("text")? })
}

fn count(group: &Document, field: &str) -> u64 {
    group.get_i64(field).ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

/// The words of a question, for `$search`. Its quotes, minus signs and other marks, which mean something there, are no
/// parts of words. Each word counts once; of too many the longest are kept, since short ones are in every text.
fn words(question: &str, context: &str) -> String {
    let mut words = longest(question, WORDS_MOST);
    // What was said before helps where the question itself says little, and must not drown it.
    let room = (WORDS_MOST - words.len()).min(CONTEXT_WORDS);
    let before = longest(context, room + words.len()).into_iter().filter(|word| !words.contains(word));
    let before: Vec<String> = before.take(room).collect();
    words.extend(before);
    words.join(" ")
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
            assert_eq!(words(question, ""), expected, "{question}");
        }
        let before = "We bake sourdough, croissants and wonderful cakes for celebrations every Saturday morning";
        let searched = words("And the flan?", before);
        assert!(searched.starts_with("flan and the "), "{searched}");
        assert_eq!(searched.split(' ').count(), 3 + CONTEXT_WORDS, "what was said before does not drown the question");
    }

    proptest! {
        #[test]
        fn no_question_has_operators_or_too_many_words(question in "(\\PC|[\"\\- \n]){0,3000}") {
            let words = words(&question, &question);
            prop_assert!(!words.contains(['"', '-', '\'', '$', '\n']));
            prop_assert!(words.split(' ').count() <= WORDS_MOST);
        }
    }
}
