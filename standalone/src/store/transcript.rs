//! The transcript: every message in and out, `id` = `phone_number_id:wamid`.
//!
//! What is written is merged with what is there, so that what comes twice or in another order changes nothing, and a
//! status that comes before its message leaves a shell. So does a message whose customer was forgotten
//! (`forgotten_at`): it is known, and no text ever comes back to it.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use shared::ids::{MessageId, PhoneNumberId, SessionId};
use worker::{
    conversation::{MailboxItem, Usage},
    message::{Treatment, parse, treatment},
    scope::CustomerScope,
    store::{Inbound, Outbound, Quoted, Result, SentText, StatusUpdate, Transcript, Words},
};

use super::{
    SqliteStore, dead_letters,
    row::{Done, Row, Table, fields, text, time, whole},
};

const MESSAGES: Table = Table::Messages;
/// How long a message is kept. Meta redelivers for seven days, so a shell must outlive that by far.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// What a message that its customer took back does not keep, also where it was kept apart because of its size, or
/// understood already.
const CONTENT: &[&str] = &["message", "words", "is_speech", "language"];
/// What is kept of a forgotten message: nothing of its text, nor whose it was.
const SHELL: &[&str] = &[
    "direction",
    "phone_number_id",
    "id",
    "timestamp",
    "received_at",
    "status",
    "status_at",
    "status_rank",
    "error_code",
    "pricing",
    "expire_at",
];

#[async_trait]
impl Transcript for SqliteStore {
    async fn record_inbound(&self, inbound: &Inbound<'_>) -> Result<()> {
        let key = key(&inbound.item.phone_number_id, &inbound.item.id);
        let mut theirs = theirs(inbound);
        let answered = inbound.answered;
        let gone = if inbound.taken_back { CONTENT } else { &[] };
        self.database
            .write(move |connection, now| {
                if answered {
                    theirs.insert("answered_at".to_owned(), time(now).into());
                }
                merge(connection, &key, theirs, gone, now)
            })
            .await
    }

