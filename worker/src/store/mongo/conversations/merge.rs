//! Two conversations that turn out to be one customer's become one.
//!
//! There is no transaction. A merge is a row of steps, each one atomic update, which any worker may make and which
//! change nothing if they are made again. The stored documents say which comes next:
//!
//! 1. *The wish*, `merge`: on the conversation that ends, which goes on working until the next step is possible.
//! 2. *The tombstone*, `merged_into`, once nobody has it in hand and no reply is under way. From here on it takes
//!    nothing in: what comes is a duplicate, if it is known here, or lands in the one that goes on. So nothing is lost
//!    or answered twice before the copy is made.
//! 3. *The copy* into the conversation that goes on, which notes it in `merged_from`: never twice.
//! 4. *The rest*: what names the old conversation names the other one; then the tombstone is emptied.
//!
//! Tombstones never lead in a circle. One is written only by whoever followed the pointers from its target without
//! coming back, after its own wish was there; in a circle, whoever made the last wish finds all the others.

use async_trait::async_trait;
use mongodb::{
    bson::{Bson, Document, doc},
    options::ReturnDocument,
};
use shared::ids::{SessionId, Subdomain};

use super::{
    super::{
        MongoStore, corrupt, is_duplicate_key,
        pipeline::{is_held, keep, literal},
    },
    chain::{Link, Wish},
    copy, document,
};
use crate::{
    conversation::QuietTime,
    store::{Forgetting, Inspection, MergeRequest, MergeRequested, MergeStep, Merges, Result, StoreError},
};

/// A merge that has to wait is tried again after an eighth of its age, within these bounds, in milliseconds.
const RETRY_FIRST_MS: i64 = 2_000;
const RETRY_MOST_MS: i64 = 60_000;

#[async_trait]
impl Merges for MongoStore {
    async fn request_merge(&self, request: &MergeRequest<'_>) -> Result<MergeRequested> {
        let (from, into) = (self.end_of(request.from).await?, self.end_of(request.into).await?);
        if from == into {
            return Ok(MergeRequested::Done);
        }
        let goes_on = self.begun(request, &into).await?;
        if goes_on.contains_key("forgotten_at") {
            return Ok(MergeRequested::Forgotten);
        }
        let customer = goes_on.get_document("customer").ok();
        let differs = |field: &str, known: &str| {
            customer.and_then(|customer| customer.get_str(field).ok()).is_some_and(|stored| stored != known)
        };
        if request.phone.is_some_and(|phone| differs("wa_id", phone.expose()))
            || differs("user_id", request.user_id.expose())
            || goes_on.get_str("business_id").map_err(corrupt("conversation"))? != request.business_id.0
        {
            return Ok(MergeRequested::OtherCustomer);
        }
        self.record_wish(request, &from, &into).await
    }

    async fn merges_under_way(&self, most: i64) -> Result<Vec<SessionId>> {
        let filter = doc! { "merge": { "$exists": true }, "merge.try_at": { "$lte": self.now() } };
        let conversations = self.conversations();
        let finding = conversations.find(filter).sort(doc! { "merge.try_at": 1 }).limit(most);
        let mut cursor = finding.projection(doc! { "_id": 1 }).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            found.extend(cursor.deserialize_current()?.get_str("_id").ok().map(SessionId::from_stored));
        }
        Ok(found)
    }

    async fn merge(&self, from: &SessionId, quiet: QuietTime) -> Result<MergeStep> {
        loop {
            match self.merge_step(from, quiet).await {
                Ok(MergeStep::Closed | MergeStep::Copied) => {}
                Ok(step @ (MergeStep::Finished | MergeStep::Nothing)) => return Ok(step),
                Ok(MergeStep::Waits) => {
                    self.put_off(from).await?;
                    return Ok(MergeStep::Waits);
                }
                Err(error) => {
                    if error.is_permanent() {
                        self.put_off(from).await?;
                    }
                    return Err(error);
                }
            }
        }
    }
}

impl MongoStore {
    /// Makes the next step of a merge.
    ///
    /// # Errors
    /// [`StoreError`]; after `Unavailable` the step may be made.
    pub async fn merge_step(&self, from: &SessionId, quiet: QuietTime) -> Result<MergeStep> {
        let Some(source) = self.link(from).await? else { return Ok(MergeStep::Nothing) };
        let Some(wish) = &source.wish else { return Ok(MergeStep::Nothing) };
        match &source.merged_into {
            None => self.close_for_merge(from, wish).await,
            Some(target) => self.hand_on(from, wish, target, quiet).await,
        }
    }

    /// Where a conversation went on; itself, if it did not.
    async fn end_of(&self, session: &SessionId) -> Result<SessionId> {
        let links = self.chain(session, Link::tombstone).await?;
        let last = links.and_then(|mut links| links.pop()).map(|last| last.session);
        Ok(last.unwrap_or_else(|| session.clone()))
    }

