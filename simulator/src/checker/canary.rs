//! The planted secrets, and where they turn up.
//!
//! Whole words are looked for: so a secret is not found in another that begins with it, and a text is read once
//! however many secrets there are.

use std::collections::{BTreeSet, HashMap};

use super::{
    record::Person,
    scenario::{Scenario, is_canary, is_word},
};

/// Whose a planted secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Canary<'a> {
    /// A business's, by its name.
    Business(&'a str),
    /// What a customer told a business.
    Customer(Person<'a>),
}

/// All planted secrets of a run.
#[derive(Debug)]
pub(super) struct Canaries<'a> {
    words: HashMap<&'a str, Canary<'a>>,
}

impl<'a> Canaries<'a> {
    /// `name` gives the one name of a customer.
    ///
    /// # Panics
    /// Where a secret is no word, since it would never be found.
    pub(super) fn planted(scenario: &'a Scenario, name: impl Fn(&'a str) -> &'a str) -> Self {
        let of_businesses = scenario
            .businesses
            .iter()
            .filter_map(|tenant| Some((tenant.canary.as_deref()?, Canary::Business(&tenant.name))));
        let of_customers = scenario.customer_canaries.iter().map(|canary| {
            let person = Person { business: &canary.business, customer: name(&canary.customer) };
            (canary.word.as_str(), Canary::Customer(person))
        });
        let words: HashMap<_, _> = of_businesses.chain(of_customers).collect();
        assert!(words.keys().all(|word| is_canary(word)), "a planted secret is one word of letters, digits, - and _");
        Self { words }
    }

    /// Whose secrets stand in a text.
    pub(super) fn find(&self, text: &str) -> BTreeSet<Canary<'a>> {
        text.split(|c: char| !is_word(c)).filter_map(|word| self.words.get(word).copied()).collect()
    }

    /// Whether a secret was planted with this business.
    pub(super) fn has(&self, business: &str) -> bool {
        self.words.values().any(|canary| matches!(canary, Canary::Business(name) if *name == business))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Tenant;

    #[test]
    fn whole_words_are_found_and_parts_of_words_are_not() {
        let scenario = Scenario::of([
            Tenant::new("acme", "1001").with_canary("canary-1"),
            Tenant::new("bolt", "2002").with_canary("canary-12"),
        ]);
        let canaries = Canaries::planted(&scenario, |name| name);
        let found = |text: &str| canaries.find(text).into_iter().collect::<Vec<_>>();
        assert_eq!(found("(“canary-12”, canary-12)"), [Canary::Business("bolt")]);
        assert_eq!(found("canary-1. and canary-12"), [Canary::Business("acme"), Canary::Business("bolt")]);
        assert_eq!(found("canary-123 xcanary-1"), []);
        assert!(canaries.has("acme") && !canaries.has("corn"));
    }

    #[test]
    #[should_panic(expected = "one word")]
    fn a_secret_that_could_not_be_found_is_refused() {
        Canaries::planted(&Scenario::of([Tenant::new("acme", "1001").with_canary("two words")]), |name| name);
    }
}
