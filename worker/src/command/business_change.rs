//! `worker business enable|disable|set`: single fields of one business, checked before they are written. What stands
//! beside them stays, whoever wrote it.

use anyhow::{Context, anyhow, bail};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::{
    business::{prefix, say},
    business_add::lines,
    token::{from_stdin, text_from_stdin},
};
use crate::{
    business::{Finding, Origin, TokenCipher, check_documents, is_known_field, seal_document},
    store::{SecretPlace, Store, secrets_in},
};

const TOKENS: [&str; 2] = ["whatsappAccessToken", "whatsappRefreshToken"];
/// Characters of a value that are shown.
const SHOWN: usize = 60;
const FROM_STDIN: &str = "-";

/// A field of a document by its path, and what it is to be.
#[derive(Debug, Clone, PartialEq)]
struct Edit {
    path: String,
    value: Value,
}

/// Serves it from now on. `isActive` is the back end's word on the whole business: where it says no, that is overruled
/// only by who says so (`activate`).
///
/// # Errors
/// It could not be served, it is not active, there is no such business, or the database does not answer.
pub(super) async fn enable(
    store: &dyn Store,
    cipher: &TokenCipher,
    subdomain: &str,
    activate: bool,
) -> anyhow::Result<()> {
    let record = store.businesses_with_subdomain(subdomain).await?.pop();
    let documents = store.business_documents(Some(subdomain)).await?;
    let document = documents.iter().find(|document| is_of(document, subdomain));
    let says_no = document.and_then(|document| document.get("isActive")).is_some_and(|flag| !flag.is_null());
    let is_active = record.is_some_and(|record| record.is_active);
    if !is_active && says_no && !activate {
        bail!(
            "nothing was changed: isActive is off, so the back end has switched the whole business off; where that is a \
             mistake, `worker business enable {subdomain} --activate` turns it on, too"
        );
    }
    let mut edits = vec![flag("whatsappEnabled", true)];
    edits.extend((!is_active).then(|| flag("isActive", true)));
    change(store, cipher, subdomain, edits).await
}

/// Serves it no more: what its customers write is kept for a day, and answered if it is enabled by then.
///
/// # Errors
/// There is no such business, or the database does not answer.
pub(super) async fn disable(store: &dyn Store, cipher: &TokenCipher, subdomain: &str) -> anyhow::Result<()> {
    change(store, cipher, subdomain, vec![flag("whatsappEnabled", false)]).await?;
    say("Workers know it within a minute. What is written to it until it is enabled again becomes dead letters.");
    Ok(())
}

/// Changes one field.
///
/// # Errors
/// The field is not ours to change, the value brings an error into the document, or the database does not answer.
pub(super) async fn set(
    store: &dyn Store,
    cipher: &TokenCipher,
    subdomain: &str,
    field: &str,
    value: &str,
) -> anyhow::Result<()> {
    check_path(field)?;
    let edit = |value| Edit { path: field.to_owned(), value };
    // Secrets that come from standard input are encrypted; in an argument, which shows in the process list, the check
    // refuses them.
    let edit = match (value == FROM_STDIN, TOKENS.contains(&field)) {
        (true, true) => edit(json!(sealed(cipher, &from_stdin()?)?)),
        (true, false) => sealed_edit(edit(read_value(field, &text_from_stdin()?)), cipher)?,
        (false, _) => edit(read_value(field, value)),
    };
    change(store, cipher, subdomain, vec![edit]).await?;
    if field == TOKENS[0] && has_refresh_token(store, subdomain).await? {
        say("warning: a whatsappRefreshToken is stored too, and is what is exchanged when this token nears its end; \
             set it as well, or to null");
    }
    Ok(())
}

async fn has_refresh_token(store: &dyn Store, subdomain: &str) -> anyhow::Result<bool> {
    let documents = store.business_documents(Some(subdomain)).await?;
    let ours = documents.iter().filter(|document| is_of(document, subdomain));
    Ok(ours.flat_map(secrets_in).any(|(place, _)| place == SecretPlace::RefreshToken))
}

fn flag(name: &str, value: bool) -> Edit {
    Edit { path: name.to_owned(), value: json!(value) }
}

fn sealed(cipher: &TokenCipher, token: &SecretString) -> anyhow::Result<String> {
    let sealed = cipher.seal(token).context("the token cannot be used")?;
    Ok(sealed.unwrap_or_else(|| token.expose_secret().to_owned()))
}

