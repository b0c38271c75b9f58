//! A deployment: every process is told to stop and replaced by the next, while customers write.

use std::time::Duration;

use mongodb::bson::doc;
use simulator::{Seed, Traffic};
use tokio::time::sleep;

use super::{judged::Judged, rounds, seed};
use crate::system::harness::{Options, acme, bolt, corn};

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_deployment_repeats_nothing_and_leaves_no_lease_to_run_out() {
    let seed = seed();
    // Leases so long that nobody could wait for one: whatever is answered in time was given back.
    let options =
        Options { workers: 3, ..Options::default() }.with("LEASE_SECS", "300").with("STOP_TIMEOUT_SECS", "20");
    let mut judged = Judged::start(options).await;
    judged.scenario.chats.per_message = 8;
    let traffic = Traffic::new(Seed(seed))
        .businesses([acme(), bolt(), corn()])
        .customers_each(8)
        .messages_each(usize::try_from(rounds(8)).expect("few"))
        .pauses(Duration::ZERO..=Duration::from_secs(3))
        .doubled(0.2);
    let sending = judged.traffic(traffic);
    while !sending.is_finished() {
        let mut old = judged.system.workers.remove(0);
        let line = old.wait_for_message("worker started").await;
        let id = line["worker_id"].as_str().expect("the log names it").to_owned();
        // The next one is there before the old one goes.
        judged.system.start_worker().await;
        old.signal("TERM");
        let status = old.ended(Duration::from_secs(30)).await;
        assert!(status.success(), "{status}: {}", old.log());
        assert_eq!(judged.system.count("conversations", doc! { "lease.worker": id }).await, 0, "it left a lease");
        judged.system.keep_log(old);
        sleep(Duration::from_millis(500)).await;
    }
    let messages = sending.await.expect("no panic").messages.len();
    judged.kept(messages).await;
}
