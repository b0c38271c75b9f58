//! The indexes: made when a worker starts, and looked for when an operator asks.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use mongodb::{
    IndexModel,
    bson::{Bson, Document, doc},
    error::{Error, ErrorKind},
    options::IndexOptions,
};

use super::{MongoStore, conversations, knowledge};
use crate::store::{Inspected, Result, StoreCondition, StoreFault};

/// A collection, what it is ordered by, and how.
pub(super) type Index = (&'static str, Document, IndexOptions);

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
        plain("businesses", doc! { "whatsappPhoneNumberIds": 1 }),
        plain("businesses", doc! { "whatsappTokenExpiresAt": 1 }),
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

/// The name that drivers give an index: fields and directions, joined.
fn name(keys: &Document) -> String {
    let parts = keys.iter().map(|(field, direction)| {
        // As BSON prints a text, it stands in quotes.
        let direction = direction.as_str().map_or_else(|| direction.to_string(), str::to_owned);
        format!("{field}_{direction}")
    });
    parts.collect::<Vec<_>>().join("_")
}

impl MongoStore {
    pub(super) async fn make_indexes(&self) -> anyhow::Result<()> {
        for (collection, keys, options) in indexes() {
            let model = IndexModel::builder().keys(keys).options(options).build();
            let made = self.db.collection::<Document>(collection).create_index(model).await;
            made.map_err(crate::store::StoreError::from)?;
        }
        Ok(())
    }

    /// Those that are not there, by collection.
    async fn missing_indexes(&self) -> Result<BTreeMap<&'static str, Vec<String>>> {
        let mut wanted: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for (collection, keys, _) in indexes() {
            wanted.entry(collection).or_default().push(name(&keys));
        }
        for (collection, names) in &mut wanted {
            let there = match self.db.collection::<Document>(collection).list_index_names().await {
                Ok(there) => there,
                Err(error) if is_no_collection(&error) => Vec::new(),
                Err(error) => return Err(error.into()),
            };
            names.retain(|name| !there.contains(name));
        }
        wanted.retain(|_, names| !names.is_empty());
        Ok(wanted)
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
        for (collection, names) in self.missing_indexes().await? {
            let problem = format!("has no index {}", names.join(", "));
            let mend = "start a worker, which makes every index that is missing, or restart one";
            faults.push(StoreFault::new(collection, problem, mend));
        }
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
    fn only_what_is_known_to_be_older_is_too_old() {
        for (version, old) in
            [([4, 4, 29, 0], true), ([5, 0, 9, 0], true), ([5, 2, 0, 0], false), ([8, 0, 4, 0], false)]
        {
            assert_eq!(is_too_old(&doc! { "versionArray": version.to_vec() }), old, "{version:?}");
        }
        assert!(!is_too_old(&doc! {}));
    }
}
