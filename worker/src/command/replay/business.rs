//! Whose companion is replayed: a business's of the database, one of a file, or one that nobody has set up.
//!
//! Nothing that is encrypted is decrypted, and the database is only read.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use shared::ids::Subdomain;

use super::super::business::entries;
use crate::{
    business::{Business, CompanionSettings, TokenError},
    conversation::BusinessId,
    store::Store,
};

/// What the prompt calls a business that has no name.
const NAMELESS: &str = "the business";

/// A business, as far as a rehearsal needs it.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    id: BusinessId,
    subdomain: Option<Subdomain>,
    name: String,
    /// `companion` of its document, as JSON; null where there is none.
    pub(super) companion: Value,
}

impl Subject {
    /// Nobody's: the companion of a business that set nothing.
    pub(super) fn nobody() -> Self {
        let id = BusinessId("replay".to_owned());
        Self { id, subdomain: None, name: NAMELESS.to_owned(), companion: Value::Null }
    }

    /// A business of the database, served or not.
    ///
    /// # Errors
    /// MongoDB is not reachable, or there is not exactly one of that subdomain.
    pub(super) async fn stored(store: &dyn Store, subdomain: &str) -> anyhow::Result<Self> {
        let mut records = store.businesses_with_subdomain(subdomain).await?;
        let Some(record) = records.pop() else {
            bail!("no business has the subdomain `{subdomain}`; `worker business list` shows those that there are");
        };
        let others = records.len();
        ensure!(others == 0, "{} businesses have the subdomain `{subdomain}`; it must be one", others + 1);
        Ok(Self {
            id: BusinessId(record.id),
            subdomain: Subdomain::parse(subdomain).ok(),
            name: record.name.unwrap_or_else(|| subdomain.to_owned()),
            companion: record.companion,
        })
    }

    /// A file with a `companion` object, or with the whole document of one business.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub(super) fn of_file(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let mut documents = entries(path)?;
        let document = documents.pop().with_context(|| format!("{shown} is empty"))?;
        let others = documents.len();
        ensure!(others == 0, "{shown} has {} businesses; give a file with one of them", others + 1);
        let companion = companion_of(&document);
        ensure!(companion.is_object(), "{shown} must be an object: a business's `companion`, or a whole business");
        let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::trim).filter(|t| !t.is_empty());
        let (subdomain, nobody) = (text("subDomain"), Self::nobody());
        Ok(Self {
            subdomain: subdomain.and_then(|subdomain| Subdomain::parse(subdomain).ok()),
            name: text("name").or(subdomain).unwrap_or(NAMELESS).to_owned(),
            companion: companion.clone(),
            ..nobody
        })
    }

    /// What is wrong with the companion as it is.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> {
        CompanionSettings::check(&self.companion).into_iter().map(|finding| finding.to_string())
    }

    /// The business with these settings, and without any right to send.
    pub(super) fn business(&self, companion: CompanionSettings) -> Business {
        Business {
            id: self.id.clone(),
            subdomain: self.subdomain.clone(),
            name: self.name.clone(),
            waba_id: None,
            phone_number_ids: Vec::new(),
            token: Err(TokenError::Undecrypted),
            token_id: "none".to_owned(),
            token_expires_at: None,
            pause: None,
            companion,
        }
    }
}

/// The companion in a business's document, or what is given where it is none.
pub(super) fn companion_of(document: &Value) -> &Value {
    /// Only whole documents have these.
    const OF_A_BUSINESS: [&str; 3] = ["subDomain", "whatsappPhoneNumberIds", "whatsappEnabled"];
    static NOTHING_SET: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| Value::Object(serde_json::Map::new()));
    match document.get("companion") {
        Some(companion) if !companion.is_null() => companion,
        _ if OF_A_BUSINESS.iter().any(|name| document.get(name).is_some()) => &NOTHING_SET,
        _ => document,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> anyhow::Result<Subject> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("b.json");
        std::fs::write(&path, text).expect("written");
        Subject::of_file(&path)
    }

    #[test]
    fn a_file_holds_a_companion_or_a_whole_business() {
        let bare = of(r#"{"persona": "Lina"}"#).expect("a companion");
        assert_eq!((bare.name.as_str(), bare.companion), (NAMELESS, json!({"persona": "Lina"})));
        let whole = r#"{"subDomain": "acme", "name": "Acme", "companion": {"persona": "Lina"}}"#;
        for text in [whole.to_owned(), format!("[{whole}]")] {
            let whole = of(&text).expect("a business");
            assert_eq!((whole.name.as_str(), &whole.companion), ("Acme", &json!({"persona": "Lina"})));
            let business = whole.business(CompanionSettings::default());
            assert!(business.token.is_err() && business.subdomain.is_some());
        }
        assert_eq!(of(r#"{"subDomain": "acme"}"#).expect("a business").companion, json!({}));
    }

    #[test]
    fn what_is_no_companion_says_why() {
        for (text, problem) in [
            ("{", "is not JSON"),
            ("[]", "is empty"),
            ("7", "must be an object"),
            ("[{},{}]", "has 2 businesses"),
            (r#"{"companion": 7}"#, "must be an object"),
        ] {
            let told = format!("{:#}", of(text).expect_err("wrong"));
            assert!(told.contains(problem), "{text}: {told}");
        }
    }
}
