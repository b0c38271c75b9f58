//! Who works on a conversation, and when it is somebody's turn.

use std::time::Duration;

use mongodb::{
    bson::{Bson, Document, doc},
    options::ReturnDocument,
};
use shared::ids::{SessionId, Subdomain};

use super::{
    super::{
        Result, Store, millis,
        pipeline::{array, literal, with_part},
    },
    document, held_by,
};
use crate::conversation::{Conversation, LeaseKey};

/// A lease that was taken.
#[derive(Debug)]
pub struct Claim {
    /// For guarded operations.
    pub lease: LeaseKey,
    /// The conversation at that moment.
    pub conversation: Conversation,
}

/// Why and how long a conversation waits.
#[derive(Debug, Clone)]
pub struct Postponement {
    /// From now.
    pub delay: Duration,
    /// A word for the operator, such as `throttled`.
    pub reason: &'static str,
    /// Details for the operator, without message text or secrets.
    pub detail: String,
    /// Waiting for evidence of a send: no failed attempt, and over as soon as no part is in doubt.
    pub for_evidence: bool,
    /// Whether the AI is what failed.
    pub ai: bool,
    /// A part that is known not to have been sent.
    pub not_sent: Option<usize>,
}

/// A lease after its renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// Which one.
    pub lease: LeaseKey,
    /// How many messages wait in the mailbox.
    pub mailbox: usize,
}

/// The businesses that have due conversations, and which.
pub type DueBusinesses = Vec<(Option<Subdomain>, Vec<SessionId>)>;

