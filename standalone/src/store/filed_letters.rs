//! What operators ask of the dead letters: which there are, what one holds, another try, an end.
//!
//! A decision is about the burial that the operator saw: it is written only where the letter was not buried again
//! since, so that nobody replays or discards what they have not looked at.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use rusqlite::{Connection, params_from_iter};
use serde_json::Value;
use shared::ids::{MessageId, PhoneNumberId, SessionId};
use worker::{
    conversation::BusinessId,
    store::{FiledLetter, FiledLetters, LetterDesk, LetterFilter, LetterState, Reading, Result, Standing},
};

use super::{
    SqliteStore,
    database::Database,
    dead_letters::{NOW, WHEN_SERVED, body, change_burial, is_in_hand},
    error::corrupt,
    row::{Done, Row, required, text, time, time_in, whole},
};

/// Letters that are read at once: each may be megabytes.
const AT_ONCE: u32 = 50;

#[async_trait]
impl LetterDesk for SqliteStore {
    async fn filed_letters(&self, filter: &LetterFilter, reading: Reading) -> Result<FiledLetters> {
        let mut letters = Letters {
            database: self.database.clone(),
            meant: Arc::new(Condition::from(filter)),
            reading,
            left: reading.most,
            page: VecDeque::new(),
            last: None,
            are_all: false,
        };
        letters.read_on().await?;
        Ok(FiledLetters::new(stream::try_unfold(letters, Letters::next).boxed()))
    }

