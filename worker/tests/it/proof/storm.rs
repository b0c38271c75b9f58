//! Processes and servers die, freeze and lose each other while customers write.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use simulator::{Proxy, Seed, Traffic, proxy::Direction, traffic::Sent};
use tokio::{task::JoinHandle, time::sleep};

use super::{judged::Judged, rounds, seed, servers::OwnServers};
use crate::system::harness::{Options, Servers, acme, bolt, corn, customer};

/// Everything that Meta is known to do with webhooks, from customers of three businesses.
fn traffic(seed: u64, messages: u64) -> Traffic {
    Traffic::new(Seed(seed))
        .businesses([acme(), bolt(), corn()])
        .customers_each(8)
        .messages_each(usize::try_from(messages).expect("few"))
        .pauses(Duration::ZERO..=Duration::from_secs(3))
        .hidden(0.2)
        .both_ids(0.3)
        .bursts(0.2, 3)
        .doubled(0.2)
        .repeated(0.1, Duration::from_secs(1)..=Duration::from_secs(6))
        .batched(0.3, 10, Duration::from_millis(50))
}

fn options() -> Options {
    Options { workers: 3, ..Options::default() }.with("LEASE_SECS", "2").with("SEND_EVIDENCE_SECS", "2")
}

/// An answer is paid for again each time its worker is killed after it asked.
async fn judged(options: Options) -> Judged {
    let mut judged = Judged::start(options).await;
    judged.scenario.chats.per_answer = 4;
    judged.scenario.chats.per_message = 8;
    judged
}

