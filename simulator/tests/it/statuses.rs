//! What comes back after a send.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::{
    Customer, MetaOptions,
    journal::UpdateKind,
    meta::{App, Fault, StatusPlan, Where},
    webhook::Patience,
};

use crate::setup::{ANA, Received, SECRET, SOON, meta, receiver, send, text};

fn status(received: &Received) -> Value {
    received.json().pointer("/entry/0/changes/0/value/statuses/0").expect("a status").clone()
}

#[tokio::test]
async fn statuses_are_signed_come_in_order_and_echo_the_opaque_data() {
    let (url, mut received) = receiver(&[]).await;
    let statuses = StatusPlan { read: Some(Duration::from_millis(120)), ..StatusPlan::default() };
    let options = MetaOptions { statuses, ..MetaOptions::default().with_app_secret(SECRET).with_webhook_url(url) };
    let (meta, _) = meta(options).await;
    meta.introduce(&Customer::phone(ANA).with_user_id("DE.ana"));
    let (_, answer) = send(&meta, "1001", "token-of-acme", &text("Hello")).await;
    for expected in ["sent", "delivered", "read"] {
        let post = received.recv().await.expect("a status");
        assert!(shared::signature::verify(&[SecretString::from(SECRET)], &post.signature, &post.bytes));
        let status = status(&post);
        assert_eq!(status["status"], expected);
        assert_eq!(status["id"], answer["messages"][0]["id"]);
        assert_eq!(status["biz_opaque_callback_data"], "v1:acme:r1:0:1");
        assert_eq!((&status["recipient_id"], &status["recipient_user_id"]), (&json!(ANA), &json!("DE.ana")));
        assert_eq!(status["pricing"]["pricing_model"], "PMP");
        let value = &post.json()["entry"][0]["changes"][0]["value"];
        assert_eq!(value["metadata"], json!({"display_phone_number": "15551001", "phone_number_id": "1001"}));
    }
}

#[tokio::test]
async fn a_customer_without_a_number_has_none_in_the_status() {
    let (url, mut received) = receiver(&[]).await;
    let (meta, _) = meta(MetaOptions::default().with_webhook_url(url)).await;
    let body = json!({"messaging_product": "whatsapp", "recipient": "DE.ana", "text": {"body": "Hello"}});
    send(&meta, "1001", "token-of-acme", &body).await;
    let status = status(&received.recv().await.expect("a status"));
    assert_eq!(status["recipient_user_id"], "DE.ana");
    assert!(status.get("recipient_id").is_none() && status.get("biz_opaque_callback_data").is_none(), "{status}");
}

#[tokio::test]
async fn a_status_is_repeated_until_it_is_taken() {
    let (url, mut received) = receiver(&[503, 500]).await;
    let patience = Patience { first: Duration::from_millis(5), ..Patience::default() };
    let statuses = StatusPlan { delivered: None, ..StatusPlan::default() };
    let (meta, _) = meta(MetaOptions { patience, statuses, ..MetaOptions::default().with_webhook_url(url) }).await;
    send(&meta, "1001", "token-of-acme", &text("Hello")).await;
    let (first, second, third) = (received.recv().await, received.recv().await, received.recv().await);
    let bytes: Vec<_> = [first, second, third].into_iter().map(|post| post.expect("a post").bytes).collect();
    assert!(bytes.windows(2).all(|pair| pair[0] == pair[1]), "the same bytes each time");
    let journal = meta.journal();
    journal.wait_until(|journal| journal.webhook_answers().len() == 3, SOON).await.expect("three answers");
    let posts = journal.posts();
    assert_eq!(
        posts.iter().map(|post| (post.attempt, post.http)).collect::<Vec<_>>(),
        [(1, Some(503)), (2, Some(500)), (3, Some(200))]
    );
    assert_eq!(posts[0].body_id, posts[2].body_id);
    assert!(posts.iter().all(|post| post.answered_ns.is_some_and(|answered| answered > post.sent_ns)));
    let update = &posts[0].updates[0];
    assert_eq!(
        (update.update, update.status.as_deref(), update.customer.as_deref()),
        (UpdateKind::Status, Some("sent"), Some(ANA))
    );
}

