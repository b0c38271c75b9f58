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
        trace: None,
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
        waited: None,
        trace: None,
    };
    store.record_outbound(&outbound).await.expect("the store answers");
}

async fn status(store: &SqliteStore) {
    let update = StatusUpdate {
        number: number(),
        wamid: id("wamid.out"),
        status: "read".to_owned(),
        rank: 3,
        at: Timestamp::UNIX_EPOCH,
        pricing: Some("{}".to_owned()),
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
    let shell = "_id answered_at";
    let rest = "direction expire_at forgotten_at id phone_number_id";
    assert_eq!(
        left(&store, Table::Messages, "106540352242922:wamid.in").await,
        format!("{shell} business_id {rest} received_at timestamp type")
    );
    assert_eq!(
        left(&store, Table::Messages, "106540352242922:wamid.waiting").await,
        format!("{shell} {rest} timestamp")
    );
    assert_eq!(
        left(&store, Table::Messages, "106540352242922:wamid.out").await,
        "_id business_id direction expire_at forgotten_at id phone_number_id pricing status status_at status_rank timestamp type usage"
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
    assert_eq!(sent, "_id business_id direction expire_at forgotten_at id phone_number_id timestamp type usage");
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
