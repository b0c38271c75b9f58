//! What happened in a conversation, as an operator reads it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::ids::SessionId;
use worker::{
    conversation::{BusinessId, Usage},
    store::{Inbound, Line, Outbound, StatusUpdate},
};

use super::{Fresh, NUMBER, id, message, number};

const SESSION: &str = "acme:16505551234";

async fn received(store: &Fresh, session: &str, n: u32, answered: bool) {
    let (session, business_id, item) = (SessionId::from_stored(session), BusinessId("b".to_owned()), message(n));
    let inbound = Inbound {
        session: &session,
        business_id: &business_id,
        item: &item,
        kind: "text",
        answered,
        words: None,
        taken_back: false,
    };
    store.record_inbound(&inbound).await.expect("the store answers");
}

async fn sent(store: &Fresh, wamid: &str, reply_id: Option<&str>, usage: Option<&Usage>) {
    let (session, business_id) = (SessionId::from_stored(SESSION), BusinessId("b".to_owned()));
    let (number, wamid) = (number(NUMBER), id(wamid));
    let outbound = Outbound {
        session: &session,
        business_id: &business_id,
        number: &number,
        wamid: &wamid,
        reply_id,
        kind: "text",
        body: "an answer",
        usage,
        waited: usage.map(|_| Duration::from_millis(1_500)),
        trace: None,
    };
    store.record_outbound(&outbound).await.expect("the store answers");
}

async fn lines(store: &Fresh, most: u32, with_texts: bool) -> Vec<Line> {
    store.lines_of(&SessionId::from_stored(SESSION), most, with_texts).await.expect("the store answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_told_message_by_message_with_what_became_of_each() {
    let store = Fresh::open("story").await;
    received(&store, SESSION, 2, false).await;
    received(&store, SESSION, 1, true).await;
    received(&store, "acme:16505559999", 3, true).await;
    let usage = Usage {
        model: "m".to_owned(),
        calls: 1,
        tokens_in: 900,
        tokens_out: 40,
        transcriptions: 0,
        spoken_characters: 0,
    };
    sent(&store, "wamid.out", Some("r1"), Some(&usage)).await;
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(9);
    let status = StatusUpdate {
        number: number(NUMBER),
        wamid: id("wamid.out"),
        status: "failed".to_owned(),
        rank: 0,
        at,
        pricing: None,
        error_code: Some(131_026),
    };
    store.record_status(&status).await.expect("the store answers");

    let told = lines(&store, 10, true).await;
    let ids: Vec<_> = told.iter().map(|line| line.id.as_ref().expect("an id").expose()).collect();
    assert_eq!(ids, ["wamid.1", "wamid.2", "wamid.out"], "the oldest first, and nobody else's");
    let [first, second, answer] = told.as_slice() else { panic!("three") };
    assert!(first.inbound && first.answered_at.is_some() && second.answered_at.is_none());
    assert_eq!((first.at, first.received_at), (message(1).timestamp, Some(message(1).received_at)));
    assert_eq!((first.text.as_deref(), first.kind.as_str()), (Some("message 1"), "text"));
    assert!(!answer.inbound && answer.received_at.is_none());
    assert_eq!((answer.reply_id.as_deref(), answer.usage.as_ref()), (Some("r1"), Some(&usage)));
    assert_eq!(answer.waited, Some(Duration::from_millis(1_500)));
    assert_eq!(
        (answer.status.as_deref(), answer.status_at, answer.error_code),
        (Some("failed"), Some(at), Some(131_026))
    );
    assert_eq!(answer.text.as_deref(), Some("an answer"));
    assert_eq!(answer.number, Some(number(NUMBER)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_told_only_to_who_asks_and_of_many_messages_the_last() {
    let store = Fresh::open("story").await;
    for n in 1..6 {
        received(&store, SESSION, n, true).await;
    }
    sent(&store, "wamid.out", None, None).await;
    let told = lines(&store, 3, false).await;
    let ids: Vec<_> = told.iter().map(|line| line.id.as_ref().expect("an id").expose()).collect();
    assert_eq!(ids, ["wamid.4", "wamid.5", "wamid.out"]);
    assert!(told.iter().all(|line| line.text.is_none()), "{told:?}");
    assert_eq!(store.lines_of(&SessionId::from_stored("acme:1"), 3, true).await.expect("the store answers"), []);
}
