//! What Meta signs arrives in the queues, whatever it is, byte by byte.

use serde_json::{Value, json};
use shared::{
    envelope::{Envelope, Kind},
    ids::PhoneNumberId,
};

use crate::{
    http::{ask, post, until},
    oracle::{assert_accounted_for, fixtures, is_webhook, mutate},
    process::Ingest,
    queues::{Message, Queues, carried},
};

/// Connected: to declare all queues may take longer than a webhook waits.
async fn start(queues: &Queues) -> Ingest {
    let ingest = queues.settings(None).start(&[]).await;
    until(ingest.admin(), "/readyz", |answer| answer.status == 200).await;
    ingest
}

#[tokio::test]
async fn every_kind_of_update_arrives_where_it_belongs() {
    let queues = Queues::new("kinds");
    let ingest = start(&queues).await;
    for (kind, name, body) in fixtures() {
        assert_eq!(post(ingest.addr(), &body).await.status, 200, "{kind}/{name}");
        let updates = queues.take_updates().await;
        assert_eq!(updates.len(), 1, "{kind}/{name}");
        assert_eq!(updates[0].kind, kind, "{name}");
        assert_eq!(updates[0].content_type, "application/json");
        assert!(updates[0].persistent);
        assert_accounted_for(std::str::from_utf8(&body).expect("UTF-8"), &carried(&updates));
        assert_eq!(updates[0].header("traceparent").expect("a trace").len(), 55);
        let owner = updates[0].envelope().phone_number_id.map(|id| id.expose().to_owned());
        let owner = owner.unwrap_or_else(|| "215589313246017".to_owned());
        assert!(updates[0].routing_key.ends_with(&format!(".{owner}")), "{}", updates[0].routing_key);
    }
    assert_eq!(queues.take_dead().await, []);
    assert_eq!(queues.take_unrouted().await, []);
    let metrics = ask(ingest.admin(), "GET", "/metrics").await.body;
    let (log, metrics) = (ingest.log(), metrics.as_str());
    for (kind, count) in [("message", 35), ("status", 10), ("echo", 3), ("account", 21), ("other", 17)] {
        let line = format!("switchboard_ingest_updates_total{{kind=\"{kind}\"}} {count}");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    assert!(!log.contains("16315550142") && !log.contains("Rosa") && !log.contains("wamid"), "{log}");
}

#[tokio::test]
async fn a_batch_of_several_businesses_keeps_each_numbers_order() {
    let queues = Queues::new("batch");
    let ingest = start(&queues).await;
    let change = |phone: usize, ids: std::ops::Range<usize>| {
        let messages: Vec<_> =
            ids.map(|n| json!({"id": format!("wamid.{phone}.{n:03}"), "from": "16315550142"})).collect();
        json!({"field": "messages", "value": {"metadata": {"phone_number_id": format!("10{phone}")}, "messages": messages}})
    };
    let entry = |from: usize| {
        let changes: Vec<_> = (0..5).map(|phone| change(phone, from..from + 50)).collect();
        json!({"id": "1", "changes": changes})
    };
    let body = json!({"entry": [entry(0), entry(50), entry(100), entry(150)]}).to_string();
    assert_eq!(post(ingest.addr(), body.as_bytes()).await.status, 200);
    let updates = queues.take_updates().await;
    assert_eq!(updates.len(), 1_000);
    for phone in 0..5 {
        let number = PhoneNumberId::parse(&format!("10{phone}")).expect("an id");
        let of_number = |update: &&Message| update.envelope().phone_number_id.as_ref() == Some(&number);
        let ids: Vec<_> = updates.iter().filter(of_number).map(|update| update.message_id.clone()).collect();
        let expected: Vec<_> = (0..200).map(|n| format!("wamid.{phone}.{n:03}")).collect();
        assert_eq!(ids, expected);
    }
    let mut indices: Vec<_> = updates.iter().map(|update| update.envelope().index).collect();
    indices.sort_unstable();
    assert_eq!(indices, (0..1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_redelivered_body_has_the_ids_that_it_had() {
    let queues = Queues::new("again");
    let ingest = start(&queues).await;
    let body = br#"{"entry":[{"id":"1","changes":[
        {"field":"messages","value":{"metadata":{"phone_number_id":"7"},"messages":[{"id":"wamid.A"},{"no":"id"}],
            "statuses":[{"id":"wamid.B","status":"read","timestamp":"5"}]}},
        {"field":"security","value":{}}]},{"id":"2"}]}"#;
    let mut ids = Vec::new();
    for _ in 0..2 {
        assert_eq!(post(ingest.addr(), body).await.status, 200);
        ids.push(queues.take_updates().await.into_iter().map(|update| update.message_id).collect::<Vec<_>>());
    }
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].contains(&"wamid.A".to_owned()) && ids[0].contains(&"wamid.B:read:5".to_owned()), "{ids:?}");
    let unique: std::collections::BTreeSet<_> = ids[0].iter().collect();
    assert_eq!(unique.len(), 5, "{ids:?}");
}

