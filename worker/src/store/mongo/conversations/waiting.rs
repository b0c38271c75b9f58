//! Conversations that wait: until a time, for evidence, or for another token.

use async_trait::async_trait;
use mongodb::bson::{Bson, doc};

use super::{
    super::{
        MongoStore, millis,
        pipeline::{array, is_held, keep, literal, with_part},
    },
    held_by,
};
use crate::{
    conversation::{BusinessId, LeaseKey, Postponement},
    store::{Result, Waits},
};

#[async_trait]
impl Waits for MongoStore {
    async fn postpone(&self, lease: &LeaseKey, postponement: &Postponement) -> Result<bool> {
        let retry_at = doc! { "$add": ["$$NOW", millis(postponement.delay)] };
        // Evidence that came during the turn leaves nothing to wait for.
        let doubt_is_left = doc! { "$in": ["sending", array("outbox.parts.state")] };
        let retry_at = match postponement.for_evidence {
            true => doc! { "$cond": [doubt_is_left, retry_at, "$$NOW"] },
            false => retry_at,
        };
        // Attempts at something else say nothing about this.
        let same_reason = doc! { "$eq": ["$last_error.reason", literal(postponement.reason)] };
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
            "takeovers": match postponement.for_evidence {
                true => Bson::Document(doc! { "$ifNull": ["$takeovers", 0] }),
                false => Bson::Int32(0),
            },
            "last_error": {
                "reason": literal(postponement.reason), "detail": literal(postponement.detail.as_str()), "at": "$$NOW",
            },
            "lease": "$$REMOVE",
            "waits_for": match &postponement.token {
                Some(token) => Bson::Document(doc! { "token": literal(token.as_str()) }),
                None => Bson::from("$$REMOVE"),
            },
        };
        let failing_since = match postponement.ai {
            Some(after) => {
                let began = doc! { "$subtract": ["$$NOW", millis(after)] };
                Bson::from(doc! { "$ifNull": ["$ai_failing_since", began] })
            }
            None => Bson::from("$$REMOVE"),
        };
        set.insert("ai_failing_since", failing_since);
        if let Some(part) = postponement.not_sent {
            // The try that was begun last, and none before it.
            let was_begun = doc! { "$eq": ["$$p.state", "sending"] };
            let one_more = doc! { "$add": [{ "$ifNull": ["$$p.not_sent", 0] }, 1] };
            let waiting = doc! {
                "state": { "$cond": [{ "$eq": ["$$p.state", "sent"] }, "sent", "waiting"] },
                "not_sent": { "$cond": [was_begun, one_more, keep("$p.not_sent")] },
            };
            let outbox = doc! { "$mergeObjects": ["$outbox", { "parts": with_part(part, waiting) }] };
            let none = doc! { "$eq": [{ "$type": "$outbox" }, "missing"] };
            set.insert("outbox", doc! { "$cond": [none, "$$REMOVE", outbox] });
        }
        Ok(self.conversations().update_one(held_by(lease), vec![doc! { "$set": set }]).await?.matched_count == 1)
    }

    async fn release_waiting(&self, business: &BusinessId, current: &str) -> Result<u64> {
        let filter = doc! {
            "business_id": business.0.as_str(),
            // The condition of the index.
            "waits_for": { "$exists": true },
            "waits_for.token": { "$exists": true, "$ne": current },
            // One that cannot be read is due no more until somebody mended it.
            "due_at": { "$exists": true },
            "$expr": { "$not": [is_held()] },
        };
        let update = vec![doc! { "$set": { "due_at": "$$NOW", "retry_at": "$$REMOVE", "waits_for": "$$REMOVE" } }];
        Ok(self.conversations().update_many(filter, update).await?.modified_count)
    }

    async fn businesses_waiting(&self) -> Result<Vec<BusinessId>> {
        let waiting = doc! { "waits_for": { "$exists": true } };
        let found = self.conversations().distinct("business_id", waiting).await?;
        Ok(found.iter().filter_map(|id| id.as_str()).map(|id| BusinessId(id.to_owned())).collect())
    }
}
