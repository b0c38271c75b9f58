//! The promises over one file, proved by kill -9 under traffic and judged from what reached Meta.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rand::Rng;
use serde_json::json;
use simulator::{
    Business, Journal, Seed, Tag, Traffic,
    checker::{self, Scenario, Tenant},
    webhook::Patience,
};

use super::serving::Installation;

/// How long a run may take to come to rest after the last fault.
const REST: Duration = Duration::from_secs(120);

fn businesses() -> Vec<Business> {
    ["acme", "bolt", "corn"]
        .iter()
        .zip(1_u64..)
        .map(|(name, n)| {
            let number = format!("{}", n * 100_100_100_100);
            Business::new(*name, number).with_token(format!("EAA{name}TOKEN{name}TOKEN{name}"))
        })
        .collect()
}

fn traffic(seed: u64, messages: usize) -> Traffic {
    Traffic::new(Seed(seed))
        .businesses(businesses())
        .customers_each(8)
        .messages_each(messages)
        .pauses(Duration::ZERO..=Duration::from_secs(3))
        .hidden(0.2)
        .both_ids(0.3)
        .bursts(0.2, 3)
        .doubled(0.2)
        .repeated(0.1, Duration::from_secs(1)..=Duration::from_secs(6))
        .batched(0.3, 10, Duration::from_millis(50))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_every_few_seconds_loses_repeats_and_reorders_nothing() {
    let given = std::env::var("SWITCHBOARD_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or_else(rand::random);
    println!("SWITCHBOARD_SEED={seed}");
    let soak = if std::env::var("SWITCHBOARD_SOAK").is_ok_and(|soak| soak == "1") { 10 } else { 1 };
    let mut tenants = Vec::new();
    let mut installed = Vec::new();
    for business in businesses() {
        let (canary, apology) = (format!("canary-of-{}", business.name), format!("{} is sorry.", business.name));
        let persona = format!("Somebody who never says {canary}.");
        let tenant = Tenant::new(&business.name, &business.phone_number_id);
        tenants.push(tenant.with_canary(canary).apologising(apology.clone()));
        installed.push((business, json!({ "persona": persona, "apology": apology })));
    }
    let mut scenario = Scenario::of(tenants);
    // An answer is paid for again each time the process is killed after it asked.
    scenario.chats.per_answer = 6;
    scenario.chats.per_message = 10;
    // A status that meets a dead process comes again well before its silence counts.
    let patience = Patience { most: Duration::from_secs(1), tries: 600, ..Patience::default() };
    let environment = [("LEASE_SECS", "2"), ("SEND_EVIDENCE_SECS", "8")];
    let mut system = Installation::start_before(patience, &installed, &environment).await;
    system.ai.on_chat(checker::answer);
    let meta = std::sync::Arc::clone(&system.meta);
    let sending = tokio::spawn(async move { traffic(seed, 8 * soak).run(&meta).await });
    let mut lives = 0_u32;
    while !sending.is_finished() {
        lives += 1;
        // Long enough now and then to take over and to answer: who meets five ends in a row is poison.
        let alive = if lives.is_multiple_of(4) { 5_000 } else { rand::rng().random_range(1_500..3_000) };
        tokio::time::sleep(Duration::from_millis(alive)).await;
        system.process.kill();
        system.restart().await;
    }
    let sent = sending.await.expect("no panic");
    assert!(sent.messages.iter().all(|message| message.acknowledged), "Meta lost its patience");
    let written: BTreeSet<Tag> = sent.messages.iter().map(|message| message.tag).collect();
    let all_answered = |journal: &Journal| {
        let sends = journal.accepted();
        let answered: BTreeSet<Tag> = sends.iter().filter_map(|send| send.words()).flat_map(Tag::find_all).collect();
        written.difference(&answered).all(|tag| scenario.excused.contains_key(&(*tag).into()))
    };
    let began = Instant::now();
    drop(system.journal.wait_until(all_answered, REST).await);
    println!("at rest after {:?}", began.elapsed());
    assert!(system.process.stop("TERM").await.success());
    let report = checker::judge(&system.journal.entries(), &scenario);
    if let Err(violations) = report.verdict() {
        panic!("{violations}");
    }
    assert!(report.residual.is_empty(), "repeated: {:?}\n{report}", report.residual);
    assert!(report.figures.messages_acknowledged >= written.len(), "too little happened:\n{report}");
}
