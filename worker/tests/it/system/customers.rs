//! What an operator does about a customer who asks to be forgotten, with workers that run.

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use simulator::{
    Customer,
    meta::{Fault, Refusal, Where},
    webhook::{Body, Content},
};

use super::{
    harness::{Options, System, acme, bolt},
    process::{Ended, run},
};

/// In everything that the customer writes to acme, and so in the answers.
const WORDS: &str = "swordfish-at-acme";
const NUMBER: &str = "4915155500077";
const WRITTEN: &str = "+49 151 555-000-77";
const USER: &str = "DE.1349120865";

fn ana() -> Customer {
    Customer::phone(NUMBER).with_user_id(USER).named("Ana")
}

/// Runs the command as an operator does: with the database, and without a secret of the worker.
fn customer(system: &System, arguments: &[&str]) -> Ended {
    let of_the_store = |(name, _): &&(String, String)| name.starts_with("MONGODB_");
    let environment: Vec<_> = system.environment().iter().filter(of_the_store).cloned().collect();
    run("worker", &[&["customer"], arguments].concat(), &environment, "")
}

fn printed(system: &System, arguments: &[&str]) -> String {
    let ended = customer(system, arguments);
    assert!(ended.status.success(), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    for shown in [&ended.stdout, &ended.stderr] {
        assert!(!shown.contains(NUMBER) && !shown.contains(USER) && !shown.contains(WORDS), "{shown}");
    }
    ended.stdout
}

fn count(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer} of {report}"))
}

/// Every document of the database that has a text in it, with its collection.
async fn traces(system: &System, text: &str) -> Vec<(String, Document)> {
    let mut traces = Vec::new();
    for name in system.db.list_collection_names().await.expect("listed") {
        let mut cursor = system.db.collection::<Document>(&name).find(doc! {}).await.expect("found");
        while cursor.advance().await.expect("MongoDB answers") {
            let document = cursor.deserialize_current().expect("a document");
            if format!("{document:?}").contains(text) {
                traces.push((name.clone(), document));
            }
        }
    }
    traces
}