fn sealed_edit(mut edit: Edit, cipher: &TokenCipher) -> anyhow::Result<Edit> {
    let mut document = json!({});
    write(&mut document, &edit.path, edit.value.clone());
    seal_document(&mut document, cipher).context("a secret of a tool looks encrypted, and cannot be used")?;
    let pointer = format!("/{}", edit.path.replace('.', "/"));
    edit.value = document.pointer(&pointer).cloned().unwrap_or_default();
    Ok(edit)
}

/// JSON, or else the text itself. Ids of digits are texts whatever they look like.
fn read_value(field: &str, text: &str) -> Value {
    let is_id = field == "wabaId" || field == "whatsappPhoneNumberIds";
    let id = |value: Value| if is_id && value.is_u64() { json!(value.to_string()) } else { value };
    match serde_json::from_str(text) {
        Ok(Value::Array(items)) => items.into_iter().map(id).collect(),
        Ok(value) => id(value),
        Err(_) => json!(text),
    }
}

fn check_path(path: &str) -> anyhow::Result<()> {
    let mut parts = path.split('.');
    let first = parts.next().unwrap_or_default();
    if matches!(first, "_id" | "subDomain") {
        bail!("{first} is never changed: conversations, letters and knowledge are found by it");
    }
    if !is_known_field(first) {
        bail!("{first} is no field that is read here; README.md, \"Add a business\", has them all");
    }
    let wordly = |part: &str| part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(is_word);
    if !parts.clone().all(wordly) || (first != "companion" && parts.next().is_some()) {
        bail!("{path} is no path of a field, such as `companion.voice.reply`; lists are set as a whole");
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Writes the edits together, where they bring no error into the document, and says what has changed.
async fn change(store: &dyn Store, cipher: &TokenCipher, subdomain: &str, edits: Vec<Edit>) -> anyhow::Result<()> {
    let mut documents = store.business_documents(Some(subdomain)).await?;
    let before = check_documents(&documents, Origin::Database, Some(cipher));
    let mut ours = documents.iter_mut().enumerate().filter(|(_, document)| is_of(document, subdomain));
    let (at, document) = ours.next().ok_or_else(|| {
        anyhow!("no business has the subdomain `{subdomain}`; `worker business list` shows those that there are")
    })?;
    if ours.next().is_some() {
        bail!("several businesses have the subdomain `{subdomain}`; it must be one");
    }
    let (mut fields, mut told) = (Map::new(), Vec::new());
    for edit in edits {
        let was = document.pointer(&format!("/{}", edit.path.replace('.', "/"))).cloned().unwrap_or_default();
        told.push(tell(&edit, &was, cipher));
        let (path, value) = smallest(document, &edit)?;
        write(document, &path, value.clone());
        fields.insert(path, value);
    }
    let after = check_documents(&documents, Origin::Database, Some(cipher));
    let findings = |checked: &[crate::business::CheckedBusiness]| checked.get(at).map(|one| one.findings.clone());
    let (before, after) = (findings(&before).unwrap_or_default(), findings(&after).unwrap_or_default());
    // What was wrong before must not keep anybody from mending something else.
    let new = after.into_iter().filter(|finding| !before.contains(finding));
    let (errors, warnings): (Vec<_>, Vec<_>) = new.partition(Finding::is_error);
    if !errors.is_empty() {
        bail!("nothing was changed:\n{}", lines(&errors));
    }
    store.put_business(subdomain, &fields).await?;
    for warning in warnings {
        say(&format!("warning: {warning}"));
    }
    say(&format!("changed {subdomain}: {}", told.join("; ")));
    Ok(())
}

fn is_of(document: &Value, subdomain: &str) -> bool {
    document.get("subDomain").and_then(Value::as_str) == Some(subdomain)
}

/// What has to be written: the field itself, or the first object above it that is not there yet, with the field in it.
fn smallest(document: &Value, edit: &Edit) -> anyhow::Result<(String, Value)> {
    let parts: Vec<&str> = edit.path.split('.').collect();
    let mut above = document;
    for (depth, part) in parts.iter().enumerate().take(parts.len().saturating_sub(1)) {
        match above.get(part) {
            Some(inner @ Value::Object(_)) => above = inner,
            None | Some(Value::Null) => {
                let (path, below) = (parts.iter().take(depth + 1), parts.iter().skip(depth + 1).rev());
                let value = below.fold(edit.value.clone(), |value, name| json!({ *name: value }));
                return Ok((path.copied().collect::<Vec<_>>().join("."), value));
            }
            Some(Value::Array(_)) => bail!("nothing was changed: {part} is a list; set it as a whole"),
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                bail!("nothing was changed: {part} has no fields in it; set it as a whole")
            }
        }
    }
    Ok((edit.path.clone(), edit.value.clone()))
}

fn write(document: &mut Value, path: &str, value: Value) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    if !document.is_object() {
        *document = json!({});
    }
    if let Value::Object(fields) = document {
        match rest {
            None => drop(fields.insert(first.to_owned(), value)),
            Some(rest) => write(fields.entry(first).or_insert(Value::Null), rest, value),
        }
    }
}

