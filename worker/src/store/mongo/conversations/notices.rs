//! Notices for the businesses: taken by one worker, ended, or put off. A conversation without any has no such field, so
//! that the index holds only those that have.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::{
    bson::{Bson, Document, doc},
    options::ReturnDocument,
};
use shared::ids::SessionId;

use super::{
    super::{
        MongoStore, from_bson, millis,
        pipeline::{array, literal},
    },
    document,
};
use crate::{
    conversation::{self, Announcement, NoticeTaken},
    store::{Notices, Result},
};

/// As a slice of an array takes it.
const NOTICES_MOST: i32 = conversation::NOTICES_MOST as i32;

#[async_trait]
impl Notices for MongoStore {
    async fn notices_due(&self, businesses: usize, each: i64) -> Result<Vec<SessionId>> {
        let due = doc! { "notices": { "$exists": true }, "notices.try_at": { "$lte": self.now() } };
        let mut owners = self.conversations().distinct("business_id", due.clone()).await?;
        // Where there are more than this scan can look at, each has its chance.
        rand::seq::SliceRandom::shuffle(owners.as_mut_slice(), &mut rand::rng());
        let mut found = Vec::new();
        for owner in owners.into_iter().take(businesses) {
            let mut theirs = due.clone();
            theirs.insert("business_id", owner);
            let conversations = self.conversations();
            let finding = conversations.find(theirs).sort(doc! { "notices.try_at": 1 }).limit(each);
            let mut cursor = finding.projection(doc! { "_id": 1 }).await?;
            while cursor.advance().await? {
                found.extend(cursor.deserialize_current()?.get_str("_id").ok().map(SessionId::from_stored));
            }
        }
        Ok(found)
    }

    async fn take_notice(&self, session: &SessionId, length: Duration) -> Result<Option<NoticeTaken>> {
        let is_due = doc! { "$lte": ["$$n.try_at", "$$NOW"] };
        let due = doc! { "$filter": { "input": array("notices"), "as": "n", "cond": is_due } };
        let mut filter = open(session);
        filter.insert("$expr", doc! { "$gt": [{ "$size": due.clone() }, 0] });
        let tries = doc! { "$add": ["$$n.tries", 1] };
        let taken = doc! { "$mergeObjects": [
            "$$n",
            { "tries": tries, "try_at": { "$add": ["$$NOW", millis(length)] } },
        ] };
        let is_first = doc! { "$eq": ["$$n.id", { "$first": "$$due.id" }] };
        let update = vec![doc! { "$set": { "notices": { "$let": {
            "vars": { "due": due },
            "in": { "$map": {
                "input": "$notices", "as": "n", "in": { "$cond": [is_first, taken, "$$n"] },
            } },
        } } } }];
        let before = self
            .conversations()
            .find_one_and_update(filter, update)
            .return_document(ReturnDocument::Before)
            .projection(doc! {
                "business_id": 1, "customer": 1, "handed_over_until": 1, "notices": 1, "now": "$$NOW",
            })
            .await?;
        let Some(before) = before else { return Ok(None) };
        let now = before.get_datetime("now").map_or(jiff::Timestamp::UNIX_EPOCH, |now| from_bson(*now));
        // What the update did to the document, done to what it was: so that both say which one it was.
        Ok(document::read(before)?.take_notice(now, length))
    }

    async fn end_notice(&self, session: &SessionId, id: &str) -> Result<bool> {
        let mut filter = open(session);
        filter.insert("notices.id", id);
        let update = vec![doc! { "$set": { "notices": { "$let": {
            "vars": { "left": others(id) },
            "in": { "$cond": [{ "$eq": ["$$left", []] }, "$$REMOVE", "$$left"] },
        } } } }];
        Ok(self.conversations().update_one(filter, update).await?.matched_count == 1)
    }

    async fn postpone_notice(&self, session: &SessionId, id: &str, tries: u32, delay: Duration) -> Result<bool> {
        let mut filter = open(session);
        filter.insert("notices", doc! { "$elemMatch": { "id": id, "tries": i64::from(tries) } });
        let later = doc! { "$mergeObjects": ["$$n", { "try_at": { "$add": ["$$NOW", millis(delay)] } }] };
        let is_meant = doc! { "$eq": ["$$n.id", literal(id)] };
        let update = vec![doc! { "$set": { "notices": { "$map": {
            "input": "$notices", "as": "n", "in": { "$cond": [is_meant, later, "$$n"] },
        } } } }];
        Ok(self.conversations().update_one(filter, update).await?.matched_count == 1)
    }
}

/// One that did not go on elsewhere: what a tombstone had was copied, or is about to be.
fn open(session: &SessionId) -> Document {
    doc! { "_id": session.expose(), "merged_into": { "$exists": false } }
}

fn others(id: &str) -> Document {
    let is_other = doc! { "$ne": ["$$n.id", literal(id)] };
    doc! { "$filter": { "input": array("notices"), "as": "n", "cond": is_other } }
}

/// The notices and one more, due at once.
pub(super) fn with_notice(announcement: &Announcement) -> Document {
    let notice = doc! { "$mergeObjects": [
        literal(doc! { "id": announcement.id.as_str(), "reason": announcement.reason.word(), "tries": 0_i64 }),
        { "at": "$$NOW", "try_at": "$$NOW" },
    ] };
    let all = doc! { "$concatArrays": [others(&announcement.id), [Bson::Document(notice)]] };
    doc! { "$slice": [all, -NOTICES_MOST] }
}
