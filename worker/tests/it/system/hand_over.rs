//! A conversation that goes to a person, on every way there: silence, word to the business, and the companion's return.

use std::time::Duration;

use mongodb::bson::{DateTime, Document, doc};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::signature;
use simulator::{
    Customer, Host,
    ai::ChatReply,
    host::HostReply,
    journal::{HostRequest, Stamped},
    webhook::{Body, Content},
};

use super::{
    dialogue::asked,
    harness::{Options, PATIENCE, System, acme, cipher, customer},
    process::run,
};

const NOTIFY_SECRET: &str = "the secret that signs notices";
const SORRY: &str = "ANS we are sorry";

/// A system that tells a host of hand-overs, whose model hands over where it is asked to, and fails on "broken".
async fn telling(options: Options) -> (System, Host) {
    let mut system = System::start(options.with("ALLOW_INSECURE_TOOLS", "true").with("AI_GIVE_UP_SECS", "1")).await;
    system.keep_from_logs(NOTIFY_SECRET);
    system.keep_from_logs("/hook?key=sesame");
    let host = Host::start(&system.journal).await.expect("a host");
    host.on_request(|_| HostReply::status(204));
    let notify = doc! {
        "url": format!("{}/hook?key=sesame", host.url()),
        "secret": cipher().encrypt(&SecretString::from(NOTIFY_SECRET)),
        "link": "https://inbox.example.com/{conversation}?tel={phone}",
    };
    let hand_over = doc! { "keywords": ["human"], "hours": 2, "onFailure": true, "notify": notify };
    system.update_business(&acme(), doc! { "companion": { "apology": SORRY, "handOver": hand_over } }).await;
    system.ai.on_chat(|request| match (request.last_user().as_str(), request.follows_tool()) {
        ("a person, please", false) => {
            ChatReply::tool("hand_over_to_human", json!({ "reason": "angry about swordfish" }))
        }
        ("broken", _) => ChatReply::status(500),
        (other, _) => ChatReply::text(format!("ANS {other}")),
    });
    (system, host)
}

/// What the business was told of a customer, once it was told that often.
async fn told(system: &System, host: &Host, who: &Customer, count: usize) -> Vec<Stamped<HostRequest>> {
    let of_them = || -> Vec<Stamped<HostRequest>> {
        let all = host.requests().into_iter();
        all.filter(|request| request.body["customer"]["phoneNumber"] == who.key()).collect()
    };
    let waiting = system.journal.wait_until(|_| of_them().len() >= count, PATIENCE).await;
    waiting.unwrap_or_else(|error| panic!("{error}: told {:?}", of_them()));
    of_them()
}

/// It is signed, tells what it should, and nothing that was said.
fn check(request: &HostRequest, who: &Customer, reason: &str) {
    let mut body = request.body.clone();
    let signed = request.header("x-switchboard-signature-256").expect("a signature");
    let secret = [SecretString::from(NOTIFY_SECRET)];
    assert!(signature::verify(&secret, signed, body.to_string().as_bytes()), "{signed} for {body}");
    assert_eq!(request.header("content-type"), Some("application/json"));
    let fields = body.as_object_mut().expect("an object");
    let mut time = |field: &str| -> jiff::Timestamp {
        let value = fields.remove(field).unwrap_or_default();
        value.as_str().unwrap_or_default().parse().unwrap_or_else(|error| panic!("{field}: {error}"))
    };
    let (at, until) = (time("at"), time("until"));
    let hours = until.duration_since(at).as_secs_f64() / 3_600.0;
    assert!((1.99..=2.01).contains(&hours), "{hours}");
    let id = fields.remove("id").unwrap_or_default();
    assert!(id.as_str().is_some_and(|id| id.len() == 32), "{id}");
    let expected = json!({
        "event": "hand_over",
        "reason": reason,
        "business": "acme",
        "conversation": format!("acme:{}", who.key()),
        "customer": { "phoneNumber": who.key(), "userId": null, "name": who.name },
        "link": format!("https://inbox.example.com/acme%3A{0}?tel={0}", who.key()),
    });
    assert_eq!(body, expected);
}

/// What is written now is remembered and not answered.
async fn assert_quiet(system: &System, who: &Customer) {
    let answers = system.journal.texts_for(&acme().phone_number_id, who.key()).len();
    system.write(&acme(), who, "Are you there?").await;
    system.remembered(&acme(), who, "Are you there?").await;
    system.settled().await;
    assert_eq!(system.journal.texts_for(&acme().phone_number_id, who.key()).len(), answers);
}

