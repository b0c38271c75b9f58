//! Times in a conversation's document have as many digits as they need, so as texts they do not sort.

// Clippy takes a whole file for a test only so.
#![cfg(test)]

use std::time::Duration;

use worker::store::ConversationFilter;

use super::suite::{Fresh, Talk, message};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_not_listed_however_its_time_is_written() {
    let store = Fresh::prepared("digits").await;
    let talk = Talk::of(&store, Some("acme"), "1650555001");
    talk.receive(&[message(1)]).await;
    let handed_over = ConversationFilter { handed_over: true, ..ConversationFilter::default() };
    // In one of ten milliseconds a time ends with a zero, which is not written; as a text it comes after those that follow.
    for _ in 0..200 {
        store.hand_over(&talk.session, Duration::ZERO, None).await.expect("the store answers");
        tokio::time::sleep(Duration::from_millis(1)).await;
        let listed = store.list_conversations(&handed_over, 10).await.expect("the store answers");
        let until: Vec<_> = listed.conversations.iter().map(|state| state.handed_over_until).collect();
        assert!(until.is_empty(), "{until:?}");
    }
}
