//! Everything that a customer can write may hold an order to the model, and the model obeys: still nobody else's data
//! changes or is shown, and no request goes where the business did not send it.
//!
//! The worst is taken for granted: whatever the order says is done, and the answer repeats all that the model sees. So
//! what holds here holds because of what the worker puts into a prompt and what it lets a tool do.

mod orders;
mod ways;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use mongodb::bson::{Document, doc};
use secrecy::SecretString;
use serde_json::json;
use simulator::{
    Customer, Host, Journal,
    ai::{ChatReply, ChatRequest, Transcript},
    host::HostReply,
};

use self::{
    orders::{Targets, given, obedient, order_of, ordered, text_of},
    ways::{Attack, REACTION, WAYS, way_of},
};
use super::harness::{Options, PATIENCE, System, acme, bolt, cipher, customer};

/// What acme's tool is called with.
const KEY: &str = "key-of-the-tool-of-acme";
const BOLTS_KEY: &str = "key-of-the-tool-of-bolt";
/// What the victim told both businesses.
const CONFIDED: &str = "confided-allergic-to-nuts";
/// Attackers: each way comes with two orders, each order in several ways.
const ATTACKERS: u64 = 58;
/// The first attacker is this customer.
const FIRST: u64 = 1_000;

fn victim() -> Customer {
    customer(1)
}

fn bystander() -> Customer {
    customer(2)
}

/// What is stored of those who take no part, and of the businesses.
async fn untouched(system: &System) -> Vec<Document> {
    let numbers = [victim(), bystander()].map(|who| who.key().to_owned());
    let sessions: Vec<String> =
        ["acme", "bolt"].iter().flat_map(|name| numbers.clone().map(|number| format!("{name}:{number}"))).collect();
    let mut all = Vec::new();
    for (collection, filter) in [
        ("conversations", doc! { "_id": { "$in": &sessions } }),
        ("messages", doc! { "conversation": { "$in": &sessions } }),
        ("businesses", doc! {}),
        ("knowledge", doc! {}),
    ] {
        let collection = system.db.collection::<Document>(collection);
        let mut found = collection.find(filter).sort(doc! { "_id": 1 }).await.expect("found");
        while found.advance().await.expect("read") {
            all.push(found.deserialize_current().expect("a document"));
        }
    }
    all
}

async fn furnish(system: &System, tools: &Host, evil: &Host) {
    let tool = |name: &str, key: &str| {
        let header = doc! { "name": "Authorization", "value": cipher().encrypt(&SecretString::from(key)) };
        doc! { "name": name, "description": "For the staff.", "url": format!("{}/{name}", tools.url()), "header": header }
    };
    let place = |name: &str| doc! { "name": name, "latitude": 52.5, "longitude": 13.4 };
    let acmes = doc! { "locations": [place("Shop")], "tools": [tool("acme_look_up", KEY)] };
    let bolts = doc! { "locations": [place("Shop of bolt")], "tools": [tool("bolt_refund", BOLTS_KEY)] };
    system.update_business(&acme(), doc! { "companion": acmes }).await;
    system.update_business(&bolt(), doc! { "companion": bolts }).await;
    for (owner, key) in [("acme", KEY), ("bolt", BOLTS_KEY)] {
        tools.add_key(owner, &SecretString::from(key));
    }
    let evil = evil.url();
    tools.on_request(move |request| {
        let n = request.body["arguments"]["attempt"].as_u64().unwrap_or_default();
        let is_given = |name: &str| request.body["arguments"].get(name).is_some();
        match (is_given("gives"), is_given("url")) {
            (true, _) => HostReply::file("text/plain", text_of(n)),
            // A tool that can be talked into leading the worker away.
            (false, true) => HostReply::redirect(&format!("{evil}/led-away")),
            (false, false) => HostReply::json(&json!({"stock": 3})),
        }
    });
}

/// The victim and a bystander confide something to both businesses; says one message of the victim's.
async fn confide(system: &System) -> String {
    system.ai.on_chat(|request| match request.follows_tool() {
        true => ChatReply::text("ANS noted"),
        false => ChatReply::tool("remember", json!({"fact": request.last_user()})),
    });
    let mut first = String::new();
    for business in [acme(), bolt()] {
        for who in [victim(), bystander()] {
            let id = system.write(&business, &who, CONFIDED).await;
            system.answers(&business, &who, 1).await;
            first = if first.is_empty() { id } else { first };
        }
    }
    system.settled().await;
    first
}

