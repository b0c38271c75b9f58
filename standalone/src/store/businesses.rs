//! Businesses, as the back end writes them. What MongoDB has no JSON for, such as dates and object ids, is told in its
//! extended JSON.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use shared::ids::PhoneNumberId;
use worker::{
    conversation::BusinessId,
    store::{BusinessRecord, Businesses, Result},
};

use super::{
    SqliteStore,
    row::{Done, Row, Table},
};

const BUSINESSES: Table = Table::Businesses;
const IN_ORDER: &str = "ORDER BY subdomain, id";
const HAVE_WHATSAPP: &str = "(json_array_length(document, '$.whatsappPhoneNumberIds') > 0 \
     OR document ->> '$.whatsappEnabled' = 1 OR document -> '$.whatsappAccessToken' IS NOT NULL)";

#[async_trait]
impl Businesses for SqliteStore {
    async fn businesses_with_number(&self, number: &PhoneNumberId) -> Result<Vec<BusinessRecord>> {
        let number = number.expose().to_owned();
        let claimed = "EXISTS (SELECT 1 FROM json_each(document, '$.whatsappPhoneNumberIds') \
                       WHERE value = ?1 OR (typeof(value) <> 'text' AND value = CAST(?1 AS NUMERIC)))";
        self.find_businesses(format!("{claimed} {IN_ORDER}"), Some(number)).await
    }

    async fn business(&self, id: &BusinessId) -> Result<Option<BusinessRecord>> {
        let id = id.0.clone();
        let found = self.database.read(move |connection, _| BUSINESSES.get::<Row>(connection, &id)).await?;
        Ok(found.as_ref().map(read))
    }

    async fn businesses_of_account(&self, waba_id: &str) -> Result<Vec<BusinessRecord>> {
        // A double's text is not its digits.
        let double = "(typeof(document ->> '$.wabaId') = 'real' AND document ->> '$.wabaId' = CAST(?1 AS NUMERIC))";
        self.find_businesses(format!("(waba_id = ?1 OR {double}) {IN_ORDER}"), Some(waba_id.to_owned())).await
    }

    async fn businesses_with_subdomain(&self, subdomain: &str) -> Result<Vec<BusinessRecord>> {
        self.find_businesses(format!("subdomain = ?1 {IN_ORDER}"), Some(subdomain.to_owned())).await
    }

    async fn businesses(&self) -> Result<Vec<BusinessRecord>> {
        self.find_businesses(format!("{HAVE_WHATSAPP} {IN_ORDER}"), None).await
    }

    async fn business_documents(&self, subdomain: Option<&str>) -> Result<Vec<Value>> {
        let subdomain = subdomain.map(str::to_owned);
        self.database
            .read(move |connection, _| {
                let any = format!("{HAVE_WHATSAPP} OR subdomain = ?1 {IN_ORDER}");
                let found = BUSINESSES.find::<Value>(connection, &any, params![subdomain])?;
                Ok(found.into_iter().map(|(_, document)| document).collect())
            })
            .await
    }

    async fn put_business(&self, subdomain: &str, fields: &Map<String, Value>) -> Result<bool> {
        let (subdomain, fields) = (subdomain.to_owned(), fields.clone());
        self.database.write(move |connection, now| put(connection, &subdomain, fields, now)).await
    }
}

impl SqliteStore {
    /// Takes over a business with everything that stands in its document, its id included. The one that is here with that
    /// subdomain keeps its id, and what the other does not have. True where it was added.
    ///
    /// # Errors
    /// [`worker::store::StoreError`].
    pub async fn take_over_business(&self, subdomain: &str, document: Value) -> Result<bool> {
        let id = document.get("_id").and_then(text_of);
        let fields = document.as_object().cloned().unwrap_or_default();
        let subdomain = subdomain.to_owned();
        self.database
            .write(move |connection, now| {
                let is_new = BUSINESSES.ids(connection, "subdomain = ?1", params![subdomain])?.is_empty();
                match id.filter(|_| is_new) {
                    Some(id) => BUSINESSES.put(connection, &id, &fields).map(|()| true),
                    None => put(connection, &subdomain, fields, now),
                }
            })
            .await
    }

