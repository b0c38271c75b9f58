//! What the companion keeps of a customer: facts, notes about what was said before, and who has the conversation.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use mongodb::bson::{Document, doc};
use serde_json::json;
use simulator::{
    Customer,
    ai::{ChatReply, ChatRequest, ToolCall},
    webhook::{Body, Content},
};

use super::{
    dialogue::{asked, recorded},
    harness::{Options, System, acme, bolt, customer},
};

fn facts(conversation: &Document) -> Vec<String> {
    let memory = conversation.get_document("memory").expect("a memory");
    let facts =
        memory.get_array("facts").map(|facts| facts.iter().filter_map(|fact| fact.as_document()).collect::<Vec<_>>());
    facts.unwrap_or_default().iter().map(|fact| fact.get_str("text").expect("text").to_owned()).collect()
}

/// The id under which the prompt shows a fact.
fn id_of(request: &ChatRequest, fact: &str) -> String {
    let system = request.system();
    let line = system.lines().find(|line| line.ends_with(&format!("{:?}", fact))).unwrap_or_default();
    line.trim_start_matches("- ").split(':').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_kept_corrected_and_dropped_and_stand_in_the_next_prompt() {
    let system = System::start(Options::default()).await;
    system.ai.on_chat(|request| {
        let call = match request.last_user().as_str() {
            _ if request.follows_tool() => return ChatReply::text("ANS done"),
            "I am vegan" => json!({ "fact": "is $vegan" }),
            "and I live in Ulm" => json!({ "fact": "lives in Ulm" }),
            "I eat fish now" => json!({ "fact": "eats fish", "replaces": id_of(request, "is $vegan") }),
            "I moved" => json!({ "forget": id_of(request, "lives in Ulm") }),
            "somebody else's" => json!({ "forget": "f000000" }),
            other => return ChatReply::text(format!("ANS {other}")),
        };
        // With words beside the call, or without.
        let text = request.last_user().starts_with("I ").then(|| "ANS noted".to_owned());
        ChatReply::ToolCalls { text, calls: vec![ToolCall::new("remember", call)] }
    });
    let ana = customer(1);
    let steps: [(&str, &[&str]); 5] = [
        ("I am vegan", &["is $vegan"]),
        ("and I live in Ulm", &["is $vegan", "lives in Ulm"]),
        ("I eat fish now", &["lives in Ulm", "eats fish"]),
        ("somebody else's", &["lives in Ulm", "eats fish"]),
        ("I moved", &["eats fish"]),
    ];
    for (n, (text, known)) in (1..).zip(steps) {
        system.write(&acme(), &ana, text).await;
        system.answers(&acme(), &ana, n).await;
        system.settled().await;
        assert_eq!(facts(&system.conversation(&acme(), &ana).await), known, "{text}");
    }
    system.write(&acme(), &ana, "What do you know?").await;
    system.answers(&acme(), &ana, 6).await;
    let prompt = asked(&system.journal, &ana).last().expect("asked").system();
    assert!(prompt.contains(r#": "eats fish""#) && !prompt.contains("vegan") && !prompt.contains("Ulm"), "{prompt}");
    let refused = asked(&system.journal, &ana)
        .iter()
        .flat_map(ChatRequest::tool_results)
        .filter(|r| r.starts_with("Error: "))
        .count();
    assert_eq!(refused, 1, "what names no fact of this customer changes nothing");
    // At another business the same person is a stranger.
    system.write(&bolt(), &ana, "What do you know?").await;
    system.answers(&bolt(), &ana, 1).await;
    assert!(!asked(&system.journal, &ana).last().expect("asked").body.to_string().contains("fish"));
    system.stop().await;
}

/// A customer says so many things at once, numbered from `from`.
async fn say_lines(system: &System, who: &Customer, from: usize, count: usize) {
    let sender = system.meta.sender(&acme());
    let now = jiff::Timestamp::now().as_second();
    let body = (from..from + count).fold(Body::default(), |body, n| {
        let at = now + i64::try_from(n - from).expect("few");
        body.message(&acme(), &sender.message(who, Content::text(format!("line-{n}. is what I say"))).at(at))
    });
    sender.deliver(&body.to_json()).await.expect("200");
}

/// Answers in few words, and writes notes about the lines that it is given, unless it may not.
fn note_taking(system: &System) -> Arc<AtomicBool> {
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    system.ai.on_chat(move |request| match request.last_user().as_str() {
        "Write the notes." if failing.load(Ordering::Relaxed) => ChatReply::status(500),
        "Write the notes." => {
            let lines = request.system().matches("line-").count();
            ChatReply::text(format!("NOTES about {lines} $lines"))
        }
        _ => ChatReply::text("ANS yes"),
    });
    fails
}

/// Every request for notes that was answered, in order.
fn noted(system: &System) -> Vec<ChatRequest> {
    let answers = system.journal.ai_answers();
    let answered = |request: u64| answers.iter().any(|answer| answer.request == request && answer.http == Some(200));
    let chats = system.journal.chats().into_iter().map(|chat| recorded(&chat));
    chats.filter(|chat| chat.last_user() == "Write the notes." && answered(chat.number)).collect()
}

/// Each line of so many is still remembered, or was in a request whose notes are kept.
async fn assert_nothing_is_lost(system: &System, who: &Customer, count: usize) {
    let newest = format!("line-{}. is what I say", count - 1);
    let filter = doc! { "_id": format!("acme:{}", who.key()), "memory.turns.text": { "$regex": newest } };
    let conversation = system.wait_for_document("conversations", filter).await;
    let lines = conversation.get_document("memory").expect("a memory").get_array("turns").expect("lines");
    let lines = format!("{lines:?}");
    let notes: Vec<String> = noted(system).iter().map(ChatRequest::system).collect();
    for n in 0..count {
        let line = format!("line-{n}. ");
        let kept = usize::from(lines.contains(&line)) + notes.iter().filter(|notes| notes.contains(&line)).count();
        assert_eq!(kept, 1, "{line}is kept {kept} times in {lines}\n{notes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_lines_become_notes_and_none_is_lost_between_the_two() {
    // A reply that is overtaken by a later message would have its notes written twice.
    let system = System::start(Options::default().with("QUIET_MILLIS", "4000")).await;
    let fails = note_taking(&system);
    let ana = customer(1);
    for n in 0..6 {
        // Notes that fail once are written with the next answer.
        fails.store(n == 2, Ordering::Relaxed);
        say_lines(&system, &ana, n * 8, 8).await;
        system.answers(&acme(), &ana, n + 1).await;
        system.settled().await;
        assert_nothing_is_lost(&system, &ana, (n + 1) * 8).await;
    }
    let notes = noted(&system);
    assert!((2..=4).contains(&notes.len()), "{}", notes.len());
    assert!(notes[0].system().contains("Notes so far: none"));
    assert!(
        notes[1].system().contains("Notes so far: \"NOTES about"),
        "notes carry on what the notes before them said"
    );
    assert!(notes.iter().all(|notes| notes.tool_names().is_empty()));
    let conversation = system.conversation(&acme(), &ana).await;
    let memory = conversation.get_document("memory").expect("a memory");
    assert!(memory.get_str("summary").expect("notes").starts_with("NOTES about"));
    system.write(&acme(), &ana, "What did I say?").await;
    system.answers(&acme(), &ana, 7).await;
    let prompt = asked(&system.journal, &ana).last().expect("asked").system();
    assert!(prompt.contains("Your notes about what was said before, which are data: \"NOTES about"), "{prompt}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_turn_loses_no_line_either() {
    let system = System::start(Options::default().with("QUIET_MILLIS", "4000")).await;
    note_taking(&system);
    let ana = customer(1);
    for (n, (from, count)) in [(0, 12), (12, 45), (57, 45)].into_iter().enumerate() {
        say_lines(&system, &ana, from, count).await;
        system.answers(&acme(), &ana, n + 1).await;
        system.settled().await;
        assert_nothing_is_lost(&system, &ana, from + count).await;
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_over_is_told_to_the_customer_and_then_the_companion_is_quiet() {
    let system = System::start(Options::default()).await;
    system.update_business(&acme(), doc! { "companion": { "handOver": { "hours": 2 } } }).await;
    system.ai.on_chat(|request| match (request.last_user().as_str(), request.follows_tool()) {
        ("a person, please", false) => ChatReply::tool("hand_over_to_human", json!({ "reason": "asked for one" })),
        (other, _) => ChatReply::text(format!("ANS {other}")),
    });
    let (ana, eva) = (customer(1), customer(2));
    system.write(&acme(), &ana, "a person, please").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS a person, please"]);
    system.settled().await;
    let conversation = system.conversation(&acme(), &ana).await;
    let until = conversation.get_datetime("handed_over_until").expect("handed over").timestamp_millis();
    let left = until - mongodb::bson::DateTime::now().timestamp_millis();
    assert!((7_000_000..=7_200_000).contains(&left), "two hours, not {left} ms");

    let reads = system.journal.reads().len();
    let id = system.write(&acme(), &ana, "Are you there?").await;
    let lines = system.remembered(&acme(), &ana, "Are you there?").await;
    assert_eq!(lines, ["a person, please", "ANS a person, please", "Are you there?"]);
    let stored = system.wait_for_document("messages", doc! { "id": &id, "answered_at": { "$exists": true } }).await;
    assert!(stored.get_str("message").expect("kept").contains("Are you there?"));
    // Others are served as before.
    system.write(&acme(), &eva, "hello").await;
    system.answers(&acme(), &eva, 1).await;
    system.settled().await;
    assert_eq!(asked(&system.journal, &ana).len(), 2, "the call, and the words that go with it");
    assert_eq!(system.journal.texts_for(&acme().phone_number_id, ana.key()).len(), 1);
    assert_eq!(system.journal.reads().len(), reads + 1, "nobody seems to type to her");
    system.stop().await;
}
