//! What a crash leaves: each place at which a process may die, thirty times each.
//!
//! The process aborts exactly there, by a fail point of its debug build; another one takes over. Three systems run
//! side by side, because most of the time is waiting: for a lease to run out, for evidence that does not come.

use std::time::Duration;

use mongodb::bson::doc;
use simulator::Business;

use super::{judged::Judged, rounds};
use crate::system::{
    harness::{Options, acme, bolt, corn, customer},
    process::Process,
};

const CRASHES: u64 = 30;
const SYSTEMS: u64 = 3;
/// How long a process may take to reach the place where it dies.
const REACHES: Duration = Duration::from_secs(40);

/// A place to die at, and how the customer writes.
struct Row {
    fail_point: &'static str,
    /// What the text says: `long` asks for an answer of several parts.
    words: &'static str,
    /// Chat requests that may be paid for one answer.
    chats: usize,
}

async fn crash(row: Row) {
    let row = &row;
    let systems = (0..SYSTEMS).map(|n| async move {
        let judged = start(row).await;
        crash_one(judged, row, rounds(CRASHES) / SYSTEMS, n).await
    });
    futures_util::future::join_all(systems).await;
}

async fn start(row: &Row) -> Judged {
    let options = Options { workers: 0, ..Options::default() };
    let mut judged = Judged::start(options.with("LEASE_SECS", "1").with("SEND_EVIDENCE_SECS", "1")).await;
    judged.scenario.chats.per_answer = row.chats;
    judged
}

async fn crash_one(mut judged: Judged, row: &Row, crashes: u64, system: u64) {
    for n in 0..crashes {
        let (business, who) = (business(n), customer(system * 100_000 + n));
        let armed = format!("{}=abort", row.fail_point);
        let mut doomed = judged.system.spawn_worker(&[("SWITCHBOARD_FAIL_POINT", &armed)]);
        doomed.wait_for_message("consuming from RabbitMQ").await;
        judged.write(&business, &who, row.words).await;
        died(&mut doomed, row.fail_point).await;
        judged.system.keep_log(doomed);
        judged.system.start_worker().await;
        judged.rest().await;
        judged.system.kill_worker(0);
    }
    judged.system.start_worker().await;
    let report = judged.kept(usize::try_from(crashes).expect("few")).await;
    assert_eq!(report.figures.messages_answered, usize::try_from(crashes).expect("few"), "{report}");
}

fn business(n: u64) -> Business {
    match n % 3 {
        0 => acme(),
        1 => bolt(),
        _ => corn(),
    }
}

/// Waits for a process to abort.
async fn died(process: &mut Process, place: &str) {
    use std::os::unix::process::ExitStatusExt;
    const SIGABRT: i32 = 6;
    let status = process.ended(REACHES).await;
    assert_eq!(status.signal(), Some(SIGABRT), "it was to die at {place}: {}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_dies_before_its_confirms_leaves_the_message_to_meta() {
    let systems = (0..SYSTEMS).map(|system| async move {
        let mut judged = Judged::start(Options::default()).await;
        for n in 0..rounds(CRASHES) / SYSTEMS {
            judged.system.restart_ingest(&[("SWITCHBOARD_FAIL_POINT", "ingest.before.confirms=abort")]).await;
            let (business, who) = (business(n), customer(system * 100_000 + n));
            let (_, text) = judged.text("hello");
            let meta = judged.system.meta.sender(&business);
            let writing = tokio::spawn(async move { meta.text(&business, &who, &text).await });
            died(&mut judged.system.ingest, "ingest.before.confirms").await;
            judged.system.restart_ingest(&[]).await;
            writing.await.expect("no panic").expect("Meta delivers it again");
        }
        judged.kept(usize::try_from(rounds(CRASHES) / SYSTEMS).expect("few")).await;
    });
    futures_util::future::join_all(systems).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_before_it_lands_a_message_leaves_it_to_the_queue() {
    crash(Row { fail_point: "intake.before.land", words: "hello", chats: 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_landing_and_acknowledging_lands_a_message_once() {
    crash(Row { fail_point: "intake.after.land", words: "hello", chats: 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_before_the_outbox_leaves_the_mailbox() {
    crash(Row { fail_point: "turn.before.commit", words: "hello", chats: 2 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_outbox_and_meta_has_its_part_sent_once() {
    crash(Row { fail_point: "turn.before.send", words: "hello", chats: 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_before_it_records_what_meta_has_sends_nothing_twice() {
    crash(Row { fail_point: "turn.after.send", words: "hello", chats: 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_two_parts_leaves_the_second_to_the_next() {
    crash(Row { fail_point: "turn.after.record_part", words: "please be long", chats: 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_before_it_settles_leaves_nothing_to_send() {
    crash(Row { fail_point: "turn.before.settle", words: "hello", chats: 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_freezes_before_it_sends_wakes_up_with_nothing_to_do() {
    let freeze = "turn.before.send=stop";
    let options = Options { workers: 0, ..Options::default() };
    let mut judged = Judged::start(options.with("LEASE_SECS", "1").with("SEND_EVIDENCE_SECS", "1")).await;
    let crashes = rounds(5);
    for n in 0..crashes {
        let (business, who) = (business(n), customer(n));
        let mut zombie = judged.system.spawn_worker(&[("SWITCHBOARD_FAIL_POINT", freeze)]);
        zombie.wait_for_message("consuming from RabbitMQ").await;
        judged.write(&business, &who, "hello").await;
        let sending = doc! { "outbox.parts.state": "sending" };
        judged.system.wait_for_document("conversations", sending).await;
        judged.system.start_worker().await;
        judged.rest().await;
        zombie.signal("CONT");
        zombie.wait_for_message("a lease was lost").await;
        zombie.kill();
        judged.system.keep_log(zombie);
        judged.system.kill_worker(0);
    }
    judged.system.start_worker().await;
    judged.kept(usize::try_from(crashes).expect("few")).await;
}
