//! What is forgotten is gone from the file and from the log beside it, not from the tables alone.

// Clippy takes a whole file for a test only so.
#![cfg(test)]

use mongodb::bson::doc;
use worker::store::CustomerKey;

use super::suite::{Fresh, NUMBER, Talk, message};

const WORD: &str = "swordfish";

/// A customer, some of whose texts the file holds and some only its log.
async fn customer(store: &Fresh, phone: &str) -> Talk {
    let talk = Talk::of(store, Some("acme"), phone);
    for n in 0..3 {
        let mut item = message(n);
        item.message = Some(format!(r#"{{"type":"text","text":{{"body":"{WORD} {n}"}}}}"#));
        talk.receive(&[item]).await;
    }
    assert!(store.backend.holds(WORD), "or there would be nothing to erase");
    talk
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_stays_neither_in_the_file_nor_in_its_log() {
    let store = Fresh::prepared("erased").await;
    let talk = customer(&store, "1650555001").await;
    assert_eq!(store.forget(&talk.session).await.expect("the store answers").conversations, 1);
    assert!(!store.backend.holds(WORD), "erased by a worker");

    let talk = customer(&store, "1650555002").await;
    let owner = doc! { "_id": talk.business.0.as_str(), "subDomain": "acme", "whatsappPhoneNumberIds": [NUMBER] };
    store.backend.put("businesses", owner).await;
    let business = store.businesses_with_subdomain("acme").await.expect("the store answers").remove(0);
    let found = store.find_customer(&business, &CustomerKey::Session(talk.session)).await.expect("the store answers");
    assert_eq!(store.forget_customer(&found).await.expect("the store answers").conversations, 1);
    assert!(!store.backend.holds(WORD), "erased by an operator");
}