    async fn record_outbound(&self, outbound: &Outbound<'_>) -> Result<()> {
        let key = key(outbound.number, outbound.wamid);
        let mut ours = ours(outbound);
        let (session, by_a_person) = (outbound.session.clone(), outbound.reply_id.is_none());
        self.database
            .write(move |connection, now| {
                ours.insert("timestamp".to_owned(), time(now).into());
                merge(connection, &key, ours, &[], now)?;
                // It may be unknown to whoever was asked to forget. A turn hears of that from `settle`; a person holds
                // nothing.
                if by_a_person { erase_if_forgotten(connection, &session, now) } else { Ok(()) }
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

    async fn record_status(&self, update: &StatusUpdate<'_>) -> Result<()> {
        let key = key(update.number, update.wamid);
        let named = fields([("phone_number_id", update.number.expose().into()), ("id", update.wamid.expose().into())]);
        let standing = fields([
            ("status", update.status.into()),
            ("status_at", time(update.at).into()),
            ("status_rank", update.rank.into()),
        ]);
        let (rank, error_code) = (i64::from(update.rank), update.error_code);
        let pricing = update.pricing.map(str::to_owned);
        self.database
            .write(move |connection, now| {
                let mut row = row_at(connection, &key)?;
                row.extend(named);
                if whole(&row, "status_rank").unwrap_or(-1) < rank {
                    row.extend(standing);
                }
                if let Some(pricing) = pricing {
                    row.entry("pricing").or_insert(pricing.into());
                }
                if let Some(code) = error_code {
                    row.insert("error_code".to_owned(), code.into());
                }
                row.entry("expire_at").or_insert_with(|| expiry(now).into());
                MESSAGES.put(connection, &key, &row)
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

fn expiry(now: Timestamp) -> String {
    time(now.saturating_add(KEPT).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use worker::{
        conversation::BusinessId,
        store::{DeadLetter, DeadLetters, ReplayPolicy},
    };

    use super::*;

    const SESSION: &str = "acme:16505551234";

    fn number() -> PhoneNumberId {
        PhoneNumberId::parse("106540352242922").expect("a phone number id")
    }

    fn id(text: &str) -> MessageId {
        MessageId::parse(text).expect("a message id")
    }

    async fn said(store: &SqliteStore, words: Option<&Words>, taken_back: bool) {
        let item = MailboxItem {
            id: id("wamid.in"),
            phone_number_id: number(),
            timestamp: Timestamp::UNIX_EPOCH,
            received_at: Timestamp::UNIX_EPOCH,
            index: 0,
            message: Some("{}".to_owned()),
            resend_of: None,
        };
        let (session, business_id) = (SessionId::from_stored(SESSION), BusinessId("acme".to_owned()));
        let (session, business_id, item) = (&session, &business_id, &item);
        let inbound = Inbound { session, business_id, item, kind: "audio", answered: taken_back, words, taken_back };
        store.record_inbound(&inbound).await.expect("the store answers");
    }

    async fn answered(store: &SqliteStore, reply_id: Option<&str>) {
        let (session, business_id) = (SessionId::from_stored(SESSION), BusinessId("acme".to_owned()));
        let outbound = Outbound {
            session: &session,
            business_id: &business_id,
            number: &number(),
            wamid: &id("wamid.out"),
            reply_id,
            kind: "text",
            body: "secret",
            usage: Some(&Usage { model: "a".to_owned(), calls: 1, ..Usage::default() }),
        };
        store.record_outbound(&outbound).await.expect("the store answers");
    }

    async fn status(store: &SqliteStore) {
        let update = StatusUpdate {
            number: &number(),
            wamid: &id("wamid.out"),
            status: "read",
            rank: 3,
            at: Timestamp::UNIX_EPOCH,
            pricing: Some("{}"),
            error_code: None,
        };
        store.record_status(&update).await.expect("the store answers");
    }

    /// The names of its fields, in alphabetical order.
    async fn left(store: &SqliteStore, table: Table, id: &'static str) -> String {
        let row = store.database.read(move |connection, _| table.get::<Row>(connection, id)).await;
        let row = row.expect("the store answers").expect("the row is there");
        let mut names: Vec<String> = row
            .into_iter()
            .map(|(name, value)| {
                assert!(!value.is_null(), "{name} is there or not");
                name
            })
            .collect();
        names.sort();
        names.join(" ")
    }

    fn opened() -> (tempfile::TempDir, SqliteStore) {
        let directory = tempfile::tempdir().expect("a directory");
        let store = SqliteStore::open(&directory.path().join("switchboard.db")).expect("a new file");
        (directory, store)
    }

    async fn close(store: &SqliteStore) {
        let closed = json!({ "_id": SESSION, "forgotten_at": time(Timestamp::UNIX_EPOCH) });
        let closing = store.database.write(move |connection, _| Table::Conversations.put(connection, SESSION, &closed));
        closing.await.expect("the store answers");
    }

    #[tokio::test]
    async fn what_a_customer_took_back_says_nothing() {
        let (_directory, store) = opened();
        let words = Words { words: "secret".to_owned(), is_speech: true, language: Some("en".to_owned()) };
        said(&store, Some(&words), false).await;
        let all = left(&store, Table::Messages, "106540352242922:wamid.in").await;
        assert!(["is_speech", "language", "message", "words"].iter().all(|field| all.contains(field)), "{all}");
        said(&store, None, true).await;
        assert_eq!(
            left(&store, Table::Messages, "106540352242922:wamid.in").await,
            "_id answered_at business_id conversation direction expire_at id phone_number_id received_at timestamp type"
        );
    }

    #[tokio::test]
    async fn of_forgotten_messages_stays_what_tells_a_redelivery() {
        let (_directory, store) = opened();
        said(&store, None, false).await;
        answered(&store, Some("r1")).await;
        status(&store).await;
        let erasing = store.database.write(|connection, now| {
            let unanswered = [(number(), id("wamid.in"), now), (number(), id("wamid.waiting"), now)];
            erase_messages(connection, &SessionId::from_stored(SESSION), &unanswered, now)
        });
        assert_eq!(erasing.await.expect("the store answers"), 3);
        // Whoever still has their texts in hand.
        said(&store, None, false).await;
        answered(&store, Some("r1")).await;
        let shell = "_id answered_at direction expire_at forgotten_at id phone_number_id";
        assert_eq!(
            left(&store, Table::Messages, "106540352242922:wamid.in").await,
            format!("{shell} received_at timestamp")
        );
        assert_eq!(left(&store, Table::Messages, "106540352242922:wamid.waiting").await, format!("{shell} timestamp"));
        assert_eq!(
            left(&store, Table::Messages, "106540352242922:wamid.out").await,
            "_id direction expire_at forgotten_at id phone_number_id pricing status status_at status_rank timestamp"
        );
        for wamid in ["wamid.in", "wamid.waiting"] {
            assert!(store.was_answered(&number(), &id(wamid)).await.expect("the store answers"), "{wamid}");
        }
    }

    #[tokio::test]
    async fn what_is_written_about_a_closed_conversation_leaves_no_text() {
        let (_directory, store) = opened();
        close(&store).await;
        answered(&store, None).await;
        let sent = left(&store, Table::Messages, "106540352242922:wamid.out").await;
        assert_eq!(sent, "_id direction expire_at forgotten_at id phone_number_id timestamp");
        let letter = DeadLetter {
            id: "a".to_owned(),
            reason: "refused",
            detail: String::new(),
            phone_number_id: Some(number()),
            business_id: None,
            session: Some(SessionId::from_stored(SESSION)),
            message_id: None,
            body: b"secret".to_vec(),
            replay: ReplayPolicy::WhenServedWithinADay,
            counted_as_answered: true,
        };
        store.bury(&letter).await.expect("the store answers");
        assert_eq!(
            left(&store, Table::DeadLetters, "a").await,
            "_id buried_at count detail discarded_at expire_at handle last_buried_at phone_number_id reason turn_burials"
        );
    }
}
