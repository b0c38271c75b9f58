//! A business's document as a whole, judged for the person who wrote it. Serving reads the same document leniently and
//! says nothing; this says what serving leaves out, and why a business would not be served.

mod claims;

use claims::Claims;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use shared::ids::{PhoneNumberId, Subdomain, WabaId};

use super::{
    CompanionSettings,
    field::{Field, Fields, nearest},
    finding::{Finding, Findings},
    token::{Secrets, TokenCipher, TokenError},
};
use crate::store::{SecretPlace, secrets_in};

const KNOWN: [&str; 10] = [
    "subDomain",
    "name",
    "wabaId",
    NUMBERS,
    TOKENS[0],
    TOKENS[1],
    "whatsappTokenExpiresAt",
    FLAGS[0],
    FLAGS[1],
    "companion",
];
const NUMBERS: &str = "whatsappPhoneNumberIds";
const TOKENS: [&str; 2] = ["whatsappAccessToken", "whatsappRefreshToken"];
const FLAGS: [&str; 2] = ["whatsappEnabled", "isActive"];
const WHERE_IDS_ARE: &str =
    "copy the phone number id from Meta's app dashboard (WhatsApp, API Setup), not the phone number";
const TOKEN_MOST: usize = 16_000;

/// Where a document comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From the database: it should be whole, and its secrets encrypted.
    Database,
    /// From a file for import: what it leaves out may be in the database, and its secrets may be plain.
    File,
}

/// A business and what is wrong with its document.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CheckedBusiness {
    /// Its `subDomain`; empty where it has none.
    pub(crate) subdomain: String,
    /// What is wrong; nothing, where it is fine.
    pub(crate) findings: Vec<Finding>,
}

/// Checks documents, each by itself and all against each other. Without a cipher, secrets are not looked into.
pub(crate) fn check_documents(
    documents: &[Value],
    origin: Origin,
    cipher: Option<&TokenCipher>,
) -> Vec<CheckedBusiness> {
    let secrets = match (cipher, origin) {
        (None, _) => Secrets::Sealed,
        (Some(cipher), Origin::Database) => Secrets::Stored(cipher),
        (Some(cipher), Origin::File) => Secrets::Given(cipher),
    };
    let claims = Claims::of(documents, origin);
    let checked = documents.iter().map(|document| {
        let findings = Findings::default();
        check(document, origin, secrets, &findings);
        claims.compare(document, &findings);
        CheckedBusiness { subdomain: subdomain_of(document), findings: findings.into_list() }
    });
    checked.collect()
}

