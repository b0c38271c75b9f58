//! What cannot be handled and must not be lost, with the reason and its bytes; and its way back.
//!
//! A letter goes back into its conversation as often as a replay of it is begun, and lands there once: each replay of
//! one burial has the same id, which landing knows. What became of it is written only where it was not buried again
//! since (`count`). What operators ask and decide is in `filed_letters`.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use shared::{
    envelope::Envelope,
    ids::{PhoneNumberId, SessionId},
};
use worker::store::{DeadLetter, DeadLetters, ReplayPolicy, Result, StoreError, WaitingLetter, letter_handle};

use super::{
    SqliteStore,
    row::{Done, Row, Table, expiry, fields, required, text, time, time_in, whole},
    transcript,
};

/// `replay` of a letter that waits for its business.
pub(super) const WHEN_SERVED: &str = "when_served";

/// `replay` of a letter that an operator wants to be replayed.
pub(super) const NOW: &str = "now";

const LETTERS: Table = Table::DeadLetters;
/// After that the customer no longer expects an answer.
const EXPECTED: SignedDuration = SignedDuration::from_hours(24);
/// The field of a body that is no text.
pub(super) const BYTES: &str = "$bytes";

#[async_trait]
impl DeadLetters for SqliteStore {
    async fn bury(&self, letter: &DeadLetter) -> Result<()> {
        let (id, first, session) = (letter.id.clone(), first(letter), letter.session.clone());
        let (reason, detail, replay) = (letter.reason, letter.detail.clone(), letter.replay);
        let by_turn = i64::from(letter.counted_as_answered);
        self.database
            .write(move |connection, now| {
                let mut row = LETTERS.get::<Row>(connection, &id)?.unwrap_or_default();
                let begun = fields([("buried_at", time(now).into()), ("expire_at", expiry(now).into())]);
                for (field, value) in first.into_iter().chain(begun) {
                    row.entry(field).or_insert(value);
                }
                say_anew(&mut row, reason, &detail, replay, now);
                for (field, more) in [("count", 1), ("turn_burials", by_turn)] {
                    let sum = whole(&row, field).unwrap_or(0).saturating_add(more);
                    row.insert(field.to_owned(), sum.into());
                }
                LETTERS.put(connection, &id, &row)?;
                session.map_or(Ok(()), |session| transcript::erase_if_forgotten(connection, &session, now))
            })
            .await
    }

    async fn bury_again(
        &self,
        letter: &WaitingLetter,
        reason: &'static str,
        detail: &str,
        replay: ReplayPolicy,
        number: Option<&PhoneNumberId>,
    ) -> Result<()> {
        let (id, count, detail) = (letter.id.clone(), letter.count, detail.to_owned());
        let number = number.map(|number| number.expose().to_owned());
        self.database
            .write(move |connection, now| {
                let burying = change_burial(connection, &id, count, |row| {
                    say_anew(row, reason, &detail, replay, now);
                    if let Some(number) = number {
                        row.entry("phone_number_id").or_insert(number.into());
                    }
                    row.insert("count".to_owned(), count.saturating_add(1).into());
                    true
                });
                burying.map(drop)
            })
            .await
    }

    async fn waiting_numbers(&self) -> Result<Vec<PhoneNumberId>> {
        self.database
            .read(move |connection, now| {
                let sql = format!(
                    "SELECT DISTINCT phone_number_id FROM dead_letters \
                     WHERE {} AND phone_number_id IS NOT NULL",
                    waiting("?1")
                );
                let mut statement = connection.prepare_cached(&sql)?;
                let mut numbers = Vec::new();
                for number in statement.query_map(params![time(now)], |row| row.get::<_, String>(0))? {
                    numbers.extend(PhoneNumberId::parse(&number?).ok());
                }
                Ok(numbers)
            })
            .await
    }

    async fn waiting_letters(&self, number: &PhoneNumberId, most: i64) -> Result<Vec<WaitingLetter>> {
        let number = number.expose().to_owned();
        self.database
            .read(move |connection, now| {
                let condition = format!("phone_number_id = ?1 AND {} ORDER BY buried_at, id LIMIT ?3", waiting("?2"));
                let found = LETTERS.find(connection, &condition, params![number, time(now), most])?;
                found.into_iter().map(|(_, letter)| Ok(to_replay(&letter)?)).collect()
            })
            .await
    }

    async fn turn_burials(&self, ids: &[String]) -> Result<BTreeMap<String, i64>> {
        let ids = ids.to_vec();
        self.database
            .read(move |connection, _| {
                let mut found = BTreeMap::new();
                for id in ids {
                    if let Some(letter) = LETTERS.get::<Row>(connection, &id)? {
                        found.insert(id, whole(&letter, "turn_burials").unwrap_or(0));
                    }
                }
                Ok(found)
            })
            .await
    }

    async fn take_up_requested(&self, hold: Duration) -> Result<Option<WaitingLetter>> {
        self.database
            .write(move |connection, now| {
                let free = "replay = 'now' AND (document ->> '$.replay_taken_until' IS NULL \
                            OR document ->> '$.replay_taken_until' <= ?1) ORDER BY buried_at, id LIMIT 1";
                let Some((id, mut letter)) = LETTERS.find::<Row>(connection, free, params![time(now)])?.pop() else {
                    return Ok(None);
                };
                let until = now.saturating_add(hold).unwrap_or(now);
                letter.insert("replay_taken_until".to_owned(), time(until).into());
                LETTERS.put(connection, &id, &letter)?;
                Ok(Some(to_replay(&letter)?))
            })
            .await
    }

