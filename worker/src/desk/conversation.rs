//! One conversation as operators find it and see it, without what was said.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use shared::ids::SessionId;

use super::{
    standing::{Standing, last_activity},
    words::{harmless, utc},
};
use crate::{
    analytics::Diary,
    business::CompanionSettings,
    conversation::{BusinessId, PartState, state::State},
    store::{Result, Store},
};

/// Tombstones that are followed, at most.
const MOVES_MOST: usize = 16;

/// What became of a conversation that somebody looks for.
#[derive(Debug)]
pub(crate) enum Sought {
    /// It is there, or the one in which it went on.
    Found(Box<State>),
    /// There is none of that id.
    Unknown(SessionId),
    /// Its customer was forgotten.
    Forgotten(SessionId),
    /// It went on elsewhere, and again, and never ends.
    Lost,
}

/// Looks for a conversation.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn find(store: &dyn Store, session: &SessionId) -> Result<Sought> {
    let mut session = session.clone();
    for _ in 0..MOVES_MOST {
        let Some(state) = store.state(&session).await? else { return Ok(Sought::Unknown(session)) };
        match &state.merged_into {
            None => return Ok(Sought::Found(Box::new(state))),
            Some(next) if *next == session => return Ok(Sought::Forgotten(session)),
            Some(next) => session = next.clone(),
        }
    }
    Ok(Sought::Lost)
}

/// The end of the number or user id.
pub(crate) fn customer(state: &State) -> Option<String> {
    let customer = &state.customer;
    customer.wa_id.as_ref().map(ToString::to_string).or_else(|| customer.user_id.as_ref().map(ToString::to_string))
}

/// What there is to say of a conversation, by name.
pub(crate) fn facts(state: &State, now: Timestamp) -> Vec<(&'static str, String)> {
    let dash = || "–".to_owned();
    let time = |time: Option<Timestamp>| time.map_or_else(dash, utc);
    let error = state.last_error.as_ref().map(|error| format!("{}: {}", error.reason, harmless(&error.detail)));
    let windows = state.windows.iter().map(|(number, until)| format!("{} until {}", number.expose(), utc(*until)));
    let notices = state.notices.iter().map(|notice| {
        format!("{} of {}, {} tries, next {}", notice.reason.word(), utc(notice.at), notice.tries, utc(notice.try_at))
    });
    let list = |lines: Vec<String>| if lines.is_empty() { dash() } else { lines.join("\n") };
    vec![
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
    ]
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

/// Has a person take a conversation over; for as long as its business usually has it where no time is given. False: it
/// went on elsewhere meanwhile.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn hand_over(store: &Arc<dyn Store>, state: &State, length: Option<Duration>) -> Result<bool> {
    let (diary, companion) = (Diary::new(Arc::clone(store)), companion(&**store, &state.business_id).await?);
    let length = length.unwrap_or(companion.hand_over.hours);
    let is_there = diary.hand_over(&state.id, &companion.zone(), length, None).await?;
    diary.store_notes().await?;
    Ok(is_there)
}

/// How the companion of a business is set up.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn companion(store: &dyn Store, business: &BusinessId) -> Result<CompanionSettings> {
    let record = store.business(business).await?;
    Ok(record.map(|record| CompanionSettings::read(&record.companion)).unwrap_or_default())
}