#[tokio::test]
async fn lost_and_withheld_statuses_are_recorded_as_such() {
    let (url, _received) = receiver(&[]).await;
    let (meta, _) = meta(MetaOptions::default().with_webhook_url(url)).await;
    meta.report(StatusPlan { loss: 1.0, ..StatusPlan::default() });
    send(&meta, "1001", "token-of-acme", &text("Hello")).await;
    meta.report(StatusPlan::default());
    meta.faults().next(Where::any(), Fault::WithoutStatuses);
    send(&meta, "1001", "token-of-acme", &text("Hello")).await;
    let withheld: Vec<_> = meta.journal().statuses_withheld().iter().map(|kept| kept.status.clone()).collect();
    assert_eq!(withheld, ["sent", "delivered", "sent", "delivered"]);
    meta.stop().await;
    assert!(meta.journal().posts().is_empty());
}

#[tokio::test]
async fn statuses_may_come_in_reverse_and_twice() {
    let (url, mut received) = receiver(&[]).await;
    let statuses = StatusPlan { reverse: 1.0, repeat: 1.0, ..StatusPlan::default() };
    let (meta, _) = meta(MetaOptions { statuses, ..MetaOptions::default().with_webhook_url(url) }).await;
    send(&meta, "1001", "token-of-acme", &text("Hello")).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(status(&received.recv().await.expect("a status"))["status"].clone());
    }
    assert_eq!(seen, ["delivered", "delivered", "sent", "sent"]);
}

#[tokio::test]
async fn each_app_signs_with_its_own_secret() {
    let (url, mut received) = receiver(&[]).await;
    let app = |id: &str, secret: &str| App { id: id.to_owned(), secret: SecretString::from(secret) };
    let statuses = StatusPlan { delivered: None, ..StatusPlan::default() };
    let options = MetaOptions { apps: vec![app("1", "one"), app("2", "two")], statuses, ..MetaOptions::default() };
    let (meta, _) = meta(options.with_webhook_url(url)).await;
    meta.register(simulator::Business::new("own-app", "3003").with_app_id("2"));
    for (number, token, secret) in [("1001", "token-of-acme", "one"), ("3003", "token-of-own-app", "two")] {
        send(&meta, number, token, &text("Hello")).await;
        let post = received.recv().await.expect("a status");
        assert!(shared::signature::verify(&[SecretString::from(secret)], &post.signature, &post.bytes), "{number}");
    }
}

#[tokio::test]
async fn a_reaction_is_only_ever_sent() {
    let (url, mut received) = receiver(&[]).await;
    let (meta, _) = meta(MetaOptions::default().with_webhook_url(url)).await;
    let reaction = json!({"message_id": "wamid.X", "emoji": "👍"});
    let body = json!({"messaging_product": "whatsapp", "to": ANA, "type": "reaction", "reaction": reaction});
    send(&meta, "1001", "token-of-acme", &body).await;
    send(&meta, "1001", "token-of-acme", &text("last")).await;
    let mut kinds = Vec::new();
    for _ in 0..3 {
        kinds.push(status(&received.recv().await.expect("a status"))["status"].clone());
    }
    assert_eq!(kinds, ["sent", "sent", "delivered"]);
}

#[tokio::test]
async fn senders_of_different_apps_share_neither_message_ids_nor_post_numbers() {
    let (url, _received) = receiver(&[]).await;
    let app = |id: &str| App { id: id.to_owned(), secret: SecretString::from(SECRET) };
    let options = MetaOptions { apps: vec![app("1"), app("2")], ..MetaOptions::default().with_webhook_url(url) };
    let (meta, acme) = meta(options).await;
    let other = simulator::Business::new("own-app", "3003").with_app_id("2");
    let mut ids = Vec::new();
    for business in [&acme, &other] {
        ids.push(meta.sender(business).text(business, &Customer::phone(ANA), "Hello").await.expect("delivered").id);
    }
    assert_ne!(ids[0], ids[1]);
    let posts = meta.journal().webhook_posts();
    assert_ne!(posts[0].post, posts[1].post);
}
