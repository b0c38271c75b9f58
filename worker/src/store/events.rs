//! What Meta tells about accounts, and what nobody answers: kept as it came, for a while.

use mongodb::bson::{DateTime, Document, doc};

use super::{Result, Store};

const KEPT_MS: i64 = 90 * 24 * 60 * 60 * 1_000;

impl Store {
    /// Whether an event was kept before.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn has_event(&self, id: &str) -> Result<bool> {
        let events = self.db.collection::<Document>("account_events");
        Ok(events.find_one(doc! { "_id": id }).projection(doc! { "_id": 1 }).await?.is_some())
    }

    /// Keeps an event; the same one again changes nothing. `payload` is JSON text.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn record_event(&self, id: &str, field: &str, waba_id: Option<&str>, payload: &str) -> Result<()> {
        let event = doc! {
            "field": field,
            "waba_id": waba_id,
            "payload": payload,
            "recorded_at": DateTime::now(),
            "expire_at": DateTime::from_millis(DateTime::now().timestamp_millis().saturating_add(KEPT_MS)),
        };
        let events = self.db.collection::<Document>("account_events");
        events.update_one(doc! { "_id": id }, doc! { "$setOnInsert": event }).upsert(true).await?;
        Ok(())
    }
}