/// An answered message, one that Meta refused, one in a group, and one to another business.
async fn write_everywhere(system: &System) {
    let ana = ana();
    system.write(&acme(), &ana, WORDS).await;
    system.answers(&acme(), &ana, 1).await;
    system.settled().await;
    system.meta.faults().next(Where::any().to(ana.key()), Fault::Refuse(Refusal::code(131_026)));
    system.write(&acme(), &ana, WORDS).await;
    system.wait_for_document("dead_letters", doc! { "reason": "refused" }).await;
    let sender = system.meta.sender(&acme());
    let in_group = sender.message(&ana, Content::text(WORDS)).in_group("Y2FwaV9ncm91cDox");
    sender.deliver(&Body::of(&acme(), &in_group).to_json()).await.expect("200");
    system.wait_for_document("account_events", doc! { "phone_number_id": acme().phone_number_id }).await;
    system.write(&bolt(), &ana, "hello bolt").await;
    system.answers(&bolt(), &ana, 1).await;
    system.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_shown_and_forgotten_and_is_found_nowhere_afterwards() {
    let system = System::start(Options::default()).await;
    write_everywhere(&system).await;
    let who = ["--business", "acme", "--phone", WRITTEN];
    let shown = printed(&system, &[&["show"][..], &who].concat());
    assert!(shown.contains("Of this customer there is:") && shown.contains("Stored: 1 of account_events"), "{shown}");
    let report = printed(&system, &[&["show", "--json"][..], &who].concat());
    let report: Value = serde_json::from_str(&report).expect("one object");
    for (collection, documents) in [("conversations", 1), ("identities", 2), ("dead_letters", 1), ("account_events", 1)]
    {
        assert_eq!(count(&report, &format!("/stored/{collection}/documents")), documents, "{report}");
    }
    assert!(count(&report, "/stored/messages/documents") >= 3, "{report}");
    assert_eq!((report.get("removed"), report.get("forgotten_at")), (Some(&Value::Null), Some(&Value::Null)));

    let asked = customer(&system, &[&["forget"][..], &who].concat());
    assert_eq!(asked.status.code(), Some(1), "{}", asked.stdout);
    assert!(asked.stderr.contains("repeat it with --yes"), "{}", asked.stderr);
    assert!(!traces(&system, WORDS).await.is_empty(), "nothing was changed");

    let said = printed(&system, &[&["forget", "--yes"][..], &who].concat());
    for part in ["Removed: conversations 1,", "identities 2", "dead_letters 1", "account_events 1."] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains("Nothing is left of this customer.") && said.contains("Stays: 2 of conversations"), "{said}");
    assert_eq!(traces(&system, WORDS).await, []);
    for id in [NUMBER, USER] {
        for (collection, document) in traces(&system, id).await {
            let is_name = collection == "conversations" && document.contains_key("forgotten_at");
            let is_bolts = format!("{document:?}").contains(&bolt().phone_number_id)
                || collection == "identities"
                    && document.get_str("conversation").is_ok_and(|to| to.starts_with("bolt:"));
            assert!(is_name || is_bolts, "{collection}: {document}");
        }
    }

    // Once more: it is said, and nothing is done.
    let again = printed(&system, &[&["forget", "--yes"][..], &who].concat());
    assert!(again.contains("was forgotten already") && !again.contains("Removed:"), "{again}");
    assert!(printed(&system, &["show", "--business", "acme", "--user-id", USER]).contains("was forgotten already"));
    // At bolt the same person has lost nothing, and at acme a stranger writes.
    let at_bolt = printed(&system, &["show", "--business", "bolt", "--user-id", USER]);
    assert!(at_bolt.contains("Of this customer there is:"), "{at_bolt}");
    system.write(&acme(), &ana(), "Hi, I am new.").await;
    assert_eq!(system.answers(&acme(), &ana(), 2).await.last().map(String::as_str), Some("ANS Hi, I am new."));
    assert!(!system.journal.chats().last().expect("a chat").body.to_string().contains(WORDS));
    system.settled().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_program_does_not_know_is_named_and_not_called_forgotten() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let crm = system.db.collection::<Document>("crm");
    crm.insert_one(doc! { "contact": { "phone": WRITTEN } }).await.expect("inserted");
    crm.insert_one(doc! { "contact": { "phone": "+49 151 555-000-78" } }).await.expect("inserted");
    let who = ["--business", "acme", "--phone", NUMBER];
    let left = customer(&system, &[&["forget", "--yes"][..], &who].concat());
    assert_eq!(left.status.code(), Some(1), "{}", left.stdout);
    assert!(left.stdout.contains("Of this customer nothing is stored."), "{}", left.stdout);
    assert!(left.stdout.contains("Left: 1 of crm, in contact.phone: something of the customer's"), "{}", left.stdout);
    assert!(left.stderr.contains("documents that are left: 1."), "{}", left.stderr);
    let hasty = printed(&system, &[&["show", "--scan-most", "1"][..], &who].concat());
    assert!(hasty.contains("Stopped early in crm, after 1 documents"), "{hasty}");
    crm.delete_one(doc! { "contact.phone": WRITTEN }).await.expect("deleted");
    let nothing = printed(&system, &[&["forget", "--yes", "--json"][..], &who].concat());
    let report: Value = serde_json::from_str(&nothing).expect("one object");
    assert_eq!((count(&report, "/left"), report.get("business")), (0, Some(&json!("acme"))));
    assert_eq!(count(&report, "/removed/messages"), 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_must_be_named_and_so_must_the_business() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    for wrong in [
        &["forget"][..],
        &["forget", "--business", "acme"],
        &["forget", "--phone", NUMBER],
        &["show", "--business", "acme", "--phone", "0151 2345"],
        &["show", "--business", "acme", "--user-id", NUMBER],
        &["show", "--business", "acme", "--session", " "],
        &["forget", "--business", "acme", "--phone", NUMBER, "--user-id", USER],
    ] {
        let ended = customer(&system, wrong);
        assert_eq!(ended.status.code(), Some(64), "{wrong:?}: {}", ended.stderr);
    }
    let nobody = customer(&system, &["show", "--business", "nobody", "--phone", NUMBER]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(nobody.stderr.contains("no business has the subdomain `nobody`"), "{}", nobody.stderr);
    let never = printed(&system, &["show", "--business", "acme", "--session", "acme:4915155500078"]);
    assert!(never.contains("Of this customer nothing is stored."), "{never}");
    system.stop().await;
}
