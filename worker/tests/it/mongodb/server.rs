//! What is MongoDB's own: its start, and how its errors are told apart.

use std::time::Duration;

use mongodb::bson::doc;
use secrecy::SecretString;
use worker::{
    settings::StoreSettings,
    store::{DeadLetter, Landed, MongoStore, ReplayPolicy, Store, StoreError},
};

use super::suite::{Fresh, Talk, message};

#[tokio::test(flavor = "multi_thread")]
async fn preparing_may_be_repeated_and_raced() {
    let store = Fresh::open("prepare").await;
    let preparing = (0..4).map(|_| store.prepare());
    for prepared in futures_util::future::join_all(preparing).await {
        prepared.expect("MongoDB is a replica set and creates indexes");
    }
    store.ping().await.expect("it answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_unavailable() {
    // A port of our own that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = port.expect("a free port");
    let uri = SecretString::from(format!("mongodb://{address}/?serverSelectionTimeoutMS=100"));
    let store = MongoStore::open(&StoreSettings { uri, database: "none".to_owned() }).await.expect("a valid URI");
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable { .. })));
    assert!(store.prepare().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_document_can_hold_is_refused_and_changes_nothing() {
    let store = Fresh::open("refused").await;
    let talk = Talk::new(&store);
    let mut item = message(1);
    for megabytes in [17, 60] {
        item.message = Some("x".repeat(megabytes << 20));
        let landing = worker::store::Landing {
            session: &talk.session,
            business_id: &talk.business,
            subdomain: talk.subdomain.as_ref(),
            customer: &talk.customer,
            item: &item,
            quiet: talk.quiet,
            looked_up: false,
        };
        let refused = store.land(&landing).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{megabytes} MiB: {refused:?}");
        let inbound = worker::store::Inbound {
            session: &talk.session,
            business_id: &talk.business,
            item: &item,
            kind: "text",
            answered: false,
            words: None,
            taken_back: false,
        };
        let refused = store.record_inbound(&inbound).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{megabytes} MiB: {refused:?}");
    }
    assert_eq!(talk.land(&message(1)).await, Landed::New { due_in: Duration::ZERO, first: true });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_would_outgrow_its_document_is_refused_one_message_only() {
    let store = Fresh::open("outgrown").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let filler = doc! { "$set": { "filler": "x".repeat((16 << 20) - 20_000) } };
    store.change("conversations", talk.session.expose(), filler).await;
    let mut item = message(2);
    item.message = Some("x".repeat(31 * 1024));
    let landing = worker::store::Landing {
        session: &talk.session,
        business_id: &talk.business,
        subdomain: talk.subdomain.as_ref(),
        customer: &talk.customer,
        item: &item,
        quiet: talk.quiet,
        looked_up: false,
    };
    let refused = store.land(&landing).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    talk.receive(&[message(3)]).await;
    talk.answer(&[message(1), message(3)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_no_document_can_hold_is_kept_as_far_as_it_goes() {
    let store = Fresh::open("large_letter").await;
    for (n, megabytes) in [(1, 15), (2, 16), (3, 17), (4, 60)] {
        let letter = DeadLetter {
            id: format!("large:{n}"),
            reason: "undecodable",
            detail: "no JSON".to_owned(),
            phone_number_id: None,
            business_id: None,
            session: None,
            message_id: None,
            body: vec![b'x'; megabytes << 20],
            replay: ReplayPolicy::ByHand,
            counted_as_answered: false,
        };
        store.bury(&letter).await.expect("whatever its size");
        let stored = store.backend.find("dead_letters", letter.id.as_str()).await.expect("it is filed");
        let detail = stored.get_str("detail").expect("a detail");
        assert_eq!(detail.contains("are kept"), megabytes > 15, "{megabytes} MiB: {detail}");
        assert_eq!(stored.get_str("body").expect("text").len(), 15 << 20);
    }
}
