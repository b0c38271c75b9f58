//! `remember`: what is worth knowing about the customer the next time.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{REMEMBER, Result, words};
use crate::{
    companion::provider::ToolSpec,
    conversation::{Fact, FactChange},
};

/// Characters of a fact.
const FACT_MOST: usize = 300;
/// Changes of one reply.
const CHANGES_MOST: usize = 10;

pub(super) fn spec() -> ToolSpec {
    static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| {
        ToolSpec::new(
            REMEMBER,
            "Keep one fact about this customer that will matter in later chats: a name, a preference, an \
             address, an order, an appointment. Not for small talk, and not for facts about the business. \
             To correct a known fact, give its id in `replaces`; to drop one, give its id in `forget`.",
            json!({ "type": "object", "properties": {
                "fact": { "type": "string", "description": "One sentence, in the customer's language." },
                "replaces": { "type": "string", "description": "The id of the known fact that this one replaces." },
                "forget": { "type": "string", "description": "The id of a known fact that is no longer so." },
            } }),
        )
    });
    SPEC.clone()
}

/// Notes the change. Only facts of this customer have an id here, so nobody else's can be touched.
pub(super) fn remember(known: &[Fact], changes: &mut Vec<FactChange>, arguments: &Map<String, Value>) -> Result {
    if changes.len() >= CHANGES_MOST {
        return Result::failed("that is enough to remember at once");
    }
    let is_known = |id: &str| known.iter().any(|fact| fact.id == id) || changes.iter().any(|change| change.id() == id);
    for name in ["replaces", "forget"] {
        if let Some(id) = words(arguments, name, FACT_MOST)
            && !is_known(&id)
        {
            return Result::failed(format!("`{name}` names no known fact"));
        }
    }
    let (fact, old) = (words(arguments, "fact", FACT_MOST), words(arguments, "replaces", FACT_MOST));
    let dropped = words(arguments, "forget", FACT_MOST);
    if fact.is_none() && old.is_none() && dropped.is_none() {
        return Result::failed("`fact` is missing");
    }
    if let Some(text) = &fact
        && known.iter().any(|known| known.text == *text)
    {
        return Result::done("Known already.");
    }
    for id in [old, dropped].into_iter().flatten() {
        // Also what was learned in this very turn.
        changes.retain(|change| change.id() != id);
        changes.push(FactChange::Dropped { id });
    }
    if let Some(text) = fact {
        changes.push(FactChange::Learned { id: format!("f{:06x}", rand::random::<u32>() & 0x00ff_ffff), text });
    }
    Result::done("Done.")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn known() -> Vec<Fact> {
        vec![Fact { id: "f1".to_owned(), text: "is vegan".to_owned(), at: Timestamp::UNIX_EPOCH }]
    }

    fn changed(arguments: Value, changes: &mut Vec<FactChange>) -> Result {
        let Value::Object(arguments) = arguments else { panic!("an object") };
        remember(&known(), changes, &arguments)
    }

    #[test]
    fn facts_are_learned_replaced_and_dropped() {
        let mut changes = Vec::new();
        assert!(!changed(json!({"fact": "has two children"}), &mut changes).matters);
        assert!(!changed(json!({"fact": "eats fish", "replaces": "f1"}), &mut changes).matters);
        let told: Vec<_> = changes
            .iter()
            .map(|change| match change {
                FactChange::Learned { text, .. } => text.as_str(),
                FactChange::Dropped { id } => id.as_str(),
            })
            .collect();
        assert_eq!(told, ["has two children", "f1", "eats fish"]);
        let mut changes = Vec::new();
        changed(json!({"forget": "f1"}), &mut changes);
        assert_eq!(changes, [FactChange::Dropped { id: "f1".to_owned() }]);
    }

    #[test]
    fn an_id_that_is_not_this_customers_changes_nothing() {
        let mut changes = Vec::new();
        for arguments in [
            json!({"fact": "x", "replaces": "f2"}),
            json!({"forget": "f2"}),
            json!({"forget": "acme:4915199"}),
            json!({"fact": "  "}),
            json!({"fact": 7}),
        ] {
            assert!(changed(arguments.clone(), &mut changes).matters, "{arguments}");
        }
        assert!(changes.is_empty());
        assert!(!changed(json!({"fact": "is vegan"}), &mut changes).matters);
        assert!(changes.is_empty(), "what is known is not learned again");
    }

    #[test]
    fn a_model_that_remembers_everything_is_stopped() {
        let mut changes = Vec::new();
        let outcomes: Vec<bool> = (0..20)
            .map(|n| changed(json!({"fact": format!("{n}{}", "x".repeat(900))}), &mut changes).matters)
            .collect();
        assert_eq!(outcomes.iter().filter(|failed| **failed).count(), 10);
        assert!(changes.iter().all(|change| matches!(change, FactChange::Learned { text, .. } if text.len() <= 300)));
    }
}
