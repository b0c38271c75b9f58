//! The transcript: every message in and out, `id` = `phone_number_id:wamid`.
//!
//! What is written is merged with what is there, so that what comes twice or in another order changes nothing, and a
//! status that comes before its message leaves a shell. So does a message whose customer was forgotten
//! (`forgotten_at`): it is known, and no text ever comes back to it.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use shared::{
    ids::{MessageId, PhoneNumberId, SessionId},
    trace::TraceParent,
};
use worker::{
    conversation::{BusinessId, MailboxItem, Usage},
    message::{Treatment, parse, replaced_by, treatment},
    scope::CustomerScope,
    store::{
        Inbound, NewStatus, OnRecord, Outbound, Quoted, Result, SHELL, SentText, StatusUpdate, Statuses, StatusesTaken,
        Transcript, Words, take_each_by_itself,
    },
};

use super::{
    SqliteStore, dead_letters,
    row::{Done, Row, Table, expiry, fields, text, time, time_in, whole},
};

const MESSAGES: Table = Table::Messages;
/// What a message that its customer took back does not keep, also where it was kept apart because of its size, or
/// understood already.
const CONTENT: &[&str] = &["message", "words", "is_speech", "language"];

#[async_trait]
impl Statuses for SqliteStore {
    async fn take_statuses(&self, statuses: &[NewStatus]) -> StatusesTaken {
        // What is written at the same time is one transaction.
        take_each_by_itself(self, statuses).await
    }
}

#[async_trait]
impl Transcript for SqliteStore {
    async fn record_inbound(&self, inbound: &Inbound<'_>) -> Result<()> {
        let heard = Heard::of(inbound);
        self.database.write(move |connection, now| heard.merge(connection, now)).await
    }

    async fn record_outbound(&self, outbound: &Outbound<'_>) -> Result<()> {
        let key = key(outbound.number, outbound.wamid);
        let ours = ours(outbound);
        let (session, by_a_person) = (outbound.session.clone(), outbound.reply_id.is_none());
        self.database
            .write(move |connection, now| {
                merge_ours(connection, &key, ours, now)?;
                // It may be unknown to whoever was asked to forget. A turn hears of that from `settle`; a person holds
                // nothing.
                if by_a_person { erase_if_forgotten(connection, &session, now) } else { Ok(()) }
            })
            .await
    }

    async fn record_turn(&self, inbound: &[Inbound<'_>], outbound: &[Outbound<'_>]) -> Result<()> {
        let heard: Vec<_> = inbound.iter().map(Heard::of).collect();
        let said: Vec<_> = outbound.iter().map(|said| (key(said.number, said.wamid), ours(said))).collect();
        self.database
            .write(move |connection, now| {
                heard.into_iter().try_for_each(|heard| heard.merge(connection, now))?;
                said.into_iter().try_for_each(|(key, said)| merge_ours(connection, &key, said, now))
            })
            .await
    }

    async fn keep_words(&self, scope: &CustomerScope, item: &MailboxItem, kind: &str, words: &Words) -> Result<()> {
        let (session, business_id, words) = (scope.session(), scope.business_id(), Some(words));
        // Should the customer be forgotten meanwhile, the end of the turn erases it, or whoever looks after them.
        self.record_inbound(&Inbound { session, business_id, item, kind, answered: false, words, taken_back: false })
            .await
    }

    async fn words_of(&self, scope: &CustomerScope, number: &PhoneNumberId, id: &MessageId) -> Result<Option<Words>> {
        let row = self.row_of(scope, number, id).await?;
        Ok(row.and_then(|row| {
            let words = text(&row, "words")?.to_owned();
            let is_speech = row.get("is_speech").and_then(serde_json::Value::as_bool).unwrap_or(false);
            Some(Words { words, is_speech, language: text(&row, "language").map(str::to_owned) })
        }))
    }

    async fn quoted(&self, scope: &CustomerScope, number: &PhoneNumberId, id: &MessageId) -> Result<Option<Quoted>> {
        let Some(row) = self.row_of(scope, number, id).await? else { return Ok(None) };
        let stored = |field: &str| text(&row, field).map(str::to_owned);
        if is_ours(&row) {
            return Ok(stored("body").map(Quoted::Ours));
        }
        let written = || match treatment(&parse(text(&row, "message")?)?) {
            Treatment::Answer(words) | Treatment::Remember(words) => Some(words),
            Treatment::Record => None,
        };
        Ok(stored("words").or_else(written).map(Quoted::Theirs))
    }

