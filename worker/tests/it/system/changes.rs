//! Messages that the customer edits or takes back, before and after they are answered.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use simulator::{
    Journal,
    ai::ChatReply,
    files::silent_voice_note,
    webhook::{Body, Content},
};

use super::{
    dialogue::asked,
    harness::{Options, PATIENCE, System, acme, customer},
    voice::{OPUS, requests},
};

/// How many documents hold a text.
async fn traces(system: &System, text: &str) -> usize {
    let mut found = 0;
    for name in system.db.list_collection_names().await.expect("listed") {
        let mut cursor = system.db.collection::<Document>(&name).find(doc! {}).await.expect("found");
        while cursor.advance().await.expect("MongoDB answers") {
            let document = cursor.deserialize_current().expect("a document");
            found += usize::from(format!("{document:?}").contains(text));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_last_version_of_a_message_is_asked_and_remembered() {
    let system = System::start(Options::default().with("QUIET_MILLIS", "5000")).await;
    let (ana, eva) = (customer(1), customer(2));
    let id = system.write(&acme(), &ana, "Do you open at eight tomorrow").await;
    system.send(&acme(), &ana, Content::edit(&id, "Do you open at nine tomorrow")).await;
    system.send(&acme(), &ana, Content::edit(&id, "Do you open at ten tomorrow")).await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS Do you open at ten tomorrow"]);
    let sent = system.journal.accepted().pop().expect("sent");
    assert_eq!(sent.context_id, None, "one message was answered, and an edit is nothing to quote");
    let expected = ["Do you open at ten tomorrow", "ANS Do you open at ten tomorrow"];
    assert_eq!(system.remembered(&acme(), &ana, expected[1]).await, expected);
    assert_eq!(system.journal.chats().len(), 1);

    // Of two messages one is edited: the answer quotes the newest message, not the edit.
    let first = system.write(&acme(), &eva, "I need two of them").await;
    let second = system.write(&acme(), &eva, "in blue if possible").await;
    system.send(&acme(), &eva, Content::edit(&first, "I need three of them")).await;
    let answer = ["ANS I need three of them\nin blue if possible"];
    assert_eq!(system.answers(&acme(), &eva, 1).await, answer);
    let sent = system.journal.accepted().pop().expect("sent");
    assert_eq!(sent.context_id, Some(second));

    // What was answered already is remembered in its new form, and not answered again.
    system.settled().await;
    system.send(&acme(), &ana, Content::edit(&id, "Do you open at noon tomorrow")).await;
    let now = "[The customer edited an earlier message; it says now:] Do you open at noon tomorrow";
    assert_eq!(system.remembered(&acme(), &ana, now).await.len(), 3);
    assert_eq!((system.journal.chats().len(), system.journal.accepted().len()), (2, 2));
    system.write(&acme(), &ana, "Thank you!").await;
    system.answers(&acme(), &ana, 2).await;
    assert!(asked(&system.journal, &ana)[1].texts("user").contains(&now.to_owned()), "the model knows of it");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_in_time_is_not_asked_answered_or_kept() {
    let system = System::start(Options::default().with("QUIET_MILLIS", "5000")).await;
    let (ana, eva, kim) = (customer(1), customer(2), customer(3));
    let id = system.write(&acme(), &ana, "My code is swordfish-1 as I told you").await;
    system.send(&acme(), &ana, Content::revoke(&id)).await;
    // Too long for the mailbox: its content lies in the transcript from the beginning.
    let long = system.write(&acme(), &kim, &format!("swordfish-2 {}", "and so on ".repeat(4_000))).await;
    system.send(&acme(), &kim, Content::revoke(&long)).await;
    // Of two messages one is taken back.
    let first = system.write(&acme(), &eva, "swordfish-3 should be nobody's business").await;
    system.write(&acme(), &eva, "Do you deliver on Saturdays").await;
    system.send(&acme(), &eva, Content::revoke(&first)).await;
    assert_eq!(system.answers(&acme(), &eva, 1).await, ["ANS Do you deliver on Saturdays"]);
    for who in [&ana, &kim] {
        let over = doc! { "_id": format!("acme:{}", who.key()), "mailbox": [], "lease": { "$exists": false } };
        system.wait_for_document("conversations", over).await;
    }
    system.settled().await;
    assert_eq!((system.journal.chats().len(), system.journal.accepted().len()), (1, 1));
    assert_eq!(traces(&system, "swordfish").await, 0);
    let stored = system.wait_for_document("messages", doc! { "id": &id }).await;
    assert!(stored.contains_key("answered_at"), "its id is known, so that it changes nothing when it comes again");

    // What was answered cannot be unsaid.
    let asked = system.write(&acme(), &ana, "Do you deliver?").await;
    system.answers(&acme(), &ana, 1).await;
    system.settled().await;
    system.send(&acme(), &ana, Content::revoke(&asked)).await;
    let lines = system.remembered(&acme(), &ana, "[The customer deleted an earlier message.]").await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(system.journal.accepted().len(), 2);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_while_the_model_thinks_is_not_answered() {
    let system = System::start(Options::default()).await;
    let slow = Duration::from_secs(30);
    system.ai.on_chat(move |request| ChatReply::text(format!("ANS {}", request.last_user())).after(slow));
    system.ai.on_transcription(|_| ChatReply::text("swordfish, but do not tell anybody"));
    let ana = customer(1);
    let note = system.meta.store_media(&acme(), OPUS, silent_voice_note());
    let message = system.send(&acme(), &ana, Content::voice(&note)).await;
    system.asked(&ana, 1).await;
    assert_eq!(traces(&system, "swordfish").await, 1, "what was heard is kept for whoever goes on");
    system.send(&acme(), &ana, Content::revoke(&message.id)).await;
    let cut = |journal: &Journal| journal.ai_answers().iter().any(|answer| answer.abandoned);
    system.journal.wait_until(cut, PATIENCE).await.expect("the call is cut off");
    system.settled().await;
    assert!(system.journal.sends().is_empty());
    assert_eq!((system.journal.chats().len(), requests(&system, "transcription").len()), (1, 1));
    assert_eq!(traces(&system, "swordfish").await, 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_comes_before_its_message_is_carried_out() {
    let system = System::start(Options::default().with("QUIET_MILLIS", "5000")).await;
    let ana = customer(1);
    let sender = system.meta.sender(&acme());
    let message = sender.message(&ana, Content::text("the old one"));
    let edit = sender.message(&ana, Content::edit(&message.id, "the new one")).at(message.timestamp + 1);
    let body = Body::of(&acme(), &edit).message(&acme(), &message);
    sender.deliver(&body.to_json()).await.expect("200");
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS the new one"]);
    assert_eq!(system.remembered(&acme(), &ana, "the new one").await, ["the new one", "ANS the new one"]);
    system.stop().await;
}
