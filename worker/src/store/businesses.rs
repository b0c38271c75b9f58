//! Businesses as the back end writes them. Its field names and types are not ours to change; we read leniently,
//! and write single fields only, so that what we do not know survives.

use std::fmt;

use jiff::Timestamp;
use mongodb::bson::{Bson, Document, deserialize_from_bson, doc, oid::ObjectId, serialize_to_bson};
use secrecy::SecretString;
use shared::ids::PhoneNumberId;

use super::{Result, Store, from_bson, to_bson};
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
    /// Whether there is a `whatsappRefreshToken`.
    pub has_refresh_token: bool,
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

impl Store {
    /// Every business that claims this number, enabled or not.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn businesses_with_number(&self, number: &PhoneNumberId) -> Result<Vec<BusinessRecord>> {
        // An id of digits may have been stored as a number.
        let mut forms = vec![Bson::from(number.expose())];
        forms.extend(number.expose().parse::<i64>().ok().map(Bson::Int64));
        self.find_businesses(doc! { "whatsappPhoneNumberIds": { "$in": forms } }).await
    }

    /// The business of that id.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn business(&self, id: &BusinessId) -> Result<Option<BusinessRecord>> {
        // The back end's ids are ObjectIds; other installations may have texts.
        let mut forms = vec![Bson::from(id.0.as_str())];
        forms.extend(ObjectId::parse_str(&id.0).ok().map(Bson::ObjectId));
        Ok(self.find_businesses(doc! { "_id": { "$in": forms } }).await?.pop())
    }

    /// The businesses of a WhatsApp Business Account.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn businesses_of_account(&self, waba_id: &str) -> Result<Vec<BusinessRecord>> {
        self.find_businesses(doc! { "wabaId": waba_id }).await
    }

    /// The businesses of that subdomain: one, unless the back end is at fault.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn businesses_with_subdomain(&self, subdomain: &str) -> Result<Vec<BusinessRecord>> {
        self.find_businesses(doc! { "subDomain": subdomain }).await
    }

    /// Every business that has WhatsApp, by subdomain.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn businesses(&self) -> Result<Vec<BusinessRecord>> {
        self.find_businesses(doc! { "$or": have_whatsapp().to_vec() }).await
    }

    /// The documents themselves, as JSON, of every business that has WhatsApp and of those with that subdomain, by
    /// subdomain. For who judges them: everybody else reads records.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn business_documents(&self, subdomain: Option<&str>) -> Result<Vec<serde_json::Value>> {
        let named = subdomain.map(|subdomain| doc! { "subDomain": subdomain });
        let any: Vec<_> = have_whatsapp().into_iter().chain(named).collect();
        let businesses = self.db.collection::<Document>("businesses");
        let mut cursor = businesses.find(doc! { "$or": any }).sort(doc! { "subDomain": 1, "_id": 1 }).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            let document = Bson::Document(cursor.deserialize_current()?);
            found.push(
                deserialize_from_bson(document)
                    .map_err(|error| super::StoreError::Corrupt { what: "business", problem: error.to_string() })?,
            );
        }
        Ok(found)
    }

    async fn find_businesses(&self, filter: Document) -> Result<Vec<BusinessRecord>> {
        let businesses = self.db.collection::<Document>("businesses");
        let mut cursor = businesses.find(filter).sort(doc! { "subDomain": 1, "_id": 1 }).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            found.push(read(&cursor.deserialize_current()?));
        }
        Ok(found)
    }

    /// Adds a business, or changes the given fields of the one with that subdomain. True where it was added.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn put_business(
        &self,
        subdomain: &str,
        fields: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<bool> {
        let mut set = Document::new();
        for (name, value) in fields.iter().filter(|(name, _)| *name != "_id" && *name != "subDomain") {
            let value = match (name.as_str(), value.as_str().and_then(|text| text.parse::<Timestamp>().ok())) {
                ("whatsappTokenExpiresAt", Some(time)) => Bson::DateTime(to_bson(time)),
                _ => serialize_to_bson(value).map_err(|error| super::StoreError::Corrupt {
                    what: "business",
                    problem: format!("{name}: {error}"),
                })?,
            };
            set.insert(name, value);
        }
        let businesses = self.db.collection::<Document>("businesses");
        let update = doc! { "$set": set, "$setOnInsert": { "_id": ObjectId::new() } };
        let updated = businesses.update_one(doc! { "subDomain": subdomain }, update).upsert(true).await?;
        Ok(updated.upserted_id.is_some())
    }
}

fn have_whatsapp() -> [Document; 3] {
    [
        doc! { "whatsappPhoneNumberIds.0": { "$exists": true } },
        doc! { "whatsappEnabled": true },
        doc! { "whatsappAccessToken": { "$exists": true } },
    ]
}

fn read(document: &Document) -> BusinessRecord {
    let text = |name: &str| document.get(name).and_then(text_of).filter(|text| !text.trim().is_empty());
    let numbers = document.get_array("whatsappPhoneNumberIds").into_iter().flatten();
    BusinessRecord {
        id: document.get("_id").and_then(text_of).unwrap_or_default(),
        name: text("name"),
        subdomain: text("subDomain"),
        waba_id: text("wabaId"),
        phone_number_ids: numbers.filter_map(text_of).collect(),
        access_token: text("whatsappAccessToken").map(SecretString::from),
        has_refresh_token: text("whatsappRefreshToken").is_some(),
        token_expires_at: match document.get("whatsappTokenExpiresAt") {
            Some(Bson::DateTime(time)) => Some(from_bson(*time)),
            Some(Bson::String(text)) => text.parse().ok(),
            _ => None,
        },
        whatsapp_enabled: document.get_bool("whatsappEnabled").unwrap_or(false),
        is_active: document.get_bool("isActive").unwrap_or(false),
        companion: document
            .get("companion")
            .map_or(serde_json::Value::Null, |companion| deserialize_from_bson(companion.clone()).unwrap_or_default()),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "BSON's types are a foreign enum; any other holds no text")]
fn text_of(value: &Bson) -> Option<String> {
    match value {
        Bson::String(text) => Some(text.trim().to_owned()),
        Bson::ObjectId(id) => Some(id.to_hex()),
        Bson::Int32(number) => Some(number.to_string()),
        Bson::Int64(number) => Some(number.to_string()),
        // JavaScript writes whole numbers above 2^31 as doubles.
        Bson::Double(number) if number.fract() == 0.0 => Some(format!("{number:.0}")),
        _ => None,
    }
}
