//! What businesses know, in passages: `knowledge` has one document a passage, `_id` = `{business _id}:{source}:{n}`.
//!
//! Each operation takes a scope, and the business is an equality prefix of the index that is searched: no question,
//! whatever stands in it, finds another business's passages. Of a question only its words reach MongoDB.
//!
//! A source is replaced in one transaction. This is the one place that has any: an operator's command changes many
//! documents here, no turn waits for it, and a reader sees the old ones or the new ones. A crash in between leaves the
//! old ones.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use mongodb::{
    Collection,
    bson::{DateTime, Document, doc},
    options::IndexOptions,
};

use super::{MongoStore, corrupt, from_bson, indexes::Index};
use crate::{
    companion::knowledge::Passage,
    scope::BusinessScope,
    store::{
        Asked, Found, KnowledgeBase, KnowledgeSize, KnowledgeSource, Result, TITLE_WEIGHT, languages::NONE,
        stemmed_language,
    },
};

#[async_trait]
impl KnowledgeBase for MongoStore {
    async fn put_knowledge(
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

    async fn drop_knowledge(&self, scope: &BusinessScope, source: &str) -> Result<u64> {
        Ok(self.knowledge().delete_many(of_source(scope, source)).await?.deleted_count)
    }

    async fn knowledge_sources(&self, scope: &BusinessScope) -> Result<Vec<KnowledgeSource>> {
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

    async fn knowledge_size(&self, scope: &BusinessScope) -> Result<KnowledgeSize> {
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

    async fn whole_knowledge(&self, scope: &BusinessScope, most: usize) -> Result<Vec<Passage>> {
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

    async fn search_knowledge(
        &self,
        scope: &BusinessScope,
        asked: Asked<'_>,
        languages: &[String],
        most: usize,
    ) -> Result<Vec<Found>> {
        let words = asked.words().join(" ");
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let searching = languages.iter().map(|language| self.search_in_language(scope, &words, language, most));
        let mut found: Vec<Found> = try_join_all(searching).await?.into_iter().flatten().collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(most);
        Ok(found)
    }
}

pub(super) fn indexes() -> [Index; 2] {
    // With all that `knowledge_size` adds up, so that it reads no text.
    let in_order = doc! { "business_id": 1, "source": 1, "n": 1, "characters": 1, "language": 1 };
    let words = doc! { "business_id": 1, "title": "text", "text": "text" };
    let options = IndexOptions::builder()
        .weights(doc! { "title": TITLE_WEIGHT, "text": 1 })
        .default_language(NONE.to_owned())
        .language_override("language".to_owned());
    [("knowledge", in_order, IndexOptions::default()), ("knowledge", words, options.build())]
}

impl MongoStore {
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
