//! Meta and the AI fail, by the seed's draw, three times in ten; a worker loses the database and the others do not.

use std::time::Duration;

use simulator::{
    Seed, Traffic,
    ai::{AiCall, AiChances},
    meta::{Chances, StatusPlan, Where},
    proxy::{Direction, Proxy},
};

use super::{judged::Judged, rounds, seed};
use crate::system::harness::{Options, acme, bolt, corn, customer};

fn graph() -> Chances {
    Chances {
        number_throttled: 0.03,
        pair_throttled: 0.01,
        app_throttled: 0.02,
        account_throttled: 0.02,
        with_retry_after: 0.5,
        retry_after: Duration::from_secs(1)..=Duration::from_secs(2),
        something_wrong: 0.04,
        unavailable: 0.04,
        bad_gateway: 0.03,
        gateway_unavailable: 0.02,
        dropped: 0.03,
        answer_lost: 0.04,
        answer_late: 0.02,
        lateness: Duration::from_millis(500)..=Duration::from_secs(3),
        ..Chances::default()
    }
}

fn ai() -> AiChances {
    AiChances {
        throttled: 0.08,
        with_retry_after: 0.5,
        retry_after: Duration::from_millis(100)..=Duration::from_secs(2),
        failed: 0.07,
        unavailable: 0.07,
        dropped: 0.07,
        hanging: 0.005,
        slow: 0.05,
        ..AiChances::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_failures_in_ten_at_meta_and_the_ai_lose_repeat_and_reorder_nothing() {
    let seed = seed();
    let options = Options { workers: 2, ..Options::default() };
    let mut judged = Judged::start(options.with("LEASE_SECS", "2").with("SEND_EVIDENCE_SECS", "2")).await;
    // An answer that the connection lost was paid for.
    judged.scenario.chats.per_answer = 4;
    judged.scenario.chats.per_message = 8;
    judged.system.meta.faults().chances(Seed(seed), Where::any(), graph());
    judged.system.ai.faults().chances(Seed(seed), AiCall::Chat, ai());
    // Late, doubled and reordered statuses are evidence all the same.
    judged.system.meta.report(StatusPlan { reverse: 0.2, repeat: 0.2, ..StatusPlan::default() });
    let traffic = Traffic::new(Seed(seed))
        .businesses([acme(), bolt(), corn()])
        .customers_each(10)
        .messages_each(usize::try_from(rounds(5)).expect("few"))
        .pauses(Duration::ZERO..=Duration::from_secs(2))
        .bursts(0.2, 3)
        .doubled(0.1);
    let sent = judged.traffic(traffic).await.expect("no panic");
    judged.kept(sent.messages.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_statuses_and_lost_answers_repeat_only_what_nobody_could_know() {
    let seed = seed();
    let options = Options { workers: 2, ..Options::default() };
    let mut judged = Judged::start(options.with("LEASE_SECS", "2").with("SEND_EVIDENCE_SECS", "1")).await;
    // A worker that a busy machine holds up loses its lease, and another one asks again.
    judged.scenario.chats.per_answer = 4;
    judged.scenario.chats.per_message = 8;
    judged.system.meta.report(StatusPlan { loss: 0.7, ..StatusPlan::default() });
    let lost = Chances { answer_lost: 0.3, ..Chances::default() };
    judged.system.meta.faults().chances(Seed(seed), Where::any(), lost);
    let traffic = Traffic::new(Seed(seed))
        .businesses([acme(), bolt(), corn()])
        // The slower the machine, the fewer answers each of them gets: one at the least.
        .customers_each(20)
        .messages_each(usize::try_from(rounds(3)).expect("few"));
    let sent = judged.traffic(traffic).await.expect("no panic");
    let report = judged.judge().await;
    report.verdict().unwrap_or_else(|violations| panic!("{violations}"));
    assert_eq!(report.figures.messages_answered, sent.messages.len(), "{report}");
    assert!(report.figures.chats_per_message < 2.0, "{report}");
    // Three in ten answers are lost, and of each second one both statuses, too.
    assert!(!report.residual.is_empty(), "nothing was in doubt, so nothing was shown:\n{report}");
}

/// Two workers, of which one stops hearing from MongoDB while RabbitMQ goes on giving it messages and statuses.
async fn one_is_cut_off(cut_off_is_first: bool) {
    let options = Options { workers: 0, ..Options::default() };
    let mut judged = Judged::start(options.with("LEASE_SECS", "2").with("SEND_EVIDENCE_SECS", "9")).await;
    let directly = judged.system.servers().mongodb_uri.clone();
    let (mongodb, by_proxy) = Proxy::before(&directly, &judged.system.journal).await.expect("a proxy");
    // Until RabbitMQ 4 the first one has every partition; of the statuses each has a share.
    let uris = if cut_off_is_first { [&by_proxy, &directly] } else { [&directly, &by_proxy] };
    for uri in uris {
        judged.system.start_worker_with(&[("MONGODB_URI", uri)]).await;
    }
    let lost = Chances { answer_lost: 1.0, ..Chances::default() };
    judged.system.meta.faults().chances(Seed(seed()), Where::any(), lost);
    mongodb.stall(Direction::Both);
    for n in 1..=24 {
        for business in [acme(), bolt(), corn()] {
            judged.write(&business, &customer(n), "hello").await;
        }
    }
    judged.rest().await;
    // It is not there for good: it stops like any other.
    mongodb.resume();
    judged.kept(72).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_a_worker_without_a_database_holds_are_not_taken_for_silence() {
    one_is_cut_off(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_a_worker_without_a_database_holds_are_answered_by_others() {
    one_is_cut_off(true).await;
}
