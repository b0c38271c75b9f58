//! The journal as a record: on file, and as something to wait on.

use std::time::Duration;

use serde_json::json;
use simulator::{Ai, AiOptions, Journal, MetaOptions};

use crate::setup::{client, meta, receiver, send, text};

#[tokio::test]
async fn the_file_holds_what_the_memory_holds() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal.jsonl");
    let journal = Journal::to_file(&path).expect("a file");
    let (url, _received) = receiver(&[]).await;
    let (meta, acme) = meta(MetaOptions::default().with_journal(&journal).with_webhook_url(url)).await;
    let ai = Ai::start(AiOptions::default().with_journal(&journal)).await.expect("a free port");
    send(&meta, "1001", "token-of-acme", &text("Grüße")).await;
    send(&meta, "1001", "token-of-bolt", &text("Grüße")).await;
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.X"});
    send(&meta, "1001", "token-of-acme", &read).await;
    meta.sender(&acme).text(&acme, &simulator::Customer::phone("4915"), "Hello").await.expect("delivered");
    client().get(format!("{}/models", ai.url())).send().await.expect("an answer");
    journal.mark("fault", json!({"kind": "partition", "until": 12}));
    meta.stop().await;
    ai.stop().await;
    let (written, kept) = (Journal::read(&path).expect("readable"), journal.entries());
    assert_eq!(written.len(), kept.len());
    assert!(written.iter().zip(&kept).all(|(written, kept)| *written == **kept), "a round trip changes nothing");
    assert!(written.iter().enumerate().all(|(place, entry)| entry.seq == place as u64));
    assert!(written.windows(2).all(|pair| pair[0].mono_ns <= pair[1].mono_ns), "position and clock agree");
    let line = serde_json::to_value(&written[0]).expect("JSON");
    assert_eq!((&line["kind"], &line["credential"]), (&json!("graph.request"), &json!({"of": "acme"})));
}

#[tokio::test]
async fn waiting_hears_of_an_entry_that_comes_meanwhile_and_says_what_there_was_if_none_comes() {
    let journal = Journal::in_memory();
    let waiting = tokio::spawn({
        let journal = journal.clone();
        async move { journal.wait_until(|journal| journal.marks().len() == 100, Duration::from_secs(10)).await }
    });
    for n in 0..100 {
        journal.mark("step", json!(n));
        tokio::task::yield_now().await;
    }
    waiting.await.expect("no panic").expect("all came");
    assert_eq!(journal.next_from(98).await.len(), 2);
    let error = journal.wait_until(|_| false, Duration::from_millis(5)).await.expect_err("never");
    assert!(error.to_string().contains("\"fields\":99"), "{error}");
}

#[tokio::test]
async fn a_journal_of_the_last_entries_forgets_the_oldest_and_whoever_observes_it_misses_none() {
    let journal = Journal::of_the_last(3);
    let (sender, observed) = std::sync::mpsc::channel();
    journal.observe(move |entry| sender.send(entry.seq).expect("somebody listens"));
    for n in 0..10 {
        journal.mark("step", json!(n));
    }
    assert_eq!(observed.try_iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    assert_eq!(journal.entries().iter().map(|entry| entry.seq).collect::<Vec<_>>(), [7, 8, 9]);
    assert_eq!(journal.entries_from(9).len(), 1);
    assert_eq!(journal.next_from(0).await.len(), 3);
    let waited = journal.wait_until(|journal| journal.marks().len() == 4, Duration::from_millis(5)).await;
    assert!(waited.is_err(), "it never has four");
}