    /// The conversation that goes on: its first message may be on its way.
    async fn begun(&self, request: &MergeRequest<'_>, session: &SessionId) -> Result<Document> {
        let begin = doc! { "$setOnInsert": {
            "business_id": request.business_id.0.as_str(),
            "subdomain": request.subdomain.map(Subdomain::expose),
            "customer": { "user_id": request.user_id.expose() },
            "attempts": 0,
        } };
        let conversations = self.conversations();
        loop {
            let beginning = conversations
                .find_one_and_update(doc! { "_id": session.expose() }, begin.clone())
                .upsert(true)
                .return_document(ReturnDocument::After)
                .projection(doc! { "business_id": 1, "customer": 1, "forgotten_at": 1 });
            match beginning.await {
                Ok(Some(document)) => return Ok(document),
                Ok(None) => {
                    let problem = "beginning it returned no document".to_owned();
                    return Err(StoreError::Corrupt { what: "conversation", problem });
                }
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn record_wish(
        &self,
        request: &MergeRequest<'_>,
        from: &SessionId,
        into: &SessionId,
    ) -> Result<MergeRequested> {
        let filter = doc! {
            "_id": from.expose(),
            "merged_into": { "$exists": false },
            "business_id": { "$in": [request.business_id.0.as_str(), Bson::Null] },
            "customer.user_id": { "$in": [request.user_id.expose(), Bson::Null] },
        };
        let wish = doc! {
            "into": literal(into.expose()),
            "request": uuid::Uuid::new_v4().simple().to_string(),
            "requested_at": "$$NOW",
            "try_at": "$$NOW",
        };
        let update = vec![doc! { "$set": {
            "business_id": literal(request.business_id.0.as_str()),
            "subdomain": { "$ifNull": ["$subdomain", literal(request.subdomain.map(Subdomain::expose))] },
            // Should the number go to somebody else before the merge is done, there is still whom to answer.
            "customer.user_id": literal(request.user_id.expose()),
            "merge": { "$ifNull": ["$merge", wish] },
        } }];
        // Its first message may be on its way too. Where the guard refuses, the upsert meets the document.
        match self.conversations().update_one(filter, update).upsert(true).await {
            Ok(_) => return Ok(MergeRequested::Recorded),
            Err(error) if is_duplicate_key(&error) => {}
            Err(error) => return Err(error.into()),
        }
        let link = self.link(from).await?;
        Ok(match link {
            Some(link) if link.is_forgotten => MergeRequested::Forgotten,
            Some(link) if link.merged_into.is_some() => MergeRequested::Recorded,
            Some(_) | None => MergeRequested::OtherCustomer,
        })
    }

    async fn close_for_merge(&self, from: &SessionId, wish: &Wish) -> Result<MergeStep> {
        let onwards = self.chain(&wish.into, Link::pointer).await?;
        let Some(onwards) = onwards.filter(|links| links.iter().all(|link| link.session != *from)) else {
            return self.withdraw(from, wish).await;
        };
        match onwards.last() {
            Some(last) if last.is_forgotten => return self.forget_along(from).await,
            // What is closed now would have to wait for it.
            Some(last) if last.is_busy => return Ok(MergeStep::Waits),
            Some(_) => {}
            None => return self.withdraw(from, wish).await,
        }
        // What cannot be read is mended where it is.
        self.state(from).await?;
        let filter = doc! {
            "_id": from.expose(),
            "merge.request": wish.request.as_str(),
            "merged_into": { "$exists": false },
            "outbox": { "$exists": false },
            "$expr": { "$not": [is_held()] },
        };
        let update = vec![doc! { "$set": {
            "merged_into": "$merge.into",
            // Whoever had it in hand writes nothing more; that was a try.
            "epoch": { "$add": [{ "$ifNull": ["$epoch", 0_i64] }, 1_i64] },
            "attempts": { "$max": ["$attempts", { "$cond": [{ "$eq": [{ "$type": "$lease" }, "object"] }, 1, 0] }] },
            "lease": "$$REMOVE",
            "due_at": "$$REMOVE",
            "retry_at": "$$REMOVE",
            "waits_for": "$$REMOVE",
        } }];
        let closed = self.conversations().update_one(filter, update).await?.matched_count == 1;
        Ok(if closed { MergeStep::Closed } else { MergeStep::Waits })
    }

    /// Wishes that meet, or lead nowhere, are not granted.
    async fn withdraw(&self, from: &SessionId, wish: &Wish) -> Result<MergeStep> {
        tracing::warn!(session = %from, into = %wish.into, "a merge would lead in a circle, or nowhere: left undone");
        let filter = doc! {
            "_id": from.expose(),
            "merge.request": wish.request.as_str(),
            "merged_into": { "$exists": false },
        };
        self.conversations().update_one(filter, doc! { "$unset": { "merge": "" } }).await?;
        Ok(MergeStep::Finished)
    }

    /// The customer asked to be forgotten while a conversation of theirs was on its way.
    async fn forget_along(&self, from: &SessionId) -> Result<MergeStep> {
        self.forget(from).await?;
        Ok(MergeStep::Finished)
    }

    /// From a tombstone: copies, unless that is done; then the rest.
    async fn hand_on(&self, from: &SessionId, wish: &Wish, target: &SessionId, quiet: QuietTime) -> Result<MergeStep> {
        let onwards = self.chain(target, Link::tombstone).await?.unwrap_or_default();
        // What one of them took in may have gone on from there.
        let holders = onwards.iter().skip_while(|link| !link.has_taken_in(from));
        if let Some(holder) = holders.take_while(|link| link.has_taken_in(from)).last() {
            self.finish_merge(from, wish, &holder.session).await?;
            return Ok(MergeStep::Finished);
        }
        let last = onwards.last().ok_or_else(target_is_missing)?;
        if last.is_forgotten {
            return self.forget_along(from).await;
        }
        if last.merged_into.is_some() {
            return Err(target_is_missing());
        }
        if last.is_busy {
            return Ok(MergeStep::Waits);
        }
        self.copy(from, wish, last, quiet).await
    }

    async fn copy(&self, from: &SessionId, wish: &Wish, into: &Link, quiet: QuietTime) -> Result<MergeStep> {
        let tombstone = doc! { "_id": from.expose(), "merge.request": wish.request.as_str() };
        let Some(source) = self.conversations().find_one(tombstone).await? else { return Ok(MergeStep::Nothing) };
        document::read(source.clone())?;
        let filter = doc! {
            "_id": into.session.expose(),
            // Nor was its customer forgotten, whose texts we have in hand.
            "merged_into": { "$exists": false },
            "merged_from": { "$ne": from.expose() },
            "outbox": { "$exists": false },
            "$expr": { "$not": [is_held()] },
        };
        let update = copy::pipeline(from, source, quiet);
        let copied = self.conversations().update_one(filter, update).await?.matched_count == 1;
        Ok(if copied { MergeStep::Copied } else { MergeStep::Waits })
    }

    /// Everything that names the tombstone names the holder of its content; then nothing is left of it but the pointer.
    async fn finish_merge(&self, from: &SessionId, wish: &Wish, holder: &SessionId) -> Result<()> {
        self.repoint_aliases(from, holder).await?;
        for collection in ["messages", "dead_letters"] {
            let moved = doc! { "$set": { "conversation": holder.expose() } };
            let theirs = doc! { "conversation": from.expose() };
            self.db.collection::<Document>(collection).update_many(theirs, moved).await?;
        }
        // So that tombstones never make a long way. One whose content is not copied yet has to find its own.
        let older = doc! { "merged_into": from.expose(), "merge": { "$exists": false } };
        let shorter = doc! { "$set": { "merged_into": holder.expose() } };
        self.conversations().update_many(older, shorter).await?;
        let filter = doc! { "_id": from.expose(), "merge.request": wish.request.as_str() };
        let bare = doc! {
            "_id": "$_id",
            "business_id": "$business_id",
            "subdomain": "$subdomain",
            "epoch": "$epoch",
            "merged_into": literal(holder.expose()),
            "merged_from": keep("merged_from"),
            "merged_at": "$$NOW",
        };
        let emptied = self.conversations().update_one(filter, vec![doc! { "$replaceWith": bare }]).await?;
        if emptied.matched_count == 1 {
            tracing::info!(session = %from, into = %holder, "two conversations of one customer are one");
            metrics::counter!("switchboard_merges_total").increment(1);
        }
        Ok(())
    }

    /// Not to be tried again at once.
    async fn put_off(&self, from: &SessionId) -> Result<()> {
        let age = doc! { "$subtract": ["$$NOW", "$merge.requested_at"] };
        let wait = doc! { "$max": [RETRY_FIRST_MS, { "$min": [RETRY_MOST_MS, { "$divide": [age, 8] }] }] };
        let filter = doc! { "_id": from.expose(), "merge": { "$exists": true } };
        let update = vec![doc! { "$set": { "merge.try_at": { "$add": ["$$NOW", wait] } } }];
        self.conversations().update_one(filter, update).await?;
        Ok(())
    }
}

fn target_is_missing() -> StoreError {
    StoreError::Corrupt { what: "merge", problem: "the conversation that should go on is not there".to_owned() }
}
