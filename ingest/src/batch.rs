//! What one webhook becomes on the queues: one AMQP message an update, in the order of the body.
//!
//! Ids are deterministic: when Meta sends the same body again, because an answer was lost, every message has the
//! id that it had before, and consumers drop what they know.

use std::{
    cell::LazyCell,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use shared::{
    broker::Outgoing,
    envelope::{Envelope, Kind},
    ids::{MADE_UP_PREFIX, PhoneNumberId, WabaId},
    topology::{Exchange, Topology},
    trace::{HEADER, TraceParent},
};

use crate::{
    signatures::Verified,
    webhook::{self, NotAWebhook, Update},
};

/// What is to be published for one webhook.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) messages: Vec<Outgoing>,
    /// Set where the body was not taken apart and goes to the dead letters as it is.
    pub(crate) dead: Option<NotAWebhook>,
    /// The length of the body.
    pub(crate) bytes: usize,
    pub(crate) trace: TraceParent,
}

impl Batch {
    /// Takes a body apart. Whatever it is, something is published for it, unless its `entry` is empty. It goes on in
    /// `trace`.
    pub(crate) fn of(body: Verified<'_>, topology: &Topology, received: SystemTime, trace: TraceParent) -> Self {
        let bytes = body.bytes().len();
        match webhook::parse(body.bytes()) {
            Ok(updates) => {
                let messages = outgoing(body, updates, topology, received, trace);
                Self { messages, dead: None, bytes, trace }
            }
            Err(reason) => {
                let messages = vec![dead_letter(body, reason, topology, received, trace)];
                Self { messages, dead: Some(reason), bytes, trace }
            }
        }
    }
}

fn outgoing(
    body: Verified<'_>,
    updates: Vec<Update<'_>>,
    topology: &Topology,
    received: SystemTime,
    trace: TraceParent,
) -> Vec<Outgoing> {
    let digest = LazyCell::new(|| body_id(body));
    let trace = trace.to_string();
    let compose = |(index, update): (u32, Update<'_>)| {
        let exchange = exchange(update.kind);
        let phone = update.phone_number_id.as_ref().map(PhoneNumberId::expose);
        let owner = phone.or(update.waba_id.as_ref().map(WabaId::expose));
        Outgoing {
            exchange,
            routing_key: topology.routing_key(exchange, owner),
            message_id: update.natural_id.unwrap_or_else(|| format!("{}-{index}", *digest)),
            kind: update.kind.name(),
            content_type: "application/json",
            timestamp: since_epoch(received).as_secs(),
            headers: vec![(HEADER, trace.clone())],
            body: Envelope {
                kind: update.kind,
                phone_number_id: update.phone_number_id,
                waba_id: update.waba_id,
                contact: update.contact.map(RawValue::to_owned),
                received_at: i64::try_from(since_epoch(received).as_millis()).unwrap_or(i64::MAX),
                index,
                payload: update.payload.to_owned(),
            }
            .encode(),
        }
    };
    (0..).zip(updates).map(compose).collect()
}

fn exchange(kind: Kind) -> Exchange {
    match kind {
        Kind::Status => Exchange::Status,
        Kind::Message | Kind::Echo | Kind::Account | Kind::Other => Exchange::Inbound,
    }
}

fn dead_letter(
    body: Verified<'_>,
    reason: NotAWebhook,
    topology: &Topology,
    received: SystemTime,
    trace: TraceParent,
) -> Outgoing {
    Outgoing {
        exchange: Exchange::Dead,
        routing_key: topology.routing_key(Exchange::Dead, None),
        message_id: body_id(body),
        kind: "raw",
        content_type: "application/octet-stream",
        timestamp: since_epoch(received).as_secs(),
        headers: vec![(HEADER, trace.to_string()), ("reason", reason.to_string())],
        body: body.bytes().to_vec(),
    }
}

fn body_id(body: Verified<'_>) -> String {
    format!("{MADE_UP_PREFIX}{}", hex::encode(Sha256::digest(body.bytes())))
}

fn since_epoch(time: SystemTime) -> std::time::Duration {
    // A clock before 1970 is no reason to lose a webhook.
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TEXT: &str = include_str!("../tests/fixtures/message/text.json");
    const DELIVERED: &str = include_str!("../tests/fixtures/status/delivered.json");
    const ACCOUNT: &str = include_str!("../tests/fixtures/account/account_update.json");

    fn batch(body: &str) -> Batch {
        let received = UNIX_EPOCH + Duration::from_millis(1_749_416_383_250);
        Batch::of(Verified::for_test(body.as_bytes()), &Topology::new("t", 8), received, TraceParent::random())
    }

    #[test]
    fn a_message_goes_to_its_number_and_a_status_beside() {
        let (text, status) = (batch(TEXT).messages, batch(DELIVERED).messages);
        assert_eq!((text[0].exchange, text[0].kind, text[0].timestamp), (Exchange::Inbound, "message", 1_749_416_383));
        assert_eq!((status[0].exchange, status[0].kind), (Exchange::Status, "status"));
        let topology = Topology::new("t", 8);
        for message in [&text[0], &status[0]] {
            let envelope = Envelope::decode(&message.body).expect("an envelope");
            let phone = envelope.phone_number_id.expect("a number");
            assert_eq!(message.routing_key, topology.routing_key(message.exchange, Some(phone.expose())));
            assert_eq!(envelope.received_at, 1_749_416_383_250);
        }
    }

    #[test]
    fn what_names_no_number_goes_by_its_account() {
        let account = batch(ACCOUNT).messages;
        let envelope = Envelope::decode(&account[0].body).expect("an envelope");
        let waba_id = envelope.waba_id.expect("an account");
        let expected = Topology::new("t", 8).routing_key(Exchange::Inbound, Some(waba_id.expose()));
        assert_eq!(account[0].routing_key, expected);
    }

    #[test]
    fn the_same_body_has_the_same_ids_and_another_trace() {
        for body in [TEXT, DELIVERED, ACCOUNT, "nonsense"] {
            let (first, second) = (batch(body).messages, batch(body).messages);
            let ids = |messages: &[Outgoing]| messages.iter().map(|m| m.message_id.clone()).collect::<Vec<_>>();
            assert_eq!(ids(&first), ids(&second));
            assert_ne!(first[0].headers, second[0].headers);
        }
        let made_up = batch(ACCOUNT).messages[0].message_id.clone();
        assert!(made_up.starts_with("body-") && made_up.ends_with("-0"), "{made_up}");
    }

    #[test]
    fn all_of_a_body_goes_on_in_its_trace() {
        for body in [TEXT, DELIVERED, ACCOUNT, "nonsense"] {
            let batch = batch(body);
            assert!(batch.messages.iter().all(|m| m.headers.contains(&("traceparent", batch.trace.to_string()))));
        }
    }

    #[test]
    fn what_is_no_webhook_goes_to_the_dead_letters_byte_by_byte() {
        let batch = batch("{\"entry\": 1}");
        assert_eq!(batch.dead, Some(NotAWebhook::NoEntries));
        assert_eq!(batch.messages[0].exchange, Exchange::Dead);
        assert_eq!(batch.messages[0].body, b"{\"entry\": 1}");
        assert!(batch.messages[0].headers.contains(&("reason", "no entry array".to_owned())));
    }
}
