//! What customers write, as a receiver sees it.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::{
    Business, Customer, Journal, Seed, Sender,
    journal::UpdateKind,
    webhook::{Body, Content, Ids, Message, Patience, SAMPLES, sample, updates},
};

use crate::setup::{ANA, SECRET, receiver};

fn sender(url: &str, journal: &Journal) -> Sender {
    let patience = Patience { first: Duration::from_millis(5), tries: 3, ..Patience::default() };
    Sender::new(url, Some(SecretString::from(SECRET)), journal, Seed(3)).patient(patience)
}

#[tokio::test]
async fn a_text_arrives_signed_and_escaped_and_in_metas_shape() {
    let (url, mut received) = receiver(&[]).await;
    let (journal, acme) = (Journal::in_memory(), Business::new("acme", "1001"));
    let message = sender(&url, &journal).message(&Customer::phone(ANA), Content::text("Café/Bar 👍")).at(1_749_416_383);
    sender(&url, &journal).deliver(&Body::of(&acme, &message).to_json()).await.expect("delivered");
    let post = received.recv().await.expect("a post");
    assert!(shared::signature::verify(&[SecretString::from(SECRET)], &post.signature, &post.bytes));
    let raw = std::str::from_utf8(&post.bytes).expect("UTF-8");
    assert!(raw.contains(r"Caf\u00e9\/Bar \ud83d\udc4d"), "{raw}");
    let golden = json!({"object": "whatsapp_business_account", "entry": [{"id": "waba-acme", "changes": [{
        "field": "messages",
        "value": {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15551001", "phone_number_id": "1001"},
            "contacts": [{"profile": {"name": "Ana"}, "wa_id": ANA}],
            "messages": [{
                "from": ANA, "id": message.id, "timestamp": "1749416383", "type": "text", "text": {"body": "Café/Bar 👍"},
            }],
        },
    }]}]});
    assert_eq!(post.json(), golden);
}

#[tokio::test]
async fn a_refused_delivery_is_repeated_and_at_last_given_up() {
    let (url, mut received) = receiver(&[503, 200, 503, 503, 503]).await;
    let journal = Journal::in_memory();
    let (sender, acme, ana) = (sender(&url, &journal), Business::new("acme", "1001"), Customer::phone(ANA));
    let body = Body::of(&acme, &sender.message(&ana, Content::text("Hello"))).to_json();
    assert_eq!(sender.deliver(&body).await.expect("delivered").tries, 2);
    let error = sender.deliver(&body).await.expect_err("given up");
    assert_eq!(error.to_string(), "not delivered after 3 tries; the last one: HTTP 503");
    sender.duplicate(&body, 3).await.expect("delivered");
    assert_eq!(journal.posts().len(), 8);
    received.close();
    let mut count = 0;
    while received.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 8);
}

#[tokio::test]
async fn a_receiver_that_is_away_is_recorded_without_a_status() {
    let journal = Journal::in_memory();
    let sender = sender("http://127.0.0.1:1/webhook", &journal);
    sender.deliver_once(&json!({})).await.expect_err("nobody listens");
    let answer = journal.webhook_answers().pop().expect("recorded");
    assert!(answer.http.is_none() && answer.error.is_some());
}

#[test]
fn a_customer_who_hides_the_number_shows_none() {
    let (ids, acme) = (Ids::new(Seed(1), "test"), Business::new("acme", "1001"));
    let body = Body::of(&acme, &Message::new(&ids, &Customer::hidden("DE.ana"), Content::text("Hello"))).to_json();
    let value = &body["entry"][0]["changes"][0]["value"];
    assert_eq!(value["contacts"], json!([{"profile": {"name": "Ana"}, "user_id": "DE.ana"}]));
    assert_eq!(value["messages"][0]["from_user_id"], "DE.ana");
    assert!(value["messages"][0].get("from").is_none());
    assert_eq!(updates(&body)[0].customer.as_deref(), Some("DE.ana"));
}

#[test]
fn one_body_may_hold_several_businesses_in_order() {
    let ids = Ids::new(Seed(1), "test");
    let (acme, bolt) = (Business::new("acme", "1001"), Business::new("bolt", "2002"));
    let message = |text: &str| Message::new(&ids, &Customer::phone(ANA), Content::text(text));
    let (first, second, third) = (message("1"), message("2"), message("3"));
    let body = Body::of(&acme, &first).message(&acme, &second).message(&bolt, &third).message(&acme, &first).to_json();
    assert_eq!(body["entry"].as_array().expect("a list").len(), 3);
    assert_eq!(body["entry"][0]["changes"][0]["value"]["contacts"].as_array().expect("a list").len(), 1);
    let found: Vec<_> =
        updates(&body).into_iter().map(|update| (update.id, update.phone_number_id.expect("a number"))).collect();
    let expected = [(&first, "1001"), (&second, "1001"), (&third, "2002"), (&first, "1001")];
    assert_eq!(found, expected.map(|(message, number)| (message.id.clone(), number.to_owned())));
}

#[test]
fn every_sample_is_a_body_with_something_in_it() {
    let acme = Business::new("acme", "1001");
    for name in SAMPLES {
        let body = sample(name, &acme, &Customer::phone(ANA), &Ids::new(Seed(1), "test")).expect(name);
        assert_eq!(body["object"], "whatsapp_business_account");
        let found = updates(&body);
        assert!(!found.is_empty(), "{name}");
        let is_message = found[0].update == UpdateKind::Message;
        assert_eq!(is_message, !["echo", "status", "failed_status", "account_update"].contains(name), "{name}");
    }
    assert_eq!(sample("nonsense", &acme, &Customer::phone(ANA), &Ids::new(Seed(1), "test")), None::<Value>);
}

#[test]
fn ids_and_orders_repeat_with_the_seed() {
    let ids = |seed| {
        let ids = Ids::new(Seed(seed), "test");
        (0..50).map(move |_| ids.next(ANA)).collect::<Vec<_>>()
    };
    let (first, again, other) = (ids(1), ids(1), ids(2));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_eq!(first.iter().collect::<std::collections::HashSet<_>>().len(), 50);
    assert!(first.iter().all(|id| shared::ids::MessageId::parse(id).is_ok()));
    let journal = Journal::in_memory();
    let shuffled = sender("http://localhost", &journal).shuffle((0..20).collect());
    assert_eq!(shuffled, sender("http://localhost", &journal).shuffle((0..20).collect()));
    assert_ne!(shuffled, (0..20).collect::<Vec<_>>());
}
