//! 200 means durable, and a broker that is away costs nobody a message.

use std::time::{Duration, Instant};

use simulator::proxy::Direction;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    http::{post, until},
    oracle::fixtures,
    queues::{Queues, carried, rabbitmq_by_proxy},
};

fn text_message() -> Vec<u8> {
    let text = fixtures().into_iter().find(|(kind, name, _)| kind == "message" && name == "text");
    text.expect("a fixture").2
}

#[tokio::test]
async fn a_broker_that_is_away_means_503_and_then_200() {
    let (queues, (proxy, url)) = (Queues::new("away"), rabbitmq_by_proxy().await);
    proxy.refuse();
    let ingest = queues.settings(Some(&url)).with("PUBLISH_TIMEOUT_SECS", "5").start(&[]).await;
    let body = text_message();
    let started = Instant::now();
    let refused = post(ingest.addr(), &body).await;
    assert_eq!((refused.status, refused.body.as_str()), (503, ""));
    assert!(refused.head.contains("retry-after: 5"), "{}", refused.head);
    assert!(started.elapsed() >= Duration::from_secs(5), "it waits for a reconnection");
    until(ingest.admin(), "/readyz", |answer| answer.body == "waiting for: rabbitmq\n").await;

    proxy.resume();
    until(ingest.admin(), "/readyz", |answer| answer.status == 200).await;
    assert_eq!(post(ingest.addr(), &body).await.status, 200);
    let updates = queues.take_updates().await;
    assert_eq!(updates.len(), 1, "what was refused was not published, what was accepted was");
    assert!(updates[0].persistent);

    proxy.refuse();
    until(ingest.admin(), "/readyz", |answer| answer.status == 503).await;
    assert_eq!(post(ingest.addr(), &body).await.status, 503);
    proxy.resume();
    until(ingest.admin(), "/readyz", |answer| answer.status == 200).await;
    assert_eq!(post(ingest.addr(), &body).await.status, 200);
    assert_eq!(queues.take_updates().await.len(), 1);
}

#[tokio::test]
async fn confirms_that_never_come_mean_503_and_the_redelivery_has_the_same_ids() {
    let (queues, (proxy, url)) = (Queues::new("stalled"), rabbitmq_by_proxy().await);
    let ingest = queues.settings(Some(&url)).with("PUBLISH_TIMEOUT_SECS", "1").start(&[]).await;
    until(ingest.admin(), "/readyz", |answer| answer.status == 200).await;
    proxy.stall(Direction::ToClient);
    let body = text_message();
    let started = Instant::now();
    assert_eq!(post(ingest.addr(), &body).await.status, 503);
    assert!(started.elapsed() < Duration::from_secs(5));
    proxy.resume();
    // The old connection is given up: what it would still say cannot be told from what a new one says.
    let end = Instant::now() + Duration::from_secs(30);
    while post(ingest.addr(), &body).await.status != 200 {
        assert!(Instant::now() < end, "no recovery: {}", ingest.log());
    }
    let updates = queues.take_updates().await;
    assert!(!updates.is_empty());
    assert!(updates.iter().all(|update| update.message_id == updates[0].message_id), "{updates:?}");
}

/// Many at once, because RabbitMQ confirms by number, and numbers that two threads mix up tell each what became of the
/// other's message.
#[tokio::test(flavor = "multi_thread")]
async fn what_rabbitmq_refuses_is_told_to_its_own_sender_and_to_nobody_else() {
    const FULL: &str = "108821733954071";
    let queues = Queues::new("full");
    let ingest = queues.settings(None).start(&[]).await;
    until(ingest.admin(), "/readyz", |answer| answer.status == 200).await;
    queues.fill_up(FULL).await;
    let (addr, full) = (ingest.addr(), text_message());
    assert_eq!(post(addr, &full).await.status, 200, "the first one finds room");
    let text = String::from_utf8(full.clone()).expect("JSON");
    let free = text.replace(FULL, "108821733954072").into_bytes();
    assert_ne!(free, full);
    let mut senders = JoinSet::new();
    for sender in 0..32 {
        let (body, expected) = if sender % 2 == 0 { (full.clone(), 503) } else { (free.clone(), 200) };
        senders.spawn(async move {
            for _ in 0..40 {
                assert_eq!(post(addr, &body).await.status, expected);
            }
        });
    }
    senders.join_all().await;
}

#[tokio::test]
async fn a_broker_that_comes_back_in_time_is_waited_for() {
    let (queues, (proxy, url)) = (Queues::new("late"), rabbitmq_by_proxy().await);
    proxy.refuse();
    let ingest = queues.settings(Some(&url)).with("PUBLISH_TIMEOUT_SECS", "30").start(&[]).await;
    let body = text_message();
    let (answer, ()) = tokio::join!(post(ingest.addr(), &body), async {
        until(ingest.admin(), "/metrics", |answer| answer.body.contains("switchboard_ingest_in_flight 1")).await;
        proxy.resume();
    });
    assert_eq!(answer.status, 200);
    assert_eq!(carried(&queues.take_updates().await).len(), 1);
}

/// After an outage those who waited for the connection have all but no time left; what they do not hear any more tells
/// nothing about it.
#[tokio::test(flavor = "multi_thread")]
async fn those_who_waited_too_long_do_not_take_the_connection_from_all_others() {
    let (queues, (proxy, url)) = (Queues::new("impatient"), rabbitmq_by_proxy().await);
    proxy.refuse();
    let ingest = queues.settings(Some(&url)).with("PUBLISH_TIMEOUT_SECS", "8").start(&[]).await;
    let (addr, body) = (ingest.addr(), text_message());
    let stop = CancellationToken::new();
    let sending = async {
        let mut senders = JoinSet::new();
        while !stop.is_cancelled() {
            let (body, came) = (body.clone(), Instant::now());
            senders.spawn(async move { (came, post(addr, &body).await.status) });
            // As many as come within the timeout are fewer than may be in flight.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        senders.join_all().await
    };
    let returning = async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        proxy.delay(Duration::from_millis(20));
        proxy.accept();
        until(ingest.admin(), "/readyz", |answer| answer.status == 200).await;
        let ready = Instant::now();
        tokio::time::sleep(Duration::from_secs(6)).await;
        stop.cancel();
        ready
    };
    let (sent, ready) = tokio::join!(sending, returning);
    assert!(sent.iter().any(|(_, status)| *status == 503), "nobody had waited too long");
    let refused = sent.iter().filter(|(came, status)| *came > ready && *status != 200).count();
    assert_eq!(refused, 0, "of {}: {}", sent.len(), ingest.log());
    until(ingest.admin(), "/metrics", |answer| !answer.body.contains("switchboard_rabbitmq_reconnects_total")).await;
}
