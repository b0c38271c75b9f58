//! What operators see of conversations, and what they do to them, with workers that run.

use mongodb::bson::{DateTime, doc};
use serde_json::Value;
use simulator::meta::{Fault, Where};

use super::{
    harness::{Options, System, acme, bolt, customer},
    process::{Ended, run},
};

/// In everything that customers write.
const WORDS: &str = "swordfish";

/// Runs the command as an operator does who has the database alone.
fn conversation(system: &System, arguments: &[&str]) -> Ended {
    let of_the_store = |(name, _): &&(String, String)| name.starts_with("MONGODB_");
    let environment: Vec<_> = system.environment().iter().filter(of_the_store).cloned().collect();
    run("worker", &[&["conversation"], arguments].concat(), &environment, "")
}

fn printed(system: &System, arguments: &[&str]) -> String {
    let ended = conversation(system, arguments);
    assert!(ended.status.success(), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// Sends with everything that a worker has.
fn send(system: &System, session: &str, text: &str, input: &str) -> Ended {
    run("worker", &["conversation", "send", session, text], system.environment(), input)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_are_listed_and_shown_without_numbers_and_words_unless_these_are_asked_for() {
    let system = System::start(Options::default()).await;
    let (ana, eva, ida) = (customer(1), customer(2), customer(3));
    for (business, who) in [(acme(), &ana), (acme(), &eva), (bolt(), &ida)] {
        system.write(&business, who, WORDS).await;
        system.answers(&business, who, 1).await;
        system.settled().await;
    }
    let session = format!("acme:{}", ana.key());
    printed(&system, &["hand-over", &session]);
    let harmless = |text: &str| {
        for shown in [ana.key(), eva.key(), ida.key(), WORDS, "Customer 1"] {
            assert!(!text.contains(shown), "{shown}: {text}");
        }
    };
    let listed = printed(&system, &["list"]);
    harmless(&listed);
    assert!(listed.contains("handed over until") && listed.contains("idle") && listed.contains("Conversations: 3."));
    let ends: Vec<String> = [&ida, &eva, &ana].map(|who| who.key().chars().skip(9).collect()).to_vec();
    let places: Vec<usize> = ends.iter().map(|end| listed.find(end.as_str()).expect("listed")).collect();
    assert!(places.is_sorted(), "the newest first: {listed}");
    let of_acme = printed(&system, &["list", "--business", "acme", "--json"]);
    harmless(&of_acme);
    let states: Vec<Value> = lines(&of_acme).iter().map(|line| line["state"].clone()).collect();
    assert_eq!(states, ["idle", "handed_over"]);
    let whole = printed(&system, &["list", "--handed-over", "--json", "--whole-ids"]);
    assert_eq!(lines(&whole)[0]["conversation"], session);
    assert_eq!(printed(&system, &["list", "--waiting", "--json"]), "");
    assert_eq!(lines(&printed(&system, &["list", "--limit", "1", "--json"])).len(), 1);

    let shown = [printed(&system, &["show", &session]), printed(&system, &["show", &session, "--json"])];
    shown.iter().for_each(|shown| harmless(shown));
    assert!(shown[0].contains("handed over until") && shown[0].contains("--texts shows it"), "{}", shown[0]);
    assert!(printed(&system, &["show", &session, "--texts"]).contains(&format!("companion: ANS {WORDS}")));
    let texts = printed(&system, &["show", &session, "--texts", "--json"]);
    assert_eq!(lines(&texts)[0]["texts"]["lines"][0]["text"], WORDS);

    for wrong in [vec!["list", "--business", "nobody"], vec!["show", "acme:nobody"], vec!["resume", "acme:nobody"]] {
        let refused = conversation(&system, &wrong);
        assert_eq!(refused.status.code(), Some(1), "{wrong:?}: {}", refused.stdout);
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_sends_is_a_persons_word_and_the_companion_knows_of_it_when_it_returns() {
    let mut system = System::start(Options::default()).await;
    for text in ["Mia here", "one more"] {
        system.keep_from_logs(text);
    }
    let ana = customer(1);
    let session = format!("acme:{}", ana.key());
    system.write(&acme(), &ana, "hello").await;
    system.answers(&acme(), &ana, 1).await;
    system.settled().await;
    let sent = send(&system, &session, "Mia here", "");
    assert!(sent.status.success(), "{}", sent.stderr);
    assert!(!sent.stdout.contains(ana.key()) && sent.stdout.contains("handed over until"), "{}", sent.stdout);
    let sent = send(&system, &session, "-", "one more\n");
    assert!(sent.status.success(), "{}", sent.stderr);
    assert_eq!(system.answers(&acme(), &ana, 3).await[1..], ["Mia here", "one more"]);
    let stored = doc! { "conversation": &session, "body": "one more" };
    let stored = system.count("messages", stored).await;
    assert_eq!(stored, 1, "it is in the transcript");
    system.write(&acme(), &ana, "thanks").await;
    let known = system.remembered(&acme(), &ana, "thanks").await;
    assert_eq!(known, ["hello", "ANS hello", "Mia here", "one more", "thanks"]);
    system.settled().await;
    assert_eq!(system.journal.texts_for(&acme().phone_number_id, ana.key()).len(), 3, "nobody answers for her");
    printed(&system, &["resume", &session]);
    system.write(&acme(), &ana, "bye").await;
    assert_eq!(system.answers(&acme(), &ana, 4).await[3], "ANS bye");
    let prompt = system.journal.chats().last().expect("asked").body.to_string();
    assert!(prompt.contains("Mia here") && prompt.contains("one more"), "{prompt}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_not_and_what_nobody_can_tell_is_said_so() {
    let mut system = System::start(Options::default()).await;
    system.keep_from_logs("Mia here");
    let ana = customer(1);
    let session = format!("acme:{}", ana.key());
    system.write(&acme(), &ana, "hello").await;
    system.answers(&acme(), &ana, 1).await;
    system.settled().await;
    let refused = |text: &str, part: &str| {
        let ended = send(&system, &session, text, "");
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        assert!(!ended.stderr.contains(ana.key()) && !ended.stderr.contains("EAAacme"), "{}", ended.stderr);
    };
    refused("  ", "nothing was sent: there is no text");
    refused(&"x".repeat(5_000), "nothing was sent: the text has 5000 characters");
    system.meta.faults().next(Where::any().to(ana.key()), Fault::DropBeforeAccept);
    refused("Mia here", "nobody can tell whether it was sent");
    let lines = system.conversation(&acme(), &ana).await;
    assert!(lines.contains_key("handed_over_until"), "it was taken over before");
    assert!(!format!("{lines:?}").contains("Mia here"), "what may not have arrived is not remembered");
    system.meta.faults().next(Where::any().to(ana.key()), Fault::Refuse(simulator::meta::Refusal::code(131_026)));
    refused("Mia here", "it was not sent");
    let past = DateTime::from_millis(DateTime::now().timestamp_millis() - 1_000);
    let conversations = system.db.collection::<mongodb::bson::Document>("conversations");
    let window = doc! { "$set": { format!("windows.{}", acme().phone_number_id): past } };
    conversations.update_one(doc! { "_id": &session }, window).await.expect("updated");
    refused("Mia here", "more than 24 hours have passed");
    assert_eq!(system.journal.accepted().len(), 1, "the companion's own");
    let silence = doc! { "$set": { "opted_out_at": DateTime::now() } };
    conversations.update_one(doc! { "_id": &session }, silence).await.expect("updated");
    refused("Mia here", "the customer wants to hear no more");
    let without = conversation(&system, &["send", &session, "Mia here"]);
    assert_eq!(without.status.code(), Some(64), "what is missing is named: {}", without.stderr);
    system.stop().await;
}
