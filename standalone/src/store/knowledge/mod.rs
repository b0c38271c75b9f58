//! What businesses know, in passages: `knowledge` has one row a passage, `_id` = `{business _id}:{source}:{n}`.
//!
//! Each operation takes a scope, and reads the rows of that business only: no question, whatever stands in it, finds
//! another business's passages. A question is compared with all passages of its business, one by one, which takes
//! milliseconds for some thousands: there is no index of words that could disagree with the texts.

mod ignored;
mod rank;
mod words;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use worker::{
    companion::knowledge::Passage,
    scope::BusinessScope,
    store::{Asked, Found, KnowledgeBase, KnowledgeSize, KnowledgeSource, Result, stemmed_language},
};

use self::rank::{Candidate, scores};
use super::{
    SqliteStore,
    error::{corrupt, panicked},
    row::{Done, Table, count, time},
};

const KNOWLEDGE: Table = Table::Knowledge;
const OF_SOURCE: &str = "business_id = ?1 AND source = ?2";
/// The language of texts whose words are not changed.
const NONE: &str = "none";

/// A row.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    #[serde(rename = "_id")]
    id: String,
    business_id: String,
    source: String,
    n: usize,
    title: String,
    text: String,
    characters: usize,
    language: String,
    loaded_at: String,
}

impl Kept {
    fn new(business_id: &str, source: &str, n: usize, passage: Passage, language: &str) -> Self {
        // A colon in the name could make one id of two businesses'.
        let name = source.replace('%', "%25").replace(':', "%3A");
        Self {
            id: format!("{business_id}:{name}:{n}"),
            business_id: business_id.to_owned(),
            source: source.to_owned(),
            n,
            characters: passage.characters(),
            title: passage.title,
            text: passage.text,
            language: language.to_owned(),
            loaded_at: String::new(),
        }
    }

    fn passage(self) -> Passage {
        Passage { title: self.title, text: self.text }
    }
}

#[async_trait]
impl KnowledgeBase for SqliteStore {
    async fn put_knowledge(
        &self,
        scope: &BusinessScope,
        source: &str,
        passages: &[Passage],
        language: Option<&str>,
    ) -> Result<()> {
        let (business, source) = (scope.id().0.clone(), source.to_owned());
        let language = language.and_then(stemmed_language).unwrap_or(NONE);
        let passages = passages.to_vec();
        self.database
            .write(move |connection, now| {
                KNOWLEDGE.delete(connection, OF_SOURCE, params![business, source])?;
                for (n, passage) in passages.into_iter().enumerate() {
                    let kept = Kept { loaded_at: time(now), ..Kept::new(&business, &source, n, passage, language) };
                    KNOWLEDGE.put(connection, &kept.id, &kept)?;
                }
                Ok(())
            })
            .await
    }

    async fn drop_knowledge(&self, scope: &BusinessScope, source: &str) -> Result<u64> {
        let (business, source) = (scope.id().0.clone(), source.to_owned());
        self.database
            .write(move |connection, _| KNOWLEDGE.delete(connection, OF_SOURCE, params![business, source]))
            .await
    }

    async fn knowledge_sources(&self, scope: &BusinessScope) -> Result<Vec<KnowledgeSource>> {
        let business = scope.id().0.clone();
        self.database.read(move |connection, _| sources(connection, &business)).await
    }

    async fn knowledge_size(&self, scope: &BusinessScope) -> Result<KnowledgeSize> {
        let business = scope.id().0.clone();
        self.database.read(move |connection, _| size(connection, &business)).await
    }

    async fn whole_knowledge(&self, scope: &BusinessScope, most: usize) -> Result<Vec<Passage>> {
        let business = scope.id().0.clone();
        self.database.read(move |connection, _| whole(connection, &business, most)).await
    }

    async fn search_knowledge(
        &self,
        scope: &BusinessScope,
        asked: Asked<'_>,
        languages: &[String],
        most: usize,
    ) -> Result<Vec<Found>> {
        let question = asked.words();
        if question.is_empty() {
            return Ok(Vec::new());
        }
        let (business, languages) = (scope.id().0.clone(), serde_json::Value::from(languages).to_string());
        let candidates = self.database.read(move |connection, _| candidates(connection, &business, &languages)).await?;
        // The one thread that reads has more to do, and those that everything else runs on must not wait either.
        let searching = tokio::task::spawn_blocking(move || best(&question, candidates, most));
        searching.await.map_err(|_| panicked())
    }
}