    async fn find_businesses(&self, condition: String, parameter: Option<String>) -> Result<Vec<BusinessRecord>> {
        let parameters: Vec<String> = parameter.into_iter().collect();
        self.database
            .read(move |connection, _| {
                let found =
                    BUSINESSES.find::<Row>(connection, &condition, rusqlite::params_from_iter(parameters.iter()))?;
                Ok(found.iter().map(|(_, document)| read(document)).collect())
            })
            .await
    }
}

/// Adds a business, or changes the given fields of the one with that subdomain.
fn put(connection: &Connection, subdomain: &str, fields: Map<String, Value>, now: Timestamp) -> Done<bool> {
    let first = BUSINESSES.find::<Row>(connection, "subdomain = ?1 ORDER BY id LIMIT 1", params![subdomain])?.pop();
    let is_new = first.is_none();
    let (id, mut document) = first.unwrap_or_else(|| {
        let id = new_id(now);
        let begun = json!({ "_id": { "$oid": id }, "subDomain": subdomain });
        (id, begun.as_object().cloned().unwrap_or_default())
    });
    for (name, value) in fields.into_iter().filter(|(name, _)| name != "_id" && name != "subDomain") {
        let time = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let value = match (name.as_str(), time) {
            ("whatsappTokenExpiresAt", Some(time)) => json!({ "$date": time.to_string() }),
            _ => value,
        };
        insert(&mut document, &name, value);
    }
    BUSINESSES.put(connection, &id, &document)?;
    Ok(is_new)
}

/// Sets a field by its path. An object on the way that is not there is begun.
fn insert(fields: &mut Row, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(fields.insert(path.to_owned(), value)),
        Some((first, rest)) => {
            let inner = fields.entry(first).or_insert_with(|| json!({}));
            if !inner.is_object() {
                *inner = json!({});
            }
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// An id such as the back end's: the second, and what nobody else has.
fn new_id(now: Timestamp) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{:08x}{}", now.as_second(), random.chars().take(16).collect::<String>())
}

pub(super) fn read(document: &Row) -> BusinessRecord {
    let text = |name: &str| document.get(name).and_then(text_of).filter(|text| !text.trim().is_empty());
    let flag = |name: &str| document.get(name).and_then(Value::as_bool).unwrap_or(false);
    let numbers = document.get("whatsappPhoneNumberIds").and_then(Value::as_array).into_iter().flatten();
    BusinessRecord {
        id: document.get("_id").and_then(text_of).unwrap_or_default(),
        name: text("name"),
        subdomain: text("subDomain"),
        waba_id: text("wabaId"),
        phone_number_ids: numbers.filter_map(text_of).collect(),
        access_token: text("whatsappAccessToken").map(SecretString::from),
        refresh_token: text("whatsappRefreshToken").map(SecretString::from),
        token_expires_at: document.get("whatsappTokenExpiresAt").and_then(time_of),
        whatsapp_enabled: flag("whatsappEnabled"),
        is_active: flag("isActive"),
        companion: document.get("companion").cloned().unwrap_or_default(),
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        // JavaScript writes whole numbers above 2^31 as doubles.
        Value::Number(number) => match number.as_f64() {
            Some(double) if number.is_f64() && double.fract() == 0.0 => Some(format!("{double:.0}")),
            _ if number.is_f64() => None,
            _ => Some(number.to_string()),
        },
        Value::Object(extended) => extended.get("$oid").and_then(Value::as_str).map(str::to_owned),
        Value::Null | Value::Bool(_) | Value::Array(_) => None,
    }
}

pub(super) fn time_of(value: &Value) -> Option<Timestamp> {
    match value.get("$date").unwrap_or(value) {
        Value::String(text) => text.parse().ok(),
        Value::Object(long) => {
            let millis = long.get("$numberLong")?.as_str()?.parse().ok()?;
            Timestamp::from_millisecond(millis).ok()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}