/// What has changed, without a secret.
fn tell(edit: &Edit, was: &Value, cipher: &TokenCipher) -> String {
    if TOKENS.contains(&edit.path.as_str()) {
        let token = edit.value.as_str().and_then(|stored| cipher.decrypt(&SecretString::from(stored)).ok());
        let shown = token.map_or_else(|| "none".to_owned(), |token| prefix(&token));
        return format!("{} is {shown}", edit.path);
    }
    let holds_secrets = edit.path == "companion"
        || edit.path.starts_with("companion.tools")
        || edit.path.starts_with("companion.handOver");
    if holds_secrets {
        return format!("{} is as it was given", edit.path);
    }
    format!("{} was {}, is {}", edit.path, short(was), short(&edit.value))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if value.is_null() {
        return "unset".to_owned();
    }
    let cut: String = text.chars().take(SHOWN).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(path: &str, value: Value) -> Edit {
        Edit { path: path.to_owned(), value }
    }

    #[test]
    fn the_smallest_thing_is_written_so_that_what_stands_beside_it_stays() {
        let document = json!({"companion": {"voice": {"reply": "never"}, "handOver": null, "tools": [], "scope": "x"}});
        let smallest = |path: &str| smallest(&document, &edit(path, json!(1)));
        assert_eq!(smallest("companion.voice.voiceId").expect("ok"), ("companion.voice.voiceId".to_owned(), json!(1)));
        assert_eq!(
            smallest("companion.handOver.hours").expect("ok"),
            ("companion.handOver".to_owned(), json!({"hours": 1}))
        );
        assert_eq!(smallest("name").expect("ok"), ("name".to_owned(), json!(1)));
        assert!(smallest("companion.tools.first").expect_err("a list").to_string().contains("as a whole"));
        assert!(smallest("companion.scope.of").is_err());
        let empty = super::smallest(&json!({}), &edit("companion.voice.reply", json!("always"))).expect("ok");
        assert_eq!(empty, ("companion".to_owned(), json!({"voice": {"reply": "always"}})));
    }

    #[test]
    fn only_fields_of_ours_can_be_set() {
        for good in ["name", "wabaId", "companion", "companion.voice.reply", "whatsappTokenExpiresAt"] {
            check_path(good).expect(good);
        }
        for bad in
            ["_id", "subDomain", "plan", "name.first", "companion.", "companion.tools.0.url", "companion.$set", ""]
        {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_json_or_text_and_ids_are_texts() {
        assert_eq!(read_value("name", "Lindenhof Bakery"), json!("Lindenhof Bakery"));
        assert_eq!(read_value("companion.temperature", "0.4"), json!(0.4));
        assert_eq!(read_value("whatsappPhoneNumberIds", "[106540352242922, \"7\"]"), json!(["106540352242922", "7"]));
        assert_eq!(read_value("wabaId", "102290129340398"), json!("102290129340398"));
    }

    #[test]
    fn what_is_told_holds_no_secret() {
        let cipher = TokenCipher::new(&crate::settings::EncryptionSettings {
            current: SecretString::from("one"),
            previous: None,
        });
        let stored = cipher.encrypt(&SecretString::from("EAAoneTWOthreeFOUR"));
        let told = tell(&edit("whatsappAccessToken", json!(stored)), &json!("old"), &cipher);
        assert!(told.contains("EAAo…") && !told.contains("TWOthree") && !told.contains("old"), "{told}");
        let tools = tell(&edit("companion.tools", json!([{"header": "PLAIN"}])), &json!([]), &cipher);
        assert!(!tools.contains("PLAIN"), "{tools}");
        let notify = json!({"secret": "PLAIN"});
        let hand_over = tell(&edit("companion.handOver.notify", notify.clone()), &notify, &cipher);
        assert!(!hand_over.contains("PLAIN"), "{hand_over}");
        assert_eq!(tell(&edit("name", json!("B")), &Value::Null, &cipher), "name was unset, is \"B\"");
    }
}