    async fn record_status(&self, update: &StatusUpdate) -> Result<Option<OnRecord>> {
        let key = key(&update.number, &update.wamid);
        let named = fields([("phone_number_id", update.number.expose().into()), ("id", update.wamid.expose().into())]);
        let standing = fields([
            ("status", update.status.as_str().into()),
            ("status_at", time(update.at).into()),
            ("status_rank", update.rank.into()),
        ]);
        let (replaced, error_code) = (replaced_by(update.rank), update.error_code);
        let pricing = update.pricing.clone();
        self.database
            .write(move |connection, now| {
                let mut row = row_at(connection, &key)?;
                row.extend(named);
                let stands = whole(&row, "status_rank").and_then(|rank| i32::try_from(rank).ok()).unwrap_or(-1);
                if replaced.contains(&stands) {
                    row.extend(standing);
                }
                if let Some(pricing) = pricing {
                    row.entry("pricing").or_insert(pricing.into());
                }
                if let Some(code) = error_code {
                    row.insert("error_code".to_owned(), code.into());
                }
                row.entry("expire_at").or_insert_with(|| expiry(now).into());
                MESSAGES.put(connection, &key, &row)?;
                let business = text(&row, "business_id").map(|id| BusinessId(id.to_owned()));
                let sent_at = time_in(&row, "timestamp");
                Ok(business.zip(sent_at).map(|(business, sent_at)| OnRecord { business, sent_at, trace: trace(&row) }))
            })
            .await
    }

    async fn sent_text(&self, number: &PhoneNumberId, id: &MessageId) -> Result<Option<SentText>> {
        let row = self.row(number, id).await?;
        Ok(row.filter(is_ours).and_then(|row| {
            Some(SentText {
                session: SessionId::from_stored(text(&row, "conversation")?),
                reply_id: text(&row, "reply_id")?.to_owned(),
                body: text(&row, "body")?.to_owned(),
                rank: whole(&row, "status_rank").and_then(|rank| i32::try_from(rank).ok()),
                trace: trace(&row),
            })
        }))
    }

    async fn is_recorded_outbound(&self, number: &PhoneNumberId, id: &MessageId) -> Result<bool> {
        self.is_so(number, id, "id = ?1 AND document ->> '$.direction' = 'out'").await
    }

    async fn was_answered(&self, number: &PhoneNumberId, id: &MessageId) -> Result<bool> {
        self.is_so(number, id, "id = ?1 AND document ->> '$.answered_at' IS NOT NULL").await
    }

    async fn message_content(&self, scope: &CustomerScope, item: &MailboxItem) -> Result<Option<String>> {
        let row = self.row(&item.phone_number_id, &item.id).await?;
        // Whatever its conversation is called since.
        let own = row.filter(|row| text(row, "business_id") == Some(scope.business_id().0.as_str()));
        Ok(own.and_then(|row| text(&row, "message").map(str::to_owned)))
    }
}

impl SqliteStore {
    async fn row(&self, number: &PhoneNumberId, id: &MessageId) -> Result<Option<Row>> {
        let key = key(number, id);
        self.database.read(move |connection, _| MESSAGES.get(connection, &key)).await
    }

    /// A message, if it is this customer's.
    async fn row_of(&self, scope: &CustomerScope, number: &PhoneNumberId, id: &MessageId) -> Result<Option<Row>> {
        let (session, business_id) = (scope.session().expose(), scope.business_id().0.as_str());
        let is_theirs =
            |row: &Row| text(row, "conversation") == Some(session) && text(row, "business_id") == Some(business_id);
        Ok(self.row(number, id).await?.filter(is_theirs))
    }

    async fn is_so(&self, number: &PhoneNumberId, id: &MessageId, condition: &'static str) -> Result<bool> {
        let key = key(number, id);
        self.database
            .read(move |connection, _| Ok(!MESSAGES.ids(connection, condition, params![key])?.is_empty()))
            .await
    }
}

/// A message from a customer on its way into the transcript.
struct Heard {
    key: String,
    row: Row,
    answered: bool,
    gone: &'static [&'static str],
}

impl Heard {
    fn of(inbound: &Inbound<'_>) -> Self {
        Self {
            key: key(&inbound.item.phone_number_id, &inbound.item.id),
            row: theirs(inbound),
            answered: inbound.answered,
            gone: if inbound.taken_back { CONTENT } else { &[] },
        }
    }

    fn merge(mut self, connection: &Connection, now: Timestamp) -> Done<()> {
        if self.answered {
            self.row.insert("answered_at".to_owned(), time(now).into());
        }
        merge(connection, &self.key, self.row, self.gone, now)
    }
}

fn merge_ours(connection: &Connection, key: &str, mut row: Row, now: Timestamp) -> Done<()> {
    row.insert("timestamp".to_owned(), time(now).into());
    merge(connection, key, row, &[], now)
}

/// What a message from a customer leaves, but for what depends on the time.
fn theirs(inbound: &Inbound<'_>) -> Row {
    let item = inbound.item;
    let mut row = fields([
        ("direction", "in".into()),
        ("conversation", inbound.session.expose().into()),
        ("business_id", inbound.business_id.0.as_str().into()),
        ("phone_number_id", item.phone_number_id.expose().into()),
        ("id", item.id.expose().into()),
        ("type", inbound.kind.into()),
        ("timestamp", time(item.timestamp).into()),
        ("received_at", time(item.received_at).into()),
    ]);
    // A reference from the mailbox must not wipe out the content that it refers to.
    if let Some(message) = item.message.as_ref().filter(|_| !inbound.taken_back) {
        row.insert("message".to_owned(), message.as_str().into());
    }
    if let Some(words) = inbound.words {
        row.extend(fields([("words", words.words.as_str().into()), ("is_speech", words.is_speech.into())]));
        if let Some(language) = &words.language {
            row.insert("language".to_owned(), language.as_str().into());
        }
    }
    row
}

