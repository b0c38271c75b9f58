//! Businesses as the back end writes them. Its field names and types are not ours to change; we read leniently,
//! and write single fields only, so that what we do not know survives.

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::bson::{Bson, Document, deserialize_from_bson, doc, oid::ObjectId};
use secrecy::SecretString;
use shared::ids::PhoneNumberId;

use super::{MongoStore, from_bson, to_bson};
use crate::{
    conversation::BusinessId,
    store::{BusinessRecord, Businesses, Result},
};

#[async_trait]
impl Businesses for MongoStore {
    async fn businesses_with_number(&self, number: &PhoneNumberId) -> Result<Vec<BusinessRecord>> {
        self.find_businesses(doc! { "whatsappPhoneNumberIds": { "$in": forms_of(number.expose()) } }).await
    }

    async fn business(&self, id: &BusinessId) -> Result<Option<BusinessRecord>> {
        Ok(self.find_businesses(has_id(id)).await?.pop())
    }

    async fn businesses_of_account(&self, waba_id: &str) -> Result<Vec<BusinessRecord>> {
        self.find_businesses(doc! { "wabaId": { "$in": forms_of(waba_id) } }).await
    }

    async fn businesses_with_subdomain(&self, subdomain: &str) -> Result<Vec<BusinessRecord>> {
        self.find_businesses(doc! { "subDomain": subdomain }).await
    }

    async fn businesses(&self) -> Result<Vec<BusinessRecord>> {
        self.find_businesses(doc! { "$or": have_whatsapp().to_vec() }).await
    }

    async fn business_documents(&self, subdomain: Option<&str>) -> Result<Vec<serde_json::Value>> {
        let named = subdomain.map(|subdomain| doc! { "subDomain": subdomain });
        let any: Vec<_> = have_whatsapp().into_iter().chain(named).collect();
        let mut cursor = self.businesses().find(doc! { "$or": any }).sort(doc! { "subDomain": 1, "_id": 1 }).await?;
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

    async fn put_business(&self, subdomain: &str, fields: &serde_json::Map<String, serde_json::Value>) -> Result<bool> {
        let mut set = Document::new();
        for (name, value) in fields.iter().filter(|(name, _)| *name != "_id" && *name != "subDomain") {
            let value = match (name.as_str(), value.as_str().and_then(|text| text.parse::<Timestamp>().ok())) {
                ("whatsappTokenExpiresAt", Some(time)) => Bson::DateTime(to_bson(time)),
                // Dates and ids may come as another MongoDB wrote them, in extended JSON.
                _ => Bson::try_from(value.clone()).map_err(|error| super::StoreError::Corrupt {
                    what: "business",
                    problem: format!("{name}: {error}"),
                })?,
            };
            set.insert(name, value);
        }
        let update = doc! { "$set": set, "$setOnInsert": { "_id": ObjectId::new() } };
        let updated = self.businesses().update_one(doc! { "subDomain": subdomain }, update).upsert(true).await?;
        Ok(updated.upserted_id.is_some())
    }
}

impl MongoStore {
    async fn find_businesses(&self, filter: Document) -> Result<Vec<BusinessRecord>> {
        let mut cursor = self.businesses().find(filter).sort(doc! { "subDomain": 1, "_id": 1 }).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            found.push(read(&cursor.deserialize_current()?));
        }
        Ok(found)
    }
}

/// What may be stored for an id of Meta's: one of digits may have been stored as a number.
fn forms_of(id: &str) -> Vec<Bson> {
    let number = id.parse().ok().map(Bson::Int64);
    [Bson::from(id)].into_iter().chain(number).collect()
}

/// The back end's ids are ObjectIds; other installations may have texts or numbers.
pub(super) fn has_id(id: &BusinessId) -> Document {
    let mut forms = forms_of(&id.0);
    forms.extend(ObjectId::parse_str(&id.0).ok().map(Bson::ObjectId));
    doc! { "_id": { "$in": forms } }
}

fn have_whatsapp() -> [Document; 3] {
    [
        doc! { "whatsappPhoneNumberIds.0": { "$exists": true } },
        doc! { "whatsappEnabled": true },
        doc! { "whatsappAccessToken": { "$exists": true } },
    ]
}

pub(super) fn read(document: &Document) -> BusinessRecord {
    let text = |name: &str| document.get(name).and_then(text_of).filter(|text| !text.trim().is_empty());
    let numbers = document.get_array("whatsappPhoneNumberIds").into_iter().flatten();
    BusinessRecord {
        id: document.get("_id").and_then(text_of).unwrap_or_default(),
        name: text("name"),
        subdomain: text("subDomain"),
        waba_id: text("wabaId"),
        phone_number_ids: numbers.filter_map(text_of).collect(),
        access_token: text("whatsappAccessToken").map(SecretString::from),
        refresh_token: text("whatsappRefreshToken").map(SecretString::from),
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
