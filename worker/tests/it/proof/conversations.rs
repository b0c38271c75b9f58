//! Conversations in unusual trouble: flooded, poisoned, handed over.

use std::time::Duration;

use mongodb::bson::doc;
use serde_json::Value;
use simulator::{
    ai::ChatReply,
    checker,
    webhook::{Body, Content},
};
use tokio::time::sleep;

use super::judged::Judged;
use crate::system::harness::{Options, PATIENCE, acme, bolt, customer};

#[tokio::test(flavor = "multi_thread")]
async fn a_flooded_conversation_is_answered_whole_in_order_and_in_few_answers() {
    let mut judged = Judged::start(Options::default()).await;
    judged.scenario.chats.per_message = 8;
    let ana = customer(1);
    let sender = judged.system.meta.sender(&acme());
    // More than a mailbox holds with its content, in bodies of fifty.
    for _ in 0..10 {
        let messages = (0..50).map(|_| sender.message(&ana, Content::text(&judged.text("hello").1)));
        let body = messages.fold(Body::default(), |body, message| body.message(&acme(), &message));
        sender.deliver(&body.to_json()).await.expect("200");
    }
    let report = judged.kept(500).await;
    assert!(report.figures.sends_accepted < 100, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kills_its_worker_is_buried_alone_and_the_others_are_answered() {
    let mut judged = Judged::start(Options { workers: 0, ..Options::default() }.with("LEASE_SECS", "1")).await;
    judged.scenario.chats.per_answer = 8;
    judged.scenario.chats.per_message = 8;
    // The provider is asked about it, and the worker dies before it hears the answer.
    judged.system.ai.on_chat(|request| match request.last_user().contains("poison") {
        true => ChatReply::Hang,
        false => checker::answer(request),
    });
    let (ana, eva) = (customer(1), customer(2));
    judged.system.start_worker().await;
    judged.write(&acme(), &ana, "hello").await;
    judged.rest().await;
    let poison = judged.write(&acme(), &ana, "poison").await;
    judged.scenario = judged.scenario.clone().excusing(poison, "poison").allowing("poison");
    judged.write(&acme(), &ana, "and another thing").await;
    let mut seen = judged.system.journal.chats().len();
    let buried = doc! { "reason": "poison" };
    while judged.system.count("dead_letters", buried.clone()).await == 0 {
        let asked = judged.system.journal.wait_for(
            |journal| {
                let chats = journal.chats();
                let about_it = chats.iter().skip(seen).any(|chat| last_user(&chat.body).contains("poison"));
                about_it.then_some(chats.len())
            },
            Duration::from_secs(10),
        );
        // The fifth time nobody is asked any more.
        if let Ok(chats) = asked.await {
            seen = chats;
            judged.system.kill_worker(0);
            judged.system.start_worker().await;
        }
    }
    judged.write(&bolt(), &eva, "hello").await;
    judged.system.answers(&acme(), &ana, 2).await;
    assert_eq!(judged.system.count("dead_letters", doc! {}).await, 1, "it alone");
    judged.kept(4).await;
}

fn last_user(body: &Value) -> String {
    let messages = body["messages"].as_array().into_iter().flatten();
    let last = messages.rev().find(|message| message["role"] == "user");
    last.map_or_else(String::new, |message| message["content"].to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_takes_over_while_the_model_thinks_is_not_spoken_over() {
    let mut judged = Judged::start(Options::default()).await;
    judged.system.ai.on_chat(|request| checker::answer(request).after(Duration::from_secs(10)));
    let ana = customer(1);
    let asked = judged.write(&acme(), &ana, "hello").await;
    judged.scenario = judged.scenario.clone().excusing(asked, "handed over").allowing("handed over");
    judged.system.journal.wait_until(|journal| !journal.chats().is_empty(), PATIENCE).await.expect("the AI is asked");
    let sender = judged.system.meta.sender(&acme());
    let echo = Body::default().echo(&acme(), &ana, "wamid.person", &Content::text("I will see to it myself."));
    sender.deliver(&echo.to_json()).await.expect("200");
    judged.system.wait_for_document("conversations", doc! { "handed_over_until": { "$exists": true } }).await;
    judged.rest().await;
    sleep(Duration::from_secs(3)).await;
    assert!(judged.system.journal.accepted().is_empty(), "a person has it");
    let conversation = judged.system.wait_for_document("conversations", doc! { "mailbox": [] }).await;
    let lines = conversation.get_document("memory").expect("remembered").get_array("turns").expect("lines");
    assert_eq!(lines.len(), 2, "what the customer said and what the person said");
    judged.kept(1).await;
}
