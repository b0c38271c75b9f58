//! `worker business list|show|import|export`.

use std::{
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, bail};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::dead_letter;
use crate::{
    business::{CheckedBusiness, CompanionSettings, Finding, Origin, TokenCipher, check_documents, seal_document},
    desk::{expires, served, token_state},
    store::{BusinessRecord, Store},
};

/// Characters of a token that are shown, so that two can be told apart.
const PREFIX: usize = 6;

/// Prints every business that has WhatsApp.
///
/// # Errors
/// MongoDB is not reachable.
pub(super) async fn list(store: &dyn Store, cipher: &TokenCipher) -> anyhow::Result<()> {
    let businesses = store.businesses().await?;
    if businesses.is_empty() {
        say(
            "No business has WhatsApp. The back end writes them into the collection `businesses`; `worker business import FILE` does too.",
        );
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "SUBDOMAIN",
        "NAME",
        "NUMBER IDS",
        "SERVED",
        "TOKEN",
        "EXPIRES",
    ]);
    for business in &businesses {
        table.add_row([
            or_dash(business.subdomain.as_deref()),
            or_dash(business.name.as_deref()),
            or_dash(Some(&business.phone_number_ids.join(", "))),
            served(business).to_owned(),
            token(business, cipher).0,
            expires(business),
        ]);
    }
    say(&table.to_string());
    Ok(())
}

/// Prints what is known of one business; fails where it cannot be served.
///
/// # Errors
/// MongoDB is not reachable, or there is no such business.
pub(super) async fn show(store: &dyn Store, cipher: &TokenCipher, subdomain: &str) -> anyhow::Result<()> {
    let businesses = store.businesses_with_subdomain(subdomain).await?;
    if businesses.is_empty() {
        bail!("no business has the subdomain `{subdomain}`; `worker business list` shows those that there are");
    }
    for business in &businesses {
        let (state, prefix) = token(business, cipher);
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        let rows = [
            ("Name", or_dash(business.name.as_deref())),
            ("Subdomain", or_dash(business.subdomain.as_deref())),
            ("Id", business.id.clone()),
            ("WABA", or_dash(business.waba_id.as_deref())),
            ("Number ids", or_dash(Some(&business.phone_number_ids.join("\n")))),
            ("Enabled", format!("whatsappEnabled {}, isActive {}", business.whatsapp_enabled, business.is_active)),
            ("Served", served(business).to_owned()),
            ("Access token", prefix.map_or(state.clone(), |prefix| format!("{state}, {prefix}"))),
            ("Expires", expires(business)),
            ("Refresh token", if business.refresh_token.is_some() { "present" } else { "none" }.to_owned()),
            ("Companion", companion(business)),
        ];
        for (name, value) in rows {
            table.add_row([name.to_owned(), value]);
        }
        say(&table.to_string());
    }
    if businesses.len() > 1 {
        bail!("{} businesses have this subdomain; it must be one", businesses.len());
    }
    Ok(())
}

/// Adds or changes businesses from a file: one JSON object or an array of them, with the back end's field names.
/// Tokens and other secrets that are not encrypted yet are encrypted.
///
/// # Errors
/// The file cannot be read, an entry has an error (all are named), or MongoDB is not reachable.
pub(super) async fn import(store: &dyn Store, cipher: &TokenCipher, path: &Path) -> anyhow::Result<()> {
    let mut entries = entries(path)?;
    let checked = check_documents(&entries, Origin::File, Some(cipher));
    let findings = || {
        let numbered = checked.iter().enumerate();
        numbered.flat_map(|(at, business)| business.findings.iter().map(move |finding| (at + 1, business, finding)))
    };
    let line = |(number, business, finding): (usize, &CheckedBusiness, &Finding)| {
        format!("entry {number} ({}): {finding}", business.subdomain)
    };
    // All are checked and encrypted before the first is written.
    let errors: Vec<_> = findings().filter(|(_, _, finding)| finding.is_error()).map(line).collect();
    if !errors.is_empty() {
        bail!("nothing was imported from {}:\n{}", path.display(), errors.join("\n"));
    }
    let taken = numbers_taken(store, &entries).await?;
    if !taken.is_empty() {
        bail!("nothing was imported from {}:\n{}", path.display(), taken.join("\n"));
    }
    for entry in &mut entries {
        seal_document(entry, cipher)?;
    }
    for warning in findings().map(line) {
        say(&format!("warning: {warning}"));
    }
    for (entry, business) in entries.iter().zip(&checked) {
        let Value::Object(fields) = entry else { bail!("an entry is not a JSON object") };
        let added = store.put_business(&business.subdomain, fields).await?;
        say(&format!("{} {}", if added { "added" } else { "changed" }, business.subdomain));
    }
    Ok(())
}

