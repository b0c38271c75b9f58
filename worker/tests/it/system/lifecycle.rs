//! Starting without what is needed, stopping with work in hand, dying, and coming back.

use std::time::Duration;

use mongodb::bson::doc;
use shared::testing;
use simulator::{
    Proxy,
    ai::ChatReply,
    meta::{Fault, StatusPlan, Where},
    proxy::Direction,
};

use super::{
    harness::{Options, System, acme, customer},
    process::{Process, run},
};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_wrong_configuration_names_every_problem_and_exits_64_before_a_port_is_bound() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("bound").to_string();
    let environment = pairs(&[
        ("METRICS_ADDR", &addr),
        ("INGEST_ADDR", &addr),
        ("MONGODB_URI", "http://user:hunter2@x"),
        ("LEASE_SECS", "soon"),
        ("QUEUE_PARTITIONS", "0"),
        ("GRAPH_API_URL", "graph"),
    ]);
    let worker = run("worker", &[], &environment, "");
    assert_eq!(worker.status.code(), Some(64), "{}", worker.stderr);
    let names = [
        "RABBITMQ_URL",
        "MONGODB_URI",
        "ENCRYPTION_SECRET",
        "LEASE_SECS",
        "QUEUE_PARTITIONS",
        "GRAPH_API_URL",
        "GROQ_API_KEY",
    ];
    for name in names {
        assert!(worker.stderr.contains(name), "{name}: {}", worker.stderr);
    }
    assert!(!worker.stderr.contains("hunter2"));
    let ingest = run("ingest", &[], &environment, "");
    assert_eq!(ingest.status.code(), Some(64), "{}", ingest.stderr);
    for name in ["RABBITMQ_URL", "WHATSAPP_VERIFY_TOKEN", "WHATSAPP_APP_SECRET", "QUEUE_PARTITIONS"] {
        assert!(ingest.stderr.contains(name), "{name}: {}", ingest.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_not_there_yet_are_waited_for_visibly() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    // They take connections and say nothing, which is worse than refusing them.
    let before = async |name| {
        let through = Proxy::before(&testing::server(name), &system.journal).await.expect("a proxy");
        through.0.stall(Direction::Both);
        through
    };
    let (mongodb, mongodb_uri) = before("MONGODB_URI").await;
    let (rabbitmq, rabbitmq_url) = before("RABBITMQ_URL").await;
    let mut environment: Vec<(String, String)> = system.environment().to_vec();
    environment.retain(|(name, _)| name != "MONGODB_URI" && name != "RABBITMQ_URL");
    environment.extend(pairs(&[("MONGODB_URI", &mongodb_uri), ("RABBITMQ_URL", &rabbitmq_url)]));
    let mut worker = Process::start("worker", &environment);
    let line = worker.wait_for_message("metrics and health are served").await;
    let metrics = line["addr"].as_str().expect("an address").to_owned();
    worker.wait_for_message("the database is not ready").await;
    let health = |arguments: &'static [&'static str]| {
        let environment = pairs(&[("METRICS_ADDR", &metrics)]);
        tokio::task::spawn_blocking(move || run("worker", arguments, &environment, ""))
    };
    assert!(health(&["healthcheck"]).await.expect("runs").status.success(), "alive, though not ready");
    let ready = health(&["healthcheck", "--ready"]).await.expect("runs");
    assert!(!ready.status.success() && ready.stderr.contains("waiting for: mongodb, rabbitmq"), "{}", ready.stderr);
    mongodb.resume();
    worker.wait_for_message("no connection to RabbitMQ for consuming").await;
    rabbitmq.resume();
    worker.wait_for_message("consuming from RabbitMQ").await;
    let ana = customer(1);
    system.write(&acme(), &ana, "hello").await;
    system.answers(&acme(), &ana, 1).await;
    assert!(health(&["healthcheck", "--ready"]).await.expect("runs").status.success());
    worker.signal("TERM");
    assert!(worker.ended(Duration::from_secs(30)).await.success());
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_finishes_its_turns_and_leaves_no_lease() {
    let mut system = System::start(Options::default()).await;
    system.ai.on_chat(|request| ChatReply::text(format!("ANS {}", request.last_user())).after(Duration::from_secs(2)));
    for n in 0..8 {
        system.write(&acme(), &customer(n), "hello").await;
    }
    let asked = system.journal.wait_until(|journal| journal.chats().len() >= 4, Duration::from_secs(30)).await;
    asked.expect("turns are under way");
    system.workers[0].signal("TERM");
    let status = system.workers[0].ended(Duration::from_secs(30)).await;
    assert!(status.success(), "{status}");
    assert_eq!(system.count("conversations", doc! { "lease": { "$exists": true } }).await, 0);
    system.workers.clear();
    system.start_worker().await;
    for n in 0..8 {
        assert_eq!(system.answers(&acme(), &customer(n), 1).await, ["ANS hello"]);
    }
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 8);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_had_in_hand_is_answered_once_by_another() {
    let mut system = System::start(Options::default().with("LEASE_SECS", "2").with("SEND_EVIDENCE_SECS", "2")).await;
    system
        .ai
        .on_chat(|request| ChatReply::text(format!("ANS {}", request.last_user())).after(Duration::from_millis(700)));
    for n in 0..10 {
        system.write(&acme(), &customer(n), "hello").await;
    }
    let asked = system.journal.wait_until(|journal| journal.chats().len() >= 5, Duration::from_secs(30)).await;
    asked.expect("turns are under way");
    system.workers[0].signal("KILL");
    system.workers.clear();
    system.start_worker().await;
    for n in 0..10 {
        assert_eq!(system.answers(&acme(), &customer(n), 1).await, ["ANS hello"]);
    }
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 10);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_waits_in_the_queue_is_heard_before_a_send_in_doubt_is_repeated() {
    let mut system = System::start(Options::default().with("LEASE_SECS", "1").with("SEND_EVIDENCE_SECS", "1")).await;
    let late = StatusPlan { sent: Some(Duration::from_millis(800)), ..StatusPlan::default() };
    system.meta.report(late);
    let ana = customer(1);
    system.meta.faults().next(Where::any().to(ana.key()), Fault::AcceptThenDelay(Duration::from_secs(5)));
    system.write(&acme(), &ana, "hello").await;
    system.answers(&acme(), &ana, 1).await;
    system.workers[0].signal("KILL");
    system.workers.clear();
    // The evidence time is long over when somebody looks at the conversation, or at the queue of statuses, again.
    tokio::time::sleep(Duration::from_secs(4)).await;
    system.start_worker().await;
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 1, "the status was there all the time");
    system.stop().await;
}

#[test]
fn wrong_arguments_exit_64_and_help_lists_the_variables() {
    for binary in ["worker", "ingest"] {
        let wrong = run(binary, &["dance"], &[], "");
        assert_eq!(wrong.status.code(), Some(64), "{binary}: {}", wrong.stderr);
        let help = run(binary, &["--help"], &[], "");
        assert!(help.status.success() && help.stdout.contains("RABBITMQ_URL"), "{binary}: {}", help.stdout);
    }
}
