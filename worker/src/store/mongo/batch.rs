//! Many updates in one request. (The driver's bulk writes need MongoDB 8.)

use std::collections::BTreeMap;

use mongodb::bson::{Document, doc};

use super::{MongoStore, WRITE_TIMEOUT, failed_write, millis};
use crate::store::{Result, StoreError};

/// What one that fails means for those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// They are not done.
    UntilOneFails,
    /// Nothing.
    EachByItself,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Updated {
    /// Documents that matched, or were made.
    pub(super) matched: u64,
    /// Those that failed, by their place.
    pub(super) failed: BTreeMap<usize, StoreError>,
}

impl MongoStore {
    /// Does updates of one document each, as the statements of an `update` command, durably. Each of them must be such
    /// that it may be repeated: after a change of primary, which the driver repeats other writes after by itself, and
    /// where two first updates of a document met, they are done once more.
    pub(super) async fn update_many_by_id(
        &self,
        collection: &str,
        updates: Vec<Document>,
        order: Order,
    ) -> Result<Updated> {
        let majority = doc! { "w": "majority", "j": true, "wtimeout": millis(WRITE_TIMEOUT) };
        let ordered = order == Order::UntilOneFails;
        let command = doc! { "update": collection, "updates": updates, "ordered": ordered, "writeConcern": majority };
        let is_transient = |error: &StoreError| !error.is_permanent();
        match self.run_updates(command.clone()).await {
            Err(error) if is_transient(&error) => self.run_updates(command).await,
            Ok(updated) if updated.failed.values().any(is_transient) => self.run_updates(command).await,
            done => done,
        }
    }

    async fn run_updates(&self, command: Document) -> Result<Updated> {
        let answer = self.db.run_command(command).await?;
        if let Ok(failed) = answer.get_document("writeConcernError") {
            return Err(failed_write(failed.get_i32("code").unwrap_or(0)));
        }
        let mut updated = Updated { matched: count(&answer, "n"), failed: BTreeMap::new() };
        for failed in answer.get_array("writeErrors").into_iter().flatten().filter_map(|error| error.as_document()) {
            let place = usize::try_from(count(failed, "index")).unwrap_or(usize::MAX);
            updated.failed.insert(place, failed_write(failed.get_i32("code").unwrap_or(0)));
        }
        Ok(updated)
    }
}

fn count(answer: &Document, field: &str) -> u64 {
    answer.get_i32(field).ok().and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
}
