//! What is sent: webhooks as Meta signs them, and the messages that ingest makes of them.
//!
//! Everything is made before the clock runs, and each has ids of its own.

use secrecy::SecretString;
use serde_json::value::RawValue;
use shared::{
    broker::Outgoing,
    envelope::{Envelope, Kind},
    ids::{PhoneNumberId, WabaId},
    topology::{Exchange, Topology},
};
use simulator::{
    Business, Customer, Seed, Tag,
    webhook::{Body, Content, Ids, Message, bytes_on_the_wire},
};

use super::http;

/// Who is written to. Their numbers fall into all of eight partitions.
pub(super) const BUSINESSES: u64 = 32;

/// The business of a conversation.
pub(super) fn business(n: u64) -> Business {
    let n = n % BUSINESSES;
    Business::new(format!("bench-{n}"), format!("10635405{n:05}"))
}

/// Who writes in a conversation.
pub(super) fn customer(conversation: u64) -> Customer {
    Customer::phone(format!("49151{conversation:08}")).named("Ana Lima")
}

/// What people write: one question, with the tag by which its answer is told.
pub(super) fn text(tag: Tag) -> String {
    format!("Hi! How much is a bike for a day, and do you have helmets for two children? {tag}")
}

/// Makes messages with ids that nothing else has.
#[derive(Debug)]
pub(super) struct Writer {
    ids: Ids,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { ids: Ids::new(Seed::random(), "bench") }
    }

    /// A message of a conversation.
    pub(super) fn message(&self, conversation: u64, tag: Tag) -> Message {
        Message::new(&self.ids, &customer(conversation), Content::text(text(tag)))
    }

    /// A signed webhook with that many messages, each of another conversation.
    pub(super) fn webhook(&self, secret: &SecretString, first: u64, messages: u64) -> Vec<u8> {
        let body = (first..first + messages).fold(Body::default(), |body, n| {
            // As at Meta: the messages of one body are mostly of one number.
            body.message(&business(first), &self.message(n, Tag(n)))
        });
        signed(secret, &body)
    }

    /// What ingest publishes for one message.
    pub(super) fn outgoing(&self, topology: &Topology, business: &Business, message: &Message) -> Outgoing {
        let raw = |value: serde_json::Value| {
            let text = String::from_utf8(bytes_on_the_wire(&value)).expect("it is ASCII");
            RawValue::from_string(text).expect("it is JSON")
        };
        let envelope = Envelope {
            kind: Kind::Message,
            phone_number_id: PhoneNumberId::parse(&business.phone_number_id).ok(),
            waba_id: WabaId::parse(&business.waba_id).ok(),
            contact: Some(raw(message.customer.contact())),
            received_at: jiff::Timestamp::now().as_millisecond(),
            index: 0,
            payload: raw(message.to_json()),
        };
        Outgoing {
            exchange: Exchange::Inbound,
            routing_key: topology.routing_key(Exchange::Inbound, Some(&business.phone_number_id)),
            message_id: message.id.clone(),
            kind: Kind::Message.name(),
            content_type: "application/json",
            timestamp: u64::try_from(message.timestamp).unwrap_or(0),
            headers: vec![(
                "traceparent",
                format!("00-{:032x}-{:016x}-01", rand::random::<u128>(), rand::random::<u64>()),
            )],
            body: envelope.encode(),
        }
    }
}

/// A webhook's body as a request with Meta's signature.
pub(super) fn signed(secret: &SecretString, body: &Body) -> Vec<u8> {
    let bytes = bytes_on_the_wire(&body.to_json());
    let signature = shared::signature::sign(secret, &bytes);
    http::post("/webhook", &[(shared::signature::HEADER, &signature)], &bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_businesses_fill_every_partition() {
        let of = |n| shared::topology::partition(&business(n).phone_number_id, 8);
        assert_eq!((0..BUSINESSES).map(of).collect::<BTreeSet<_>>().len(), 8);
    }

    #[test]
    fn what_is_published_is_an_envelope_of_the_message() {
        let writer = Writer::new();
        let message = writer.message(7, Tag(123_456));
        let topology = Topology::new("bench", 8);
        let outgoing = writer.outgoing(&topology, &business(7), &message);
        let envelope = Envelope::decode(&outgoing.body).expect("an envelope");
        assert_eq!(outgoing.message_id, message.id);
        assert!(envelope.payload.get().contains(&message.id) && envelope.payload.get().contains("#m123456"));
        assert_eq!(envelope.phone_number_id.expect("a number").expose(), business(7).phone_number_id);
        assert!(envelope.waba_id.is_some() && envelope.contact.is_some());
    }

    #[test]
    fn a_webhook_is_signed_and_holds_as_many_messages_as_asked_for() {
        let secret = SecretString::from("secret");
        let request = Writer::new().webhook(&secret, 100, 50);
        let text = String::from_utf8(request).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let signature = head
            .lines()
            .find_map(|line| line.strip_prefix("x-hub-signature-256: ").or(line.strip_prefix("X-Hub-Signature-256: ")));
        assert!(shared::signature::verify(&[secret], signature.expect("signed"), body.as_bytes()));
        let body = serde_json::from_str(body).expect("JSON");
        let updates = simulator::webhook::updates(&body);
        assert_eq!(updates.iter().map(|update| update.id.as_str()).collect::<BTreeSet<_>>().len(), 50);
    }
}
