//! Who works on a conversation, and when it is somebody's turn.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::{
    bson::{Bson, DateTime, Document, doc},
    options::{ReturnDocument, WriteConcern},
};
use shared::ids::{SessionId, Subdomain};

use super::{
    super::{
        MongoStore, millis,
        pipeline::{array, literal, whole},
    },
    document, held_by,
};
use crate::{
    conversation::{Claim, Conversation, Holder, LeaseKey, Renewed},
    store::{DueBusinesses, Leasing, Result, StoreError},
};

/// Beyond, how much longer a backlog is matters to nobody, and counting it costs time.
const COUNTED_MOST: i64 = 100_000;

#[async_trait]
impl Leasing for MongoStore {
    async fn claim(&self, session: &SessionId, worker: &str, nonce: i64, lease: Duration) -> Result<Option<Claim>> {
        let filter = doc! { "_id": session.expose(), "$expr": { "$and": [
            { "$lte": ["$due_at", "$$NOW"] },
            // A missing date sorts before every date, so "never due" has to be told from "due".
            { "$eq": [{ "$type": "$due_at" }, "date"] },
            { "$lte": ["$lease.until", "$$NOW"] },
        ] } };
        let epoch = doc! { "$add": [{ "$ifNull": ["$epoch", 0_i64] }, 1_i64] };
        let expired = doc! { "$eq": [{ "$type": "$lease" }, "object"] };
        let update = vec![doc! { "$set": {
            "epoch": epoch.clone(),
            "takeovers": { "$add": [{ "$ifNull": ["$takeovers", 0] }, { "$cond": [expired.clone(), 1, 0] }] },
            "lease": {
                "worker": literal(worker),
                "epoch": epoch,
                "nonce": nonce,
                "taken_at": "$$NOW",
                "until": { "$add": ["$$NOW", millis(lease)] },
                "taken_over": { "$cond": [expired, true, "$$REMOVE"] },
            },
        } }];
        let claimed = self
            .conversations()
            .find_one_and_update(filter, update)
            .return_document(ReturnDocument::After)
            .projection(unread_by_turns())
            .write_concern(unconfirmed())
            .await?;
        let Some(document) = claimed else { return Ok(None) };
        match seen_by_holder(document) {
            Ok(claim) => Ok(Some(claim)),
            Err(error) => {
                self.set_aside(session, worker, nonce).await?;
                Err(error)
            }
        }
    }

    async fn reread(&self, lease: &LeaseKey) -> Result<Option<Conversation>> {
        let found = self.conversations().find_one(held_by(lease)).projection(unread_by_turns()).await?;
        let found = found.map(seen_by_holder).transpose()?;
        Ok(found.map(|claim| claim.conversation))
    }

