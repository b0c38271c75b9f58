//! The transcript: whatever comes, in whatever order and however often, it ends the same.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use mongodb::bson::Document;
use tokio::task::JoinSet;
use worker::{
    conversation::{BusinessId, MailboxItem},
    scope::CustomerScope,
    store::{AccountEvent, Inbound, Outbound, StatusUpdate, Store, Words},
};

use super::{Fresh, NUMBER, OTHER_NUMBER, Talk, id, message, number};

const WAMID: &str = "wamid.out";

async fn status(store: &Arc<dyn Store>, word: &str, rank: i32) {
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::from(rank));
    let failed = word == "failed";
    let update = StatusUpdate {
        number: number(NUMBER),
        wamid: id(WAMID),
        status: word.to_owned(),
        rank,
        at,
        pricing: (word == "delivered").then(|| r#"{"billable":true}"#.to_owned()),
        error_code: failed.then_some(131_026),
    };
    store.record_status(&update).await.expect("the store answers");
}

async fn outbound(store: &Arc<dyn Store>, body: &str) {
    let session = shared::ids::SessionId::from_stored("acme:16505551234");
    let (business_id, number, wamid) = (BusinessId("b".to_owned()), number(NUMBER), id(WAMID));
    let outbound = Outbound {
        session: &session,
        business_id: &business_id,
        number: &number,
        wamid: &wamid,
        reply_id: Some("r1"),
        kind: "text",
        body,
        usage: None,
        waited: None,
        trace: None,
    };
    store.record_outbound(&outbound).await.expect("the store answers");
}

async fn inbound(store: &Arc<dyn Store>, item: &MailboxItem, answered: bool) {
    let session = shared::ids::SessionId::from_stored("acme:16505551234");
    let business_id = BusinessId("b".to_owned());
    let inbound = Inbound {
        session: &session,
        business_id: &business_id,
        item,
        kind: "text",
        answered,
        words: None,
        taken_back: false,
    };
    store.record_inbound(&inbound).await.expect("the store answers");
}

async fn stored(store: &Fresh) -> Document {
    store.raw("messages", &format!("{NUMBER}:{WAMID}")).await
}