    async fn mark_replayed(&self, letter: &WaitingLetter) -> Result<()> {
        let (id, count) = (letter.id.clone(), letter.count);
        self.database
            .write(move |connection, now| {
                let marking = change_burial(connection, &id, count, |row| {
                    row.insert("replayed_at".to_owned(), time(now).into());
                    row.remove("replay");
                    row.remove("replay_taken_until");
                    true
                });
                marking.map(drop)
            })
            .await
    }
}

/// What the first burial tells, and a later one where it is not known yet.
fn first(letter: &DeadLetter) -> Row {
    let bytes = letter.body.as_slice();
    let body = std::str::from_utf8(bytes).map_or_else(|_| json!({ BYTES: hex::encode(bytes) }), Value::from);
    let mut row =
        fields([("_id", letter.id.as_str().into()), ("handle", letter_handle(&letter.id).into()), ("body", body)]);
    let known = [
        ("message_id", letter.message_id.as_deref()),
        ("phone_number_id", letter.phone_number_id.as_ref().map(PhoneNumberId::expose)),
        ("business_id", letter.business_id.as_ref().map(|id| id.0.as_str())),
        ("conversation", letter.session.as_ref().map(SessionId::expose)),
    ];
    row.extend(known.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?.into()))));
    // When intake's reached ingest: a customer who is forgotten meanwhile is not in it any more.
    if letter.session.is_none() {
        let received_at = Envelope::decode(bytes).ok().map(|envelope| envelope.received_at);
        let received_at = received_at.and_then(|at| Timestamp::from_millisecond(at).ok());
        row.extend(received_at.map(|at| ("received_at".to_owned(), time(at).into())));
    }
    row
}

/// What each burial says anew.
fn say_anew(row: &mut Row, reason: &'static str, detail: &str, replay: ReplayPolicy, now: Timestamp) {
    for gone in ["replay", "replay_until", "replayed_at", "discarded_at", "replay_requested_at", "replay_taken_until"] {
        row.remove(gone);
    }
    row.extend(fields([("reason", reason.into()), ("detail", detail.into()), ("last_buried_at", time(now).into())]));
    let (comes_back, until) = match replay {
        ReplayPolicy::ByHand => (false, None),
        ReplayPolicy::WhenServed => (true, None),
        ReplayPolicy::WhenServedWithinADay => (true, Some(now.saturating_add(EXPECTED).unwrap_or(now))),
    };
    row.extend(comes_back.then(|| ("replay".to_owned(), WHEN_SERVED.into())));
    row.extend(until.map(|until| ("replay_until".to_owned(), time(until).into())));
}

/// Changes a letter, unless it was buried again since it was read, or the change does not want it. Says whether it did.
pub(super) fn change_burial(
    connection: &Connection,
    id: &str,
    burials: i64,
    change: impl FnOnce(&mut Row) -> bool,
) -> Done<bool> {
    let letter = LETTERS.get::<Row>(connection, id)?;
    let Some(mut letter) = letter.filter(|letter| whole(letter, "count") == Some(burials)) else { return Ok(false) };
    let changed = change(&mut letter);
    if changed {
        LETTERS.put(connection, id, &letter)?;
    }
    Ok(changed)
}

/// Whether a worker replays it now.
pub(super) fn is_in_hand(letter: &Row, now: Timestamp) -> bool {
    time_in(letter, "replay_taken_until").is_some_and(|until| until > now)
}

/// Discards the letters of one conversation's turns, and says how many there were.
pub(super) fn erase_letters_of_turns(connection: &Connection, session: &str, now: Timestamp) -> Done<u64> {
    discard_all(connection, "conversation = ?1", session, now)
}

/// Discards for good the letters of a customer that a condition on one text means, and says how many there were.
pub(super) fn discard_all(connection: &Connection, condition: &str, parameter: &str, now: Timestamp) -> Done<u64> {
    let sql = format!(
        "UPDATE dead_letters SET document = json_set(json_remove(document, '$.body', '$.conversation', '$.replay', \
         '$.replay_until', '$.replay_requested_at', '$.replay_taken_until'), '$.discarded_at', ?2) WHERE {condition}"
    );
    let discarded = connection.prepare_cached(&sql)?.execute(params![parameter, time(now)])?;
    Ok(u64::try_from(discarded).unwrap_or(u64::MAX))
}

/// What a letter holds.
pub(super) fn body(letter: &Row) -> Option<Vec<u8>> {
    let body = letter.get("body")?;
    match body.get(BYTES) {
        Some(bytes) => hex::decode(bytes.as_str()?).ok(),
        None => Some(body.as_str()?.as_bytes().to_vec()),
    }
}

fn to_replay(letter: &Row) -> std::result::Result<WaitingLetter, StoreError> {
    let by_turns = whole(letter, "turn_burials").unwrap_or(0);
    Ok(WaitingLetter {
        id: required(letter, "_id", "dead letter")?.to_owned(),
        reason: text(letter, "reason").unwrap_or_default().to_owned(),
        message_id: text(letter, "message_id").map(str::to_owned),
        body: body(letter).unwrap_or_default(),
        count: whole(letter, "count").unwrap_or(1),
        replay_number: (by_turns > 0).then_some(by_turns),
    })
}

/// The condition that a letter waits for its business; the parameter is the time.
fn waiting(now: &str) -> String {
    format!(
        "replay = '{WHEN_SERVED}' AND (document ->> '$.replay_until' IS NULL OR document ->> '$.replay_until' > {now})"
    )
}