    async fn count_letters(&self, filter: &LetterFilter) -> Result<Vec<(String, u64)>> {
        let meant = Condition::from(filter);
        self.database
            .read(move |connection, _| {
                let sql = format!(
                    "SELECT coalesce(reason, ''), count(*) AS letters FROM dead_letters WHERE {} \
                     GROUP BY reason ORDER BY letters DESC, reason",
                    meant.sql
                );
                let mut statement = connection.prepare_cached(&sql)?;
                let counts = statement.query_map(params_from_iter(&meant.values), |row| {
                    Ok((row.get(0)?, row.get::<_, i64>(1).map(|letters| u64::try_from(letters).unwrap_or(0))?))
                })?;
                Ok(counts.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn request_replay(&self, letter: &FiledLetter) -> Result<bool> {
        let (id, burials) = (letter.id.clone(), letter.burials);
        self.database
            .write(move |connection, now| {
                change_burial(connection, &id, burials, |letter| {
                    if letter.contains_key("replayed_at") || letter.contains_key("discarded_at") {
                        return false;
                    }
                    letter.insert("replay".to_owned(), NOW.into());
                    letter.insert("replay_requested_at".to_owned(), time(now).into());
                    letter.remove("replay_until");
                    true
                })
            })
            .await
    }

    async fn discard(&self, letter: &FiledLetter) -> Result<bool> {
        let (id, burials) = (letter.id.clone(), letter.burials);
        self.database
            .write(move |connection, now| {
                change_burial(connection, &id, burials, |letter| {
                    if letter.contains_key("discarded_at") || is_in_hand(letter, now) {
                        return false;
                    }
                    letter.insert("discarded_at".to_owned(), time(now).into());
                    for gone in ["replay", "body", "replay_until", "replay_requested_at", "replay_taken_until"] {
                        letter.remove(gone);
                    }
                    true
                })
            })
            .await
    }
}

/// Letters that are read page by page, so that other work comes between and few of them are held.
struct Letters {
    database: Database,
    meant: Arc<Condition>,
    reading: Reading,
    /// How many more are wanted, if not all.
    left: Option<u32>,
    page: VecDeque<FiledLetter>,
    /// Where the page ends.
    last: Option<Place>,
    /// There are no more than the page holds.
    are_all: bool,
}

/// A letter's place in the order.
#[derive(Debug, Clone)]
struct Place {
    buried_at: String,
    id: String,
}

impl Place {
    /// In the order in which a statement asks for them.
    fn parameters(&self) -> [&String; 3] {
        [&self.buried_at, &self.buried_at, &self.id]
    }
}

impl Letters {
    async fn next(mut self) -> Result<Option<(FiledLetter, Self)>> {
        if self.page.is_empty() {
            self.read_on().await?;
        }
        Ok(self.page.pop_front().map(|letter| (letter, self)))
    }

    async fn read_on(&mut self) -> Result<()> {
        let most = self.left.map_or(AT_ONCE, |left| left.min(AT_ONCE));
        if self.are_all || most == 0 {
            return Ok(());
        }
        let (meant, reading, last) = (Arc::clone(&self.meant), self.reading, self.last.clone());
        let reading = self.database.read(move |connection, now| page(connection, &meant, reading, last, most, now));
        (self.page, self.last) = reading.await?;
        let found = u32::try_from(self.page.len()).unwrap_or(u32::MAX);
        self.left = self.left.map(|left| left.saturating_sub(found));
        self.are_all = found < most;
        Ok(())
    }
}

/// The letters that come after a place, and where they end.
fn page(
    connection: &Connection,
    meant: &Condition,
    reading: Reading,
    after: Option<Place>,
    most: u32,
    now: Timestamp,
) -> Done<(VecDeque<FiledLetter>, Option<Place>)> {
    let sql = statement(meant, reading, after.is_some(), most);
    let place = after.iter().flat_map(Place::parameters);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(meant.values.iter().chain(place)))?;
    let (mut letters, mut last) = (VecDeque::new(), None);
    while let Some(row) = rows.next()? {
        let letter: Row = serde_json::from_str(row.get_ref(0)?.as_str()?).map_err(|_| corrupt("dead letter"))?;
        letters.push_back(read(&letter, now)?);
        last = Some(Place { buried_at: row.get(1)?, id: row.get(2)? });
    }
    Ok((letters, last))
}

/// As the index has it, forwards or backwards: letters are read as they come, never sorted as a whole.
fn statement(meant: &Condition, reading: Reading, goes_on: bool, most: u32) -> String {
    let document = if reading.with_bodies { "document" } else { "json_remove(document, '$.body')" };
    let (order, beyond) = if reading.oldest_first {
        ("buried_at, id DESC", "buried_at >= ? AND (buried_at > ? OR id < ?)")
    } else {
        ("buried_at DESC, id", "buried_at <= ? AND (buried_at < ? OR id > ?)")
    };
    let beyond = if goes_on { beyond } else { "TRUE" };
    let meant = &meant.sql;
    format!(
        "SELECT {document}, buried_at, id FROM dead_letters WHERE {meant} AND {beyond} ORDER BY {order} LIMIT {most}"
    )
}

/// Which letters are meant, and what is asked for in its places.
#[derive(Debug)]
struct Condition {
    sql: String,
    values: Vec<String>,
}

impl From<&LetterFilter> for Condition {
    fn from(filter: &LetterFilter) -> Self {
        let (mut all, mut values) = (vec!["TRUE"], Vec::new());
        let mut also = |condition, more: &[String]| {
            all.push(condition);
            values.extend_from_slice(more);
        };
        if !filter.ids.is_empty() {
            let ids = list(filter.ids.iter().map(String::as_str));
            let named = "(id IN (SELECT value FROM json_each(?)) OR handle IN (SELECT value FROM json_each(?)))";
            also(named, &[ids.clone(), ids]);
        }
        if let Some(owner) = &filter.owner {
            let businesses = list(owner.businesses.iter().map(|id| id.0.as_str()));
            let numbers = list(owner.numbers.iter().map(PhoneNumberId::expose));
            // What names another business is that one's, also where the number has moved since.
            let theirs = "(business_id IN (SELECT value FROM json_each(?)) \
                          OR business_id IS NULL AND phone_number_id IN (SELECT value FROM json_each(?)))";
            also(theirs, &[businesses, numbers]);
        }
        if let Some(reason) = &filter.reason {
            also("reason = ?", std::slice::from_ref(reason));
        }
        if let Some(until) = filter.until {
            also("buried_at <= ?", &[time(until)]);
        }
        if let Some(since) = filter.since {
            also("buried_at >= ?", &[time(since)]);
        }
        also(standing(filter.standing), &[]);
        Self { sql: all.join(" AND "), values }
    }
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Open => "document ->> '$.replayed_at' IS NULL AND document ->> '$.discarded_at' IS NULL",
        Standing::Replayed => "document ->> '$.replayed_at' IS NOT NULL AND document ->> '$.discarded_at' IS NULL",
        Standing::Closed => "(document ->> '$.replayed_at' IS NOT NULL OR document ->> '$.discarded_at' IS NOT NULL)",
        Standing::Any => "TRUE",
    }
}

/// Any number of texts in one place of a statement.
fn list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.map(Value::from).collect::<Value>().to_string()
}

fn read(letter: &Row, now: Timestamp) -> Result<FiledLetter> {
    let id = required(letter, "_id", "dead letter")?;
    let buried_at = time_in(letter, "buried_at").unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(FiledLetter {
        id: id.to_owned(),
        handle: text(letter, "handle").unwrap_or(id).to_owned(),
        reason: text(letter, "reason").unwrap_or_default().to_owned(),
        detail: text(letter, "detail").unwrap_or_default().to_owned(),
        buried_at,
        last_buried_at: time_in(letter, "last_buried_at").unwrap_or(buried_at),
        burials: whole(letter, "count").unwrap_or(1),
        phone_number_id: text(letter, "phone_number_id").and_then(|id| PhoneNumberId::parse(id).ok()),
        business_id: text(letter, "business_id").map(|id| BusinessId(id.to_owned())),
        session: text(letter, "conversation").map(SessionId::from_stored),
        message_id: text(letter, "message_id").and_then(|id| MessageId::parse(id).ok()),
        state: state(letter, now),
        expires_at: time_in(letter, "expire_at"),
        body: body(letter),
    })
}

fn state(letter: &Row, now: Timestamp) -> LetterState {
    if let Some(at) = time_in(letter, "discarded_at") {
        return LetterState::Discarded { at };
    }
    if let Some(at) = time_in(letter, "replayed_at") {
        return LetterState::Replayed { at };
    }
    let until = time_in(letter, "replay_until");
    match text(letter, "replay") {
        Some(NOW) => LetterState::ReplayRequested { at: time_in(letter, "replay_requested_at") },
        Some(WHEN_SERVED) if until.is_none_or(|until| until > now) => LetterState::WaitsForBusiness { until },
        Some(_) | None => LetterState::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use rusqlite::params;
    use worker::store::{DeadLetter, DeadLetters, LetterOwner, ReplayPolicy};

    use super::*;

    const NUMBER: &str = "106540352242922";

    /// Letters `000` to `124`, of which three each were filed at the same time.
    async fn filled(directory: &tempfile::TempDir) -> SqliteStore {
        let store = SqliteStore::open(&directory.path().join("switchboard.db")).expect("a new file");
        for n in 0..125 {
            let letter = DeadLetter {
                id: format!("{n:03}"),
                reason: if n % 2 == 0 { "even" } else { "odd" },
                detail: String::new(),
                phone_number_id: PhoneNumberId::parse(NUMBER).ok(),
                business_id: None,
                session: None,
                message_id: None,
                body: format!("body {n}").into_bytes(),
                replay: ReplayPolicy::ByHand,
                counted_as_answered: false,
            };
            store.bury(&letter).await.expect("the store answers");
        }
        let aging = store.database.write(|connection, now| {
            for n in 0..125 {
                let at = now.saturating_add(SignedDuration::from_secs(n / 3)).unwrap_or(now);
                let sql = "UPDATE dead_letters SET document = json_set(document, '$.buried_at', ?2) WHERE id = ?1";
                connection.execute(sql, params![format!("{n:03}"), time(at)])?;
            }
            Ok(())
        });
        aging.await.expect("the store answers");
        store
    }

    async fn all(mut letters: FiledLetters) -> Vec<FiledLetter> {
        let mut found = Vec::new();
        while let Some(letter) = letters.next_letter().await.expect("the store answers") {
            found.push(letter);
        }
        found
    }

    #[tokio::test]
    async fn letters_are_read_to_the_end_page_by_page_each_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = filled(&directory).await;
        // The newest first, and those of one time by their ids; or all of that backwards.
        let mut expected: Vec<u32> = (0..125).collect();
        expected.sort_by_key(|n| (std::cmp::Reverse(n / 3), *n));
        for oldest_first in [false, true] {
            for most in [None, Some(0), Some(50), Some(51), Some(100), Some(124), Some(1_000)] {
                let reading = Reading { oldest_first, most, with_bodies: true };
                let letters = store.filed_letters(&LetterFilter::default(), reading).await.expect("the store answers");
                let found: Vec<String> = all(letters).await.into_iter().map(|letter| letter.id).collect();
                let expected = expected.iter().take(most.map_or(125, |most| most as usize));
                assert_eq!(found, expected.map(|n| format!("{n:03}")).collect::<Vec<_>>(), "{reading:?}");
            }
            expected.reverse();
        }
        let odd = LetterFilter { reason: Some("odd".to_owned()), ..LetterFilter::default() };
        let letters = all(store.filed_letters(&odd, Reading::default()).await.expect("the store answers")).await;
        assert_eq!((letters.len(), letters.iter().filter(|letter| letter.body.is_some()).count()), (62, 0));
    }

    #[tokio::test]
    async fn what_is_filed_or_goes_meanwhile_disturbs_nobody_who_reads() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = filled(&directory).await;
        let reading = Reading { oldest_first: true, ..Reading::default() };
        let mut letters = store.filed_letters(&LetterFilter::default(), reading).await.expect("the store answers");
        let mut discarded = 0;
        // As an operator does who discards what the filter means, while it is read.
        while let Some(letter) = letters.next_letter().await.expect("the store answers") {
            discarded += u32::from(store.discard(&letter).await.expect("the store answers"));
        }
        assert_eq!(discarded, 125);
        assert_eq!(store.count_letters(&LetterFilter::default()).await.expect("the store answers"), []);
    }

