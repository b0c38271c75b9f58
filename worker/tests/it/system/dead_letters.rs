//! What an operator does about dead letters, with real workers that replay them.

use std::time::{Duration, Instant};

use mongodb::bson::{DateTime, Document, doc};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::signature::sign;
use simulator::{
    Business, Customer,
    meta::{Fault, Refusal, Where},
    webhook::{Body, Status},
};

use super::{
    harness::{APP_SECRET, Options, PATIENCE, System, acme, bolt, customer},
    process::{Ended, run},
};

/// A text that no id, name or column looks like.
const WORDS: &str = "may-nobody-else-read-this";

/// Runs the command as an operator does: with the database, and without a secret of the worker.
fn dead_letter(system: &System, arguments: &[&str]) -> Ended {
    let of_the_store = |(name, _): &&(String, String)| name.starts_with("MONGODB_");
    let environment: Vec<_> = system.environment().iter().filter(of_the_store).cloned().collect();
    run("worker", &[&["dead-letter"], arguments].concat(), &environment, "")
}

/// The same, where it must succeed; returns what it printed.
fn printed(system: &System, arguments: &[&str]) -> String {
    let ended = dead_letter(system, arguments);
    assert!(ended.status.success(), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// The letters as a script reads them.
fn listed(system: &System, arguments: &[&str]) -> Vec<Value> {
    let lines = printed(system, &[&["list", "--json"], arguments].concat());
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn field(letter: &Value, name: &str) -> String {
    letter.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{name} of {letter}")).to_owned()
}

/// The reasons of the letters, sorted.
fn reasons(letters: &[Value]) -> Vec<String> {
    let mut reasons: Vec<String> = letters.iter().map(|letter| field(letter, "reason")).collect();
    reasons.sort();
    reasons
}

/// Writes a message that Meta refuses for good, and returns its letter when the conversation is settled.
async fn refused(system: &System, business: &Business, who: &Customer) -> Document {
    system.meta.faults().next(Where::any().to(who.key()), Fault::Refuse(Refusal::code(131_026)));
    system.write(business, who, WORDS).await;
    let filter = doc! { "reason": "refused", "conversation": format!("{}:{}", business.name, who.key()) };
    let letter = system.wait_for_document("dead_letters", filter).await;
    system.settled().await;
    letter
}

async fn stored(system: &System, letter: &Document) -> Document {
    system.wait_for_document("dead_letters", doc! { "_id": letter.get_str("_id").expect("an id") }).await
}

async fn change(system: &System, letter: &Document, update: Document) {
    let id = letter.get_str("_id").expect("an id");
    let changed = system.db.collection::<Document>("dead_letters").update_one(doc! { "_id": id }, update).await;
    assert_eq!(changed.expect("changed").matched_count, 1);
}

/// As if it had been buried that long ago.
async fn age(system: &System, letter: &Document, hours: i64) {
    let then = DateTime::from_millis(DateTime::now().timestamp_millis() - hours * 3_600_000);
    change(system, letter, doc! { "$set": { "buried_at": then } }).await;
}

fn handle(letter: &Document) -> String {
    letter.get_str("handle").expect("a handle").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_listed_without_its_text_and_replayed_by_two_operators_lands_once() {
    let system = System::start(Options { workers: 2, ..Options::default() }).await;
    let ana = customer(1);
    let letter = refused(&system, &acme(), &ana).await;
    let id = handle(&letter);

    let table = printed(&system, &["list"]);
    for shown in [id.as_str(), "refused", "acme", "131026", "Dead letters: 1 (1 refused)."] {
        assert!(table.contains(shown), "{shown}: {table}");
    }
    let json = printed(&system, &["list", "--json"]);
    let line: Value = serde_json::from_str(json.trim()).expect("one object");
    let [found, reason, business] = ["id", "reason", "business"].map(|name| field(&line, name));
    assert_eq!((found.as_str(), reason.as_str(), business.as_str()), (id.as_str(), "refused", "acme"));
    assert_eq!(line.get("times_buried"), Some(&json!(1)));
    for output in [&table, &json] {
        assert!(!output.contains(WORDS) && !output.contains(ana.key()), "{output}");
        assert!(!output.contains(letter.get_str("_id").expect("an id")), "it holds the message's id: {output}");
    }
    let whole = printed(&system, &["show", &id]);
    assert!(whole.contains(WORDS) && whole.contains(ana.key()) && whole.contains(r#""kind": "message""#), "{whole}");
    assert_eq!(printed(&system, &["show", letter.get_str("_id").expect("an id")]), whole);

    let plan = printed(&system, &["replay", "--dry-run", "--all"]);
    assert!(
        plan.contains(&format!("{id}  refused  would be replayed")) && plan.contains("1 would be replayed"),
        "{plan}"
    );
    assert_eq!(stored(&system, &letter).await, letter, "nothing was changed");

    let outputs: Vec<Ended> = std::thread::scope(|scope| {
        let replaying: Vec<_> = (0..2).map(|_| scope.spawn(|| dead_letter(&system, &["replay", &id]))).collect();
        replaying.into_iter().map(|replay| replay.join().expect("no panic")).collect()
    });
    assert!(outputs.iter().any(|output| output.status.success()), "{} {}", outputs[0].stdout, outputs[1].stdout);
    for output in &outputs {
        let said = &output.stdout;
        assert!(said.contains("landed again") || said.contains("was replayed already"), "{said}{}", output.stderr);
    }
    assert_eq!(system.answers(&acme(), &ana, 1).await, [format!("ANS {WORDS}")]);
    system.settled().await;
    assert_eq!(printed(&system, &["list"]).trim(), "Dead letters: none.");
    assert_eq!(reasons(&listed(&system, &["--replayed"])), ["refused"]);
    let third = dead_letter(&system, &["replay", &id]);
    assert_eq!(third.status.code(), Some(1), "{}", third.stdout);
    assert!(third.stdout.contains("was replayed already"), "{}", third.stdout);
    tokio::time::sleep(Duration::from_secs(1)).await;
    system.settled().await;
    assert_eq!(system.journal.texts_for(&acme().phone_number_id, ana.key()).len(), 1, "answered once");
    system.stop().await;
}

/// A worker dies when it has filed two messages, with which their conversation goes on only after that lease.
async fn cut_off(lease_secs: &str) {
    let options = Options { workers: 0, ..Options::default() };
    let mut system = System::start(options.with("LEASE_SECS", lease_secs).with("QUIET_MILLIS", "3000")).await;
    let ana = customer(1);
    // They land while their business is served, and their turn comes when that is off.
    system.start_worker().await;
    for words in ["oranges", "lemons"] {
        system.write(&acme(), &ana, words).await;
    }
    system.wait_for_document("conversations", doc! { "mailbox.1": { "$exists": true } }).await;
    system.kill_worker(0);
    system.update_business(&acme(), doc! { "whatsappEnabled": false }).await;
    let mut doomed = system.spawn_worker(&[("SWITCHBOARD_FAIL_POINT", "turn.after.file=abort")]);
    assert!(!doomed.ended(Duration::from_secs(40)).await.success());
    system.keep_log(doomed);
    assert_eq!(system.count("dead_letters", doc! { "turn_burials": 1 }).await, 2);
    system.update_business(&acme(), doc! { "whatsappEnabled": true }).await;
    system.start_worker().await;
    while system.count("dead_letters", doc! { "replayed_at": { "$exists": true } }).await < 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    system.settled().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    system.settled().await;
    let told = system.journal.texts_for(&acme().phone_number_id, ana.key()).join(" ");
    for words in ["oranges", "lemons"] {
        assert_eq!(told.matches(words).count(), 1, "{told}");
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_whose_burial_was_cut_off_are_answered_once() {
    // The conversation goes on before the letters come back, and after it.
    tokio::join!(cut_off("1"), cut_off("15"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_buried_a_second_time_can_be_replayed_again() {
    let system = System::start(Options::default()).await;
    let ana = customer(1);
    let letter = refused(&system, &acme(), &ana).await;
    let id = handle(&letter);
    system.meta.faults().next(Where::any().to(ana.key()), Fault::Refuse(Refusal::code(131_026)));
    // Whether it is refused again before or after the command has looked is chance.
    let said = dead_letter(&system, &["replay", &id]);
    assert!(said.stdout.contains("landed again") || said.stdout.contains("buried again as refused"), "{}", said.stdout);
    let twice = doc! { "_id": letter.get_str("_id").expect("an id"), "count": 2 };
    system.wait_for_document("dead_letters", twice).await;
    system.settled().await;
    assert_eq!(listed(&system, &[])[0].get("times_buried"), Some(&json!(2)));
    assert_eq!(system.journal.texts_for(&acme().phone_number_id, ana.key()), [""; 0]);

    let said = printed(&system, &["replay", "--business", "acme", "--reason", "refused"]);
    assert!(said.contains("1 landed again."), "{said}");
    assert_eq!(system.answers(&acme(), &ana, 1).await, [format!("ANS {WORDS}")]);
    system.settled().await;
    assert_eq!(system.count("dead_letters", doc! {}).await, 1, "one letter, whatever happened to it");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_landing_and_saying_so_has_landed_it_once() {
    let mut system = System::start(Options::default()).await;
    let ana = customer(1);
    let letter = refused(&system, &acme(), &ana).await;
    system.kill_worker(0);
    printed(&system, &["replay", &handle(&letter), "--no-wait"]);
    let mut doomed = system.spawn_worker(&[("SWITCHBOARD_FAIL_POINT", "intake.after.land=abort")]);
    assert!(!doomed.ended(PATIENCE).await.success());
    system.keep_log(doomed);
    system.wait_for_document("conversations", doc! { "mailbox.0": { "$exists": true } }).await;
    let left = stored(&system, &letter).await;
    assert_eq!(left.get_str("replay").ok(), Some("now"), "it did not come to say so: {left}");

    // Another one takes it up when the first is taken for dead; not to wait for that, it is as if it had been long ago.
    change(&system, &letter, doc! { "$set": { "replay_taken_until": DateTime::from_millis(0) } }).await;
    system.start_worker().await;
    let id = letter.get_str("_id").expect("an id");
    system.wait_for_document("dead_letters", doc! { "_id": id, "replayed_at": { "$exists": true } }).await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, [format!("ANS {WORDS}")]);
    system.settled().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(system.journal.texts_for(&acme().phone_number_id, ana.key()).len(), 1, "answered once");
    assert_eq!(system.count("dead_letters", doc! { "count": 1 }).await, 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_waits_for_a_worker_and_can_be_asked_for_without_one() {
    let mut system = System::start(Options::default()).await;
    let (ana, eva) = (customer(1), customer(2));
    let letters = [refused(&system, &acme(), &ana).await, refused(&system, &bolt(), &eva).await];
    system.kill_worker(0);

    let begun = Instant::now();
    let said = printed(&system, &["replay", &handle(&letters[0]), "--no-wait"]);
    assert!(said.contains("is marked") && said.contains("1 waiting."), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(10), "it does not wait");
    let said = printed(&system, &["replay", "--all"]);
    assert_eq!(said.matches("still waits: no worker has replayed it yet").count(), 2, "{said}");
    assert!(printed(&system, &["list"]).contains("being replayed"));
    // Nobody has taken it up yet, so it can be taken back.
    let said = printed(&system, &["discard", &handle(&letters[1])]);
    assert!(said.contains("1 discarded."), "{said}");

    system.start_worker().await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, [format!("ANS {WORDS}")]);
    system.wait_for_document("dead_letters", doc! { "replayed_at": { "$exists": true } }).await;
    system.settled().await;
    assert_eq!(system.journal.texts_for(&bolt().phone_number_id, eva.key()), [""; 0], "it was discarded");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_listed_shown_never_replayed_and_discarded() {
    let mut system = System::start(Options::default()).await;
    let addr = field(&system.ingest.wait_for_message("listening for webhooks").await, "addr");
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().expect("a client");
    for body in [WORDS.as_bytes(), b"\xff\xfe\x00 not a text", br#"{"no": "webhook"}"#] {
        let signature = sign(&SecretString::from(APP_SECRET), body);
        let posting = client.post(format!("http://{addr}/webhook")).header("x-hub-signature-256", signature);
        let answer = posting.body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    let deadline = Instant::now() + PATIENCE;
    while system.count("dead_letters", doc! { "reason": "undecodable" }).await < 3 {
        assert!(Instant::now() < deadline, "all are filed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let table = printed(&system, &["list"]);
    assert!(table.contains("Dead letters: 3 (3 undecodable).") && !table.contains(WORDS), "{table}");
    let ids: Vec<String> = listed(&system, &[]).iter().map(|letter| field(letter, "id")).collect();
    let shown = ids.iter().map(|id| printed(&system, &["show", id])).collect::<String>();
    for held in [WORDS, "ff fe 00 20 6e 6f 74", r#"{"no": "webhook"}"#] {
        assert_eq!(shown.matches(held).count(), 1, "{held}: {shown}");
    }

    let before = stored_all(&system).await;
    let replay = dead_letter(&system, &["replay", &ids[0]]);
    assert_eq!(replay.status.code(), Some(1), "{}", replay.stdout);
    assert!(replay.stdout.contains("it cannot be read") && replay.stderr.contains("could not be replayed"));
    let replay = printed(&system, &["replay", "--reason", "undecodable"]);
    assert!(replay.contains("3 skipped."), "{replay}");
    let refused = dead_letter(&system, &["discard", "--reason", "undecodable"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("3 letters would be discarded") && refused.stderr.contains("--yes"));
    let plan = printed(&system, &["discard", "--all", "--dry-run"]);
    assert!(plan.contains("3 would be discarded"), "{plan}");
    assert_eq!(stored_all(&system).await, before, "nothing was changed");

    assert!(printed(&system, &["discard", &ids[0]]).contains("1 discarded."));
    assert!(printed(&system, &["discard", &ids[0]]).contains("was discarded before"));
    assert!(printed(&system, &["show", &ids[0]]).contains("What it held was removed"));
    assert!(printed(&system, &["discard", "--all", "--limit", "1"]).contains("1 discarded."), "one needs no --yes");
    assert!(printed(&system, &["discard", "--reason", "undecodable", "--yes"]).contains("1 discarded."));
    assert_eq!(system.count("dead_letters", doc! { "body": { "$exists": true } }).await, 0);
    assert_eq!(system.count("dead_letters", doc! { "reason": "undecodable" }).await, 3, "the reasons stay");
    assert!(dead_letter(&system, &["replay", &ids[0]]).stdout.contains("it was discarded"));
    system.stop().await;
}

async fn stored_all(system: &System) -> Vec<Document> {
    let mut cursor =
        system.db.collection::<Document>("dead_letters").find(doc! {}).sort(doc! { "_id": 1 }).await.expect("found");
    let mut all = Vec::new();
    while cursor.advance().await.expect("read") {
        all.push(cursor.deserialize_current().expect("a document"));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_worker_could_not_read_is_replayed_once_it_can_be_read() {
    let mut system = System::start(Options::default()).await;
    let (ana, eva) = (customer(1), customer(2));
    let stranger = Business::new("stranger", "900900900901");
    // As the broker's dead letters are filed: under the queue's name, and whatever they are.
    let sample = refused(&system, &acme(), &ana).await;
    let mut envelope: Value = serde_json::from_str(sample.get_str("body").expect("text")).expect("an envelope");
    for (id, who, number) in [("one", &ana, &acme().phone_number_id), ("two", &eva, &stranger.phone_number_id)] {
        envelope["payload"]["id"] = json!(format!("wamid.{id}"));
        envelope["payload"]["from"] = json!(who.key());
        envelope["contact"] = json!({ "wa_id": who.key() });
        envelope["phone_number_id"] = json!(number);
        let letter = doc! {
            "_id": format!("queue:wamid.{id}"), "handle": id, "reason": "undecodable", "body": envelope.to_string(),
            "message_id": format!("wamid.{id}"), "buried_at": DateTime::now(), "count": 1_i64, "replay": null,
        };
        system.db.collection::<Document>("dead_letters").insert_one(letter).await.expect("inserted");
    }
    assert!(printed(&system, &["replay", "one"]).contains("1 landed again."));
    assert_eq!(system.answers(&acme(), &ana, 1).await, [format!("ANS {WORDS}")]);
    let forced = dead_letter(&system, &["replay", "--force", "two"]);
    assert!(forced.stdout.contains("was buried again as unknown_business"), "{}", forced.stdout);
    assert_eq!(system.count("dead_letters", doc! {}).await, 3, "a replay that fails makes no second letter");
    // Its number is known now, so it comes back by itself like any other.
    system.add_business(&stranger).await;
    assert_eq!(system.answers(&stranger, &eva, 1).await, [format!("ANS {WORDS}")]);
    system.settled().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_only_be_buried_again_is_skipped_unless_it_is_forced() {
    let mut system = System::start(Options::default()).await;
    let stranger = Business::new("stranger", "900900900901");
    system.write(&stranger, &customer(1), WORDS).await;
    let unknown = system.wait_for_document("dead_letters", doc! { "reason": "unknown_business" }).await;
    let failed = Status {
        wamid: "wamid.FAILED".to_owned(),
        status: "failed".to_owned(),
        customer: customer(2),
        timestamp: 1_750_000_000,
        opaque: None,
        error: Some(json!({"code": 131_026, "title": "Message undeliverable"})),
    };
    system.meta.sender(&acme()).deliver(&Body::default().status(&acme(), &failed).to_json()).await.expect("200");
    let failed = system.wait_for_document("dead_letters", doc! { "reason": "delivery_failed" }).await;
    let old = refused(&system, &acme(), &customer(3)).await;
    let received_at = jiff::Timestamp::now().as_millisecond() - 25 * 3_600_000;
    let mut envelope: Value = serde_json::from_str(old.get_str("body").expect("text")).expect("an envelope");
    envelope["received_at"] = json!(received_at);
    change(&system, &old, doc! { "$set": { "body": envelope.to_string() } }).await;
    // A turn buried it for another business, whose number acme's is now.
    let moved = refused(&system, &acme(), &customer(4)).await;
    change(&system, &moved, doc! { "$set": { "business_id": "a former owner" } }).await;

    let said = printed(&system, &["replay", "--all"]);
    for (letter, why) in [
        (&unknown, "would be buried again as unknown_business"),
        (&failed, "no customer's message but the status of a message"),
        (&old, "older than 24 hours"),
        (&moved, "its number is another business's now"),
    ] {
        let line = said.lines().find(|line| line.starts_with(&handle(letter)));
        assert!(line.is_some_and(|line| line.contains("is skipped") && line.contains(why)), "{why}: {said}");
    }
    assert!(said.contains("4 skipped."), "{said}");
    let forced = dead_letter(&system, &["replay", "--force", &handle(&unknown)]);
    assert_eq!(forced.status.code(), Some(1));
    assert!(forced.stdout.contains("was buried again as unknown_business"), "{}{}", forced.stdout, forced.stderr);
    assert_eq!(stored(&system, &unknown).await.get_i64("count").ok(), Some(2));
    let forced = dead_letter(&system, &["replay", "--force", &handle(&failed)]);
    assert!(forced.stdout.contains("no customer's message"), "no force makes it one: {}", forced.stdout);

    // Its business is mended, and the operator does not have to know for how long workers remember that it was not.
    system.add_business(&stranger).await;
    let said = printed(&system, &["replay", &handle(&unknown)]);
    assert!(said.contains("1 landed again."), "{said}");
    assert_eq!(system.answers(&stranger, &customer(1), 1).await, [format!("ANS {WORDS}")]);
    system.settled().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_chosen_by_business_reason_and_age() {
    let system = System::start(Options::default()).await;
    let stranger = Business::new("stranger", "900900900901");
    let of_acme = refused(&system, &acme(), &customer(1)).await;
    let of_bolt = refused(&system, &bolt(), &customer(2)).await;
    system.write(&stranger, &customer(3), WORDS).await;
    let of_nobody = system.wait_for_document("dead_letters", doc! { "reason": "unknown_business" }).await;
    for (letter, hours) in [(&of_acme, 50), (&of_bolt, 3), (&of_nobody, 0)] {
        age(&system, letter, hours).await;
    }
    let ids = |arguments: &[&str]| -> Vec<String> {
        listed(&system, arguments).iter().map(|letter| field(letter, "id")).collect()
    };
    let [a, b, n] = [&of_acme, &of_bolt, &of_nobody].map(handle);
    let (a, b, n) = (a.as_str(), b.as_str(), n.as_str());
    assert_eq!(ids(&[]), [n, b, a], "the newest first");
    assert_eq!(ids(&["--limit", "2"]), [n, b]);
    assert_eq!(ids(&["--business", "acme"]), [a]);
    assert_eq!(ids(&["--reason", "refused"]), [b, a]);
    assert_eq!(ids(&["--older-than", "2h"]), [b, a]);
    assert_eq!(ids(&["--newer-than", "1d"]), [n, b]);
    assert_eq!(ids(&["--newer-than", "2d", "--older-than", "90m", "--reason", "refused"]), [b]);
    assert_eq!(ids(&["--business", "acme", "--newer-than", "2d"]), [""; 0]);
    assert_eq!(field(&listed(&system, &["--reason", "unknown_business"])[0], "business"), stranger.phone_number_id);
    let table = printed(&system, &["list", "--limit", "1"]);
    assert!(table.contains("Dead letters: 3 (2 refused, 1 unknown_business). Shown: the newest 1;"), "{table}");
    let none = printed(&system, &["list", "--reason", "refuse"]);
    assert!(none.contains("No letter is like that. Dead letters in all: 3 (2 refused"), "{none}");
    let plan = printed(&system, &["replay", "--dry-run", "--older-than", "2h", "--business", "bolt"]);
    assert!(plan.contains(b) && !plan.contains(a) && !plan.contains(n), "{plan}");

    // Once a business lists the number, what came to it before is that business's.
    let numbers = [&acme().phone_number_id, &stranger.phone_number_id];
    system.meta.register(stranger.clone());
    change(&system, &of_nobody, doc! { "$set": { "replay": null } }).await;
    system.update_business(&acme(), doc! { "whatsappPhoneNumberIds": numbers.as_slice() }).await;
    assert_eq!(ids(&["--business", "acme"]), [n, a]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_and_a_database_that_is_away_are_told_apart() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    for wrong in [
        &["replay"][..],
        &["replay", "--limit", "3"],
        &["replay", "--dry-run"],
        &["discard"],
        &["discard", "--yes"],
        &["replay", "3f9a1c2b7d041122", "--reason", "refused"],
        &["discard", "3f9a1c2b7d041122", "--all"],
        &["list", "--older-than", "yesterday"],
        &["list", "--newer-than", "1mo"],
        &["list", "--limit", "0"],
        &["show"],
    ] {
        let ended = dead_letter(&system, wrong);
        assert_eq!(ended.status.code(), Some(64), "{wrong:?}: {}", ended.stderr);
    }
    assert_eq!(printed(&system, &["list"]).trim(), "Dead letters: none.");
    assert_eq!(printed(&system, &["list", "--json"]), "");
    assert!(printed(&system, &["replay", "--all"]).contains("No dead letter is like that."));
    assert!(printed(&system, &["discard", "--all"]).contains("0 discarded."));
    for arguments in [
        &["show", "3f9a1c2b7d041122"][..],
        &["replay", "3f9a1c2b7d041122", "--no-wait"],
        &["discard", "3f9a1c2b7d041122"],
    ] {
        let unknown = dead_letter(&system, arguments);
        assert_eq!(unknown.status.code(), Some(1), "{arguments:?}");
        let hint = "no dead letter has the id `3f9a1c2b7d041122`; `worker dead-letter list` shows";
        assert!(unknown.stderr.contains(hint), "{}", unknown.stderr);
    }
    let nobody = dead_letter(&system, &["list", "--business", "nobody"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(nobody.stderr.contains("no business has the subdomain `nobody`; `worker business list` shows"));
    // A port of our own that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let uri = format!("mongodb://{}/?serverSelectionTimeoutMS=100", port.expect("a free port"));
    let away = run("worker", &["dead-letter", "list"], &[("MONGODB_URI".to_owned(), uri)], "");
    assert_eq!(away.status.code(), Some(1));
    assert!(away.stderr.contains("MongoDB is not available"), "{}", away.stderr);
    let unset = run("worker", &["dead-letter", "list"], &[], "");
    assert_eq!(unset.status.code(), Some(64));
    assert!(unset.stderr.contains("MONGODB_URI is required") && !unset.stderr.contains("ENCRYPTION_SECRET"));
    system.stop().await;
}
