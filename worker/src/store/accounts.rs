//! What Meta lets accounts do: one standing an account, in which each cause only ever goes forward in time.

use async_trait::async_trait;
use jiff::Timestamp;
use shared::ids::WabaId;

use super::Result;
use crate::account::{AccountStanding, StandingChange};

/// An event of an account as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEvent {
    /// Meta's field.
    pub field: String,
    /// When it reached ingest.
    pub received_at: Timestamp,
    /// JSON text; none where it named a customer who was forgotten.
    pub payload: Option<String>,
}

/// The standing of accounts.
#[async_trait]
pub trait Accounts {
    /// Takes changes into an account's standing, all of them at once. One that is older than what is known of its cause
    /// changes nothing.
    ///
    /// # Errors
    /// [`super::StoreError`]; after `Unavailable` it may have happened, and may be repeated.
    async fn change_standing(&self, waba_id: &WabaId, changes: &[StandingChange]) -> Result<()>;

    /// What is known of an account; none where nothing was ever said of it.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn standing(&self, waba_id: &WabaId) -> Result<Option<AccountStanding>>;

    /// What is known of all accounts, by id.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn standings(&self) -> Result<Vec<AccountStanding>>;

    /// The last events of an account in these fields, the newest first.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn last_events(&self, waba_id: &str, fields: &[&str], most: u32) -> Result<Vec<KeptEvent>>;
}