    #[tokio::test]
    async fn letters_are_read_along_an_index_however_they_are_chosen() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = filled(&directory).await;
        let numbers = PhoneNumberId::parse(NUMBER).into_iter().collect();
        let owner = LetterOwner { businesses: vec![BusinessId("ours".to_owned())], numbers };
        let of_owner = LetterFilter { owner: Some(owner), ..LetterFilter::default() };
        let (reason, now) = (Some("odd".to_owned()), Some(Timestamp::now()));
        for filter in [
            LetterFilter::default(),
            LetterFilter { reason: reason.clone(), ..LetterFilter::default() },
            LetterFilter { since: now, until: now, ..LetterFilter::default() },
            LetterFilter { since: now, until: now, reason, ..of_owner.clone() },
            of_owner,
        ] {
            for oldest_first in [false, true] {
                for after in [None, Some(Place { buried_at: String::new(), id: String::new() })] {
                    let meant = Condition::from(&filter);
                    let reading = Reading { oldest_first, ..Reading::default() };
                    let planning = store.database.read(move |connection, _| {
                        let sql = format!("EXPLAIN QUERY PLAN {}", statement(&meant, reading, after.is_some(), 50));
                        let places = after.iter().flat_map(Place::parameters);
                        let mut planning = connection.prepare(&sql)?;
                        let parameters = params_from_iter(meant.values.iter().chain(places));
                        let steps = planning.query_map(parameters, |row| row.get::<_, String>(3))?;
                        Ok(steps.collect::<rusqlite::Result<Vec<_>>>()?.join("\n"))
                    });
                    let plan = planning.await.expect("the store answers");
                    assert!(plan.contains("dead_letters_age") && !plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
                }
            }
        }
    }
}
