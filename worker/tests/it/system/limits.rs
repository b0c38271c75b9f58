//! Limits of a business: the customer is told once, then it is quiet until there is room again.

use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{DateTime, Document, doc};
use simulator::{Customer, ai::ChatReply};

use super::{
    dialogue::asked,
    harness::{Options, System, acme, bolt, customer},
};

const LATER: &str = "Too much, later please!";

async fn limited(limits: Document) -> System {
    let mut limits = limits;
    limits.insert("message", LATER);
    let system = System::start(Options::default()).await;
    system.ai.on_chat(|request| ChatReply::text(format!("ANS {}", request.last_user().lines().count())));
    system.update_business(&acme(), doc! { "companion": { "limits": limits, "quietMillis": 50 } }).await;
    system
}

async fn written(system: &System, who: &Customer, texts: &[&str]) {
    for text in texts {
        let id = system.write(&acme(), who, text).await;
        // Answered, or deliberately not.
        system.wait_for_document("messages", doc! { "id": id, "answered_at": { "$exists": true } }).await;
        system.settled().await;
    }
}

/// Puts the minute of the customers where a test needs it, however slow the machine is.
async fn minute(system: &System, began: SignedDuration, messages: i32) {
    let at = |time: Timestamp| DateTime::from_millis(time.as_millisecond());
    let set = doc! { "minute": { "began_at": at(Timestamp::now() + began), "messages": messages } };
    let mut set = doc! { "$set": set };
    if began.is_negative() {
        // Over is over.
        set.insert("$unset", doc! { "limited_until": "" });
    }
    let conversations = system.db.collection::<Document>("conversations");
    conversations.update_many(doc! {}, set).await.expect("MongoDB answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_too_much_in_a_minute_is_told_once_and_answered_again_after_it() {
    let system = limited(doc! { "messagesPerMinute": 3 }).await;
    let (ana, ben) = (customer(1), customer(2));
    written(&system, &ana, &["one."]).await;
    minute(&system, SignedDuration::from_mins(9), 3).await;
    written(&system, &ana, &["two.", "three."]).await;
    assert_eq!(system.answers(&acme(), &ana, 2).await, ["ANS 1", LATER]);
    assert_eq!(asked(&system.journal, &ana).len(), 1, "nothing is asked about the rest");
    // Nobody else is kept waiting.
    written(&system, &ben, &["hello."]).await;
    assert_eq!(system.answers(&acme(), &ben, 1).await, ["ANS 1"]);
    minute(&system, SignedDuration::from_mins(-9), 5).await;
    written(&system, &ana, &["four."]).await;
    assert_eq!(system.answers(&acme(), &ana, 3).await.last().map(String::as_str), Some("ANS 1"));
    // What was written meanwhile is not forgotten.
    let request = asked(&system.journal, &ana).pop().expect("asked").body.to_string();
    assert!(request.contains("three."), "{request}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_that_has_used_up_its_replies_says_so_once_to_each_customer() {
    let system = limited(doc! { "repliesPerDay": 2 }).await;
    let (ana, ben) = (customer(1), customer(2));
    written(&system, &ana, &["one.", "two.", "three.", "four."]).await;
    let answers = system.answers(&acme(), &ana, 3).await;
    assert_eq!(answers, ["ANS 1", "ANS 1", LATER]);
    written(&system, &ben, &["one.", "two."]).await;
    assert_eq!(system.answers(&acme(), &ben, 1).await, [LATER]);
    system.write(&bolt(), &ben, "hello.").await;
    assert_eq!(system.answers(&bolt(), &ben, 1).await, ["ANS 1"], "another business has its own day");
    assert_eq!(system.answers(&acme(), &ana, 3).await.len(), 3);
    assert_eq!(system.answers(&acme(), &ben, 1).await.len(), 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_day_are_counted_and_where_speech_is_used_up_it_is_written() {
    let system = limited(doc! { "tokensPerDay": 1 }).await;
    let ana = customer(1);
    written(&system, &ana, &["one.", "two.", "three."]).await;
    assert_eq!(system.answers(&acme(), &ana, 2).await, ["ANS 1", LATER]);
    system.stop().await;

    let system = System::start(Options::default().speaking()).await;
    system.ai.on_chat(|_| ChatReply::text("A short answer."));
    let companion =
        doc! { "voice": { "reply": "always" }, "limits": { "speechCharactersPerDay": 10 }, "quietMillis": 50 };
    system.update_business(&acme(), doc! { "companion": companion }).await;
    written(&system, &ana, &["one.", "two."]).await;
    let number = acme().phone_number_id;
    let kinds: Vec<_> =
        system.journal.messages_for(&number, ana.key()).iter().map(|send| send.message_type.clone()).collect();
    assert_eq!(kinds, ["audio", "text"], "the first one is spoken, then the day is over");
    system.stop().await;
}
