//! What Meta tells about accounts, and what nobody answers: kept as it came, for a while.
//!
//! An id that is here is known, also where what the event said is erased because its customer was forgotten.

use jiff::Timestamp;
use mongodb::bson::{DateTime, Document, doc};
use shared::ids::{PhoneNumberId, WabaId};

use super::{Result, Store, to_bson};

const KEPT_MS: i64 = 90 * 24 * 60 * 60 * 1_000;

/// Something that is recorded and not acted on any more.
#[derive(Debug, Clone, Copy)]
pub struct AccountEvent<'a> {
    /// The AMQP message id.
    pub id: &'a str,
    /// Meta's field, or `group_message` or `system`.
    pub field: &'a str,
    /// The business's number that it came to, where Meta named one.
    pub phone_number_id: Option<&'a PhoneNumberId>,
    /// The account, where Meta named one.
    pub waba_id: Option<&'a WabaId>,
    /// When it reached ingest.
    pub received_at: Timestamp,
    /// JSON text.
    pub payload: &'a str,
}

impl Store {
    /// Whether an event was kept before.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn has_event(&self, id: &str) -> Result<bool> {
        let events = self.db.collection::<Document>("account_events");
        Ok(events.find_one(doc! { "_id": id }).projection(doc! { "_id": 1 }).await?.is_some())
    }

    /// Keeps an event; the same one again changes nothing.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn record_event(&self, event: &AccountEvent<'_>) -> Result<()> {
        let kept = doc! {
            "field": event.field,
            "phone_number_id": event.phone_number_id.map(PhoneNumberId::expose),
            "waba_id": event.waba_id.map(WabaId::expose),
            "payload": event.payload,
            "received_at": to_bson(event.received_at),
            "recorded_at": DateTime::now(),
            "expire_at": DateTime::from_millis(DateTime::now().timestamp_millis().saturating_add(KEPT_MS)),
        };
        let events = self.db.collection::<Document>("account_events");
        events.update_one(doc! { "_id": event.id }, doc! { "$setOnInsert": kept }).upsert(true).await?;
        Ok(())
    }
}
