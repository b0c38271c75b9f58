//! A load of customers, as the receiver of the webhooks and the journal see it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, http::StatusCode, routing::post};
use simulator::{
    Business, Meta, MetaOptions, Seed, Tag, Traffic,
    journal::Post,
    traffic::{Sent, SentMessage},
    webhook::Patience,
};
use tokio::sync::Barrier;

use crate::setup::{meta, receiver};

fn businesses() -> [Business; 2] {
    [Business::new("acme", "1001"), Business::new("bolt", "2002")]
}

/// Two businesses, with no pauses worth mentioning.
fn traffic(seed: u64) -> Traffic {
    Traffic::new(Seed(seed)).businesses(businesses()).pauses(Duration::ZERO..=Duration::from_millis(3))
}

async fn meta_of(url: &str) -> Meta {
    let patience = Patience { first: Duration::from_millis(5), ..Patience::default() };
    meta(MetaOptions { patience, ..MetaOptions::default().with_webhook_url(url) }).await.0
}

/// Runs it against a receiver that answers so, and then 200.
async fn run(traffic: &Traffic, answers: &[u16]) -> (Meta, Sent) {
    let (url, _received) = receiver(answers).await;
    let meta = meta_of(&url).await;
    let sent = traffic.run(&meta).await;
    (meta, sent)
}

/// The posts with this message in them.
fn posts_of<'a>(posts: &'a [Post], message: &SentMessage) -> Vec<&'a Post> {
    posts.iter().filter(|post| post.updates.iter().any(|update| update.id == message.id)).collect()
}

/// The conversations, each in the order of writing.
fn conversations(sent: &Sent) -> Vec<&[SentMessage]> {
    sent.messages.chunk_by(|a, b| (&a.phone_number_id, &a.customer) == (&b.phone_number_id, &b.customer)).collect()
}

/// Each step of a conversation is posted for the first time after everything before it was acknowledged.
fn assert_in_order(posts: &[Post], sent: &Sent) {
    let acknowledged = |message| {
        posts_of(posts, message)
            .iter()
            .filter(|post| post.http == Some(200))
            .filter_map(|post| post.answered_ns)
            .min()
            .expect("a 200")
    };
    let begun = |message| posts_of(posts, message).iter().map(|post| post.sent_ns).min().expect("posted");
    for conversation in conversations(sent) {
        for pair in conversation.chunk_by(|a, b| a.step == b.step).collect::<Vec<_>>().windows(2) {
            let before = pair[0].iter().map(acknowledged).max().expect("no step is empty");
            assert!(pair[1].iter().map(begun).all(|begun| begun >= before), "{pair:?}");
        }
    }
}

