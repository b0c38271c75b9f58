//! Logs say what happened, and never to whom in full, with which secret or in which words.
//!
//! Demands: no line of a log holds a secret that the caller names, a customer's phone number or user id in full, or a
//! tag, for whoever logs a tag logs the text that it stands in. Secrets are looked for as they are and as JSON writes
//! them.
//!
//! Does not demand: anything of a secret that is written in another way, such as in base64; anything of the end of a
//! customer's number, by which engineers tell customers apart.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use secrecy::{ExposeSecret, SecretString};

use super::report::{Report, Rule};
use crate::{
    Tag,
    journal::{Entry, Event},
};

/// How much of a secret is looked up at each place of a log before the whole is compared.
const BEGINNING_MOST: usize = 8;

/// What must not be in a log. `Debug` shows how much there is, and nothing of it.
#[derive(Default)]
pub struct Secrets(BTreeMap<String, LeakKind>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// The customers that a journal shows, by every id that it shows of them.
    pub fn of_customers<E: Borrow<Entry>>(entries: &[E]) -> Self {
        entries.iter().fold(Self::default(), |mut secrets, entry| {
            match &entry.borrow().fact {
                Event::WebhookPost(post) => {
                    let ids = post.updates.iter().flat_map(|update| [&update.customer, &update.user_id]);
                    ids.flatten().for_each(|id| secrets.add(id, LeakKind::Customer));
                }
                Event::GraphSend(send) => secrets.add(send.customer(), LeakKind::Customer),
                Event::GraphRequest(_) | Event::GraphRead(_) | Event::GraphUpload(_) | Event::GraphAnswer(_) => {}
                Event::StatusWithheld(_) | Event::WebhookAnswer(_) | Event::HostRequest(_) => {}
                Event::AiRequest(_) | Event::AiSpeech(_) | Event::AiAnswer(_) | Event::Mark(_) => {}
            }
            secrets
        })
    }

    /// One more secret, such as an access token, and what a report may call it. A blank one is none.
    #[must_use]
    pub fn and(mut self, name: impl Into<String>, secret: &SecretString) -> Self {
        self.add(secret.expose_secret(), LeakKind::Secret(name.into()));
        self
    }

    fn add(&mut self, value: &str, kind: LeakKind) {
        if value.trim().is_empty() {
            return;
        }
        let quoted = serde_json::Value::from(value).to_string();
        let escaped = quoted.get(1..quoted.len() - 1).unwrap_or(value);
        self.0.insert(escaped.to_owned(), kind.clone());
        self.0.insert(value.to_owned(), kind);
    }
}

/// What was found in a log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeakKind {
    /// A secret, by what the caller calls it.
    Secret(String),
    /// A customer's phone number or user id.
    Customer,
    /// The text of a message.
    Text,
}

impl fmt::Display for LeakKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(name) => f.write_str(name),
            Self::Customer => f.write_str("a customer in full"),
            Self::Text => f.write_str("the text of a message"),
        }
    }
}

/// Something in a log that must not be there. It says where, and not what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Leak {
    /// The line, from 1.
    pub line: usize,
    /// What stands in it.
    pub kind: LeakKind,
}

/// Looks through a log, and tells each kind of thing that must not be in it once a line.
pub fn check_log(text: &str, secrets: &Secrets) -> Vec<Leak> {
    let index = Index::of(secrets);
    let lines = (1..).zip(text.lines());
    let leaks = lines.flat_map(|(line, text)| {
        let words = (!Tag::find_all(text).is_empty()).then_some(LeakKind::Text);
        index.find(text).into_iter().cloned().chain(words).map(move |kind| Leak { line, kind })
    });
    leaks.collect()
}

impl Report {
    /// Adds what [`check_log`] found in a log of this name.
    pub fn add_log(&mut self, name: &str, leaks: &[Leak]) {
        for Leak { line, kind } in leaks {
            self.violate(Rule::Logs, None, format!("{kind} stands in line {line} of {name}"), &[]);
        }
    }
}

/// The secrets by how they begin, so that a log is read once however many there are.
struct Index<'a> {
    beginning: usize,
    secrets: HashMap<&'a [u8], Vec<(&'a [u8], &'a LeakKind)>>,
}

impl<'a> Index<'a> {
    fn of(secrets: &'a Secrets) -> Self {
        let shortest = secrets.0.keys().map(String::len).min().unwrap_or_default();
        let mut index = Self { beginning: shortest.min(BEGINNING_MOST), secrets: HashMap::new() };
        for (value, kind) in &secrets.0 {
            if let Some((beginning, _)) = value.as_bytes().split_at_checked(index.beginning) {
                index.secrets.entry(beginning).or_default().push((value.as_bytes(), kind));
            }
        }
        index
    }

    fn find(&self, text: &str) -> BTreeSet<&'a LeakKind> {
        // Of no secrets the shortest has no length, and no window is that short.
        let windows = text.as_bytes().windows(self.beginning.max(1)).enumerate();
        let candidates = windows.filter_map(|(at, window)| Some((at, self.secrets.get(window)?)));
        let found = candidates.flat_map(|(at, secrets)| {
            let rest = text.as_bytes().get(at..).unwrap_or_default();
            secrets.iter().filter(move |(secret, _)| rest.starts_with(secret)).map(|(_, kind)| *kind)
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(name: &str) -> LeakKind {
        LeakKind::Secret(name.to_owned())
    }

    #[test]
    fn each_line_is_told_once_for_each_kind_and_without_what_it_holds() {
        let secrets = Secrets::default().and("the token", &"EAA\"quoted".into()).and("the key", &"gsk_1".into());
        let log =
            "all is well\nEAA\"quoted EAA\"quoted\n{\"key\": \"gsk_1\", \"token\": \"EAA\\\"quoted\"}\nANS #m000017";
        let leak = |line, kind| Leak { line, kind };
        let expected = [
            leak(2, secret("the token")),
            leak(3, secret("the key")),
            leak(3, secret("the token")),
            leak(4, LeakKind::Text),
        ];
        assert_eq!(check_log(log, &secrets), expected);
        let mut report = Report::default();
        report.add_log("worker.log", &check_log(log, &secrets));
        let told = report.verdict().expect_err("leaks");
        assert!(told.starts_with("logs: the token stands in line 2 of worker.log\n"), "{told}");
        assert!(!told.contains("EAA") && !told.contains("gsk") && !told.contains("#m000017"), "{told}");
        assert!(!format!("{secrets:?}").contains("EAA"));
    }

    #[test]
    fn blank_secrets_are_no_secrets() {
        let secrets = Secrets::default().and("the key", &"".into()).and("the token", &" ".into());
        assert_eq!(check_log("a line of text", &secrets), []);
    }

    proptest! {
        #[test]
        fn what_a_plain_search_finds_is_found(
            secrets in proptest::collection::btree_set("[ab]{2,12}", 0..8),
            log in "[ab\n]{0,80}",
        ) {
            let named = secrets.iter().fold(Secrets::default(), |all, value| all.and(value, &value.as_str().into()));
            let mut expected = Vec::new();
            for (line, text) in (1..).zip(log.lines()) {
                let found = secrets.iter().filter(|value| text.contains(*value));
                expected.extend(found.map(|value| Leak { line, kind: secret(value) }));
            }
            prop_assert_eq!(check_log(&log, &named), expected);
        }
    }
}