/// Whether a field of a business's document is one that is read.
pub(crate) fn is_known_field(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// Encrypts the secrets of a document that are not encrypted yet.
///
/// # Errors
/// One looks encrypted and does not decrypt. [`check_documents`] says which.
pub(crate) fn seal_document(document: &mut Value, cipher: &TokenCipher) -> Result<(), TokenError> {
    for (place, given) in secrets_in(document) {
        let given = SecretString::from(given.expose_secret().trim());
        let stored = match place {
            SecretPlace::AccessToken | SecretPlace::RefreshToken => cipher.seal(&given)?,
            SecretPlace::NotifySecret | SecretPlace::ToolHeader(_) => cipher.seal_header(&given)?,
        };
        if let (Some(stored), Some(value)) = (stored, document.pointer_mut(&place.pointer())) {
            *value = Value::String(stored);
        }
    }
    Ok(())
}

fn check(document: &Value, origin: Origin, secrets: Secrets<'_>, findings: &Findings) {
    if !document.is_object() {
        return Field::root("document", document, findings).mistyped("an object");
    }
    let Some(fields) = Field::root("", document, findings).any_object() else { return };
    misspelt(&fields);
    subdomain(&fields);
    if let Some(name) = fields.get("name") {
        name.text(usize::MAX);
    }
    if let Some(field) = fields.get("wabaId")
        && id_text(field.value).is_none_or(|text| WabaId::parse(&text).is_err())
    {
        field.error("is no id of a WhatsApp Business Account; it has letters, digits, `_` and `-` only");
    }
    flags(&fields, origin);
    numbers(&fields, origin);
    tokens(&fields, origin, secrets);
    expiry(&fields);
    if let Some(companion) = fields.get("companion") {
        CompanionSettings::gather(&companion, secrets);
    }
}

/// The back end has fields of its own; only what is nearly one of ours, where that is missing, is worth a word.
fn misspelt(fields: &Fields<'_>) {
    for name in fields.names().filter(|name| !KNOWN.contains(name)) {
        if let Some(near) = nearest(name, KNOWN).filter(|near| fields.get(near).is_none()) {
            fields.at(name).warn(format!("is not read; did you mean `{near}`?"));
        }
    }
}

fn subdomain(fields: &Fields<'_>) {
    let Some(field) = fields.required("subDomain", "letters, digits, `.`, `_` and `-`") else { return };
    let text = field.value.as_str().map(str::to_owned).or_else(|| id_text(field.value));
    if text.is_none_or(|text| Subdomain::parse(&text).is_err()) {
        field.error("must be 1 to 128 letters, digits, `.`, `_` and `-`; it is part of the conversations' ids");
    }
}

fn flags(fields: &Fields<'_>, origin: Origin) {
    for name in FLAGS {
        match fields.get(name) {
            Some(field) if !field.value.is_boolean() => field.mistyped("`true` or `false`, without quotes"),
            None if origin == Origin::Database => {
                fields.at(name).warn("is missing, which counts as `false`: the business is not served");
            }
            Some(_) | None => {}
        }
    }
}

/// What is off may well be half written still.
fn is_on(fields: &Fields<'_>) -> bool {
    FLAGS.iter().all(|name| fields.get(name).is_some_and(|flag| *flag.value == Value::Bool(true)))
}

fn numbers(fields: &Fields<'_>, origin: Origin) {
    let Some(field) = fields.get(NUMBERS) else {
        if origin == Origin::Database && is_on(fields) {
            fields.at(NUMBERS).warn(format!("is missing: no message leads to this business; {WHERE_IDS_ARE}"));
        }
        return;
    };
    for item in field.items(usize::MAX) {
        match id_text(item.value) {
            None => item.mistyped("the id of a number, as a text"),
            // Messages are led to it by what stands there, to the letter.
            Some(text) if item.value.as_str().is_some_and(|stored| stored != text) => {
                item.error("has blanks around it: no message leads to it");
            }
            Some(text) if PhoneNumberId::parse(&text).is_err() => {
                item.error(format!(
                    "is no id of a number, which has letters, digits, `_` and `-` only; {WHERE_IDS_ARE}"
                ));
            }
            Some(text) if is_like_a_phone_number(&text) => {
                item.warn(format!("looks like a phone number, since ids mostly are longer; {WHERE_IDS_ARE}"));
            }
            Some(_) => {}
        }
    }
}

/// With its country code, which never begins with 0 (E.164), a phone number mostly has 10 to 13 digits.
fn is_like_a_phone_number(text: &str) -> bool {
    (10..=13).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn tokens(fields: &Fields<'_>, origin: Origin, secrets: Secrets<'_>) {
    for name in TOKENS {
        let Some(field) = fields.get(name) else { continue };
        let Some(token) = field.word(TOKEN_MOST).map(SecretString::from) else { continue };
        if let Some(problem) = secrets.token_problem(&token) {
            field.error(format!("cannot be used: {problem}"));
        }
    }
    let present = fields.get(TOKENS[0]).is_some_and(|field| field.value.as_str().is_none_or(|text| !text.is_empty()));
    if origin == Origin::Database && is_on(fields) && !present {
        fields.at(TOKENS[0]).error("is missing: nothing can be sent without it");
    }
}

fn expiry(fields: &Fields<'_>) {
    let Some(field) = fields.get("whatsappTokenExpiresAt") else { return };
    match instant(field.value) {
        None => field.error("is no time, so the token is never renewed; write such as `2027-01-20T00:00:00Z`"),
        Some(at) if at < Timestamp::now() => field.warn("has passed: Meta takes the token no more"),
        Some(_) => {}
    }
}

/// A time as text, or as MongoDB's extended JSON has it.
fn instant(value: &Value) -> Option<Timestamp> {
    let date = value.get("$date").unwrap_or(value);
    if let Some(millis) = date.get("$numberLong") {
        return Timestamp::from_millisecond(millis.as_str()?.parse().ok()?).ok();
    }
    date.as_str()?.parse().ok()
}

/// An id as text; one of digits may have been stored as a number.
fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0)?;
            Some(format!("{whole:.0}"))
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn subdomain_of(document: &Value) -> String {
    document.get("subDomain").and_then(id_text).unwrap_or_default()
}

#[cfg(test)]
mod tests;