#[tokio::test]
async fn each_customer_writes_in_order_and_every_text_has_its_own_tag() {
    let (url, mut received) = receiver(&[503, 500, 503]).await;
    let meta = meta_of(&url).await;
    let sent = traffic(7).customers_each(4).messages_each(6).first_tag(Tag(100)).run(&meta).await;
    assert_eq!(sent.messages.iter().map(|message| message.tag.0).collect::<Vec<_>>(), (100..148).collect::<Vec<_>>());
    assert!(sent.messages.iter().all(|message| message.acknowledged));
    assert_eq!(conversations(&sent).iter().map(|messages| messages.len()).collect::<Vec<_>>(), [6; 8]);
    assert_eq!(conversations(&sent)[7].iter().map(|message| message.step).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_in_order(&meta.journal().posts(), &sent);

    let mut texts = BTreeMap::new();
    received.close();
    while let Some(post) = received.recv().await {
        let value = &post.json()["entry"][0]["changes"][0]["value"];
        let message = &value["messages"][0];
        let text = message["text"]["body"].as_str().expect("a text").to_owned();
        let number = value["metadata"]["phone_number_id"].as_str().expect("a number").to_owned();
        texts.insert(message["id"].as_str().expect("an id").to_owned(), (number, message["from"].clone(), text));
    }
    assert_eq!(texts.len(), 48, "a repeated post is the same message");
    for message in &sent.messages {
        let (number, from, text) = &texts[&message.id];
        assert_eq!((number, from.as_str()), (&message.phone_number_id, Some(&*message.customer)));
        assert!(text.starts_with(&format!("{} ", message.tag)), "{text}");
        assert_eq!(Tag::find_all(text), [message.tag]);
    }
    assert_eq!(meta.journal().marks()[0].fields["messages"], 48);
}

#[tokio::test]
async fn the_seed_decides_what_is_written_and_by_whom() {
    let all = |seed| {
        let traffic = traffic(seed).hidden(0.4).both_ids(0.5).bursts(0.5, 3).batched(0.3, 3, Duration::from_millis(5));
        traffic.doubled(0.3).customers_each(6)
    };
    let (first, again, other) = (run(&all(7), &[]).await.1, run(&all(7), &[503]).await.1, run(&all(8), &[]).await.1);
    assert_eq!(first, again);
    assert_ne!(first, other);
    let hidden = |sent: &Sent| sent.messages.iter().filter(|message| message.customer.starts_with("DE.")).count();
    assert!((1..first.messages.len()).contains(&hidden(&first)), "some hide their number");
    let customers: BTreeSet<_> = first.messages.iter().map(|message| &message.customer).collect();
    let ids: BTreeSet<_> = first.messages.iter().map(|message| &message.id).collect();
    assert_eq!((customers.len(), ids.len()), (12, 60));
}

#[tokio::test]
async fn a_customer_is_known_by_number_by_user_id_or_by_both() {
    for (hidden, both, number, user) in [(0.0, 0.0, true, false), (1.0, 1.0, false, true), (0.0, 1.0, true, true)] {
        let (url, mut received) = receiver(&[]).await;
        let meta = meta_of(&url).await;
        traffic(7).hidden(hidden).both_ids(both).customers_each(1).messages_each(1).run(&meta).await;
        let body = received.recv().await.expect("a post").json();
        let message = &body["entry"][0]["changes"][0]["value"]["messages"][0];
        assert_eq!((message["from"].is_string(), message["from_user_id"].is_string()), (number, user), "{message}");
    }
}

#[tokio::test]
async fn a_doubled_message_is_delivered_twice_before_the_next() {
    let (meta, sent) = run(&traffic(7).doubled(1.0), &[]).await;
    let posts = meta.journal().posts();
    for message in &sent.messages {
        let posts = posts_of(&posts, message);
        assert_eq!(posts.iter().map(|post| post.attempt).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(posts[0].body_id, posts[1].body_id);
    }
    assert_in_order(&posts, &sent);
}

#[tokio::test]
async fn a_copy_comes_again_later_and_nobody_waits_for_it() {
    let after = Duration::from_millis(400);
    let (meta, sent) = run(&traffic(7).repeated(1.0, after..=after).messages_each(3), &[]).await;
    let posts = meta.journal().posts();
    for message in &sent.messages {
        let [first, copy] = posts_of(&posts, message)[..] else { panic!("two posts of each") };
        let acknowledged = first.answered_ns.expect("an answer");
        assert!(u128::from(copy.sent_ns - acknowledged) >= after.as_nanos());
        assert_eq!(first.body_id, copy.body_id, "the same message, at the same time");
    }
    assert_in_order(&posts, &sent);
}

#[tokio::test]
async fn a_shared_body_holds_messages_of_several_customers_and_businesses() {
    // As many as there are customers, so that each round is one body; a minute is never waited.
    let all = traffic(7).customers_each(2).messages_each(3).batched(1.0, 4, Duration::from_secs(60));
    let (meta, sent) = run(&all, &[503]).await;
    let posts = meta.journal().posts();
    let taken: Vec<_> = posts.iter().filter(|post| post.http == Some(200)).collect();
    assert_eq!((posts.len(), taken.len()), (4, 3));
    for post in taken {
        let customers: BTreeSet<_> = post.updates.iter().map(|update| &update.customer).collect();
        let numbers: BTreeSet<_> = post.updates.iter().map(|update| &update.phone_number_id).collect();
        assert_eq!((post.updates.len(), customers.len(), numbers.len()), (4, 4, 2));
    }
    assert_in_order(&posts, &sent);
}

#[tokio::test]
async fn a_body_that_does_not_fill_is_posted_all_the_same() {
    let all = traffic(7).customers_each(1).messages_each(3).batched(0.5, 50, Duration::from_millis(20));
    let (meta, sent) = run(&all.doubled(1.0), &[]).await;
    assert!(sent.messages.len() == 6 && sent.messages.iter().all(|message| message.acknowledged));
    let posts = meta.journal().posts();
    assert!(sent.messages.iter().all(|message| posts_of(&posts, message).len() == 2));
}

#[tokio::test]
async fn businesses_of_different_apps_share_no_body() {
    let (url, _received) = receiver(&[]).await;
    let meta = meta_of(&url).await;
    let [acme, bolt] = businesses();
    let apart = traffic(7).businesses([acme, bolt.with_app_id("2")]).customers_each(1).messages_each(3);
    let sent = apart.batched(1.0, 2, Duration::from_secs(60)).run(&meta).await;
    let posts = meta.journal().posts();
    assert!(sent.messages.iter().all(|message| posts_of(&posts, message).len() == 1));
    assert_eq!(posts.len(), 6);
}

#[tokio::test]
async fn a_burst_is_posted_together_and_its_end_awaited() {
    // Answers nothing before two have arrived: a load that posts one after the other would wait for ever.
    let both = Arc::new(Barrier::new(2));
    let handler = move || {
        let both = both.clone();
        async move {
            both.wait().await;
            StatusCode::OK
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/webhook", listener.local_addr().expect("bound"));
    tokio::spawn(axum::serve(listener, Router::new().route("/webhook", post(handler))).into_future());
    let meta = meta_of(&url).await;
    let [acme, _] = businesses();
    let one = traffic(7).businesses([acme]).customers_each(1).messages_each(6).bursts(1.0, 2);
    let sent = one.run(&meta).await;
    assert_eq!(sent.messages.iter().map(|message| message.step).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2]);
    assert_in_order(&meta.journal().posts(), &sent);
}

#[tokio::test]
async fn a_rate_is_not_exceeded() {
    let began = Instant::now();
    let (_meta, sent) = run(&traffic(7).rate(100.0).customers_each(10).messages_each(2), &[]).await;
    assert_eq!(sent.messages.len(), 40);
    assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_message_that_is_never_acknowledged_is_told_apart_and_the_customer_writes_on() {
    let (url, _received) = receiver(&[503, 503]).await;
    let patience = Patience { first: Duration::from_millis(5), tries: 2, ..Patience::default() };
    let (meta, acme) = meta(MetaOptions { patience, ..MetaOptions::default().with_webhook_url(url) }).await;
    let sent = traffic(7).businesses([acme]).customers_each(1).messages_each(3).run(&meta).await;
    let acknowledged: Vec<_> = sent.messages.iter().map(|message| message.acknowledged).collect();
    assert_eq!(acknowledged, [false, true, true]);
}

#[tokio::test]
#[should_panic(expected = "a rate is a positive number")]
async fn a_rate_that_cannot_be_meant_is_refused() {
    drop(traffic(7).rate(0.0));
}