    async fn renew(&self, leases: &[LeaseKey], lease: Duration) -> Result<Vec<Renewed>> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let held: Vec<Document> = leases.iter().map(held_by).collect();
        let filter = doc! { "$or": held };
        let update = vec![doc! { "$set": { "lease.until": { "$add": ["$$NOW", millis(lease)] } } }];
        self.conversations().update_many(filter.clone(), update).await?;
        let projection = doc! { "lease": 1, "mailbox": { "$size": array("mailbox") } };
        let mut cursor = self.conversations().find(filter).projection(projection).await?;
        let mut renewed = Vec::with_capacity(leases.len());
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            let (Ok(id), Ok(lease)) = (document.get_str("_id"), document.get_document("lease")) else { continue };
            let Some(holder) = holder(lease) else { continue };
            let lease = LeaseKey { session: SessionId::from_stored(id), holder };
            let mailbox = document.get_i32("mailbox").ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            renewed.push(Renewed { lease, mailbox });
        }
        Ok(renewed)
    }

    async fn release(&self, lease: &LeaseKey) -> Result<bool> {
        let update = doc! { "$unset": { "lease": "" } };
        Ok(self.conversations().update_one(held_by(lease), update).await?.matched_count == 1)
    }

    async fn release_all(&self, worker: &str) -> Result<u64> {
        // The turn was cut off, which is a try: the next one looks whether something was left half done.
        let update = doc! { "$unset": { "lease": "" }, "$max": { "attempts": 1 } };
        Ok(self.conversations().update_many(doc! { "lease.worker": worker }, update).await?.modified_count)
    }

    async fn due(&self, businesses: usize, each: i64) -> Result<DueBusinesses> {
        let now = self.now();
        let due = doc! { "due_at": { "$lte": now } };
        let free = doc! { "$or": [{ "lease": { "$exists": false } }, { "lease.until": { "$lte": now } }] };
        let mut subdomains = self.conversations().distinct("subdomain", due.clone()).await?;
        // Where there are more than this scan can look at, each has its chance.
        rand::seq::SliceRandom::shuffle(subdomains.as_mut_slice(), &mut rand::rng());
        let mut found = Vec::new();
        for subdomain in subdomains.into_iter().take(businesses) {
            let filter = doc! { "$and": [{ "subdomain": subdomain.clone() }, due.clone(), free.clone()] };
            let conversations = self.conversations();
            let finding = conversations.find(filter).sort(doc! { "due_at": 1 }).limit(each);
            let mut cursor = finding.projection(doc! { "_id": 1 }).await?;
            let mut sessions = Vec::new();
            while cursor.advance().await? {
                let document = cursor.deserialize_current()?;
                if let Ok(id) = document.get_str("_id") {
                    sessions.push(SessionId::from_stored(id));
                }
            }
            let subdomain = subdomain.as_str().and_then(|text| Subdomain::parse(text).ok());
            found.push((subdomain, sessions));
        }
        Ok(found)
    }

    async fn count_due(&self, ends: &[Duration]) -> Result<Vec<u64>> {
        let now = self.now();
        // In order: the first that fits counts.
        let ages = ends.iter().enumerate().map(|(age, end)| {
            let since = DateTime::from_millis(
                now.timestamp_millis().saturating_sub(i64::try_from(end.as_millis()).unwrap_or(i64::MAX)),
            );
            doc! { "case": { "$gt": ["$due_at", since] }, "then": whole(age) }
        });
        let oldest = Bson::from(whole(ends.len()));
        let age = match ends {
            // Without a branch it is no expression.
            [] => oldest,
            _ => doc! { "$switch": { "branches": ages.collect::<Vec<_>>(), "default": oldest } }.into(),
        };
        let pipeline = [
            doc! { "$match": { "due_at": { "$lte": now } } },
            doc! { "$limit": COUNTED_MOST },
            // Nothing but what the index holds, so that no document is read.
            doc! { "$project": { "_id": 0, "due_at": 1 } },
            doc! { "$group": { "_id": age, "count": { "$sum": 1_i64 } } },
        ];
        let mut counts = vec![0; ends.len() + 1];
        let mut cursor = self.conversations().aggregate(pipeline).await?;
        while cursor.advance().await? {
            let group = cursor.deserialize_current()?;
            let age = group.get_i64("_id").ok().and_then(|age| usize::try_from(age).ok());
            if let (Some(count), Ok(number)) = (age.and_then(|age| counts.get_mut(age)), group.get_i64("count")) {
                *count = u64::try_from(number).unwrap_or(0);
            }
        }
        Ok(counts)
    }
}

impl MongoStore {
    /// A document that cannot be read is due no more, until somebody mended it or its customer writes again.
    async fn set_aside(&self, session: &SessionId, worker: &str, nonce: i64) -> Result<()> {
        tracing::error!(%session, "a conversation cannot be read: it is set aside as it is");
        metrics::counter!("switchboard_conversations_set_aside_total").increment(1);
        let update = doc! { "$unset": { "due_at": "", "lease": "" }, "$currentDate": { "set_aside_at": true } };
        // What was claimed may have been an old copy: only where the claim is still there.
        let claimed = doc! { "_id": session.expose(), "lease.worker": worker, "lease.nonce": nonce };
        self.conversations().update_one(claimed, update).await?;
        Ok(())
    }
}

fn holder(lease: &Document) -> Option<Holder> {
    let worker = lease.get_str("worker").ok()?.into();
    Some(Holder { worker, epoch: lease.get_i64("epoch").ok()?, nonce: lease.get_i64("nonce").ok()? })
}

/// A claim does not wait until a majority has it and the journal is written, which takes several times as long as the
/// claim. Where it is lost, everything is as if it had never been: the next write of its turn, like every other one, waits
/// for the majority, names worker, epoch and nonce, and finds another lease or none. Nothing that cannot be repeated comes
/// before that write.
fn unconfirmed() -> WriteConcern {
    WriteConcern::nodes(1)
}

/// What no turn reads need not travel, and cannot be what makes a document unreadable.
fn unread_by_turns() -> Document {
    doc! { "answered": 0, "last_land": 0, "last_reply": 0, "last_error": 0 }
}

fn seen_by_holder(document: Document) -> Result<Claim> {
    let state = document::read(document)?;
    let lease = state.lease.as_ref().ok_or_else(|| StoreError::Corrupt {
        what: "conversation",
        problem: "its lease is missing where it was taken".to_owned(),
    })?;
    Ok(Claim {
        lease: LeaseKey { session: state.id.clone(), holder: lease.holder() },
        conversation: state.as_seen_by(lease),
        taken_over: lease.taken_over,
    })
}