impl Store {
    /// Takes the lease of a conversation that is due and that nobody holds.
    ///
    /// # Errors
    /// [`crate::store::StoreError`]; after `Unavailable` the lease may be taken, and runs out by itself.
    pub async fn claim(&self, session: &SessionId, worker: &str, lease: Duration) -> Result<Option<Claim>> {
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
            "takeovers": { "$add": [{ "$ifNull": ["$takeovers", 0] }, { "$cond": [expired, 1, 0] }] },
            "lease": {
                "worker": worker,
                "epoch": epoch,
                "taken_at": "$$NOW",
                "until": { "$add": ["$$NOW", millis(lease)] },
            },
        } }];
        let claimed = self
            .conversations()
            .find_one_and_update(filter, update)
            .return_document(ReturnDocument::After)
            .projection(doc! { "answered": 0, "windows": 0, "last_land": 0 })
            .await?;
        let Some(document) = claimed else { return Ok(None) };
        let (conversation, epoch) = match document::read(document) {
            Ok(read) => read,
            Err(error) => {
                self.set_aside(session).await?;
                return Err(error);
            }
        };
        Ok(Some(Claim { lease: LeaseKey { session: session.clone(), epoch }, conversation }))
    }

    /// A document that cannot be read is due no more, until somebody mended it or its customer writes again.
    async fn set_aside(&self, session: &SessionId) -> Result<()> {
        tracing::error!(%session, "a conversation cannot be read: it is set aside as it is");
        metrics::counter!("switchboard_conversations_set_aside_total").increment(1);
        let update = doc! { "$unset": { "due_at": "", "lease": "" }, "$currentDate": { "set_aside_at": true } };
        self.conversations().update_one(doc! { "_id": session.expose() }, update).await?;
        Ok(())
    }

    /// The conversation as it is now; none: not mine any more.
    ///
    /// # Errors
    /// [`crate::store::StoreError`].
    pub async fn reread(&self, lease: &LeaseKey) -> Result<Option<Conversation>> {
        let found = self.conversations().find_one(held_by(lease)).projection(doc! { "answered": 0 }).await?;
        let found = found.map(document::read).transpose()?;
        Ok(found.map(|(conversation, _)| conversation))
    }

    /// Prolongs the leases that are still held, and tells which those are.
    ///
    /// # Errors
    /// [`crate::store::StoreError`]; some may have been prolonged.
    pub async fn renew(&self, leases: &[LeaseKey], worker: &str, lease: Duration) -> Result<Vec<Renewed>> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let held: Vec<Document> = leases.iter().map(held_by).collect();
        let filter = doc! { "$or": held, "lease.worker": worker };
        let update = vec![doc! { "$set": { "lease.until": { "$add": ["$$NOW", millis(lease)] } } }];
        self.conversations().update_many(filter.clone(), update).await?;
        let projection = doc! { "lease.epoch": 1, "mailbox": { "$size": array("mailbox") } };
        let mut cursor = self.conversations().find(filter).projection(projection).await?;
        let mut renewed = Vec::with_capacity(leases.len());
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            let epoch = document.get_document("lease").and_then(|lease| lease.get_i64("epoch"));
            let (Ok(id), Ok(epoch)) = (document.get_str("_id"), epoch) else { continue };
            let lease = LeaseKey { session: SessionId::from_stored(id), epoch };
            let mailbox = document.get_i32("mailbox").ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            renewed.push(Renewed { lease, mailbox });
        }
        Ok(renewed)
    }

    /// Gives the lease back and lets the conversation wait. False: not mine any more.
    ///
    /// # Errors
    /// [`crate::store::StoreError`].
    pub async fn postpone(&self, lease: &LeaseKey, postponement: &Postponement) -> Result<bool> {
        let retry_at = doc! { "$add": ["$$NOW", millis(postponement.delay)] };
        // Evidence that came during the turn leaves nothing to wait for.
        let doubt_is_left = doc! { "$in": ["sending", array("outbox.parts.state")] };
        let retry_at = match postponement.for_evidence {
            true => doc! { "$cond": [doubt_is_left, retry_at, "$$NOW"] },
            false => retry_at,
        };
        // Attempts at something else say nothing about this.
        let same_reason = doc! { "$eq": ["$last_error.reason", postponement.reason] };
        let attempts = match postponement.for_evidence {
            true => doc! { "$ifNull": ["$attempts", 0] },
            false => doc! { "$add": [{ "$cond": [same_reason, "$attempts", 0] }, 1] },
        };
        let mut set = doc! {
            "retry_at": retry_at.clone(),
            "due_at": retry_at,
            "attempts": attempts,
            // A process that is alive to say why it waits was not killed by these messages; but waiting for evidence
            // is what follows a death, and must not wipe out its trace.
            "takeovers": if postponement.for_evidence { doc! { "$ifNull": ["$takeovers", 0] }.into() } else { Bson::Int32(0) },
            "last_error": { "reason": postponement.reason, "detail": literal(postponement.detail.as_str()), "at": "$$NOW" },
            "lease": "$$REMOVE",
        };
        let failing_since = if postponement.ai {
            doc! { "$ifNull": ["$ai_failing_since", "$$NOW"] }.into()
        } else {
            Bson::from("$$REMOVE")
        };
        set.insert("ai_failing_since", failing_since);
        if let Some(part) = postponement.not_sent {
            set.insert(
                "outbox.parts",
                with_part(
                    part,
                    doc! { "state": { "$cond": [
                        { "$eq": ["$$p.state", "sent"] }, "sent", "waiting",
                    ] } },
                ),
            );
        }
        Ok(self.conversations().update_one(held_by(lease), vec![doc! { "$set": set }]).await?.matched_count == 1)
    }

    /// Gives one lease back as it is. False: not mine any more.
    ///
    /// # Errors
    /// [`crate::store::StoreError`].
    pub async fn release(&self, lease: &LeaseKey) -> Result<bool> {
        let update = doc! { "$unset": { "lease": "" } };
        Ok(self.conversations().update_one(held_by(lease), update).await?.matched_count == 1)
    }

    /// Gives leases back as they are, due at once, for a worker that stops. Says how many there were.
    ///
    /// # Errors
    /// [`crate::store::StoreError`]; the leases run out by themselves.
    pub async fn release_all(&self, worker: &str) -> Result<u64> {
        let update = doc! { "$unset": { "lease": "" } };
        Ok(self.conversations().update_many(doc! { "lease.worker": worker }, update).await?.modified_count)
    }

    /// The businesses with due conversations that nobody holds, each with its first few. `after` is the business
    /// to go on behind, so that repeated calls come round to all of them.
    ///
    /// # Errors
    /// [`crate::store::StoreError`].
    pub async fn due(&self, businesses: usize, each: i64) -> Result<DueBusinesses> {
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
}
