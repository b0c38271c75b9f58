//! What people change about a conversation: those of the business who take it over, and the customer whose id changes.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::{Document, doc};
use shared::ids::{SessionId, Subdomain, WaId};

use super::{
    super::{
        MongoStore, is_duplicate_key, millis,
        pipeline::{array, is_held, keep},
    },
    MEMORY_TURNS,
    chain::Link,
    landing::customer_document,
    turn_document, with_time,
};
use crate::{
    conversation::{Beginning, CustomerIdChange, MemoryTurn, Speaker},
    store::{People, Result},
};

#[async_trait]
impl People for MongoStore {
    async fn begin(&self, beginning: &Beginning<'_>) -> Result<()> {
        let on_insert = doc! {
            "business_id": beginning.business_id.0.as_str(),
            "subdomain": beginning.subdomain.map(Subdomain::expose),
            "attempts": 0,
            "customer": customer_document(beginning.customer),
        };
        let filter = doc! { "_id": beginning.session.expose() };
        match self.conversations().update_one(filter, doc! { "$setOnInsert": on_insert }).upsert(true).await {
            Ok(_) => Ok(()),
            // Somebody else begins it, too.
            Err(error) if is_duplicate_key(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn hand_over(&self, session: &SessionId, length: Duration, said: Option<&str>) -> Result<bool> {
        let line = said.map(|text| turn_document(&MemoryTurn { speaker: Speaker::Person, text: text.to_owned() }));
        let turns = with_time(line.into_iter().collect());
        let update = vec![doc! { "$set": {
            "handed_over_until": { "$max": ["$handed_over_until", { "$add": ["$$NOW", millis(length)] }] },
            "memory.turns": { "$slice": [{ "$concatArrays": [array("memory.turns"), turns] }, -MEMORY_TURNS] },
        } }];
        self.change_open(session, &update).await
    }

    async fn resume(&self, session: &SessionId) -> Result<bool> {
        let is_next = doc! { "$and": [{ "$gt": [{ "$size": array("mailbox") }, 0] }, { "$not": [is_held()] }] };
        let unless_next = |field: &str| doc! { "$cond": [is_next.clone(), "$$REMOVE", keep(field)] };
        let update = vec![doc! { "$set": {
            "handed_over_until": "$$REMOVE",
            "due_at": { "$cond": [is_next.clone(), "$$NOW", keep("due_at")] },
            "retry_at": unless_next("retry_at"),
            "waits_for": unless_next("waits_for"),
        } }];
        self.change_open(session, &update).await
    }

    async fn replace_customer_id(&self, session: &SessionId, change: &CustomerIdChange) -> Result<()> {
        let (field, old, new) = match change {
            CustomerIdChange::Phone { old, new } => ("customer.wa_id", old.expose(), new.as_ref().map(WaId::expose)),
            CustomerIdChange::User { old, new } => ("customer.user_id", old.expose(), Some(new.expose())),
        };
        let chain = self.chain(session, Link::pointer).await?.unwrap_or_default();
        let sessions = chain.iter().map(|link| &link.session).chain([session]).map(SessionId::expose);
        let mut filter = doc! { "_id": { "$in": sessions.collect::<Vec<_>>() } };
        filter.insert(field, old);
        let update = match new {
            Some(new) => doc! { "$set": { field: new } },
            None => {
                filter.insert("customer.user_id", doc! { "$exists": true });
                doc! { "$unset": { field: "" } }
            }
        };
        self.conversations().update_many(filter, update).await?;
        Ok(())
    }
}

impl MongoStore {
    /// Changes a conversation, or the one in which it went on. False: there is none.
    async fn change_open(&self, session: &SessionId, update: &[Document]) -> Result<bool> {
        let mut session = session.clone();
        loop {
            // A tombstone remembers nothing: what it held is copied, or is about to be.
            let filter = doc! { "_id": session.expose(), "merged_into": { "$exists": false } };
            if self.conversations().update_one(filter, update.to_vec()).await?.matched_count == 1 {
                return Ok(true);
            }
            let Some(last) = self.chain(&session, Link::tombstone).await?.and_then(|mut links| links.pop()) else {
                return Ok(false);
            };
            if last.merged_into.is_some() {
                return Ok(false);
            }
            session = last.session;
        }
    }
}
