//! Waiting for the rest of a thought: one answer to what a customer says in several messages, and typing meanwhile.

use std::time::Duration;

use mongodb::bson::doc;
use simulator::{
    Customer, Journal,
    ai::ChatReply,
    journal::GraphRead,
    webhook::{Body, Content},
};

use super::{
    dialogue::{asked, asker},
    harness::{Options, PATIENCE, System, acme, bolt, customer},
};

/// A customer writes these numbers, one message each, at that pace.
async fn write_numbers(system: &System, customer: &Customer, numbers: std::ops::RangeInclusive<u32>, pace: Duration) {
    for n in numbers {
        system.write(&acme(), customer, &format!("This is number {n} of them")).await;
        tokio::time::sleep(pace).await;
    }
}

fn numbers(most: u32) -> String {
    let lines: Vec<String> = (1..=most).map(|n| format!("This is number {n} of them")).collect();
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_messages_in_two_seconds_are_one_answer() {
    let system = System::start(Options::default().with("QUIET_MILLIS", "4000")).await;
    let ana = customer(1);
    write_numbers(&system, &ana, 1..=10, Duration::from_millis(200)).await;
    let answers = system.answers(&acme(), &ana, 1).await;
    assert_eq!(answers, [format!("ANS {}", numbers(10))]);
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 1);
    assert!(system.journal.chats().len() <= 2, "{} calls", system.journal.chats().len());
    system.stop().await;
}

