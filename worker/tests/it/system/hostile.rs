//! Whatever Meta sends, or may send one day, is answered 200, handled, and never in the way of the next message.

use mongodb::bson::{self, doc};
use serde_json::{Map, Value, json};
use simulator::{
    Seed,
    webhook::{Body, Content, Ids, SAMPLES, Status, sample},
};

use super::harness::{Options, PATIENCE, System, acme, bolt, customer};

/// Nothing that was posted may have been lost, and the system still answers.
async fn still_answers(system: &System, n: u64) {
    let ana = customer(n);
    system.write(&acme(), &ana, "Are you there?").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS Are you there?"]);
    system.settled().await;
    for worker in &system.workers {
        let errors: Vec<String> =
            worker.log().lines().filter(|line| line.contains(r#""level":"ERROR""#)).map(str::to_owned).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_of_meta_is_handled_and_what_wants_an_answer_gets_one() {
    let system = System::start(Options::default()).await;
    let sender = system.meta.sender(&acme());
    // Two of them are dead letters by nature, and have tests of their own.
    let names: Vec<&str> = SAMPLES.iter().copied().filter(|name| !["batch", "failed_status"].contains(name)).collect();
    let ids = Ids::new(Seed(7), "samples");
    assert!(names.len() >= 20, "{names:?}");
    let silent = ["reaction", "reaction_removed", "edit", "revoke", "number_change", "user_id_change", "group"];
    let mut wanted = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let who = match *name {
            "hidden_number" => simulator::Customer::hidden("DE.13491208655302741918"),
            _ => customer(u64::try_from(n).expect("small")),
        };
        let body = sample(name, &acme(), &who, &ids).expect("a sample of that name");
        let is_message = body.pointer("/entry/0/changes/0/value/messages").is_some();
        sender.deliver(&body).await.expect("200");
        if is_message && !silent.iter().any(|silent| name.contains(silent)) {
            wanted.push((name, who));
        }
    }
    assert!(wanted.len() >= 12, "{wanted:?}");
    for (name, who) in &wanted {
        let all = |journal: &simulator::Journal| !journal.texts_for(&acme().phone_number_id, who.key()).is_empty();
        assert!(system.journal.wait_until(all, PATIENCE).await.is_ok(), "{name} got no answer");
    }
    still_answers(&system, 900).await;
    let answered = system.journal.accepted().len();
    assert_eq!(answered, wanted.len() + 1, "only what wants an answer gets one: {wanted:?}");
    assert_eq!(system.count("dead_letters", doc! {}).await, 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_only_move_forward_and_a_failure_is_filed() {
    let system = System::start(Options::default()).await;
    let sender = system.meta.sender(&acme());
    let status = |word: &str, at| Status {
        wamid: "wamid.STATUS".to_owned(),
        status: word.to_owned(),
        customer: customer(1),
        timestamp: at,
        opaque: None,
        error: None,
    };
    for (at, word) in [(3, "read"), (1, "sent"), (2, "delivered"), (1, "sent"), (9, "unheard-of")] {
        let body = Body::default().status(&acme(), &status(word, 1_750_000_000 + at)).to_json();
        sender.deliver(&body).await.expect("200");
    }
    let failed = Status {
        wamid: "wamid.FAILED".to_owned(),
        error: Some(json!({"code": 131_026, "title": "Message undeliverable"})),
        ..status("failed", 1_750_000_000)
    };
    sender.deliver(&Body::default().status(&acme(), &failed).to_json()).await.expect("200");
    let letter = system.wait_for_document("dead_letters", doc! { "reason": "delivery_failed" }).await;
    assert!(letter.get_str("detail").expect("text").contains("131026"), "{letter}");
    let id = format!("{}:wamid.STATUS", acme().phone_number_id);
    let message = system.wait_for_document("messages", doc! { "_id": id, "status": "read" }).await;
    assert_eq!(message.get_i32("status_rank").expect("a rank"), 3);
    system.stop().await;
}

/// Bodies that no documentation knows.
fn malformed() -> Vec<Value> {
    let number = json!({"display_phone_number": "1", "phone_number_id": acme().phone_number_id});
    let text = json!({"from": "4915112345678", "id": "wamid.X", "timestamp": "1749416383", "type": "text", "text": {"body": "x"}});
    let with = |value: Value| json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]});
    let mut bodies: Vec<Value> = vec![
        json!({"object": "whatsapp_business_account", "entry": []}),
        json!({"object": "page", "entry": [{"id": "1", "messaging": [{}]}]}),
        json!({"object": "whatsapp_business_account", "entry": [{"id": "1"}]}),
        json!({"object": "whatsapp_business_account", "entry": [7, null, "x", {"changes": "x"}, {"changes": [1]}]}),
        json!([]),
        json!("text"),
        with(json!({"metadata": number, "messages": [{}]})),
        with(json!({"metadata": number, "messages": [null, 1, "x", [], {"id": "wamid.Y"}]})),
        with(json!({"metadata": number, "messages": {"0": text}})),
        with(json!({"metadata": {}, "messages": [text]})),
        with(json!({"metadata": {"phone_number_id": ""}, "messages": [text]})),
        with(json!({"metadata": {"phone_number_id": "1.2#*"}, "messages": [text]})),
        with(json!({"metadata": number, "contacts": "x", "messages": [text]})),
        with(json!({"metadata": number, "statuses": [{}, {"id": ""}, {"id": "wamid.Z", "status": 7}, null]})),
        with(json!({"metadata": number, "errors": [{"code": 130_429, "title": "Rate limit hit"}]})),
        with(json!(null)),
        with(json!([])),
        json!({"entry": [{"id": "1", "changes": [{"field": "nobody_knows", "value": {"messages": [text]}}]}]}),
    ];
    // Each field of a message in turn: gone, empty, or of another type.
    for key in ["from", "id", "timestamp", "type", "text"] {
        for odd in
            [Value::Null, json!(""), json!(7), json!([]), json!({"$where": "1", "a.b": {"$set": 1}}), json!("\u{0}$x")]
        {
            let mut message = text.as_object().expect("an object").clone();
            message.insert(key.to_owned(), odd);
            bodies.push(with(json!({"metadata": number, "messages": [message]})));
        }
        let mut message: Map<String, Value> = text.as_object().expect("an object").clone();
        message.remove(key);
        bodies.push(with(json!({"metadata": number, "messages": [message]})));
    }
    let mut nested = json!("deep");
    for _ in 0..60 {
        nested = json!([nested]);
    }
    bodies.push(with(json!({"metadata": number, "messages": [{"from": "4915112345678", "id": "wamid.N", "type": "text", "text": nested}]})));
    let mut deepest = json!("deep");
    for _ in 0..110 {
        deepest = json!({"a": deepest});
    }
    bodies.push(with(json!({"metadata": number, "messages": [{"from": "4915112345678", "id": "wamid.D", "type": "text", "text": deepest}]})));
    let long = "long ".repeat(600_000);
    bodies.push(with(json!({"metadata": number, "messages": [{"from": "4915199999999", "id": "wamid.L", "type": "text", "text": {"body": long}}]})));
    bodies
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_relatives_are_taken_and_nothing_of_them_is_lost_or_in_the_way() {
    let system = System::start(Options::default()).await;
    let sender = system.meta.sender(&acme());
    for body in malformed() {
        let delivered = sender.deliver_once(&body).await;
        let shown: String = body.to_string().chars().take(200).collect();
        assert_eq!(delivered.expect("an answer"), 200, "{shown}");
    }
    still_answers(&system, 901).await;
    // A message without a customer, and a change that cannot be taken apart, are kept with their reason.
    for reason in ["no_customer", "malformed_update"] {
        let letter = system.wait_for_document("dead_letters", doc! { "reason": reason }).await;
        assert!(!letter.get_str("body").expect("text").is_empty());
    }
    // A customer who wrote three megabytes is answered, and so is one whose message had no type.
    let long = simulator::Customer::phone("4915199999999");
    assert!(!system.answers(&acme(), &long, 1).await.is_empty());
    assert!(!system.answers(&acme(), &simulator::Customer::phone("4915112345678"), 1).await.is_empty());
    // Nothing became a session of nobody.
    for odd in ["acme:", "acme", ""] {
        assert_eq!(system.count("conversations", doc! { "_id": odd }).await, 0);
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asked_the_companion_is_never_answered() {
    let system = System::start(Options::default()).await;
    system.update_business(&acme(), doc! { "companion.handOver.hours": 2 }).await;
    let sender = system.meta.sender(&acme());
    let ana = customer(1);
    let group = sender.message(&ana, Content::text("to the group")).in_group("Y2FwaV9ncm91cDo");
    sender.deliver(&Body::of(&acme(), &group).to_json()).await.expect("200");
    let value = |key: &str| {
        let messages = json!([sender.message(&ana, Content::text("old or not ours")).to_json()]);
        let mut value = Map::new();
        value.insert("messaging_product".to_owned(), json!("whatsapp"));
        value.insert("metadata".to_owned(), json!({"phone_number_id": acme().phone_number_id}));
        value.insert(key.to_owned(), messages);
        value
    };
    for (field, key) in
        [("history", "messages"), ("standby", "messages"), ("standby", "standby"), ("smb_app_state_sync", "state_sync")]
    {
        sender.deliver(&Body::default().other(&acme(), field, value(key)).to_json()).await.expect("200");
    }
    system.wait_for_document("account_events", doc! { "field": "smb_app_state_sync" }).await;
    still_answers(&system, 902).await;
    assert_eq!(system.journal.texts_for(&acme().phone_number_id, ana.key()), Vec::<String>::new());

    // A person of the business answers from their phone: the companion is quiet for as long as the business says, and
    // remembers.
    let eva = customer(2);
    system.write(&acme(), &eva, "Is anybody there?").await;
    system.answers(&acme(), &eva, 1).await;
    let echo = Body::default().echo(&acme(), &eva, "wamid.ECHO", &Content::text("Jo here, hello!")).to_json();
    sender.deliver(&echo).await.expect("200");
    let handed_over = doc! { "_id": format!("acme:{}", eva.key()), "handed_over_until": { "$exists": true } };
    let theirs = system.wait_for_document("conversations", handed_over).await;
    let until = theirs.get_datetime("handed_over_until").expect("a time");
    let minutes = (until.timestamp_millis() - bson::DateTime::now().timestamp_millis()) / 60_000;
    assert!((100..=121).contains(&minutes), "{minutes}");
    system.write(&acme(), &eva, "Thanks, Jo").await;
    system
        .wait_for_document(
            "conversations",
            doc! { "_id": format!("acme:{}", eva.key()), "memory.turns.text": "Thanks, Jo" },
        )
        .await;
    system.settled().await;
    assert_eq!(system.journal.texts_for(&acme().phone_number_id, eva.key()).len(), 1);
    // Elsewhere life goes on.
    system.write(&bolt(), &eva, "And you?").await;
    system.answers(&bolt(), &eva, 1).await;
    system.stop().await;
}