async fn answered(store: &Arc<dyn Store>, number_id: &str, item: &MailboxItem) -> bool {
    store.was_answered(&number(number_id), &item.id).await.expect("the store answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_counts_as_answered_once_its_turn_is_over() {
    let store = Fresh::open("answered").await;
    let item = message(1);
    assert!(!answered(&store, NUMBER, &item).await, "unknown");
    inbound(&store, &item, false).await;
    assert!(!answered(&store, NUMBER, &item).await, "kept, not answered");
    inbound(&store, &item, true).await;
    assert!(answered(&store, NUMBER, &item).await);
    inbound(&store, &item, false).await;
    assert!(answered(&store, NUMBER, &item).await, "what is answered stays so");
    assert!(!answered(&store, OTHER_NUMBER, &item).await, "at another number it is another message");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_turn_records_at_once_is_on_record_message_by_message() {
    let store = Fresh::open("at-once").await;
    let session = shared::ids::SessionId::from_stored("acme:16505551234");
    let (business_id, number) = (BusinessId("b".to_owned()), number(NUMBER));
    let heard = |item, taken_back| Inbound {
        session: &session,
        business_id: &business_id,
        item,
        kind: "text",
        answered: true,
        words: None,
        taken_back,
    };
    let wamids = [id("wamid.one"), id("wamid.two")];
    let said = wamids.iter().zip(["$one", "two"]).map(|(wamid, body)| Outbound {
        session: &session,
        business_id: &business_id,
        number: &number,
        wamid,
        reply_id: Some("r1"),
        kind: "text",
        body,
        usage: None,
        waited: None,
        trace: None,
    });
    let (kept, taken_back) = (message(1), message(2));
    inbound(&store, &taken_back, false).await;
    let (heard, said) = ([heard(&kept, false), heard(&taken_back, true)], said.collect::<Vec<_>>());
    // As after an answer that was lost.
    for _ in 0..2 {
        store.record_turn(&heard, &said).await.expect("the store answers");
    }
    assert!(answered(&store, NUMBER, &kept).await && answered(&store, NUMBER, &taken_back).await);
    let row = async |item: &MailboxItem| store.raw("messages", &format!("{NUMBER}:{}", item.id.expose())).await;
    assert_eq!(row(&kept).await.get_str("message").ok(), kept.message.as_deref());
    assert!(!row(&taken_back).await.contains_key("message"), "its customer took it back");
    for (wamid, body) in wamids.iter().zip(["$one", "two"]) {
        let sent = store.sent_text(&number, wamid).await.expect("the store answers").expect("it is on record");
        assert_eq!((sent.body.as_str(), sent.reply_id.as_str()), (body, "r1"));
    }
    store.record_turn(&[], &[]).await.expect("there is nothing to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_does_not_wipe_out_the_content_that_it_refers_to() {
    let store = Fresh::open("content").await;
    let mut item = message(1);
    let content = format!("{{\"$body.x\":\"{}\"}}", "é".repeat(500_000));
    item.message = Some(content.clone());
    inbound(&store, &item, false).await;
    item.message = None;
    inbound(&store, &item, true).await;
    let scope = scope(&store, "b", "16505551234").await;
    let found = store.message_content(&scope, &item).await.expect("the store answers");
    assert_eq!(found.as_deref(), Some(content.as_str()));
    let unknown = store.message_content(&scope, &message(2)).await;
    assert_eq!(unknown.expect("the store answers"), None);
}

/// The right to read what is this customer's, which only a conversation gives.
async fn scope(store: &Arc<dyn Store>, business: &str, phone: &str) -> CustomerScope {
    let mut talk = Talk::of(store, Some("acme"), phone);
    talk.business = BusinessId(business.to_owned());
    talk.receive(&[message(99)]).await;
    talk.claim().await.conversation.scope()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customer_said_is_read_by_nobody_elses_conversation() {
    let store = Fresh::open("scoped").await;
    let (theirs, item) = (scope(&store, "b", "16505551234").await, message(1));
    let words = Words { words: "a table for two".to_owned(), is_speech: true, language: Some("en".to_owned()) };
    store.keep_words(&theirs, &item, "audio", &words).await.expect("the store answers");
    let (number, id) = (&item.phone_number_id, &item.id);
    let heard = store.words_of(&theirs, number, id).await.expect("the store answers").expect("it was kept");
    assert_eq!((heard.words, heard.is_speech, heard.language), (words.words, true, words.language));
    let quoted = store.quoted(&theirs, number, id).await.expect("the store answers").expect("it was kept");
    assert_eq!(quoted.words(), "a table for two");
    assert!(store.message_content(&theirs, &item).await.expect("the store answers").is_some());

    let neighbour = scope(&store, "b", "16505550000").await;
    assert!(store.words_of(&neighbour, number, id).await.expect("the store answers").is_none());
    assert!(store.quoted(&neighbour, number, id).await.expect("the store answers").is_none());
    let stranger = scope(&store, "c", "16505551111").await;
    assert!(store.words_of(&stranger, number, id).await.expect("the store answers").is_none());
    assert!(store.quoted(&stranger, number, id).await.expect("the store answers").is_none());
    assert!(store.message_content(&stranger, &item).await.expect("the store answers").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_only_go_forward_in_whatever_order_they_come() {
    let store = Fresh::open("forward").await;
    for (word, rank, stays) in [
        ("delivered", 2, "delivered"),
        ("sent", 1, "delivered"),
        ("delivered", 2, "delivered"),
        ("played", 4, "played"),
        ("read", 3, "played"),
        ("failed", 0, "played"),
        ("unheard-of", -1, "played"),
    ] {
        status(&store, word, rank).await;
        assert_eq!(stored(&store).await.get_str("status").ok(), Some(stays), "after {word}");
    }
    let stored = stored(&store).await;
    assert_eq!(stored.get_datetime("status_at").expect("a time").timestamp_millis(), 4_000);
    assert_eq!(stored.get_str("pricing").ok(), Some(r#"{"billable":true}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_disproves_a_failure() {
    let store = Fresh::open("failed").await;
    status(&store, "failed", 0).await;
    let failed = stored(&store).await;
    assert_eq!((failed.get_str("status").ok(), failed.get_i64("error_code").ok()), (Some("failed"), Some(131_026)));
    status(&store, "delivered", 2).await;
    assert_eq!(stored(&store).await.get_str("status").ok(), Some("delivered"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_the_end_of_what_was_sent_whichever_of_them_comes_first() {
    for (what, words) in [("sent_first", [("sent", 1), ("failed", 0)]), ("failed_first", [("failed", 0), ("sent", 1)])]
    {
        let store = Fresh::open(what).await;
        for (word, rank) in words {
            status(&store, word, rank).await;
        }
        let failed = stored(&store).await;
        assert_eq!(failed.get_str("status").ok(), Some("failed"), "{what}");
        assert_eq!(failed.get_datetime("status_at").expect("a time").timestamp_millis(), 0, "{what}");
        assert_eq!(failed.get_i64("error_code").ok(), Some(131_026), "{what}");
        // What was said of it before is said again.
        status(&store, "sent", 1).await;
        status(&store, "failed", 0).await;
        assert_eq!(stored(&store).await, failed, "{what}");
        for (word, rank) in [("delivered", 2), ("failed", 0), ("sent", 1)] {
            status(&store, word, rank).await;
            assert_eq!(stored(&store).await.get_str("status").ok(), Some("delivered"), "{what}, after {word}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_comes_before_its_message_is_merged_with_it() {
    let store = Fresh::open("shell").await;
    status(&store, "read", 3).await;
    outbound(&store, "$hello").await;
    status(&store, "delivered", 2).await;
    let early = stored(&store).await;
    assert_eq!((early.get_str("status").ok(), early.get_str("body").ok()), (Some("read"), Some("$hello")));
    assert_eq!((early.get_str("direction").ok(), early.get_str("reply_id").ok()), (Some("out"), Some("r1")));
    assert!(early.get_datetime("expire_at").is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_ours_is_on_record_once_it_was_recorded_itself() {
    let store = Fresh::open("ours").await;
    let recorded = async || {
        let recorded = store.is_recorded_outbound(&number(NUMBER), &id(WAMID)).await;
        recorded.expect("the store answers")
    };
    assert!(!recorded().await);
    status(&store, "sent", 1).await;
    assert!(!recorded().await, "a status is not the message");
    outbound(&store, "hello").await;
    assert!(recorded().await);
    inbound(&store, &message(1), true).await;
    let customers = store.is_recorded_outbound(&number(NUMBER), &message(1).id).await;
    assert!(!customers.expect("the store answers"), "a customer's message is not ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_of_no_known_kind_leaves_a_shell_without_one() {
    let store = Fresh::open("unheard").await;
    status(&store, "unheard-of", -1).await;
    assert!(!stored(&store).await.contains_key("status"));
    status(&store, "sent", 1).await;
    assert_eq!(stored(&store).await.get_str("status").ok(), Some("sent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_at_once_ends_as_if_it_had_come_one_by_one() {
    let store = Fresh::open("at_once").await;
    let mut recording = JoinSet::new();
    for n in 0..16 {
        let store = Arc::clone(&store);
        recording.spawn(async move {
            let words = ["failed", "sent", "delivered", "read"];
            let rank = n % words.len();
            status(&store, words[rank], i32::try_from(rank).expect("small")).await;
            outbound(&store, "hello").await;
        });
    }
    recording.join_all().await;
    let stored = stored(&store).await;
    assert_eq!((stored.get_str("status").ok(), stored.get_str("body").ok()), (Some("read"), Some("hello")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_kept_once() {
    let store = Fresh::open("events").await;
    for payload in [r#"{"$first":1}"#, "second"] {
        let event = AccountEvent {
            id: "e1",
            field: "account_update",
            phone_number_id: None,
            waba_id: None,
            received_at: Timestamp::UNIX_EPOCH,
            payload,
        };
        store.record_event(&event).await.expect("the store answers");
    }
    assert_eq!(store.raw("account_events", "e1").await.get_str("payload").ok(), Some(r#"{"$first":1}"#));
}