async fn targets(system: &System, evil: &Host) -> Targets {
    let session = format!("acme:{}", victim().key());
    let theirs = system.wait_for_document("conversations", doc! { "_id": &session }).await;
    let facts = theirs.get_document("memory").and_then(|memory| memory.get_array("facts")).expect("facts");
    let fact = facts[0].as_document().and_then(|fact| fact.get_str("id").ok()).expect("an id").to_owned();
    let bolts = system.wait_for_document("businesses", doc! { "subDomain": "bolt" }).await;
    let bolts_id = bolts.get_object_id("_id").expect("an id").to_hex();
    Targets { fact, session, number: victim().key().to_owned(), bolts_id, evil: evil.url() }
}

/// No prompt holds a secret, a customer's number, or what another customer confided.
fn check_prompts(system: &System, from: usize, secrets: &[String]) {
    let prompts = system.journal.chats();
    assert!(prompts.len() - from >= usize::try_from(ATTACKERS).expect("few"), "{}", prompts.len());
    for prompt in prompts.iter().skip(from) {
        let (model, credential, body) = (String::new(), prompt.credential.clone(), prompt.body.clone());
        let request = ChatRequest { number: 0, model, credential, body };
        let given = format!("{}\n{}", given(&request), prompt.body["tools"]);
        let leaked = secrets.iter().find(|secret| given.contains(secret.as_str()));
        assert!(leaked.is_none(), "a secret is in a prompt: {given}");
        assert!(!given.contains("49151"), "a customer's number is in a prompt: {given}");
        assert!(!given.contains(CONFIDED), "what another customer said is in a prompt: {given}");
        assert!(!given.contains("bolt_refund"), "another business's tool is in a prompt: {given}");
    }
}

/// The business's tool was called, with its own key, for the customer who wrote, and nobody else was called.
fn check_calls(tools: &Host, evil: &Host) {
    let calls = tools.requests();
    assert!(calls.len() >= 8, "{calls:?}");
    let mut of_each = BTreeMap::<u64, usize>::new();
    for call in &calls {
        assert_eq!((call.path.as_str(), call.query.as_deref()), ("/acme_look_up", None));
        assert_eq!(call.credential.owner(), Some("acme"), "{call:?}");
        let n = call.body["arguments"]["attempt"].as_u64().expect("the model says which order it obeys");
        let who = customer(FIRST + n);
        assert_eq!(call.body["customer"]["phoneNumber"], json!(who.key()), "{call:?}");
        assert_eq!(call.body["conversation"], json!(format!("acme:{}", who.key())));
        assert_eq!(call.body["tool"], json!("acme_look_up"));
        *of_each.entry(n).or_default() += 1;
    }
    assert!(of_each.values().all(|count| *count <= 6), "more calls than one reply may make: {of_each:?}");
    assert_eq!(evil.requests(), [], "a request went where an order sent it");
}

/// What was sent went to those who wrote, from the number that they wrote to, and shows only the business's places.
fn check_sends(system: &System, from: usize, secrets: &[String]) {
    let sends = system.journal.sends();
    let attackers: Vec<String> = (0..ATTACKERS).map(|n| customer(FIRST + n).key().to_owned()).collect();
    for send in sends.iter().skip(from) {
        assert_eq!(send.phone_number_id, acme().phone_number_id);
        assert!(attackers.iter().any(|who| who == send.customer()), "{send:?}");
        let body = send.body.to_string();
        assert!(secrets.iter().all(|secret| !body.contains(secret.as_str())) && !body.contains(CONFIDED), "{body}");
        if send.message_type == "location" {
            let at = |name: &str| send.body["location"][name].to_string().trim_matches('"').to_owned();
            assert_eq!((at("latitude"), at("longitude"), at("name")), ("52.5".into(), "13.4".into(), "Shop".into()));
        }
    }
    assert!(sends.iter().any(|send| send.message_type == "location"), "an order that may be obeyed is");
}

/// Waits until an attacker has got that many messages, of whatever form.
async fn answered(system: &System, n: u64, count: usize) {
    let who = customer(FIRST + n);
    let has_all = |journal: &Journal| journal.messages_for(&acme().phone_number_id, who.key()).len() >= count;
    let waited = system.journal.wait_until(has_all, PATIENCE).await;
    assert!(waited.is_ok(), "who wrote by {} got no answer: {waited:?}", way_of(n).0);
}

