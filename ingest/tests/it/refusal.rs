//! Requests that Meta does not make, from senders who may mean harm. No broker is needed to refuse them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::{
    http::{Client, ask, head, post, post_signed_as, signature_of},
    process::{Ingest, NOWHERE, Settings},
};

const BODY: &[u8] = b"{\"entry\":[]}";
/// An update, so that it needs the broker.
const UPDATE: &[u8] = b"{\"entry\":[{}]}";

async fn start() -> Ingest {
    Settings::new(NOWHERE).with("PUBLISH_TIMEOUT_SECS", "0.2").start(&[]).await
}

#[tokio::test]
async fn a_missing_or_wrong_signature_is_refused_with_an_empty_body() {
    let ingest = start().await;
    let other = signature_of(b"another body");
    for signature in [None, Some(""), Some("sha256="), Some("sha1=00"), Some(other.as_str())] {
        let refused = post_signed_as(ingest.addr(), BODY, signature).await;
        assert_eq!((refused.status, refused.body.as_str()), (401, ""), "{signature:?}");
    }
    assert_eq!(post(ingest.addr(), BODY).await.status, 200);
}

#[tokio::test]
async fn other_methods_and_paths_are_told_so() {
    let ingest = start().await;
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let refused = ask(ingest.addr(), method, "/webhook").await;
        assert_eq!(refused.status, 405, "{method}");
        assert!(refused.head.contains("allow: get,head,post"), "{}", refused.head);
    }
    for path in ["/", "/webhook/", "/metrics", "/readyz", "/whatsapp_response/x"] {
        assert_eq!(ask(ingest.addr(), "GET", path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_flood_of_forgeries_is_limited_and_a_real_webhook_gets_through() {
    let ingest = start().await;
    let wrong = signature_of(b"another body");
    let mut answers = Vec::new();
    let started = std::time::Instant::now();
    for n in 0..160 {
        let signature = (n % 2 == 0).then_some(wrong.as_str());
        answers.push(post_signed_as(ingest.addr(), BODY, signature).await.status);
    }
    // One more a second is told, however long this took.
    let most = 101 + usize::try_from(started.elapsed().as_secs()).expect("not for ever");
    let told = answers.iter().filter(|status| **status == 401).count();
    assert!(answers[..100].iter().all(|status| *status == 401) && told <= most, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), answers.len() - told, "{answers:?}");
    assert_eq!(post(ingest.addr(), BODY).await.status, 200, "from the same address");
    let noise = ingest.log().matches("refused a webhook").count();
    assert!(noise <= most, "{noise} lines");
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_it_is_sent() {
    let ingest = start().await;
    let mut client = Client::connect(ingest.addr()).await;
    client.send(head("/webhook", 5 << 20, Some(&signature_of(b"")))).await;
    assert_eq!(client.answer().await.expect("an answer").status, 413);
    // Sooner than an idle connection is.
    assert!(client.is_closed_within(Duration::from_secs(4)).await);
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_refused() {
    let ingest = start().await;
    let mut client = Client::connect(ingest.addr()).await;
    let signature = signature_of(b"");
    let head = format!(
        "POST /webhook HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nX-Hub-Signature-256: {signature}\r\n\r\n"
    );
    client.send(head).await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..80 {
        if !client.try_send(&chunk).await {
            break;
        }
    }
    assert_eq!(client.answer().await.expect("an answer").status, 413);
}

#[tokio::test]
async fn a_body_of_metas_largest_size_is_taken() {
    let ingest = start().await;
    let body = format!("{{\"entry\":[],\"x\":\"{}\"}}", "x".repeat(3 << 20));
    assert_eq!(post(ingest.addr(), body.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn a_head_that_never_ends_and_an_idle_connection_are_cut_off() {
    let ingest = start().await;
    let started = Instant::now();
    let (mut half, mut idle) = (Client::connect(ingest.addr()).await, Client::connect(ingest.addr()).await);
    half.send("POST /webhook HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await;
    idle.send(head("/webhook", BODY.len(), Some(&signature_of(BODY)))).await;
    idle.send(BODY).await;
    assert_eq!(idle.answer().await.expect("an answer").status, 200);
    idle.send(head("/webhook", BODY.len(), Some(&signature_of(BODY)))).await;
    idle.send(BODY).await;
    assert_eq!(idle.answer().await.expect("kept alive").status, 200);
    assert!(half.is_closed_within(Duration::from_secs(20)).await);
    assert!(started.elapsed() >= Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(idle.is_closed_within(Duration::from_secs(20)).await);
}

#[tokio::test]
async fn a_body_that_drips_is_cut_off() {
    let ingest = start().await;
    let mut client = Client::connect(ingest.addr()).await;
    client.send(head("/webhook", 1_000, Some(&signature_of(BODY)))).await;
    let started = Instant::now();
    client.send("x").await;
    assert_eq!(client.answer().await.expect("an answer").status, 408);
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
}

#[tokio::test]
async fn more_webhooks_than_there_is_room_for_are_told_to_come_again() {
    let ingest = Settings::new(NOWHERE).with("PUBLISH_TIMEOUT_SECS", "30").start(&[]).await;
    let waiting = join_all((0..512).map(|_| async {
        let mut client = Client::connect(ingest.addr()).await;
        // At once: it is in flight from its head on, and has its place only after its body.
        let head = head("/webhook", UPDATE.len(), Some(&signature_of(UPDATE)));
        client.send([head.as_bytes(), UPDATE].concat()).await;
        client
    }));
    let mut waiting = waiting.await;
    let in_flight = |count: usize| {
        let told = format!("switchboard_ingest_in_flight {count}\n");
        crate::http::until(ingest.admin(), "/metrics", move |answer| answer.body.contains(&told))
    };
    in_flight(512).await;
    let refused = post(ingest.addr(), BODY).await;
    assert_eq!(refused.status, 503);
    assert!(refused.head.contains("connection: close") && refused.head.contains("retry-after: 5"), "{}", refused.head);
    drop(waiting.pop());
    in_flight(511).await;
    assert_eq!(post(ingest.addr(), BODY).await.status, 200, "there is room again");
}

#[tokio::test]
async fn bodies_that_do_not_come_keep_no_webhook_out() {
    let ingest = start().await;
    let in_flight = |count: usize| {
        let told = format!("switchboard_ingest_in_flight {count}\n");
        crate::http::until(ingest.admin(), "/metrics", move |answer| answer.body.contains(&told))
    };
    // Each is given up after a few seconds, and a busy machine may need longer until all are there.
    for _ in 0..10 {
        let silent = join_all((0..600).map(|_| async {
            let mut client = Client::connect(ingest.addr()).await;
            client.send(head("/webhook", BODY.len(), Some(&signature_of(b"another")))).await;
            client
        }));
        let silent = silent.await;
        if tokio::time::timeout(Duration::from_secs(2), in_flight(600)).await.is_ok() {
            assert_eq!(post(ingest.addr(), BODY).await.status, 200);
            return;
        }
        drop(silent);
        in_flight(0).await;
    }
    panic!("they were never in flight together");
}

#[tokio::test]
async fn the_limit_on_open_files_is_raised_as_far_as_it_goes() {
    let own = std::process::Command::new("/bin/sh").args(["-c", "ulimit -Hn"]).output().expect("a shell");
    let hard = String::from_utf8(own.stdout).expect("text").trim().parse().unwrap_or(u64::MAX);
    assert_eq!(start().await.open_files_most(), hard.min(65_536));
}

#[tokio::test]
async fn running_out_of_file_descriptors_is_survived() {
    let ingest = Settings::new(NOWHERE).with_open_files(64).start(&[]).await;
    let clients = join_all((0..100).map(|_| Client::connect(ingest.addr()))).await;
    ingest.logged("cannot accept connections; trying again").await;
    drop(clients);
    assert_eq!(post(ingest.addr(), BODY).await.status, 200);
    let complaints = ingest.log().matches("cannot accept connections").count();
    assert!(complaints < 50, "it does not spin: {complaints}");
}

#[tokio::test]
async fn a_sender_that_goes_away_leaves_nothing_behind() {
    let ingest = Settings::new(NOWHERE).with("PUBLISH_TIMEOUT_SECS", "30").start(&[]).await;
    let mut client = Client::connect(ingest.addr()).await;
    client.send(head("/webhook", UPDATE.len(), Some(&signature_of(UPDATE)))).await;
    client.send(UPDATE).await;
    let metrics =
        |count: &'static str| crate::http::until(ingest.admin(), "/metrics", move |answer| answer.body.contains(count));
    metrics("switchboard_ingest_in_flight 1").await;
    drop(client);
    metrics("switchboard_ingest_in_flight 0").await;
}
