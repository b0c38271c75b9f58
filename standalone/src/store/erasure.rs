//! Which letters and events hold something of one customer, and their end.
//!
//! Intake files both before, or without, a conversation: they name their customer in Meta's JSON only. A letter loses
//! its body and an event its payload. Their ids stay, so that what comes again changes nothing.

use jiff::Timestamp;
use regex::Regex;
use rusqlite::{Connection, Params, params};
use worker::store::{StoreError, Whose};

use super::{
    dead_letters::discard_all,
    row::{Done, Table, time},
};

/// The condition that a row is one of a list.
pub(super) const AMONG: &str = "id IN (SELECT value FROM json_each(?1))";

/// The ids of their letters: those of their turns, and those that intake filed at one of these numbers.
pub(super) fn letters(connection: &Connection, whose: &Whose) -> Done<Vec<String>> {
    let of_turns = "conversation IN (SELECT value FROM json_each(?1))";
    let mut found = Table::DeadLetters.ids(connection, of_turns, params![list(&whose.sessions)])?;
    let (naming, to_us) = (pattern(&whose.naming())?, pattern(&whose.to_us())?);
    // Where handling it panicked nobody read the number.
    let is_theirs =
        |body: &str, number: Option<&str>| naming.is_match(body) && (number.is_some() || to_us.is_match(body));
    for at in ["phone_number_id IN (SELECT value FROM json_each(?1))", "phone_number_id IS NULL"] {
        // Those of other numbers may be many.
        let of_intake = format!(
            "SELECT id, document ->> '$.body', phone_number_id FROM dead_letters INDEXED BY dead_letters_of_intake \
             WHERE conversation IS NULL AND {at} AND json_type(document, '$.body') = 'text' \
             AND (?2 IS NULL OR document ->> '$.received_at' <= ?2)"
        );
        let place = params![list(&whose.numbers), arrived_by(whose)];
        found.extend(ids_where(connection, &of_intake, place, is_theirs)?);
    }
    Ok(found)
}

/// The ids of the events that name them, at one of these numbers; where an event knows no number, at the account.
pub(super) fn events(connection: &Connection, whose: &Whose) -> Done<Vec<String>> {
    let naming = pattern(&whose.naming())?;
    let at_theirs = "SELECT id, document ->> '$.payload', phone_number_id FROM account_events \
         WHERE json_type(document, '$.payload') = 'text' \
         AND (phone_number_id IN (SELECT value FROM json_each(?1)) \
              OR (phone_number_id IS NULL AND waba_id IN (SELECT value FROM json_each(?2)))) \
         AND (?3 IS NULL OR document ->> '$.received_at' <= ?3)";
    let places = params![list(&whose.numbers), list(&whose.waba_ids), arrived_by(whose)];
    ids_where(connection, at_theirs, places, |payload, _| naming.is_match(payload))
}

/// Discards the letters of a customer, and says how many there were.
pub(super) fn erase_letters(connection: &Connection, whose: &Whose, now: Timestamp) -> Done<u64> {
    discard_all(connection, AMONG, &list(&letters(connection, whose)?), now)
}

/// Takes from the events that name a customer what they say, and says how many there were.
pub(super) fn erase_events(connection: &Connection, whose: &Whose, now: Timestamp) -> Done<u64> {
    let sql = format!(
        "UPDATE account_events SET document = json_set(json_remove(document, '$.payload'), '$.forgotten_at', ?2) \
         WHERE {AMONG}"
    );
    let ids = list(&events(connection, whose)?);
    let erased = connection.prepare_cached(&sql)?.execute(params![ids, time(now)])?;
    Ok(u64::try_from(erased).unwrap_or(u64::MAX))
}

/// A list as it is handed to SQL.
pub(super) fn list<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    texts.into_iter().map(String::as_str).collect::<serde_json::Value>().to_string()
}

/// The ids of the rows of `id`, text and number that are theirs by what the text says.
fn ids_where(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    is_theirs: impl Fn(&str, Option<&str>) -> bool,
) -> Done<Vec<String>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if is_theirs(row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str_or_null()?) {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}

fn arrived_by(whose: &Whose) -> Option<String> {
    whose.arrived_by.map(time)
}

fn pattern(text: &str) -> Result<Regex, StoreError> {
    Regex::new(text).map_err(|_| StoreError::Refused {
        database: "SQLite",
        problem: "there are too many names to look for at once".to_owned(),
    })
}
