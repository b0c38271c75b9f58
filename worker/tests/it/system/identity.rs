//! Customers without a phone number, with a new one, or with somebody's old one.

use mongodb::bson::doc;
use simulator::{
    Customer,
    webhook::{Body, Content},
};

use super::harness::{Options, System, acme, bolt};

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_hides_the_number_is_answered_by_user_id() {
    let system = System::start(Options::default()).await;
    let hidden = Customer::hidden("DE.13491208655302741918");
    system.write(&acme(), &hidden, "Hello").await;
    assert_eq!(system.answers(&acme(), &hidden, 1).await, ["ANS Hello"]);
    let send = &system.journal.accepted()[0];
    assert_eq!((send.to.as_deref(), send.recipient.as_deref()), (None, Some("DE.13491208655302741918")));
    system.wait_for_document("conversations", doc! { "_id": "acme:DE.13491208655302741918" }).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_shows_the_number_later_keeps_the_conversation() {
    let system = System::start(Options::default()).await;
    let hidden = Customer::hidden("DE.777");
    system.write(&acme(), &hidden, "first").await;
    system.answers(&acme(), &hidden, 1).await;
    let shown = Customer::phone("4915155500001").with_user_id("DE.777");
    system.write(&acme(), &shown, "second").await;
    assert_eq!(system.answers(&acme(), &shown, 1).await, ["ANS second"]);
    assert_eq!(system.journal.accepted()[1].to.as_deref(), Some("+4915155500001"), "the number, with its plus");
    assert!(system.journal.chats()[1].body.to_string().contains("first"), "one memory");
    assert_eq!(system.count("conversations", doc! {}).await, 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recycled_number_begins_a_conversation_of_its_own() {
    let system = System::start(Options::default()).await;
    let before = Customer::phone("4915155500002").with_user_id("DE.old");
    system.write(&acme(), &before, "my secret is swordfish").await;
    system.answers(&acme(), &before, 1).await;
    let after = Customer::phone("4915155500002").with_user_id("DE.new");
    system.write(&acme(), &after, "what do you know of me?").await;
    system.answers(&acme(), &after, 2).await;
    assert!(!system.journal.chats()[1].body.to_string().contains("swordfish"), "another person's memory");
    assert_eq!(system.count("conversations", doc! {}).await, 2);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_changes_the_number_takes_the_conversation_along() {
    let system = System::start(Options::default()).await;
    let old = Customer::phone("4915155500003");
    system.write(&acme(), &old, "remember me").await;
    system.answers(&acme(), &old, 1).await;
    let sender = system.meta.sender(&acme());
    let change = sender.message(&old, Content::number_change("4915155500003", "4915155500004"));
    sender.deliver(&Body::of(&acme(), &change).to_json()).await.expect("200");
    system.wait_for_document("account_events", doc! { "field": "system" }).await;
    let new = Customer::phone("4915155500004");
    system.write(&acme(), &new, "it is me").await;
    system.answers(&acme(), &new, 1).await;
    assert!(system.journal.chats()[1].body.to_string().contains("remember me"));

    // The old number's next owner is somebody else; but what Meta sends again of the former one is not theirs.
    let first = system.journal.posts().into_iter().find(|post| post.updates.iter().any(|u| u.id.starts_with("wamid")));
    let first_id = first.expect("a post").updates[0].id.clone();
    let again = sender.message(&old, Content::text("remember me")).with_id(first_id);
    sender.deliver(&Body::of(&acme(), &again).to_json()).await.expect("200");
    system.write(&acme(), &old, "who am I?").await;
    let answers = system.answers(&acme(), &old, 2).await;
    assert_eq!(answers, ["ANS remember me", "ANS who am I?"]);
    assert!(!system.journal.chats()[2].body.to_string().contains("it is me"), "another person's memory");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_customer_of_two_businesses_has_two_conversations() {
    let system = System::start(Options::default()).await;
    let ana = Customer::phone("4915155500005").with_user_id("DE.ana");
    system.write(&acme(), &ana, "my secret at acme is swordfish").await;
    system.answers(&acme(), &ana, 1).await;
    system.write(&bolt(), &ana, "hello bolt").await;
    system.answers(&bolt(), &ana, 1).await;
    let prompt = system.journal.chats()[1].body.to_string();
    assert!(!prompt.contains("swordfish") && prompt.contains("The bolt company"), "{prompt}");
    for id in ["acme:4915155500005", "bolt:4915155500005"] {
        system.wait_for_document("conversations", doc! { "_id": id }).await;
    }
    system.stop().await;
}
