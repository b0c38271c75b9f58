//! Businesses as the back end writes them. Its field names and types are not ours to change; we read leniently,
//! and write single fields only, so that what we do not know survives.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use shared::ids::PhoneNumberId;

use super::Result;
use crate::conversation::BusinessId;

/// A business's document, read without judging it.
#[derive(Clone)]
pub struct BusinessRecord {
    /// `_id`, as text.
    pub id: String,
    /// `name`.
    pub name: Option<String>,
    /// `subDomain`.
    pub subdomain: Option<String>,
    /// `wabaId`.
    pub waba_id: Option<String>,
    /// `whatsappPhoneNumberIds`.
    pub phone_number_ids: Vec<String>,
    /// `whatsappAccessToken`, encrypted.
    pub access_token: Option<SecretString>,
    /// `whatsappRefreshToken`, encrypted.
    pub refresh_token: Option<SecretString>,
    /// `whatsappTokenExpiresAt`.
    pub token_expires_at: Option<Timestamp>,
    /// `whatsappEnabled`.
    pub whatsapp_enabled: bool,
    /// `isActive`.
    pub is_active: bool,
    /// `companion`, as JSON.
    pub companion: serde_json::Value,
}

impl fmt::Debug for BusinessRecord {
    /// Without `companion`: it holds secrets, and nobody has seen to it that they are encrypted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusinessRecord")
            .field("id", &self.id)
            .field("subdomain", &self.subdomain)
            .field("waba_id", &self.waba_id)
            .field("phone_number_ids", &self.phone_number_ids)
            .field("access_token", &self.access_token)
            .field("token_expires_at", &self.token_expires_at)
            .field("whatsapp_enabled", &self.whatsapp_enabled)
            .field("is_active", &self.is_active)
            .finish_non_exhaustive()
    }
}

/// The businesses.
#[async_trait]
pub trait Businesses {
    /// Every business that claims this number, enabled or not.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn businesses_with_number(&self, number: &PhoneNumberId) -> Result<Vec<BusinessRecord>>;

    /// The business of that id.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn business(&self, id: &BusinessId) -> Result<Option<BusinessRecord>>;

    /// The businesses of a WhatsApp Business Account.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn businesses_of_account(&self, waba_id: &str) -> Result<Vec<BusinessRecord>>;

    /// The businesses of that subdomain: one, unless the back end is at fault.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn businesses_with_subdomain(&self, subdomain: &str) -> Result<Vec<BusinessRecord>>;

    /// Every business that has WhatsApp, by subdomain.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn businesses(&self) -> Result<Vec<BusinessRecord>>;

    /// The documents themselves, as JSON, of every business that has WhatsApp and of those with that subdomain, by
    /// subdomain. For who judges them: everybody else reads records.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn business_documents(&self, subdomain: Option<&str>) -> Result<Vec<serde_json::Value>>;

    /// Adds a business, or changes the given fields of the one with that subdomain. A name with dots in it is that of a
    /// field in objects which are there, and what stands beside it stays. True where it was added.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn put_business(&self, subdomain: &str, fields: &serde_json::Map<String, serde_json::Value>) -> Result<bool>;
}