fn sources(connection: &Connection, business: &str) -> Done<Vec<KnowledgeSource>> {
    let mut statement = connection.prepare_cached(
        "SELECT source, count(*), sum(document ->> '$.characters'), min(document ->> '$.language'), \
         max(document ->> '$.loaded_at') FROM knowledge WHERE business_id = ?1 GROUP BY source ORDER BY source",
    )?;
    let mut rows = statement.query(params![business])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let loaded_at: Option<String> = row.get(4)?;
        let loaded_at = loaded_at.and_then(|at| at.parse::<Timestamp>().ok()).ok_or_else(|| corrupt("passage"))?;
        found.push(KnowledgeSource {
            source: row.get(0)?,
            passages: count(row, 1)?,
            characters: count(row, 2)?,
            language: row.get::<_, Option<String>>(3)?.filter(|name| name != NONE),
            loaded_at,
        });
    }
    Ok(found)
}

/// Read from an index alone, which SQLite does not do for what is also grouped.
const SIZE: &str = "WITH sizes AS MATERIALIZED ( \
         SELECT document ->> '$.language' AS language, document ->> '$.characters' AS characters FROM knowledge \
         WHERE document ->> '$.business_id' = ?1 \
     ) SELECT language, count(*), sum(characters) FROM sizes GROUP BY language ORDER BY language";

fn size(connection: &Connection, business: &str) -> Done<KnowledgeSize> {
    let mut statement = connection.prepare_cached(SIZE)?;
    let mut rows = statement.query(params![business])?;
    let mut size = KnowledgeSize::default();
    while let Some(row) = rows.next()? {
        size.languages.push(row.get(0)?);
        size.passages = size.passages.saturating_add(count(row, 1)?);
        size.characters = size.characters.saturating_add(count(row, 2)?);
    }
    Ok(size)
}

/// Row by row, since of much only the beginning is wanted.
fn whole(connection: &Connection, business: &str, most: usize) -> Done<Vec<Passage>> {
    let mut statement =
        connection.prepare_cached("SELECT document FROM knowledge WHERE business_id = ?1 ORDER BY source, n")?;
    let mut rows = statement.query(params![business])?;
    let (mut passages, mut room) = (Vec::new(), most);
    while let Some(row) = rows.next()? {
        let kept: Kept = serde_json::from_str(row.get_ref(0)?.as_str()?).map_err(|_| corrupt("passage"))?;
        let passage = kept.passage();
        let Some(left) = room.checked_sub(passage.characters()) else { break };
        room = left;
        passages.push(passage);
    }
    Ok(passages)
}

fn candidates(connection: &Connection, business: &str, languages: &str) -> Done<Vec<Candidate>> {
    let spoken =
        "business_id = ?1 AND document ->> '$.language' IN (SELECT value FROM json_each(?2)) ORDER BY source, n";
    let found = KNOWLEDGE.find::<Kept>(connection, spoken, params![business, languages])?;
    let candidate = |(_, kept): (String, Kept)| Candidate {
        source: kept.source.clone(),
        language: kept.language.clone(),
        passage: kept.passage(),
    };
    Ok(found.into_iter().map(candidate).collect())
}

/// The best first; of those that are as good, as they stand in their sources.
fn best(question: &[String], candidates: Vec<Candidate>, most: usize) -> Vec<Found> {
    let scores = scores(question, &candidates);
    let fits = candidates.into_iter().zip(scores).filter(|(_, score)| *score > 0.0);
    let mut found: Vec<Found> =
        fits.map(|(Candidate { source, passage, .. }, score)| Found { passage, source, score }).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(most);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::migrate;

    #[test]
    fn the_size_is_read_from_an_index_alone() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate(&mut connection).expect("it has tables");
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {SIZE}")).expect("a statement");
        let steps = plan.query_map(params!["b1"], |row| row.get(3)).expect("a plan");
        let steps: Vec<String> = steps.map(|step| step.expect("a step")).collect();
        assert!(steps.iter().any(|step| step.contains("USING COVERING INDEX knowledge_size")), "{steps:?}");
    }
}
