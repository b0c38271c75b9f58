//! `worker conversation show`: everything about one conversation; what was said where it is asked for.

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::ids::Subdomain;

use super::{
    super::dead_letter::{harmless, say, utc},
    ShowArguments,
    list::customer,
    standing::{Standing, last_activity},
    texts,
};
use crate::{
    conversation::{PartState, state::State},
    store::Store,
};

/// Prints one conversation.
///
/// # Errors
/// The database is not reachable, or there is no such conversation.
pub(super) async fn show(store: &dyn Store, arguments: &ShowArguments) -> anyhow::Result<()> {
    let state = arguments.which.find(store).await?;
    let now = Timestamp::now();
    if arguments.json {
        let mut shown = object(&state, now);
        if let (true, Value::Object(fields)) = (arguments.texts, &mut shown) {
            fields.insert("texts".to_owned(), texts::object(&state));
        }
        return Ok(say(&shown.to_string())?);
    }
    say(&table(&state, now).to_string())?;
    Ok(say(&if arguments.texts {
        harmless(&texts::lines(&state))
    } else {
        "What was said is not shown; --texts shows it.".to_owned()
    })?)
}

fn table(state: &State, now: Timestamp) -> Table {
    let dash = || "–".to_owned();
    let time = |time: Option<Timestamp>| time.map_or_else(dash, utc);
    let error = state.last_error.as_ref().map(|error| format!("{}: {}", error.reason, harmless(&error.detail)));
    let windows = state.windows.iter().map(|(number, until)| format!("{} until {}", number.expose(), utc(*until)));
    let notices = state.notices.iter().map(|notice| {
        format!("{} of {}, {} tries, next {}", notice.reason.word(), utc(notice.at), notice.tries, utc(notice.try_at))
    });
    let list = |lines: Vec<String>| if lines.is_empty() { dash() } else { lines.join("\n") };
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    for (name, value) in [
        ("Conversation", state.id.to_string()),
        ("Business", state.subdomain.as_ref().map_or_else(dash, |subdomain| subdomain.expose().to_owned())),
        ("Business id", state.business_id.0.clone()),
        ("Customer", customer(state).unwrap_or_else(dash)),
        ("State", Standing::of(state, now).words()),
        ("Last activity", time(last_activity(state))),
        ("Mailbox", state.mailbox.len().to_string()),
        ("Reply under way", reply(state).unwrap_or_else(dash)),
        ("Due", time(state.due_at)),
        ("Waited last", error.unwrap_or_else(dash)),
        ("Tries", state.attempts.to_string()),
        ("AI fails since", time(state.ai_failing_since)),
        ("Apologised", time(state.apologised_at)),
        ("Handed over until", time(state.handed_over_until)),
        ("Wants no more since", time(state.opted_out_at)),
        ("Limited until", time(state.limited_until)),
        ("To be told", list(notices.collect())),
        ("Windows", list(windows.collect())),
        ("Remembered", remembered(state)),
        ("Set aside", time(state.set_aside_at)),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    table
}

fn reply(state: &State) -> Option<String> {
    let outbox = state.outbox.as_ref()?;
    let sent = outbox.parts.iter().filter(|part| part.state == PartState::Sent).count();
    Some(format!("{sent} of {} parts sent", outbox.parts.len()))
}

fn remembered(state: &State) -> String {
    let summary = if state.summary.is_some() { ", notes about older ones" } else { "" };
    format!("{} lines{summary}, {} facts", state.memory.len(), state.facts.len())
}

fn object(state: &State, now: Timestamp) -> Value {
    let standing = Standing::of(state, now);
    let error = state.last_error.as_ref();
    let notices = state.notices.iter().map(|notice| {
        json!({ "id": notice.id, "reason": notice.reason.word(), "at": notice.at, "tries": notice.tries,
                "try_at": notice.try_at })
    });
    json!({
        "conversation": state.id.to_string(),
        "business": state.subdomain.as_ref().map(Subdomain::expose),
        "business_id": state.business_id,
        "customer": customer(state),
        "state": standing.word(),
        "last_activity": last_activity(state),
        "mailbox": state.mailbox.len(),
        "reply_under_way": state.outbox.as_ref().map(|outbox| json!({
            "parts": outbox.parts.len(),
            "sent": outbox.parts.iter().filter(|part| part.state == PartState::Sent).count(),
        })),
        "due_at": state.due_at,
        "retry_at": state.retry_at,
        "last_error": error.map(|error| json!({ "reason": error.reason, "detail": error.detail, "at": error.at })),
        "attempts": state.attempts,
        "ai_failing_since": state.ai_failing_since,
        "apologised_at": state.apologised_at,
        "handed_over_until": state.handed_over_until,
        "opted_out_at": state.opted_out_at,
        "limited_until": state.limited_until,
        "notices": notices.collect::<Vec<_>>(),
        "windows": state.windows,
        "lines": state.memory.len(),
        "facts": state.facts.len(),
        "set_aside_at": state.set_aside_at,
    })
}
