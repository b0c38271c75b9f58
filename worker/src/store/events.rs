//! What Meta tells about accounts, and what nobody answers: kept as it came, for a while.
//!
//! An id that is here is known, also where what the event said is erased because its customer was forgotten.

use async_trait::async_trait;
use jiff::Timestamp;
use shared::ids::{PhoneNumberId, WabaId};

use super::Result;

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

/// Account events. Recording one twice changes nothing.
#[async_trait]
pub trait Events {
    /// Whether an event was kept before.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn has_event(&self, id: &str) -> Result<bool>;

    /// Keeps an event; the same one again changes nothing.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn record_event(&self, event: &AccountEvent<'_>) -> Result<()>;
}