/// What would be wrong with the numbers of these entries beside the businesses that are stored: of two that claim a number
/// neither is served.
async fn numbers_taken(store: &dyn Store, entries: &[Value]) -> anyhow::Result<Vec<String>> {
    let stored = store.business_documents(None).await?;
    let subdomain = |document: &Value| document.get("subDomain").and_then(Value::as_str).map(str::to_owned);
    let known = check_documents(&stored, Origin::Database, None);
    let mut together = stored;
    let mut places = Vec::new();
    for entry in entries {
        let place = together.iter().position(|document| subdomain(document) == subdomain(entry)).unwrap_or_else(|| {
            together.push(Value::Object(Map::new()));
            together.len() - 1
        });
        if let (Some(Value::Object(document)), Value::Object(fields)) = (together.get_mut(place), entry) {
            document.extend(fields.clone());
        }
        places.push(place);
    }
    let checked = check_documents(&together, Origin::Database, None);
    let mut taken = Vec::new();
    for (number, place) in places.into_iter().enumerate() {
        let (Some(after), before) = (checked.get(place), known.get(place)) else { continue };
        let is_new = |finding: &&Finding| before.is_none_or(|before| !before.findings.contains(finding));
        let of_numbers = |finding: &&Finding| finding.is_error() && finding.field.starts_with("whatsappPhoneNumberIds");
        let found = after.findings.iter().filter(of_numbers).filter(is_new);
        taken.extend(found.map(|finding| format!("entry {} ({}): {finding}", number + 1, after.subdomain)));
    }
    Ok(taken)
}

/// The documents of a file: one JSON object, an array of them, or one object a line, as `mongoexport` writes.
///
/// # Errors
/// It cannot be read, or is not JSON.
pub(super) fn entries(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let values: Vec<Value> =
        values.collect::<Result<_, _>>().with_context(|| format!("{} is not JSON", path.display()))?;
    let flat = values.into_iter().flat_map(|value| match value {
        Value::Array(entries) => entries,
        value @ (Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => vec![value],
    });
    Ok(flat.collect())
}

/// Writes the documents of all businesses that have WhatsApp, as they are stored.
///
/// # Errors
/// The file is there already or cannot be written, or the database does not answer.
pub(super) async fn export(store: &dyn Store, path: &Path) -> anyhow::Result<()> {
    let documents = store.business_documents(None).await?;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("create {}, which must not be there yet", path.display()))?;
    let write = |file: &mut std::fs::File| -> std::io::Result<()> {
        serde_json::to_writer_pretty(&mut *file, &documents)?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write(&mut file).with_context(|| format!("write {}", path.display()))?;
    say(&format!("{} businesses are in {}; their tokens stay encrypted", documents.len(), path.display()));
    Ok(())
}

fn companion(business: &BusinessRecord) -> String {
    if business.companion.is_null() {
        return "defaults".to_owned();
    }
    match CompanionSettings::check(&business.companion).len() {
        0 => "configured".to_owned(),
        count => format!("configured, {count} to look at; see `worker business check`"),
    }
}

/// A word on the token, and its beginning where it decrypts.
fn token(business: &BusinessRecord, cipher: &TokenCipher) -> (String, Option<String>) {
    let stored = business.access_token.as_ref();
    let shown = stored.and_then(|stored| cipher.decrypt(stored).ok()).map(|token| prefix(&token));
    (token_state(business, Some(cipher)), shown)
}

/// The beginning of a token and its length.
pub(super) fn prefix(token: &SecretString) -> String {
    let text = token.expose_secret();
    // Half of a short one would be too much.
    let shown: String = text.chars().take(PREFIX.min(text.len() / 4)).collect();
    format!("{shown}… ({} characters)", text.chars().count())
}

pub(super) fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("–").to_owned()
}

/// The command line's own output. Who closes the pipe, like `head`, wants no more of it.
#[expect(clippy::print_stderr, reason = "nothing else can be written")]
pub(super) fn say(text: &str) {
    if let Err(error) = dead_letter::say(text)
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("warning: the output cannot be written: {error}");
    }
}