/// Given back, the companion answers, and knows what was said.
async fn assert_returns(system: &System, who: &Customer, knows: &str) {
    let session = format!("acme:{}", who.key());
    let resumed = run("worker", &["conversation", "resume", &session], system.environment(), "");
    assert!(resumed.status.success(), "{}", resumed.stderr);
    let answers = system.journal.texts_for(&acme().phone_number_id, who.key()).len();
    system.write(&acme(), who, "And now?").await;
    assert_eq!(system.answers(&acme(), who, answers + 1).await.last().map(String::as_str), Some("ANS And now?"));
    let prompt = asked(&system.journal, who).last().expect("asked").body.to_string();
    assert!(prompt.contains("Are you there?") && prompt.contains(knows), "{prompt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_tool_keyword_or_failure_the_business_is_told_and_the_companion_is_quiet_until_it_returns() {
    let (system, host) = telling(Options::default()).await;
    let cases = [
        (customer(1), "a person, please", "ANS a person, please", "tool"),
        (customer(2), "Give me a human!", "ANS Give me a human!", "keyword"),
        (customer(3), "broken", SORRY, "failure"),
    ];
    for (who, said, answer, reason) in &cases {
        system.write(&acme(), who, said).await;
        assert_eq!(system.answers(&acme(), who, 1).await, [*answer]);
        check(&told(&system, &host, who, 1).await[0], who, reason);
        assert_quiet(&system, who).await;
    }
    system.wait_for_document("conversations", doc! { "notices": { "$exists": false } }).await;
    for (who, said, _, _) in &cases {
        assert_returns(&system, who, said).await;
        assert_eq!(told(&system, &host, who, 1).await.len(), 1, "once");
    }
    system.settled().await;
    assert_eq!(system.count("conversations", doc! { "notices": { "$exists": true } }).await, 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_answers_or_an_operator_takes_over_without_a_word_to_the_business() {
    let (system, host) = telling(Options::default()).await;
    let (ana, eva) = (customer(1), customer(2));
    for who in [&ana, &eva] {
        system.write(&acme(), who, "hello").await;
        system.answers(&acme(), who, 1).await;
    }
    system.settled().await;
    let sender = system.meta.sender(&acme());
    let echo = Body::default().echo(&acme(), &ana, "wamid.person", &Content::text("Mia here, I see to it."));
    sender.deliver(&echo.to_json()).await.expect("200");
    system.remembered(&acme(), &ana, "Mia here, I see to it.").await;
    let session = format!("acme:{}", eva.key());
    let taken = run("worker", &["conversation", "hand-over", &session, "--hours", "1"], system.environment(), "");
    assert!(taken.status.success(), "{}", taken.stderr);
    // Whom a person writes to first expects a person, too.
    let ida = customer(3);
    let first = Body::default().echo(&acme(), &ida, "wamid.first", &Content::text("Your order is ready."));
    sender.deliver(&first.to_json()).await.expect("200");
    system.remembered(&acme(), &ida, "Your order is ready.").await;
    for (who, knows) in [(&ana, "Mia here, I see to it."), (&eva, "hello"), (&ida, "Your order is ready.")] {
        assert_quiet(&system, who).await;
        assert_returns(&system, who, knows).await;
    }
    assert!(host.requests().is_empty(), "who takes over knows");
    // What names nobody is kept all the same.
    let group = Customer::phone("120363025246125486@g.us");
    let to_group = Body::default().echo(&acme(), &group, "wamid.group", &Content::text("Closed tomorrow."));
    sender.deliver(&to_group.to_json()).await.expect("200");
    system.wait_for_document("account_events", doc! { "field": "smb_message_echoes" }).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_settings_nobody_is_told_and_a_failure_is_no_hand_over() {
    let (system, host) = telling(Options::default()).await;
    system
        .update_business(&acme(), doc! { "companion": { "apology": SORRY, "handOver": { "keywords": ["human"] } } })
        .await;
    // What workers know of a business they know for a minute; nobody has asked yet.
    let (ana, eva) = (customer(1), customer(2));
    system.write(&acme(), &ana, "broken").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, [SORRY]);
    system.write(&acme(), &eva, "human").await;
    system.answers(&acme(), &eva, 1).await;
    system.settled().await;
    assert!(system.conversation(&acme(), &ana).await.get("handed_over_until").is_none());
    let evas = system.conversation(&acme(), &eva).await;
    assert!(evas.contains_key("handed_over_until") && !evas.contains_key("notices"), "{evas}");
    assert!(host.requests().is_empty());
    system.stop().await;
}

/// The one pending notice of a customer.
async fn pending(system: &System, who: &Customer, filter: Document) -> Document {
    let mut wanted = doc! { "_id": format!("acme:{}", who.key()) };
    wanted.extend(filter);
    let found = system.wait_for_document("conversations", wanted).await;
    let notices = found.get_array("notices").expect("notices");
    notices[0].as_document().expect("a notice").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_outlives_refusals_and_a_killed_worker_and_comes_with_one_id() {
    let (mut system, host) = telling(Options::default()).await;
    let requests = std::sync::atomic::AtomicU32::new(0);
    host.on_request(move |_| match requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => HostReply::status(500),
        1 => HostReply::Drop,
        2 => HostReply::Hang,
        _ => HostReply::status(200).with_body("thanks"),
    });
    let ana = customer(1);
    system.write(&acme(), &ana, "human").await;
    told(&system, &host, &ana, 3).await;
    // It died with the request under way.
    system.kill_worker(0);
    system.start_worker().await;
    let told = told(&system, &host, &ana, 4).await;
    let session = format!("acme:{}", ana.key());
    system.wait_for_document("conversations", doc! { "_id": session, "notices": { "$exists": false } }).await;
    told.iter().for_each(|request| check(request, &ana, "keyword"));
    let ids: std::collections::BTreeSet<String> = told.iter().map(|request| request.body["id"].to_string()).collect();
    assert_eq!((ids.len(), told.len()), (1, 4));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_told_for_a_day_is_a_dead_letter_and_what_nobody_wants_is_dropped() {
    let (mut system, host) = telling(Options::default()).await;
    system.keep_from_logs("human swordfish");
    host.on_request(|_| HostReply::status(503));
    let (ana, eva) = (customer(1), customer(2));
    system.write(&acme(), &ana, "human swordfish").await;
    told(&system, &host, &ana, 1).await;
    let waiting = doc! { "notices.0.tries": 1, "notices.0.try_at": { "$lt": in_time(Duration::from_secs(8)) } };
    let notice = pending(&system, &ana, waiting).await;
    assert_eq!(notice.get_str("reason").expect("a reason"), "keyword");
    let yesterday = DateTime::from_millis(DateTime::now().timestamp_millis() - 25 * 3_600_000);
    let conversations = system.db.collection::<Document>("conversations");
    let earlier = doc! { "$set": { "notices.0.at": yesterday, "notices.0.try_at": yesterday } };
    conversations.update_one(doc! { "_id": format!("acme:{}", ana.key()) }, earlier).await.expect("updated");
    let letter = system.wait_for_document("dead_letters", doc! { "reason": "notification_failed" }).await;
    assert_eq!(letter.get_str("conversation").expect("whose"), format!("acme:{}", ana.key()));
    assert!(!format!("{letter:?}").contains("swordfish"), "{letter}");
    let none = doc! { "_id": format!("acme:{}", ana.key()), "notices": { "$exists": false } };
    system.wait_for_document("conversations", none).await;

    system.write(&acme(), &eva, "human").await;
    told(&system, &host, &eva, 1).await;
    system.update_business(&acme(), doc! { "companion": { "handOver": { "keywords": ["human"] } } }).await;
    let none = doc! { "_id": format!("acme:{}", eva.key()), "notices": { "$exists": false } };
    system.wait_for_document("conversations", none).await;
    assert_eq!(system.count("dead_letters", doc! {}).await, 1);
    let listed = run("worker", &["dead-letter", "list", "--json"], system.environment(), "");
    let listed: Value = serde_json::from_str(&listed.stdout).expect("one letter");
    assert_eq!((&listed["reason"], &listed["business"]), (&json!("notification_failed"), &json!("acme")));
    system.stop().await;
}

/// The time when so much has passed.
fn in_time(length: Duration) -> DateTime {
    DateTime::from_millis(DateTime::now().timestamp_millis() + i64::try_from(length.as_millis()).expect("short"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_only_the_worker_can_reach_is_not_told() {
    let (system, host) = telling(Options::default()).await;
    system.stop().await;
    let mut system = System::start(Options::default()).await;
    system.keep_from_logs("sesame");
    let notify = doc! {
        "url": format!("{}/hook?key=sesame", host.url()),
        "secret": cipher().encrypt(&SecretString::from(NOTIFY_SECRET)),
    };
    let hand_over = doc! { "keywords": ["human"], "notify": notify };
    system.update_business(&acme(), doc! { "companion": { "handOver": hand_over } }).await;
    let ana = customer(1);
    system.write(&acme(), &ana, "human").await;
    pending(&system, &ana, doc! { "notices.0.tries": { "$gte": 1 } }).await;
    system.workers[0].wait_for_message("could not be told of a hand-over").await;
    assert!(host.requests().is_empty());
    system.stop().await;
}