/// The model takes long, but for the last message, and the customer goes on writing while it thinks.
async fn write_on_while_it_thinks(workers: usize) {
    // A worker that did not land a message itself hears of it when it renews its lease.
    let options = Options { workers, ..Options::default() }.with("QUIET_MILLIS", "1500").with("LEASE_SECS", "9");
    let system = System::start(options).await;
    system.ai.on_chat(move |request| {
        let words = request.last_user();
        let after = if words.contains("number 10") { Duration::ZERO } else { Duration::from_secs(10) };
        ChatReply::text(format!("ANS {words}")).after(after)
    });
    let ana = customer(1);
    write_numbers(&system, &ana, 1..=5, Duration::from_millis(100)).await;
    system.asked(&ana, 1).await;
    write_numbers(&system, &ana, 6..=10, Duration::from_millis(200)).await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, [format!("ANS {}", numbers(10))]);
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 1, "once");
    let asked = asked(&system.journal, &ana).len();
    assert!((2..=3).contains(&asked), "{asked} calls");
    let answers = system.journal.ai_answers();
    assert!(answers.iter().any(|answer| answer.abandoned), "what could not be of use any more is cut off: {answers:?}");
    let last = "This is number 10 of them";
    assert_eq!(system.remembered(&acme(), &ana, last).await.len(), 11, "every message, and the one answer");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_on_while_the_model_thinks_gets_one_answer_to_everything() {
    write_on_while_it_thinks(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_on_while_the_model_thinks_gets_one_answer_from_two_workers_too() {
    write_on_while_it_thinks(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_stops_writing_is_answered_all_the_same() {
    let system = System::start(Options::default()).await;
    let slow = Duration::from_millis(1_500);
    system.ai.on_chat(move |request| ChatReply::text(format!("ANS {}", request.last_user())).after(slow));
    let ana = customer(1);
    let (writing, business) = (write_numbers(&system, &ana, 1..=30, Duration::from_millis(1_050)), acme());
    tokio::select! {
        () = writing => panic!("no answer while the customer wrote"),
        _ = system.answers(&business, &ana, 1) => {}
    }
    system.settled().await;
    // What comes behind the answer may cut off the next one.
    let (answers, first) = (system.journal.ai_answers(), &system.journal.accepted()[0]);
    assert!(answers.iter().filter(|answer| answer.abandoned && answer.seq < first.seq).count() <= 2);
    let texts = system.journal.texts_for(&acme().phone_number_id, ana.key()).join("\n");
    let answered = texts.matches("This is number").count();
    let written = system
        .remembered(&acme(), &ana, "This is number 1 of them")
        .await
        .iter()
        .filter(|line| line.starts_with("This is"))
        .count();
    assert_eq!(answered, written, "each message is in one answer: {texts}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_sooner_than_a_greeting() {
    let system = System::start(Options::default().with("QUIET_MILLIS", "4000")).await;
    let (ana, eva) = (customer(1), customer(2));
    let sender = system.meta.sender(&acme());
    let (greeting, question) = ("Hello", "Do you deliver?");
    let body = Body::of(&acme(), &sender.message(&ana, Content::text(greeting)));
    let body = body.message(&acme(), &sender.message(&eva, Content::text(question)));
    sender.deliver(&body.to_json()).await.expect("200");
    for (who, text) in [(&eva, question), (&ana, greeting)] {
        assert_eq!(system.answers(&acme(), who, 1).await, [format!("ANS {text}")]);
    }
    let order: Vec<String> =
        system.journal.chats().iter().map(|chat| asker(&super::dialogue::recorded(chat))).collect();
    assert_eq!(order, ["Customer 2", "Customer 1"], "the greeting came first, and more was expected behind it");
    system.stop().await;
}

fn reads_of(journal: &Journal, id: &str) -> Vec<(u64, GraphRead)> {
    let reads = journal.reads().into_iter().filter(|read| read.message_id == id);
    reads.map(|read| (read.seq, read.fact)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_shows_from_the_first_message_on_and_once_for_each() {
    let system = System::start(Options::default().with("QUIET_MILLIS", "4000")).await;
    for business in [acme(), bolt()] {
        let ana = customer(1);
        let mut ids = Vec::new();
        for text in ["Good morning", "do you have this in blue", "or in green?"] {
            ids.push(system.write(&business, &ana, text).await);
        }
        system.answers(&business, &ana, 1).await;
        system.settled().await;
        let chats = system.journal.chats();
        let asked_at = chats.last().expect("asked").seq;
        for (id, shown) in ids.iter().zip([1, 0, 1]) {
            let reads = reads_of(&system.journal, id);
            assert_eq!(reads.len(), shown, "{}", business.name);
            for (_, read) in reads {
                assert!(read.typing);
                assert_eq!(
                    (read.phone_number_id, read.credential.owner()),
                    (business.phone_number_id.clone(), Some(&*business.name))
                );
            }
        }
        assert!(reads_of(&system.journal, &ids[0])[0].0 < asked_at, "before the model is asked");
    }
    // A single message: once for the landing and the turn together.
    let eva = customer(2);
    let id = system.write(&acme(), &eva, "Do you deliver?").await;
    system.answers(&acme(), &eva, 1).await;
    system.settled().await;
    assert_eq!(reads_of(&system.journal, &id).len(), 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_seems_to_type_where_nobody_will_answer() {
    let system = System::start(Options::default()).await;
    let (ana, eva) = (customer(1), customer(2));
    let id = system.write(&acme(), &ana, "Are you there?").await;
    system.answers(&acme(), &ana, 1).await;
    let reaction = system.send(&acme(), &ana, Content::reaction(&id, Some("👍"))).await;
    system.settled().await;
    // A person has the conversation.
    system.write(&acme(), &eva, "Is anybody there?").await;
    system.answers(&acme(), &eva, 1).await;
    let sender = system.meta.sender(&acme());
    let echo = Body::default().echo(&acme(), &eva, "wamid.ECHO", &Content::text("Jo here.")).to_json();
    sender.deliver(&echo).await.expect("200");
    system.wait_for_document("conversations", doc! { "handed_over_until": { "$exists": true } }).await;
    let to_jo = system.write(&acme(), &eva, "Hello Jo, do you deliver?").await;
    system.remembered(&acme(), &eva, "Hello Jo, do you deliver?").await;
    // A reaction beside a question: the question is what somebody types an answer to, and what is read.
    let question = system.meta.sender(&acme()).message(&ana, Content::text("And now?"));
    let beside = sender.message(&ana, Content::reaction(&id, Some("🙏"))).at(question.timestamp + 1);
    sender.deliver(&Body::of(&acme(), &question).message(&acme(), &beside).to_json()).await.expect("200");
    assert_eq!(system.answers(&acme(), &ana, 2).await[1], "ANS And now?");
    let last = system.journal.accepted().pop().expect("sent");
    assert_eq!(last.context_id, None, "one message was answered, and a reaction is nothing to quote");
    let shown = |journal: &Journal| !reads_of(journal, &question.id).is_empty();
    system.journal.wait_until(shown, PATIENCE).await.expect("shown");
    for silent in [&reaction.id, &to_jo, &beside.id] {
        assert_eq!(reads_of(&system.journal, silent), []);
    }
    system.stop().await;
}
