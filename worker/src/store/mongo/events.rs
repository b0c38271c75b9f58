//! What Meta tells about accounts, and what nobody answers: kept as it came, for a while.
//!
//! An id that is here is known, also where what the event said is erased because its customer was forgotten.

use async_trait::async_trait;
use mongodb::bson::{DateTime, Document, doc};
use shared::ids::{PhoneNumberId, WabaId};

use super::{MongoStore, expiry, to_bson};
use crate::store::{AccountEvent, Events, Result};

#[async_trait]
impl Events for MongoStore {
    async fn has_event(&self, id: &str) -> Result<bool> {
        let events = self.db.collection::<Document>("account_events");
        Ok(events.find_one(doc! { "_id": id }).projection(doc! { "_id": 1 }).await?.is_some())
    }

    async fn record_event(&self, event: &AccountEvent<'_>) -> Result<()> {
        let kept = doc! {
            "field": event.field,
            "phone_number_id": event.phone_number_id.map(PhoneNumberId::expose),
            "waba_id": event.waba_id.map(WabaId::expose),
            "payload": event.payload,
            "received_at": to_bson(event.received_at),
            "recorded_at": DateTime::now(),
            "expire_at": expiry(DateTime::now()),
        };
        let events = self.db.collection::<Document>("account_events");
        events.update_one(doc! { "_id": event.id }, doc! { "$setOnInsert": kept }).upsert(true).await?;
        Ok(())
    }
}
