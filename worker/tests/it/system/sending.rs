//! What Meta and the AI may answer, and that the customer gets one answer all the same.

use std::time::Duration;

use mongodb::bson::doc;
use simulator::{
    ai::ChatReply,
    meta::{Fault, Refusal, StatusPlan, Where},
    webhook::{Body, Content, Status},
};

use super::harness::{Options, System, acme, bolt, customer};

#[tokio::test(flavor = "multi_thread")]
async fn throttles_and_broken_connections_are_tried_again_and_answered_once() {
    let system = System::start(Options::default()).await;
    let faults = [
        Fault::Refuse(Refusal::code(130_429)),
        Fault::Refuse(Refusal::code(131_056).retry_after(Duration::from_secs(1))),
        Fault::Refuse(Refusal::code(4).http(429)),
        Fault::NonJson(429),
    ];
    for (n, fault) in (0..).zip(faults) {
        let who = customer(n);
        system.meta.faults().next(Where::any().to(who.key()), fault);
        system.write(&acme(), &who, "hello").await;
    }
    for n in 0..4 {
        assert_eq!(system.answers(&acme(), &customer(n), 1).await, ["ANS hello"]);
    }
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 4);
    assert_eq!(system.journal.chats().len(), 4, "a send that waits costs no second AI call");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_after_acceptance_is_not_sent_again() {
    let system = System::start(Options::default().with("SEND_EVIDENCE_SECS", "20")).await;
    let ana = customer(1);
    system.meta.faults().next(Where::any().to(ana.key()), Fault::AcceptThenDrop);
    system.write(&acme(), &ana, "hello").await;
    system.answers(&acme(), &ana, 1).await;
    // The status proves it long before the evidence time is over.
    system.settled().await;
    system.write(&acme(), &ana, "more").await;
    assert_eq!(system.answers(&acme(), &ana, 2).await, ["ANS hello", "ANS more"]);
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 2);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_never_arrived_is_repeated_after_the_evidence_time() {
    let system = System::start(Options::default().with("SEND_EVIDENCE_SECS", "1")).await;
    let ana = customer(1);
    for fault in [Fault::DropBeforeAccept, Fault::NonJson(502), Fault::Refuse(Refusal::code(131_000).http(500))] {
        system.meta.faults().next(Where::any().to(ana.key()), fault);
    }
    system.write(&acme(), &ana, "hello").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS hello"]);
    system.settled().await;
    assert_eq!((system.journal.sends().len(), system.journal.accepted().len()), (4, 1));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_refusal_becomes_a_dead_letter_and_stops_nobody() {
    let system = System::start(Options::default()).await;
    let (ana, eva) = (customer(1), customer(2));
    system.meta.faults().next(Where::any().to(ana.key()), Fault::Refuse(Refusal::code(131_026)));
    system.meta.faults().next(Where::any().to(eva.key()), Fault::Refuse(Refusal::code(131_047)));
    system.write(&acme(), &ana, "hello").await;
    system.write(&acme(), &eva, "hello").await;
    for reason in ["refused", "window_closed"] {
        let letter = system.wait_for_document("dead_letters", doc! { "reason": reason }).await;
        assert!(letter.get_str("body").expect("the envelope").contains("hello"));
    }
    system.settled().await;
    system.write(&acme(), &ana, "again").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS again"]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_fails_for_a_passing_reason_is_sent_once_more_and_then_filed() {
    let system = System::start(Options::default()).await;
    let (ana, eva) = (customer(1), customer(2));
    for who in [&ana, &eva, &eva] {
        system.meta.faults().next(Where::any().to(who.key()), Fault::FailLater(Refusal::code(131_016)));
    }
    system.write(&acme(), &ana, "hello").await;
    assert_eq!(system.answers(&acme(), &ana, 2).await, ["ANS hello"; 2], "the same words, the AI is not asked again");
    system.write(&acme(), &eva, "hello").await;
    let letter = system.wait_for_document("dead_letters", doc! { "reason": "delivery_failed" }).await;
    assert!(letter.get_str("detail").expect("a detail").contains("131016"));
    system.settled().await;
    assert_eq!(system.answers(&acme(), &eva, 2).await.len(), 2, "once more, and no more than that");
    assert_eq!((system.journal.chats().len(), system.count("dead_letters", doc! {}).await), (2, 1));
    system.write(&acme(), &ana, "thanks").await;
    assert_eq!(system.answers(&acme(), &ana, 3).await.last().map(String::as_str), Some("ANS thanks"));
    let remembered = system.journal.chats().last().map(|chat| chat.body.to_string()).expect("asked");
    assert_eq!(remembered.matches("ANS hello").count(), 1, "it was said once: {remembered}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_its_window_has_closed_is_filed_and_the_rest_of_the_backlog_is_answered() {
    let system = System::start(Options::default()).await;
    let (ana, eva, kim) = (customer(1), customer(2), customer(3));
    let sender = system.meta.sender(&acme());
    let now = jiff::Timestamp::now().as_second();
    let hour = 3_600;
    // Meta delivers what an outage kept away, with the time at which it was written.
    let old = [
        (&ana, 25 * hour, "too late"),
        (&eva, 23 * hour, "one"),
        (&eva, 2 * hour, "two"),
        (&kim, 4_000 * hour, "odd clock"),
    ];
    let messages = old.map(|(who, age, text)| sender.message(who, Content::text(text)).at(now - age));
    let body = messages.iter().fold(Body::default(), |body, message| body.message(&acme(), message));
    sender.deliver(&body.to_json()).await.expect("200");
    assert_eq!(system.answers(&acme(), &eva, 1).await, ["ANS one\ntwo"], "one answer for the conversation");
    assert_eq!(system.answers(&acme(), &kim, 1).await, ["ANS odd clock"], "no redelivery is that late");
    system.wait_for_document("dead_letters", doc! { "reason": "window_closed" }).await;
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 2);
    assert_eq!(system.journal.chats().len(), 2, "nobody is asked what could not be sent");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ai_trouble_is_tried_again_and_ends_in_one_apology() {
    let system = System::start(Options::default().with("AI_GIVE_UP_SECS", "10")).await;
    system.update_business(&bolt(), doc! { "companion": { "apology": "Bolt is sorry." } }).await;
    let replies = std::sync::atomic::AtomicU32::new(0);
    system.ai.on_chat(move |request| {
        let n = replies.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match request.last_user().as_str() {
            "never" => ChatReply::status(503),
            _ if n == 0 => ChatReply::Empty,
            _ if n == 1 => ChatReply::Garbage,
            other => ChatReply::text(format!("ANS {other}")),
        }
    });
    let (ana, eva) = (customer(1), customer(2));
    system.write(&acme(), &ana, "soon").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS soon"]);
    system.write(&bolt(), &eva, "never").await;
    assert_eq!(system.answers(&bolt(), &eva, 1).await, ["Bolt is sorry."]);
    system.settled().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(system.journal.texts_for(&bolt().phone_number_id, eva.key()).len(), 1, "once");
    // What comes while the AI is still away waits for its answer, without a second apology.
    system.write(&bolt(), &eva, "never").await;
    let waiting =
        doc! { "_id": format!("bolt:{}", eva.key()), "last_error.reason": "ai", "mailbox.0": { "$exists": true } };
    system.wait_for_document("conversations", waiting).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(system.journal.texts_for(&bolt().phone_number_id, eva.key()).len(), 1, "still once");
    system.ai.on_chat(|request| ChatReply::text(format!("ANS {}", request.last_user())));
    assert_eq!(system.answers(&bolt(), &eva, 2).await, ["Bolt is sorry.", "ANS never"]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_statuses_every_message_is_still_answered_once() {
    let system = System::start(Options::default()).await;
    system.meta.report(StatusPlan::silent());
    for n in 0..5 {
        system.write(&acme(), &customer(n), "hello").await;
    }
    for n in 0..5 {
        assert_eq!(system.answers(&acme(), &customer(n), 1).await, ["ANS hello"]);
    }
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 5);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_while_the_model_thinks_are_taken_into_the_answer() {
    let system = System::start(Options::default()).await;
    // Who waits for the first answer waits until it is of no use.
    system.ai.on_chat(|request| {
        let words = request.last_user();
        let after = if words.contains("two") { Duration::ZERO } else { Duration::from_secs(30) };
        ChatReply::text(format!("ANS {words}")).after(after)
    });
    let ana = customer(1);
    system.write(&acme(), &ana, "one").await;
    let thinking = system.journal.wait_until(|journal| !journal.chats().is_empty(), Duration::from_secs(30)).await;
    thinking.expect("the AI is asked");
    system.write(&acme(), &ana, "two").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS one\ntwo"]);
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_comes_after_the_delivery_is_none() {
    let system = System::start(Options::default()).await;
    let ana = customer(1);
    system.write(&acme(), &ana, "hello").await;
    system.answers(&acme(), &ana, 1).await;
    system.settled().await;
    let sent = system.wait_for_document("messages", doc! { "direction": "out", "status_rank": { "$gte": 2 } }).await;
    let wamid = sent.get_str("_id").expect("an id").split_once(':').expect("number and id").1;
    let failed = Status {
        wamid: wamid.to_owned(),
        status: "failed".to_owned(),
        customer: ana.clone(),
        timestamp: jiff::Timestamp::now().as_second(),
        opaque: None,
        error: Some(serde_json::json!({ "code": 131_016, "title": "Service unavailable" })),
    };
    let sender = system.meta.sender(&acme());
    sender.deliver(&Body::default().status(&acme(), &failed).to_json()).await.expect("200");
    system.write(&acme(), &ana, "more").await;
    assert_eq!(system.answers(&acme(), &ana, 2).await, ["ANS hello", "ANS more"]);
    system.settled().await;
    assert_eq!((system.journal.accepted().len(), system.count("dead_letters", doc! {}).await), (2, 0));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_full_with_one_business_still_finds_what_waits_for_another() {
    let system = System::start(Options::default().with("MAX_CONVERSATIONS", "2")).await;
    system.ai.on_chat(|request| {
        let words = request.last_user();
        match words.contains("flood") {
            true => ChatReply::text("ANS flood").after(Duration::from_millis(300)),
            false => ChatReply::text(format!("ANS {words}")),
        }
    });
    let quiet = customer(999);
    let busy = Refusal::code(130_429).retry_after(Duration::from_secs(1));
    system.meta.faults().next(Where::any().to(quiet.key()), Fault::Refuse(busy));
    system.write(&bolt(), &quiet, "hello").await;
    system.wait_for_document("conversations", doc! { "last_error.reason": "throttled" }).await;
    for n in 0..80 {
        system.write(&acme(), &customer(n), "flood").await;
    }
    // Twelve seconds of work for acme alone.
    assert_eq!(system.answers(&bolt(), &quiet, 1).await, ["ANS hello"]);
    let accepted = system.journal.accepted();
    let answered = accepted.iter().position(|send| send.customer() == quiet.key()).expect("accepted");
    assert!(answered < 70, "it was found when the flood was over, after {answered} answers");
    system.settled_within(Duration::from_secs(60)).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_fails_while_the_next_one_waits_is_sent_once_more_in_the_end() {
    let system = System::start(Options::default()).await;
    let ana = customer(1);
    let (one, two) = ("a".repeat(4_000), "b".repeat(4_000));
    let both = format!("{one}\n\n{two}");
    system.ai.on_chat(move |_| ChatReply::text(both.clone()));
    let failing = Fault::FailLater(Refusal::code(131_016));
    let busy = Fault::Refuse(Refusal::code(131_056).retry_after(Duration::from_secs(20)));
    system.meta.faults().schedule(Where::any().to(ana.key()), [Some(failing), Some(busy)]);
    system.write(&acme(), &ana, "hello").await;
    assert_eq!(system.answers(&acme(), &ana, 3).await, [one.clone(), two, one]);
    system
        .wait_for_document("dead_letters", doc! { "reason": "delivery_failed", "replayed_at": { "$exists": true } })
        .await;
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 3);
    system.stop().await;
}