#[tokio::test]
async fn a_signed_body_that_is_no_webhook_is_kept_byte_by_byte() {
    let queues = Queues::new("dead");
    let ingest = start(&queues).await;
    let deep = format!("{{\"entry\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for (body, reason) in [
        (&b"secret text of a customer"[..], Some("not JSON")),
        (b"", Some("not JSON")),
        (b"\xff\xfe\x00binary", Some("not UTF-8")),
        (b"{\"object\":\"whatsapp_business_account\"}", Some("no entry array")),
        (b"[1, 2]", Some("no entry array")),
        (deep.as_bytes(), None),
        (b"{\"entry\":[]}", None),
    ] {
        assert_eq!(post(ingest.addr(), body).await.status, 200);
        let dead = queues.take_dead().await;
        assert_eq!(
            dead.iter().map(|message| message.header("reason")).collect::<Vec<_>>(),
            reason.map(Some).into_iter().collect::<Vec<_>>()
        );
        for message in dead {
            assert_eq!(message.body, body);
            assert_eq!((message.kind.as_str(), message.content_type.as_str()), ("raw", "application/octet-stream"));
            assert!(message.message_id.starts_with("body-") && message.persistent);
        }
    }
    let updates = queues.take_updates().await;
    assert_eq!(carried(&updates).iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["other"], "the deep one");
    let log = ingest.log();
    assert!(log.contains("no entry array") && !log.contains("secret text"), "{log}");
}

#[tokio::test]
async fn malformed_relatives_of_good_bodies_are_accepted_and_accounted_for() {
    let queues = Queues::new("maimed");
    let ingest = start(&queues).await;
    let fixtures = fixtures();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % 1_000_003).expect("small")
    };
    for _ in 0..150 {
        let mut body: Value = serde_json::from_slice(&fixtures[draw() % fixtures.len()].2).expect("JSON");
        for _ in 0..=draw() % 2 {
            if body.as_object().is_some_and(|map| !map.is_empty()) {
                mutate(&mut body, draw(), draw());
            }
        }
        let text = body.to_string();
        if serde_json::from_str::<Value>(&text).is_err() {
            continue;
        }
        assert_eq!(post(ingest.addr(), text.as_bytes()).await.status, 200, "{text}");
        let (updates, dead) = (queues.take_updates().await, queues.take_dead().await);
        if is_webhook(&body) {
            assert_eq!(dead, [], "{text}");
            assert_accounted_for(&text, &carried(&updates));
        } else {
            assert_eq!(updates, [], "{text}");
            assert_eq!(dead.iter().map(|message| message.body.as_slice()).collect::<Vec<_>>(), [text.as_bytes()]);
        }
    }
    assert_eq!(queues.take_unrouted().await, []);
}

#[tokio::test]
async fn a_huge_message_arrives_whole() {
    let queues = Queues::new("huge");
    let ingest = start(&queues).await;
    let payload = json!({"id": "wamid.huge", "text": {"body": "ü".repeat(3 << 19)}}).to_string();
    let body = format!(
        r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"metadata":{{"phone_number_id":7}},"messages":[{payload}]}}}}]}}]}}"#
    );
    assert!(body.len() > 3 << 20);
    assert_eq!(post(ingest.addr(), body.as_bytes()).await.status, 200);
    let updates = queues.take_updates().await;
    let Envelope { kind, payload: arrived, .. } = updates[0].envelope();
    assert_eq!((updates.len(), kind), (1, Kind::Message));
    assert!(arrived.get() == payload, "byte by byte");
}