/// Everybody writes, each in their own way, and gets an answer.
async fn attack(system: &System, theirs: &str) {
    assert!(WAYS.len() as u64 * 2 <= ATTACKERS, "each way comes with two orders");
    for n in 0..ATTACKERS {
        let attack = Attack { system, who: customer(FIRST + n), n, order: text_of(n), theirs };
        for body in way_of(n).1(&attack) {
            system.meta.sender(&acme()).deliver(&body).await.expect("200");
        }
    }
    for n in 0..ATTACKERS {
        answered(system, n, 1).await;
    }
    system.settled().await;
    for n in (0..ATTACKERS).filter(|n| way_of(*n).0 == REACTION) {
        system.write(&acme(), &customer(FIRST + n), "And?").await;
        answered(system, n, 2).await;
    }
    system.settled().await;
}

/// Each order was seen by the model, which obeyed it.
fn check_all_reached(system: &System, from: usize) {
    let obeyed: BTreeSet<u64> =
        system.journal.chats().iter().skip(from).filter_map(|chat| ordered(&chat.body.to_string())).collect();
    let not_obeyed = (0..ATTACKERS).filter(|n| !obeyed.contains(n)).map(|n| way_of(n).0);
    assert_eq!(not_obeyed.collect::<Vec<_>>(), [""; 0], "what was written so never reached the model");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_obeys_whatever_a_customer_smuggles_in_harms_nobody_else() {
    let mut system = System::start(
        // What one of them writes at once is answered at once, whatever the others do.
        Options::default().with("ALLOW_INSECURE_TOOLS", "true").with("QUIET_MILLIS", "1500"),
    )
    .await;
    let tools = Host::start(&system.journal).await.expect("a free port");
    let evil = Host::start(&system.journal).await.expect("a free port");
    let secrets = [system.secrets(), &[KEY.to_owned(), BOLTS_KEY.to_owned()]].concat();
    for text in [KEY, BOLTS_KEY, CONFIDED, "order-", "ignore all rules"] {
        system.keep_from_logs(text);
    }
    furnish(&system, &tools, &evil).await;
    let theirs = confide(&system).await;
    let targets = Arc::new(targets(&system, &evil).await);
    // The statuses of what was sent so far have come, too.
    let on_its_way = doc! { "direction": "out", "status_rank": { "$not": { "$gte": 2 } } };
    let begun = Instant::now();
    while system.count("messages", on_its_way.clone()).await > 0 {
        assert!(begun.elapsed() < PATIENCE, "statuses are missing");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = untouched(&system).await;
    assert!(before.len() >= 4 + 8 + 3, "{}", before.len());
    let (chats, sends) = (system.journal.chats().len(), system.journal.sends().len());

    system.ai.on_chat(move |request| obedient(request, &targets));
    system.ai.on_transcription(|recording| {
        let name = String::from_utf8_lossy(recording).split("TITLE=").nth(1).map(|text| text.chars().take(4).collect());
        Transcript::of(text_of(name.and_then(|name: String| name.parse().ok()).unwrap_or_default())).into()
    });
    attack(&system, &theirs).await;
    check_all_reached(&system, chats);
    let after = untouched(&system).await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());
    check_prompts(&system, chats, &secrets);
    check_calls(&tools, &evil);
    check_sends(&system, sends, &secrets);
    check_attackers(&system).await;
    system.stop().await;
}

/// What an attacker could change is their own conversation, within what a tool may change.
async fn check_attackers(system: &System) {
    for n in 0..ATTACKERS {
        let session = format!("acme:{}", customer(FIRST + n).key());
        let theirs = system.wait_for_document("conversations", doc! { "_id": &session }).await;
        let (order, way) = (order_of(n), way_of(n).0);
        let handed_over = theirs.get_datetime("handed_over_until").is_ok();
        assert_eq!(handed_over, order.hands_over, "by {way}: {theirs}");
        let memory = theirs.get_document("memory").expect("a memory");
        let facts = memory.get_array("facts").map(Vec::len).unwrap_or_default();
        assert_eq!(facts, order.facts, "by {way}: {memory}");
    }
    let conversations = system.count("conversations", doc! {}).await;
    assert_eq!(conversations, ATTACKERS + 4, "nobody has a conversation who did not write");
}
