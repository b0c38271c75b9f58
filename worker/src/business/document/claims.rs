//! What two businesses must not share, found by looking at all of them: what stands in one document only can be right in
//! itself and still keep two businesses from being served.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{
    super::finding::{Findings, Severity},
    FLAGS, NUMBERS, Origin, id_text, subdomain_of,
};

/// What two businesses must not share: a subdomain, and the numbers of those that are served.
pub(super) struct Claims {
    subdomains: HashMap<String, usize>,
    /// The subdomains of those that list a number.
    numbers: HashMap<String, Vec<String>>,
}

impl Claims {
    pub(super) fn of(documents: &[Value], origin: Origin) -> Self {
        let mut claims = Self { subdomains: HashMap::new(), numbers: HashMap::new() };
        for document in documents {
            *claims.subdomains.entry(subdomain_of(document)).or_default() += 1;
            // What a file leaves out may be on in the database.
            let on = |flag: &Value| flag.as_bool() == Some(true);
            if FLAGS.iter().all(|name| document.get(name).map_or(origin == Origin::File, on)) {
                for number in number_ids(document).collect::<HashSet<_>>() {
                    claims.numbers.entry(number).or_default().push(subdomain_of(document));
                }
            }
        }
        claims
    }

    /// Notes what this business claims and another one claims too.
    pub(super) fn compare(&self, document: &Value, findings: &Findings) {
        let subdomain = subdomain_of(document);
        if !subdomain.is_empty() && self.subdomains.get(&subdomain).is_some_and(|count| *count > 1) {
            findings.note(Severity::Error, "subDomain", "is that of another business too; it must be of one");
        }
        for (at, number) in number_ids(document).enumerate() {
            let owners = self.numbers.get(&number).map(Vec::as_slice).unwrap_or_default();
            let other = owners.iter().find(|owner| **owner != subdomain);
            if let Some(other) = other.filter(|_| owners.contains(&subdomain)) {
                let problem = format!("is listed by `{other}` too, so neither is served; keep it in one of them");
                findings.note(Severity::Error, &format!("{NUMBERS}[{at}]"), problem);
            }
        }
    }
}

fn number_ids(document: &Value) -> impl Iterator<Item = String> {
    let numbers = document.get(NUMBERS).and_then(Value::as_array).into_iter().flatten();
    numbers.map(|number| id_text(number).unwrap_or_default())
}
