//! Meta's apps, which issue the businesses' tokens and exchange them for longer-lived ones.
//!
//! Their secrets are those that ingest verifies webhooks with, in the same variable. One that stands without an app id is
//! `META_APP_ID`'s; where there is no such variable either, it is of no use here.

use secrecy::{ExposeSecret, SecretString};
use shared::settings::{Reader, app_secrets};

/// A Meta app, as it shows itself to the Graph API.
#[derive(Debug, Clone)]
pub struct MetaApp {
    /// Its id, all digits.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
}

impl MetaApp {
    /// The app's own access token, `id|secret`, with which it asks about the tokens that it issued.
    pub fn token(&self) -> SecretString {
        SecretString::from(format!("{}|{}", self.id, self.secret.expose_secret()))
    }
}

/// The apps of this installation; none where tokens are not refreshed.
#[derive(Debug, Clone, Default)]
pub struct MetaApps(Vec<MetaApp>);

impl MetaApps {
    /// Reads `META_APP_ID` and `WHATSAPP_APP_SECRET`.
    pub fn read(reader: &mut Reader) -> Self {
        let main = reader.text("META_APP_ID");
        if main.as_deref().is_some_and(|id| !id.bytes().all(|byte| byte.is_ascii_digit())) {
            reader.problem("META_APP_ID", "must be the app's id at Meta: digits only");
        }
        let mut apps: Vec<MetaApp> = Vec::new();
        for app in app_secrets(reader) {
            let Some(id) = app.app_id.or_else(|| main.clone()) else { continue };
            // While a secret is rotated there are two of one app, of which the first is the one to use.
            if apps.iter().all(|known| known.id != id) {
                apps.push(MetaApp { id, secret: app.secret });
            }
        }
        if main.is_some_and(|id| apps.iter().all(|app| app.id != id)) {
            reader.problem("WHATSAPP_APP_SECRET", "must hold the secret of the app META_APP_ID");
        }
        Self(apps)
    }

    /// These apps, for tests.
    pub fn new(apps: impl IntoIterator<Item = MetaApp>) -> Self {
        Self(apps.into_iter().collect())
    }

    /// All of them, in the order of the variable.
    pub fn as_slice(&self) -> &[MetaApp] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The app, where there is exactly one: then nobody has to be asked which one issued a token.
    pub fn only(&self) -> Option<&MetaApp> {
        match self.0.as_slice() {
            [app] => Some(app),
            [] | [_, _, ..] => None,
        }
    }

    /// The app of that id.
    pub fn get(&self, id: &str) -> Option<&MetaApp> {
        self.0.iter().find(|app| app.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<MetaApps, String> {
        let mut reader = Reader::from_pairs(pairs.iter().copied());
        let apps = MetaApps::read(&mut reader);
        reader.finish().map(|()| apps).map_err(|problems| problems.to_string())
    }

    fn secret_of(apps: &MetaApps, id: &str) -> String {
        apps.get(id).expect("it is there").secret.expose_secret().to_owned()
    }

    #[test]
    fn a_secret_is_of_the_app_that_it_names_or_of_the_main_one() {
        let apps = read(&[("META_APP_ID", "42"), ("WHATSAPP_APP_SECRET", "one")]).expect("valid");
        assert_eq!(apps.only().map(|app| app.id.as_str()), Some("42"));
        let apps = read(&[("META_APP_ID", "42"), ("WHATSAPP_APP_SECRET", "7:seven,one,42:older")]).expect("valid");
        assert_eq!((secret_of(&apps, "7"), secret_of(&apps, "42")), ("seven".to_owned(), "one".to_owned()));
        assert!(apps.only().is_none() && apps.get("8").is_none());
        let apps = read(&[("WHATSAPP_APP_SECRET", "7:seven")]).expect("ids in the secrets are enough");
        assert_eq!(apps.only().map(|app| app.id.as_str()), Some("7"));
    }

    #[test]
    fn secrets_without_an_app_are_ingests_business_alone() {
        assert!(read(&[]).expect("valid").is_empty());
        assert!(read(&[("WHATSAPP_APP_SECRET", "one,two")]).expect("valid").is_empty());
    }

    #[test]
    fn an_app_without_its_secret_is_a_problem_and_no_secret_prints() {
        for secrets in [&[][..], &[("WHATSAPP_APP_SECRET", "7:hunter2")]] {
            let given: Vec<_> = [("META_APP_ID", "42")].into_iter().chain(secrets.iter().copied()).collect();
            let problems = read(&given).expect_err("its secret is missing");
            assert!(problems.contains("WHATSAPP_APP_SECRET") && !problems.contains("hunter2"), "{problems}");
        }
        let problems = read(&[("META_APP_ID", "my app"), ("WHATSAPP_APP_SECRET", "one")]).expect_err("no id");
        assert!(problems.contains("META_APP_ID must be"), "{problems}");
        let apps = read(&[("WHATSAPP_APP_SECRET", "7:hunter2")]).expect("valid");
        assert!(!format!("{apps:?}").contains("hunter2"));
    }
}