/// What a message to a customer leaves, but for what depends on the time.
fn ours(outbound: &Outbound<'_>) -> Row {
    let mut row = fields([
        ("direction", "out".into()),
        ("conversation", outbound.session.expose().into()),
        ("business_id", outbound.business_id.0.as_str().into()),
        ("phone_number_id", outbound.number.expose().into()),
        ("id", outbound.wamid.expose().into()),
        ("type", outbound.kind.into()),
        ("body", outbound.body.into()),
    ]);
    if let Some(reply_id) = outbound.reply_id {
        row.insert("reply_id".to_owned(), reply_id.into());
    }
    if let Some(usage) = outbound.usage.filter(|usage| usage.calls > 0) {
        row.insert("usage".to_owned(), cost(usage).into());
    }
    if let Some(trace) = outbound.trace {
        row.insert("trace".to_owned(), trace.to_string().into());
    }
    if let Some(waited) = outbound.waited {
        row.insert("waited_millis".to_owned(), u64::try_from(waited.as_millis()).unwrap_or(u64::MAX).into());
    }
    row
}

fn cost(usage: &Usage) -> Row {
    fields([
        ("model", usage.model.as_str().into()),
        ("calls", usage.calls.into()),
        ("tokens_in", usage.tokens_in.into()),
        ("tokens_out", usage.tokens_out.into()),
        ("transcriptions", usage.transcriptions.into()),
        ("spoken_characters", usage.spoken_characters.into()),
    ])
}

fn trace(row: &Row) -> Option<TraceParent> {
    text(row, "trace")?.parse().ok()
}

fn is_ours(row: &Row) -> bool {
    text(row, "direction") == Some("out")
}

/// The row of that key, or the place where there is none yet.
fn row_at(connection: &Connection, key: &str) -> Done<Row> {
    Ok(MESSAGES.get(connection, key)?.unwrap_or_else(|| fields([("_id", key.into())])))
}

/// What was forgotten stays forgotten, whoever still has its text in hand.
fn merge(connection: &Connection, key: &str, set: Row, gone: &[&str], now: Timestamp) -> Done<()> {
    let mut row = row_at(connection, key)?;
    if row.contains_key("forgotten_at") {
        return Ok(());
    }
    for field in gone {
        row.remove(*field);
    }
    row.extend(set);
    row.insert("expire_at".to_owned(), expiry(now).into());
    MESSAGES.put(connection, key, &row)
}

/// Leaves of a conversation's messages what tells a redelivery, and says how many there were. `unanswered` are those
/// that may have no row yet: they count as answered from now on.
pub(super) fn erase_messages(
    connection: &Connection,
    session: &SessionId,
    unanswered: &[(PhoneNumberId, MessageId, Timestamp)],
    now: Timestamp,
) -> Done<u64> {
    for (number, id, timestamp) in unanswered {
        let theirs = fields([
            ("direction", "in".into()),
            ("conversation", session.expose().into()),
            ("phone_number_id", number.expose().into()),
            ("id", id.expose().into()),
            ("timestamp", time(*timestamp).into()),
        ]);
        merge(connection, &key(number, id), theirs, &[], now)?;
    }
    let kept: String = SHELL.iter().map(|field| format!(", '{field}', document -> '$.{field}'")).collect();
    // Patching nothing leaves out what is not there.
    let sql = format!(
        "UPDATE messages SET document = json_patch('{{}}', json_object('_id', id, 'forgotten_at', ?2, 'answered_at', \
         coalesce(document ->> '$.answered_at', iif(document ->> '$.direction' = 'in', ?2, NULL)){kept})) \
         WHERE conversation = ?1"
    );
    let erased = connection.prepare_cached(&sql)?.execute(params![session.expose(), time(now)])?;
    Ok(u64::try_from(erased).unwrap_or(u64::MAX))
}

/// For whoever wrote a text that belongs to a conversation without holding it: erases it again if the conversation was
/// closed.
pub(super) fn erase_if_forgotten(connection: &Connection, session: &SessionId, now: Timestamp) -> Done<()> {
    let closed = "id = ?1 AND forgotten_at IS NOT NULL";
    if !Table::Conversations.ids(connection, closed, params![session.expose()])?.is_empty() {
        erase_messages(connection, session, &[], now)?;
        dead_letters::erase_letters_of_turns(connection, session.expose(), now)?;
    }
    Ok(())
}

fn key(number: &PhoneNumberId, id: &MessageId) -> String {
    format!("{}:{}", number.expose(), id.expose())
}

#[cfg(test)]
mod tests;
