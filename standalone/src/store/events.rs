//! What Meta tells about accounts, and what nobody answers: kept as it came, for a while.

use async_trait::async_trait;
use serde_json::json;
use shared::ids::{PhoneNumberId, WabaId};
use worker::store::{AccountEvent, Events, Result};

use super::{
    SqliteStore,
    row::{Table, expiry, time},
};

#[async_trait]
impl Events for SqliteStore {
    async fn has_event(&self, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.database.read(move |connection, _| Table::AccountEvents.has(connection, &id)).await
    }

    async fn record_event(&self, event: &AccountEvent<'_>) -> Result<()> {
        let id = event.id.to_owned();
        let field = event.field.to_owned();
        let (number, waba_id) = (event.phone_number_id.cloned(), event.waba_id.cloned());
        let (payload, received_at) = (event.payload.to_owned(), event.received_at);
        self.database
            .write(move |connection, now| {
                if Table::AccountEvents.has(connection, &id)? {
                    return Ok(());
                }
                let kept = json!({
                    "_id": id,
                    "field": field,
                    "phone_number_id": number.as_ref().map(PhoneNumberId::expose),
                    "waba_id": waba_id.as_ref().map(WabaId::expose),
                    "payload": payload,
                    "received_at": time(received_at),
                    "recorded_at": time(now),
                    "expire_at": expiry(now),
                });
                Table::AccountEvents.put(connection, &id, &kept)
            })
            .await
    }
}
