//! Two-phase stop: what was taken is finished, what was not is refused.

use std::time::{Duration, Instant};

use simulator::proxy::Direction;
use tokio::net::TcpStream;

use crate::{
    http::{Client, head, post, signature_of, until},
    oracle::fixtures,
    queues::{Queues, rabbitmq_by_proxy},
};

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight_and_takes_no_more() {
    let (queues, (proxy, url)) = (Queues::new("stop"), rabbitmq_by_proxy().await);
    let mut ingest = queues.settings(Some(&url)).with("PUBLISH_TIMEOUT_SECS", "30").start(&[]).await;
    until(ingest.admin(), "/readyz", |answer| answer.status == 200).await;
    let mut idle = Client::connect(ingest.addr()).await;
    let empty = b"{\"entry\":[]}";
    idle.send(head("/webhook", empty.len(), Some(&signature_of(empty)))).await;
    idle.send(empty).await;
    assert_eq!(idle.answer().await.expect("an answer").status, 200);

    proxy.stall(Direction::ToClient);
    let (addr, body) = (ingest.addr(), fixtures().remove(0).2);
    let in_flight = tokio::spawn(async move { post(addr, &body).await });
    until(ingest.admin(), "/metrics", |answer| answer.body.contains("switchboard_ingest_in_flight 1")).await;
    ingest.signal("TERM").await;
    ingest.logged("stopping: no new work").await;
    until(ingest.admin(), "/readyz", |answer| answer.body == "waiting for: accepting webhooks\n").await;
    assert!(idle.is_closed_within(Duration::from_secs(4)).await, "idle connections end at once");
    let end = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(addr).await.is_ok() {
        assert!(Instant::now() < end, "the port is still open");
    }

    assert!(!in_flight.is_finished());
    proxy.resume();
    let answer = in_flight.await.expect("answered");
    assert_eq!(answer.status, 200);
    assert!(ingest.exit().await.success(), "{}", ingest.log());
    assert_eq!(queues.take_updates().await.len(), 1);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let (queues, (proxy, url)) = (Queues::new("stop"), rabbitmq_by_proxy().await);
    proxy.refuse();
    let settings = queues.settings(Some(&url)).with("PUBLISH_TIMEOUT_SECS", "2").with("STOP_TIMEOUT_SECS", "2");
    let mut ingest = settings.start(&[]).await;
    let mut drip = Client::connect(ingest.addr()).await;
    drip.send(head("/webhook", 4 << 20, Some(&signature_of(b"")))).await;
    drip.send(vec![b' '; 1 << 20]).await;
    until(ingest.admin(), "/metrics", |answer| answer.body.contains("switchboard_ingest_in_flight 1")).await;
    let started = Instant::now();
    ingest.signal("TERM").await;
    assert!(ingest.exit().await.success());
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    ingest.logged("requests were left unanswered; Meta will send them again").await;
    assert_eq!(drip.answer().await, None, "an answer would be a lie");
}
