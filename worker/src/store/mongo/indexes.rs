//! The indexes: made when a worker starts, and looked for when an operator asks.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use mongodb::{
    IndexModel,
    bson::{Bson, Document, doc},
    error::{Error, ErrorKind},
    options::IndexOptions,
};

use super::{MongoStore, conversations, error::is_index_conflict, knowledge};
use crate::store::{Inspected, Result, StoreCondition, StoreError, StoreFault};

/// A collection, what it is ordered by, and how.
pub(super) type Index = (&'static str, Document, IndexOptions);

/// The collection of the operator's own back end, whose indexes are its own affair.
const BUSINESSES: &str = "businesses";
/// Options with which an index does not hold, or find, everything.
const NARROWING: &[&str] = &["partialFilterExpression", "sparse", "collation"];
/// Updates with pipelines read `$$NOW` and sort arrays, which came with this version.
const VERSION_LEAST: (i32, i32) = (5, 2);
/// The server's word for a collection that is not there.
const NAMESPACE_NOT_FOUND: i32 = 26;

/// All that there have to be.
pub(super) fn indexes() -> Vec<Index> {
    let plain = |collection, keys| (collection, keys, IndexOptions::default());
    let mut all = of_conversations();
    all.extend([
        plain("dead_letters", doc! { "conversation": 1 }),
        plain("account_events", doc! { "phone_number_id": 1, "waba_id": 1 }),
        plain("account_events", doc! { "waba_id": 1, "received_at": -1 }),
        plain(BUSINESSES, doc! { "whatsappPhoneNumberIds": 1 }),
        plain(BUSINESSES, doc! { "whatsappTokenExpiresAt": 1 }),
        plain("identities", doc! { "conversation": 1 }),
        plain("messages", doc! { "conversation": 1, "timestamp": 1 }),
        plain("messages", doc! { "business_id": 1, "timestamp": 1 }),
        plain("analytics", doc! { "day": 1, "business_id": 1 }),
        plain("analytics", doc! { "business_id": 1, "day": 1 }),
    ]);
    let due = doc! { "count_at": { "$exists": true } };
    let due = IndexOptions::builder().partial_filter_expression(due).build();
    all.push(("analytics", doc! { "count_at": 1 }, due));
    all.extend(knowledge::indexes());
    let letters = [
        doc! { "replay": 1, "phone_number_id": 1 },
        doc! { "replay": 1, "buried_at": 1, "_id": 1 },
        doc! { "handle": 1 },
        doc! { "buried_at": -1, "_id": 1 },
        doc! { "reason": 1, "buried_at": -1, "_id": 1 },
        doc! { "business_id": 1, "buried_at": -1, "_id": 1 },
        doc! { "phone_number_id": 1, "buried_at": -1, "_id": 1 },
    ];
    all.extend(letters.map(|keys| plain("dead_letters", keys)));
    all.extend(["messages", "dead_letters", "account_events", "usage", "analytics"].map(|collection| {
        let ttl = IndexOptions::builder().expire_after(Duration::ZERO).build();
        (collection, doc! { "expire_at": 1 }, ttl)
    }));
    all
}

fn of_conversations() -> Vec<Index> {
    let partial = |keys, field: &str| {
        let filter = doc! { field: { "$exists": true } };
        ("conversations", keys, IndexOptions::builder().partial_filter_expression(filter).build())
    };
    let forgotten = IndexOptions::builder().expire_after(conversations::CLOSED_KEPT).build();
    vec![
        partial(doc! { "due_at": 1, "subdomain": 1 }, "due_at"),
        partial(doc! { "subdomain": 1, "due_at": 1 }, "due_at"),
        partial(doc! { "lease.worker": 1 }, "lease"),
        partial(doc! { "business_id": 1 }, "waits_for"),
        partial(doc! { "business_id": 1, "notices.try_at": 1 }, "notices"),
        ("conversations", doc! { "business_id": 1, "last_land.at": -1 }, IndexOptions::default()),
        partial(doc! { "merge.try_at": 1 }, "merge"),
        partial(doc! { "merge.into": 1 }, "merge"),
        partial(doc! { "merged_into": 1 }, "merged_into"),
        ("conversations", doc! { "forgotten_at": 1 }, forgotten),
        partial(doc! { "look_after_at": 1 }, "look_after_at"),
    ]
}

/// Fields, and how each is ordered. A number may be stored as one of another kind.
fn fields(keys: &Document) -> impl Iterator<Item = (&str, String)> {
    // As BSON prints a text, it stands in quotes.
    let direction = |bson: &Bson| bson.as_str().map_or_else(|| bson.to_string(), str::to_owned);
    keys.iter().map(move |(field, ordered)| (field.as_str(), direction(ordered)))
}

/// The name that drivers give an index: fields and directions, joined.
fn name(keys: &Document) -> String {
    fields(keys).map(|(field, direction)| format!("{field}_{direction}")).collect::<Vec<_>>().join("_")
}

/// An index that is there, as far as it matters.
#[derive(Debug)]
struct Present {
    name: String,
    keys: Document,
    is_unique: bool,
    expires_after: Option<String>,
    /// What it leaves out, or orders otherwise.
    narrowed: Document,
}

impl Present {
    /// From the server's own description, of which the driver knows no odd option.
    fn read(index: &Document) -> Self {
        Self {
            name: index.get_str("name").unwrap_or_default().to_owned(),
            keys: index.get_document("key").cloned().unwrap_or_default(),
            is_unique: !matches!(index.get("unique"), None | Some(Bson::Boolean(false))),
            expires_after: index.get("expireAfterSeconds").map(Bson::to_string),
            narrowed: NARROWING
                .iter()
                .filter_map(|option| Some(((*option).to_owned(), index.get(option)?.clone())))
                .filter(|(_, value)| *value != Bson::Boolean(false))
                .collect(),
        }
    }

    /// Whether it does what one of ours would do in this place: over the same fields it serves the same reads. In our
    /// own collections it must also delete what ours would, for that is promised, and refuse nothing.
    fn stands_in_for(&self, (collection, keys, options): &Index) -> bool {
        let is_unique = options.unique.unwrap_or(false);
        let expires_after = options.expire_after.map(|after| after.as_secs().to_string());
        let ours = options.partial_filter_expression.as_ref();
        let is_as_narrow = ours.is_some_and(|ours| self.narrowed == doc! { "partialFilterExpression": ours });
        let holds_all = self.narrowed.is_empty() || is_as_narrow;
        let has_same_effect = holds_all && self.is_unique == is_unique && self.expires_after == expires_after;
        fields(&self.keys).eq(fields(keys)) && (*collection == BUSINESSES || has_same_effect)
    }

    /// Whether nothing is to be done about this one of ours. Of an index of texts the fields are not told, so that its
    /// name must do; in somebody else's collection it is taken.
    fn will_do_for(&self, index: &Index) -> bool {
        let (collection, keys, _) = index;
        let is_known_by_name = *collection == BUSINESSES || keys.values().any(|ordered| ordered.as_str().is_some());
        self.stands_in_for(index) || (is_known_by_name && self.name == name(keys))
    }
}

impl MongoStore {
    /// Makes those that are missing. What an index of somebody else's does as well is left to that one.
    ///
    /// # Errors
    /// One cannot be made; which, the error says.
    pub(super) async fn make_indexes(&self) -> anyhow::Result<()> {
        let mut left = Vec::new();
        for index in indexes() {
            let (collection, keys, options) = &index;
            let model = IndexModel::builder().keys(keys.clone()).options(options.clone()).build();
            let made = self.db.collection::<Document>(collection).create_index(model).await;
            let Err(error) = made else { continue };
            let wanted = format!("the index {} of {collection} cannot be made", name(keys));
            if !is_index_conflict(&error) {
                return Err(StoreError::from(error)).context(wanted);
            }
            if *collection != BUSINESSES {
                let present = self.indexes_of(collection).await.with_context(|| wanted.clone())?;
                if !present.iter().any(|present| present.stands_in_for(&index)) {
                    let wanted = format!("{wanted} beside one that is in its way: drop that one");
                    return Err(StoreError::from(error)).context(wanted);
                }
            }
            left.push((*collection, name(keys)));
        }
        // Once, however often the others are tried.
        for (collection, index) in left {
            tracing::warn!(collection, index, "an index of the same fields or name is in the place of this one");
        }
        Ok(())
    }

    /// Those that there are.
    async fn indexes_of(&self, collection: &str) -> Result<Vec<Present>> {
        let mut cursor = match self.db.run_cursor_command(doc! { "listIndexes": collection }).await {
            Ok(cursor) => cursor,
            Err(error) if is_no_collection(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut present = Vec::new();
        while cursor.advance().await? {
            present.push(Present::read(&cursor.deserialize_current()?));
        }
        Ok(present)
    }

    /// What each collection lacks.
    async fn missing_indexes(&self) -> Result<Vec<StoreFault>> {
        let mut wanted: BTreeMap<&'static str, Vec<Index>> = BTreeMap::new();
        for index in indexes() {
            wanted.entry(index.0).or_default().push(index);
        }
        let mut faults = Vec::new();
        for (collection, wanted) in wanted {
            let present = self.indexes_of(collection).await?;
            let missing = wanted.iter().filter(|index| !present.iter().any(|present| present.will_do_for(index)));
            let is_there = |name: &String| present.iter().any(|present| present.name == *name);
            let (otherwise, missing): (Vec<_>, Vec<_>) = missing.map(|(_, keys, _)| name(keys)).partition(is_there);
            if !missing.is_empty() {
                let problem = format!("has no index {}", missing.join(", "));
                let mend = "start a worker, which makes every index that is missing, or restart one";
                faults.push(StoreFault::new(collection, problem, mend));
            }
            if !otherwise.is_empty() {
                let problem = format!("has an index of another kind in the place of {}", otherwise.join(", "));
                let mend = "drop it, and restart a worker, which makes its own";
                faults.push(StoreFault::new(collection, problem, mend));
            }
        }
        Ok(faults)
    }
}

#[async_trait]
impl Inspected for MongoStore {
    async fn condition(&self) -> Result<StoreCondition> {
        let hello = self.hello().await?;
        let built = self.db.run_command(doc! { "buildInfo": 1 }).await?;
        let version = built.get_str("version").unwrap_or("of an unknown version").to_owned();
        let mut faults = Vec::new();
        let members = match (hello.get_str("setName"), super::keeps_writes(&hello)) {
            (Ok(set), _) => format!("replica set {set}"),
            (Err(_), true) => "sharded".to_owned(),
            (Err(_), false) => {
                let problem = "it runs without a replica set, which safe retries of writes need";
                let mend = "start it with --replSet, and initiate it once (rs.initiate()); one member is enough";
                faults.push(StoreFault::new("replica set", problem, mend));
                "no replica set".to_owned()
            }
        };
        if is_too_old(&built) {
            let problem = format!("it is MongoDB {version}; 5.2 is the oldest that will do");
            faults.push(StoreFault::new("version", problem, "upgrade it"));
        }
        faults.extend(self.missing_indexes().await?);
        Ok(StoreCondition { server: format!("MongoDB {version}, {members}"), faults })
    }
}

fn is_too_old(built: &Document) -> bool {
    let parts = built.get_array("versionArray").into_iter().flatten().filter_map(Bson::as_i32);
    match parts.collect::<Vec<_>>().as_slice() {
        [major, minor, ..] => (*major, *minor) < VERSION_LEAST,
        _ => false,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the driver's errors are a foreign enum that grows")]
fn is_no_collection(error: &Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => command.code == NAMESPACE_NOT_FOUND,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_have_the_names_that_drivers_give_them() {
        assert_eq!(name(&doc! { "buried_at": -1, "_id": 1 }), "buried_at_-1__id_1");
        assert_eq!(name(&doc! { "business_id": 1, "title": "text" }), "business_id_1_title_text");
    }

    #[test]
    fn an_index_of_somebody_elses_stands_in_where_it_does_the_same() {
        let index = |more: Document| {
            let mut index = doc! { "v": 2, "key": { "expire_at": 1.0 }, "name": "theirs" };
            index.extend(more);
            Present::read(&index)
        };
        let plain = ("messages", doc! { "expire_at": 1 }, IndexOptions::default());
        let ttl = IndexOptions::builder().expire_after(Duration::from_secs(60)).build();
        let ttl = ("messages", doc! { "expire_at": 1 }, ttl);
        let businesses = (BUSINESSES, doc! { "expire_at": 1 }, IndexOptions::default());
        for (more, for_plain, for_ttl) in [
            (doc! {}, true, false),
            (doc! { "unique": false, "hidden": true }, true, false),
            (doc! { "unique": true }, false, false),
            (doc! { "unique": 1 }, false, false),
            (doc! { "expireAfterSeconds": 60_i64 }, false, true),
            (doc! { "expireAfterSeconds": 60.0 }, false, true),
            (doc! { "expireAfterSeconds": 61 }, false, false),
            (doc! { "sparse": true }, false, false),
            (doc! { "sparse": false }, true, false),
            (doc! { "partialFilterExpression": { "id": 1 }, "expireAfterSeconds": 60 }, false, false),
        ] {
            let present = index(more.clone());
            assert_eq!((present.stands_in_for(&plain), present.stands_in_for(&ttl)), (for_plain, for_ttl), "{more}");
            assert!(present.stands_in_for(&businesses), "{more}");
        }
        for keys in [doc! { "expire_at": -1 }, doc! { "expire_at": 1, "id": 1 }, doc! { "id": 1 }] {
            assert!(!index(doc! {}).stands_in_for(&("messages", keys.clone(), IndexOptions::default())), "{keys}");
            assert!(!index(doc! {}).stands_in_for(&(BUSINESSES, keys.clone(), IndexOptions::default())), "{keys}");
        }
    }

    #[test]
    fn only_what_is_known_to_be_older_is_too_old() {
        for (version, old) in
            [([4, 4, 29, 0], true), ([5, 0, 9, 0], true), ([5, 2, 0, 0], false), ([8, 0, 4, 0], false)]
        {
            assert_eq!(is_too_old(&doc! { "versionArray": version.to_vec() }), old, "{version:?}");
        }
        assert!(!is_too_old(&doc! {}));
    }
}
