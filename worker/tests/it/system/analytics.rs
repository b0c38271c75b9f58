//! Days in numbers: counted once whatever comes twice, apart by business, and told as tables and for scripts.

use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use serde_json::Value;
use simulator::meta::{Fault, Refusal, StatusPlan, Where};

use super::{
    harness::{Options, PATIENCE, System, acme, bolt, customer},
    process::{Ended, run},
};

const PRICES: &str = "openai/gpt-oss-120b=100/200";

fn analytics(system: &System, arguments: &[&str]) -> Ended {
    run("worker", &[&["analytics"], arguments].concat(), system.environment(), "")
}

fn printed(system: &System, arguments: &[&str]) -> String {
    let ended = analytics(system, arguments);
    assert!(ended.status.success(), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

fn number(day: &Value, field: &str) -> u64 {
    day.pointer(field).and_then(Value::as_u64).unwrap_or_else(|| panic!("{field} of {day}"))
}

/// Conversations of every kind: answered, failed, with a person, at an end. Four messages come in, four go out.
async fn talked(system: &System) {
    let [ana, eva, ida, kim] = [1, 2, 3, 4].map(customer);
    let read = Some(std::time::Duration::from_millis(90));
    system.meta.report(StatusPlan { read, repeat: 1.0, ..StatusPlan::default() });
    system.write(&acme(), &ana, "hello").await;
    system.answers(&acme(), &ana, 1).await;
    system.meta.faults().next(Where::any().to(eva.key()), Fault::FailLater(Refusal::code(131_026)));
    system.write(&acme(), &eva, "can you hear me?").await;
    system.answers(&acme(), &eva, 1).await;
    system.write(&acme(), &ida, "a human please").await;
    system.answers(&acme(), &ida, 1).await;
    system.write(&acme(), &kim, "STOP").await;
    system.answers(&acme(), &kim, 1).await;
    system.write(&bolt(), &ana, "hello").await;
    system.answers(&bolt(), &ana, 1).await;
    system.settled().await;
    for _ in ["taken over", "had already"] {
        let of = ["conversation", "hand-over", &format!("acme:{}", ana.key())];
        let handed = run("worker", &of, system.environment(), "");
        assert!(handed.status.success(), "{}", handed.stderr);
    }
}

/// Waits until a day has these numbers. What slow counts and dead workers put off for minutes is not waited for.
async fn counted(system: &System, numbers: Document) -> Document {
    let days = system.db.collection::<Document>("analytics");
    let begun = Instant::now();
    loop {
        if let Some(found) = days.find_one(numbers.clone()).await.expect("found") {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "no {numbers} in analytics");
        let put_off = doc! { "$expr": { "$gt": ["$count_at", { "$add": ["$$NOW", 15_000] }] } };
        let due = vec![doc! { "$set": { "count_at": "$$NOW" } }];
        days.update_many(put_off, due).await.expect("updated");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_in_a_day_is_counted_and_told() {
    let system = System::start(Options { workers: 2, ..Options::default().with("AI_PRICES", PRICES) }).await;
    let companion = doc! { "quietMillis": 50, "handOver": { "keywords": ["human"] } };
    system.update_business(&acme(), doc! { "companion": companion }).await;
    talked(&system).await;
    let whole = doc! {
        "numbers.inbound.text": 4, "numbers.outbound.text": 4, "numbers.read": 3, "numbers.opt_outs": 1,
        "numbers.failures.undelivered.131026": 1, "numbers.failures.dead_letters.delivery_failed": 1,
        "numbers.hand_overs.keyword": 1, "numbers.hand_overs.person": 1,
    };
    let day_of_acme = counted(&system, whole.clone()).await;
    counted(&system, doc! { "numbers.inbound.text": 1, "numbers.read": 1 }).await;
    let days: Vec<Value> = printed(&system, &["acme", "--days", "2", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let day = days.last().expect("a day");
    assert_eq!((day["business"].as_str(), day["day"].as_str()), (Some("acme"), day_of_acme.get_str("day").ok()));
    let numbers =
        ["/received", "/sent", "/answers", "/delivered", "/billable", "/opt_outs", "/priced/service/billable"];
    assert_eq!(numbers.map(|field| number(day, field)), [4, 4, 4, 3, 3, 1, 3]);
    let waited = [number(day, "/answer_p50_millis"), number(day, "/answer_p95_millis")];
    assert!(waited[0] >= 50 && waited[0] <= waited[1], "{waited:?}");
    let model = |field: &str| number(day, &format!("/models/openai~1gpt-oss-120b/{field}"));
    assert!(model("calls") >= 3, "{day}");
    assert_eq!(number(day, "/cost_micros"), (model("tokens_in") + 2 * model("tokens_out")) * 100);

    let all = printed(&system, &[]);
    let line = |name: &str| all.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {all}"));
    assert!(line("acme").contains("75.0 %") && line("acme").contains('█'), "{all}");
    let of_bolt: Vec<_> = line("bolt").split_whitespace().collect();
    assert_eq!(of_bolt[1..3], ["1", "1"], "nobody else's are in them: {all}");
    let one = printed(&system, &["acme"]);
    for told in ["In, by type: text 4", "Not delivered, by Meta's code: 131026 1", "keyword 1, person 1", "Billable"] {
        assert!(one.contains(told), "{told}: {one}");
    }
    let csv = printed(&system, &["--csv"]);
    assert!(csv.starts_with("business,day,received,") && csv.contains("\nacme,") && csv.contains("text=4"), "{csv}");
    for who in [1, 2, 3, 4].map(customer) {
        assert!(![&all, &one, &csv].iter().any(|text| text.contains(who.key())), "no customer is in it");
    }
    recounted(&system, whole).await;
    let wrong = analytics(&system, &["nobody"]);
    assert!(
        wrong.status.code() == Some(1) && wrong.stderr.contains("no business has the subdomain"),
        "{}",
        wrong.stderr
    );
    let wrong = analytics(&system, &["--recount", "--days", "90"]);
    assert!(wrong.stderr.contains("up to 89"), "{}", wrong.stderr);
    system.stop().await;
}

/// Counted anew from what is stored, it is the same.
async fn recounted(system: &System, whole: Document) {
    system.db.collection::<Document>("analytics").delete_many(doc! {}).await.expect("deleted");
    assert!(!printed(system, &["acme"]).contains("text 4"));
    assert!(printed(system, &["acme", "--recount"]).contains("text 4"));
    assert_eq!(system.count("analytics", whole).await, 1);
    assert_eq!(system.count("analytics", doc! {}).await, 1, "another's days were not touched, nor empty ones kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_take_no_message_out_of_the_numbers() {
    let options = Options { workers: 2, ..Options::default() }.with("LEASE_SECS", "2").with("SEND_EVIDENCE_SECS", "3");
    let mut system = System::start(options).await;
    system.update_business(&acme(), doc! { "companion": { "quietMillis": 50 } }).await;
    let customers: Vec<_> = (1..=6).map(customer).collect();
    for round in 1..=3 {
        for who in &customers {
            system.write(&acme(), who, &format!("question {round}")).await;
        }
        system.kill_worker(0);
        system.start_worker().await;
        for who in &customers {
            system.answers(&acme(), who, round).await;
        }
        system.settled().await;
    }
    let whole = doc! {
        "numbers.inbound.text": 18,
        "numbers.outbound.text": i64::try_from(system.journal.accepted().len()).expect("few"),
        "numbers.delivered": i64::try_from(system.journal.accepted().len()).expect("few"),
    };
    counted(&system, whole).await;
    let day: Value = serde_json::from_str(printed(&system, &["acme", "--days", "1", "--json"]).trim()).expect("a day");
    assert_eq!(number(&day, "/answers"), number(&day, "/sent"), "whoever sent it and whoever recorded it: {day}");
    system.stop().await;
}
