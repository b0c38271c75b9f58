//! `worker conversation show`: everything about one conversation; what was said where it is asked for.

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::ids::Subdomain;

use super::{
    super::dead_letter::{harmless, say},
    ShowArguments, texts,
};
use crate::{
    conversation::{PartState, state::State},
    desk::{Standing, customer, facts, last_activity},
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
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    for (name, value) in facts(state, now) {
        table.add_row([name.to_owned(), value]);
    }
    table
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
