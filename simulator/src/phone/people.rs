//! The person at the page as Meta shows one to a business: always by a user id of that business's account, and by the
//! phone number unless it is hidden.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Business, Customer};

const MAX_NAME_CHARS: usize = 60;

/// Somebody who writes from the page. The number tells people apart, also where businesses do not see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Person {
    /// The phone number, digits only.
    pub(super) number: String,
    /// The name in the profile.
    #[serde(default)]
    pub(super) name: String,
    /// Whether businesses see the user id only.
    #[serde(default)]
    pub(super) hidden: bool,
}

impl Person {
    /// The person with a tidy name; none where the number is no number.
    pub(super) fn checked(self) -> Option<Self> {
        let is_number = is_number(&self.number);
        let name = self.name.chars().filter(|c| !c.is_control()).collect::<String>();
        let name = name.trim().chars().take(MAX_NAME_CHARS).collect();
        is_number.then_some(Self { name, ..self })
    }

    /// The customer that this business sees.
    pub(super) fn customer(&self, business: &Business) -> Customer {
        Customer {
            wa_id: (!self.hidden).then(|| self.number.clone()),
            user_id: Some(user_id(&self.number, business)),
            name: (!self.name.is_empty()).then(|| self.name.clone()),
            username: None,
        }
    }
}

pub(super) fn is_number(text: &str) -> bool {
    (7..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The user id of a number, which another account would not recognise: `DE.` and twenty digits.
pub(super) fn user_id(number: &str, business: &Business) -> String {
    let digest = Sha256::new().chain_update(&business.waba_id).chain_update("/").chain_update(number).finalize();
    digest.iter().take(20).fold("DE.".to_owned(), |mut id, byte| {
        write!(id, "{}", byte % 10).expect("a String takes any text");
        id
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(number: &str, name: &str) -> Person {
        Person { number: number.to_owned(), name: name.to_owned(), hidden: false }
    }

    #[test]
    fn a_person_has_a_number_and_a_tidy_name() {
        assert_eq!(person("4915112345678", " Ana\n ").checked().expect("valid").name, "Ana");
        assert_eq!(person("4915112345678", &"x".repeat(99)).checked().expect("valid").name.len(), MAX_NAME_CHARS);
        assert!(
            ["", "12", "+4915112345678", "DE.1", &"1".repeat(16)].iter().all(|n| person(n, "").checked().is_none())
        );
    }

    #[test]
    fn who_hides_the_number_is_known_to_each_account_by_another_id() {
        let (acme, bolt) = (Business::new("acme", "1001"), Business::new("bolt", "1002"));
        let shown = person("4915112345678", "Ana").customer(&acme);
        assert_eq!(shown.wa_id.as_deref(), Some("4915112345678"));
        let hidden = Person { hidden: true, ..person("4915112345678", "Ana") };
        assert_eq!(hidden.customer(&acme).user_id, shown.user_id);
        assert_eq!(hidden.customer(&acme).wa_id, None);
        let ids = [&acme, &bolt].map(|business| hidden.customer(business).user_id.expect("an id"));
        assert_ne!(ids[0], ids[1]);
        assert!(ids.iter().all(|id| shared::ids::UserId::parse(id).is_ok()));
    }
}
