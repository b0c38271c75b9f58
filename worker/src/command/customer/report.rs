//! What is stored of a customer, what was removed and what is left, in words and as JSON. Never what it says.

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::dead_letter::{harmless, utc},
    Choice, say,
};
use crate::store::{Forgotten, Holding, Look, Looked, Remaining, StoredCustomer, Trace};

/// A sentence on how things stand.
pub(super) fn standing(customer: &StoredCustomer, holdings: &[Holding]) -> String {
    let is_stored = holdings.iter().any(|holding| holding.documents > 0);
    match (customer.forgotten_at, is_stored) {
        (None, true) => "Of this customer there is:".to_owned(),
        (None, false) => "Of this customer nothing is stored.".to_owned(),
        (Some(at), false) => format!("This customer was forgotten already, {}.", utc(at)),
        (Some(at), true) => format!("This customer was forgotten, {}; since then, or still, there is:", utc(at)),
    }
}

/// Documents by collection.
pub(super) fn table(holdings: &[Holding]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(["COLLECTION", "DOCUMENTS", "OLDEST", "NEWEST"]);
    for holding in holdings {
        let time = |time: Option<Timestamp>| time.map_or_else(|| "–".to_owned(), utc);
        table.add_row([
            holding.collection.to_owned(),
            holding.documents.to_string(),
            time(holding.oldest),
            time(holding.newest),
        ]);
    }
    table
}

/// What was removed, by collection.
pub(super) fn removed(forgotten: &Forgotten) -> String {
    let parts: Vec<String> =
        by_collection(forgotten).iter().map(|(collection, count)| format!("{collection} {count}")).collect();
    format!("Removed: {}.", parts.join(", "))
}

fn by_collection(forgotten: &Forgotten) -> [(&'static str, u64); 5] {
    let Forgotten { conversations, messages, dead_letters, events, identities } = *forgotten;
    [
        ("conversations", conversations),
        ("messages", messages),
        ("identities", identities),
        ("dead_letters", dead_letters),
        ("account_events", events),
    ]
}

/// Says what a look found; `theirs` is the word for what is the customer's.
///
/// # Errors
/// Nobody reads it.
pub(super) fn looked(look: &Look, theirs: &str) -> anyhow::Result<()> {
    let names: Vec<&str> = look.collections.iter().map(|looked| looked.collection.as_str()).collect();
    let documents: u64 = look.collections.iter().map(|looked| looked.documents).sum();
    say(&format!(
        "Looked through {documents} documents of {} collections: {}.",
        names.len(),
        harmless(&names.join(", "))
    ))?;
    for looked in look.collections.iter().filter(|looked| looked.stopped_early) {
        let (name, documents) = (harmless(&looked.collection), looked.documents);
        say(&format!("Stopped early in {name}, after {documents} documents; --scan-most looks through more."))?;
    }
    let traces = || look.collections.iter().flat_map(|looked| looked.traces.iter().map(move |trace| (looked, trace)));
    for (looked, trace) in traces().filter(|(_, trace)| !trace.remaining.may_stay()) {
        say(&format!("{theirs}: {}", line(looked, trace)))?;
    }
    for (looked, trace) in traces().filter(|(_, trace)| trace.remaining.may_stay()) {
        say(&format!("Stays: {}", line(looked, trace)))?;
    }
    if look.left() == 0 {
        say("Nothing is left of this customer.")?;
    }
    Ok(())
}

fn line(looked: &Looked, trace: &Trace) -> String {
    let fields: Vec<&str> = trace.fields.iter().map(String::as_str).collect();
    let fields = if fields.is_empty() { String::new() } else { format!(", in {}", fields.join(", ")) };
    let name = &looked.collection;
    harmless(&format!("{} of {name}{fields}: {}", trace.documents, why(trace.remaining)))
}

fn why(remaining: Remaining) -> &'static str {
    match remaining {
        Remaining::Theirs => "something of the customer's",
        Remaining::Closed => {
            "a closed conversation, of which the name is left for 90 days, so that a message that Meta sends again is \
             known and not answered"
        }
        Remaining::OfOthers => "another customer's, who had the same number before or since, or mentions it",
        Remaining::OfAnotherBusiness => "another business's",
    }
}

/// All of it for a script.
pub(super) fn object(
    choice: &Choice,
    customer: &StoredCustomer,
    holdings: &[Holding],
    forgotten: Option<&Forgotten>,
    look: &Look,
) -> Value {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let stored = holdings.iter().map(|holding| {
        let times = json!({
            "documents": holding.documents,
            "oldest": text(holding.oldest),
            "newest": text(holding.newest),
        });
        (holding.collection.to_owned(), times)
    });
    let removed = forgotten.map(|forgotten| {
        let counts = by_collection(forgotten).map(|(collection, count)| (collection.to_owned(), json!(count)));
        Value::Object(counts.into_iter().collect())
    });
    let looked = look.collections.iter().map(|looked| {
        json!({
            "collection": looked.collection,
            "documents": looked.documents,
            "stopped_early": looked.stopped_early,
            "found": looked.traces.iter().map(found).collect::<Vec<_>>(),
        })
    });
    json!({
        "business": choice.business,
        "forgotten_at": text(customer.forgotten_at),
        "stored": Value::Object(stored.collect()),
        "removed": removed,
        "looked_through": looked.collect::<Vec<_>>(),
        "left": look.left(),
    })
}

fn found(trace: &Trace) -> Value {
    let word = match trace.remaining {
        Remaining::Theirs => "theirs",
        Remaining::Closed => "closed",
        Remaining::OfOthers => "of_others",
        Remaining::OfAnotherBusiness => "of_another_business",
    };
    json!({
        "documents": trace.documents,
        "fields": trace.fields,
        "remaining": word,
        "may_stay": trace.remaining.may_stay(),
    })
}