async fn written(sending: JoinHandle<Sent>) -> usize {
    let sent = sending.await.expect("no panic");
    assert!(sent.messages.iter().all(|message| message.acknowledged), "Meta lost its patience");
    sent.messages.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_every_few_seconds_lose_repeat_and_reorder_nothing() {
    let seed = seed();
    let (mut random, mut judged) = (StdRng::seed_from_u64(seed), judged(options()).await);
    let sending = judged.traffic(traffic(seed, rounds(8)));
    while !sending.is_finished() {
        sleep(Duration::from_millis(random.random_range(1_500..3_000))).await;
        judged.system.kill_worker(random.random_range(0..3));
        judged.system.start_worker().await;
    }
    let messages = written(sending).await;
    judged.kept(messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_is_killed_every_two_seconds_loses_nothing() {
    let seed = seed();
    let mut judged = judged(options()).await;
    let sending = judged.traffic(traffic(seed, rounds(8)));
    while !sending.is_finished() {
        sleep(Duration::from_secs(2)).await;
        judged.system.restart_ingest(&[]).await;
    }
    let messages = written(sending).await;
    judged.kept(messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_at_once_loses_repeats_and_reorders_nothing() {
    let seed = seed();
    let own = OwnServers::start("storm").await;
    let options = Options { servers: own.servers.clone(), ..options() };
    let (mut random, mut judged) = (StdRng::seed_from_u64(seed), judged(options).await);
    for _ in 0..rounds(1) {
        let sending = judged
            .traffic(traffic(random.random(), 16).first_tag(simulator::Tag(random.random_range(0..1_000) * 1_000 + 1)));
        for fault in [
            "stop rabbitmq",
            "kill mongodb",
            "ingest",
            "worker",
            "stop rabbitmq",
            "worker",
            "kill rabbitmq",
            "worker",
            "restart mongodb",
            "ingest",
        ] {
            judged.system.journal.mark("fault", json!({ "fault": fault }));
            match fault.split_once(' ') {
                None if fault == "ingest" => judged.system.restart_ingest(&[]).await,
                None => {
                    judged.system.kill_worker(random.random_range(0..3));
                    // It may have to wait for its servers.
                    let worker = judged.system.spawn_worker(&[]);
                    judged.system.workers.push(worker);
                }
                Some(("stop", server)) => {
                    own.fault("stop", server).await;
                    sleep(Duration::from_secs(6)).await;
                    own.fault("start", server).await;
                }
                Some(("kill", server)) => {
                    own.fault("kill", server).await;
                    sleep(Duration::from_secs(1)).await;
                    own.fault("start", server).await;
                }
                Some((action, server)) => own.fault(action, server).await,
            }
            sleep(Duration::from_millis(random.random_range(1_000..2_500))).await;
        }
        let messages = written(sending).await;
        assert!(messages > 300, "{messages}");
        judged.rest().await;
    }
    judged.kept(300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_freezes_beyond_its_lease_and_wakes_up_breaks_no_promise() {
    let seed = seed();
    let (mut random, mut judged) = (StdRng::seed_from_u64(seed), judged(options()).await);
    judged.scenario = judged.scenario.clone().with_freezes("freeze", "thaw");
    let sending = judged.traffic(traffic(seed, rounds(10)));
    while !sending.is_finished() {
        sleep(Duration::from_millis(500)).await;
        let frozen = random.random_range(0..3);
        judged.system.journal.mark("freeze", json!({ "worker": frozen }));
        judged.system.workers[frozen].signal("STOP");
        sleep(Duration::from_secs(6)).await;
        judged.system.workers[frozen].signal("CONT");
        judged.system.journal.mark("thaw", json!({ "worker": frozen }));
    }
    let messages = written(sending).await;
    // What a process frozen between its last check and the socket repeats is counted apart, and seldom.
    let report = judged.judge().await;
    report.verdict().unwrap_or_else(|violations| panic!("{violations}"));
    assert!(report.figures.messages_acknowledged >= messages, "{report}");
    assert!(report.residual.len() <= 1, "{:?}\n{report}", report.residual);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_stalled_and_half_open_break_no_promise() {
    let seed = seed();
    let (mut random, journal) = (StdRng::seed_from_u64(seed), simulator::Journal::in_memory());
    let servers = Servers::default();
    let (rabbitmq, rabbitmq_url) = Proxy::before(&servers.rabbitmq_url, &journal).await.expect("a proxy");
    let (mongodb, mongodb_uri) = Proxy::before(&servers.mongodb_uri, &journal).await.expect("a proxy");
    let through = [("RABBITMQ_URL", rabbitmq_url), ("MONGODB_URI", mongodb_uri)];
    let options = through.iter().fold(options(), |options, (name, value)| options.with(name, value.clone()));
    let options = Options { ingest_environment: vec![through[0].clone()], ..options };
    let judged = judged(options).await;
    let sending = judged.traffic(traffic(seed, rounds(8)));
    while !sending.is_finished() {
        let proxy = if random.random_bool(0.5) { &rabbitmq } else { &mongodb };
        match random.random_range(0..6) {
            0 => proxy.cut(),
            1 => proxy.stall(Direction::Both),
            2 => proxy.stall(Direction::ToClient),
            3 => proxy.half_open(),
            4 => proxy.cut_after(random.random_range(1..4_000)),
            _ => proxy.refuse(),
        }
        sleep(Duration::from_millis(random.random_range(200..2_500))).await;
        proxy.resume();
        proxy.accept();
        sleep(Duration::from_millis(random.random_range(200..1_500))).await;
    }
    let messages = written(sending).await;
    judged.kept(messages).await;
}

/// A peer that is gone without a word: its host lost power, or something in between forgot the connection.
#[tokio::test(flavor = "multi_thread")]
async fn servers_that_vanish_without_a_word_are_noticed() {
    let journal = simulator::Journal::in_memory();
    let servers = Servers::default();
    let (mongodb, mongodb_uri) = Proxy::before(&servers.mongodb_uri, &journal).await.expect("a proxy");
    let (rabbitmq, rabbitmq_url) = Proxy::before(&servers.rabbitmq_url, &journal).await.expect("a proxy");
    let options = Options::default().with("LEASE_SECS", "5");
    let options = options.with("MONGODB_URI", mongodb_uri);
    let judged = Judged::start(options.with("RABBITMQ_URL", rabbitmq_url)).await;
    for n in 0..rounds(2) {
        judged.write(&acme(), &customer(n), "hello").await;
        judged.rest().await;
        mongodb.half_open();
        for m in 0..5 {
            judged.write(&bolt(), &customer(1_000 + n * 10 + m), "is anybody there?").await;
        }
        mongodb.resume();
        judged.rest().await;
        rabbitmq.half_open();
        judged.write(&corn(), &customer(2_000 + n), "and now?").await;
        rabbitmq.resume();
        judged.rest().await;
    }
    judged.kept(14).await;
}
