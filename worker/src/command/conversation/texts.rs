//! What was said in a conversation and what is known of its customer: the one look at it that holds texts.

use std::fmt::Write;

use serde_json::{Value, json};

use super::super::dead_letter::utc;
use crate::conversation::{Speaker, state::State};

/// For a person. Not made harmless for a terminal yet.
pub(super) fn lines(state: &State) -> String {
    let mut out = String::new();
    let mut line = |text: String| writeln!(out, "{text}").expect("a String takes everything");
    if let Some(name) = &state.customer.name {
        line(format!("Name: {name}"));
    }
    for fact in &state.facts {
        line(format!("Known since {}: {}", utc(fact.at), fact.text));
    }
    if let Some(summary) = &state.summary {
        line(format!("Before: {summary}"));
    }
    for remembered in &state.memory {
        line(format!("{}  {}: {}", utc(remembered.at), speaker(remembered.speaker), remembered.text));
    }
    for waiting in &state.mailbox {
        let message = waiting.item.message.as_deref().unwrap_or("(its content is in the transcript)");
        line(format!("{}  waits: {message}", utc(waiting.item.timestamp)));
    }
    for part in state.outbox.iter().flat_map(|outbox| &outbox.parts) {
        line(format!("Under way: {}", part.body));
    }
    if out.is_empty() { "Nothing was said.".to_owned() } else { out.trim_end().to_owned() }
}

/// For a script.
pub(super) fn object(state: &State) -> Value {
    let memory = state.memory.iter().map(|line| json!({ "at": line.at, "speaker": line.speaker, "text": line.text }));
    let mailbox = state.mailbox.iter().map(|waiting| {
        json!({ "at": waiting.item.timestamp, "id": waiting.item.id.to_string(), "message": waiting.item.message })
    });
    let parts = state.outbox.iter().flat_map(|outbox| &outbox.parts);
    json!({
        "name": state.customer.name,
        "facts": state.facts.iter().map(|fact| json!({ "at": fact.at, "text": fact.text })).collect::<Vec<_>>(),
        "summary": state.summary,
        "lines": memory.collect::<Vec<_>>(),
        "mailbox": mailbox.collect::<Vec<_>>(),
        "under_way": parts.map(|part| part.body.as_str()).collect::<Vec<_>>(),
    })
}

fn speaker(speaker: Speaker) -> &'static str {
    match speaker {
        Speaker::Customer => "customer",
        Speaker::Companion => "companion",
        Speaker::Person => "person",
    }
}
