//! A webhook's body, from the socket's side of ingest to what it publishes.
//!
//! Whatever Meta signed is answered with 200, and everything in it is published exactly once, each piece as an
//! envelope that a worker decodes, with an address that the queues know. What is no webhook is kept byte by byte.
//! Nothing of a forgery is published.

#![no_main]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, LazyLock, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{Request, StatusCode},
};
use ingest::{
    Signatures,
    settings::WebhookSettings,
    sink::{NotKept, Sink},
    webhooks::Webhooks,
};
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use serde_json::Value;
use shared::{
    broker::Outgoing,
    envelope::{Envelope, Kind},
    signature,
    topology::{Exchange, STATUS_PARTITIONS, Topology, partition},
};
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// The law of ingest's own tests, reckoned without any of its code.
#[path = "../../ingest/tests/it/oracle.rs"]
#[allow(dead_code, reason = "the tests use the rest of it")]
mod oracle;

const PARTITIONS: u16 = 8;
/// Far more than fits into a body of ingest's bound on updates, with the least that an update takes.
const SURELY_FEW_BYTES: usize = 5_000;

fuzz_target!(|body: &[u8]| {
    let published = WORLD.deliver(body);
    let again = WORLD.deliver(body);
    let ids = |messages: &[Outgoing]| -> Vec<(String, String)> {
        messages.iter().map(|message| (message.message_id.clone(), message.routing_key.clone())).collect()
    };
    assert_eq!(ids(&published), ids(&again), "the same body has the same ids");

    // Keys that come twice are beyond the oracle. In what it reads they have been united.
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
    let text = value.to_string();
    let published = WORLD.deliver(text.as_bytes());
    if !oracle::is_webhook(&value) {
        assert!(matches!(published.as_slice(), [dead] if dead.exchange == Exchange::Dead));
    } else if published.first().is_none_or(|first| first.exchange != Exchange::Dead) {
        let carried: Vec<_> = published.iter().map(carried).collect();
        oracle::assert_accounted_for(&text, &carried);
    } else {
        assert!(text.len() > SURELY_FEW_BYTES, "a small webhook was not taken apart");
    }
});

fn carried(message: &Outgoing) -> (String, String) {
    let envelope = Envelope::decode(&message.body).expect("an envelope");
    (envelope.kind.name().to_owned(), envelope.payload.get().to_owned())
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// Ingest as it is served, with a list for a broker.
struct World {
    runtime: Runtime,
    router: Router,
    kept: Arc<Kept>,
    secret: SecretString,
}

impl World {
    fn new() -> Self {
        let secret = SecretString::from("the-secret-of-an-app");
        let kept = Arc::new(Kept { topology: Topology::new("fuzz", PARTITIONS), messages: Mutex::default() });
        let settings = WebhookSettings {
            verify_token: SecretString::from("the-verify-token"),
            signatures: Signatures::Verified(vec![SecretString::from("another-secret"), secret.clone()]),
            allow_unsigned_ignored: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let router = Webhooks::new(settings, Arc::clone(&kept) as Arc<dyn Sink>).router();
        Self { runtime, router, kept, secret }
    }

    /// What is published for a body that Meta signed. A forgery of it is tried as well.
    fn deliver(&self, body: &[u8]) -> Vec<Outgoing> {
        let signature = signature::sign(&self.secret, body);
        let (status, published) = self.post(body, &signature);
        assert_eq!(status, StatusCode::OK, "what Meta signed is taken");
        check(body, &published);
        let forged = [body, b" "].concat();
        let (status, nothing) = self.post(&forged, &signature);
        assert!(matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS), "a forgery: {status}");
        assert!(nothing.is_empty(), "a forgery was published");
        published
    }

    fn post(&self, body: &[u8], signature: &str) -> (StatusCode, Vec<Outgoing>) {
        let request = Request::post("/webhook")
            .header(signature::HEADER, signature)
            .extension(ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 9))))
            .body(Body::from(body.to_vec()))
            .expect("a request");
        let status = self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
            let status = response.status();
            assert!(
                to_bytes(response.into_body(), 1).await.expect("no body").is_empty(),
                "nothing inner shows outside"
            );
            status
        });
        (status, std::mem::take(&mut *self.kept.messages.lock().expect("nobody panicked with it")))
    }
}

#[derive(Debug)]
struct Kept {
    topology: Topology,
    messages: Mutex<Vec<Outgoing>>,
}

#[async_trait::async_trait]
impl Sink for Kept {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    async fn keep(&self, messages: &[Outgoing]) -> Result<(), NotKept> {
        self.messages.lock().expect("nobody panicked with it").extend_from_slice(messages);
        Ok(())
    }
}

fn check(body: &[u8], published: &[Outgoing]) {
    for (position, message) in published.iter().enumerate() {
        let owner = check_address(message);
        if message.exchange == Exchange::Dead {
            assert_eq!((message.body.as_slice(), published.len()), (body, 1), "kept as it is");
            continue;
        }
        let envelope = Envelope::decode(&message.body).expect("what ingest writes a worker reads");
        assert_eq!(envelope.encode(), message.body, "nothing is lost in between");
        assert_eq!(usize::try_from(envelope.index), Ok(position), "in the order of the body");
        assert_eq!(envelope.kind.name(), message.kind);
        assert_eq!(envelope.kind == Kind::Status, message.exchange == Exchange::Status);
        let number = envelope.phone_number_id.as_ref().map(|id| id.expose());
        let account = envelope.waba_id.as_ref().map(|id| id.expose());
        assert_eq!(number.or(account).unwrap_or("none"), owner, "where its business's updates are");
        assert!(envelope.kind != Kind::Message || number.is_some(), "a message belongs to a number");
    }
}

/// The owner in the routing key, which is one that the queues are bound to.
fn check_address(message: &Outgoing) -> &str {
    let (shard, owner) = message.routing_key.split_once('.').expect("a partition and an owner");
    let partitions = match message.exchange {
        Exchange::Inbound => PARTITIONS,
        Exchange::Status => STATUS_PARTITIONS,
        Exchange::Dead => 1,
    };
    assert_eq!(shard.parse(), Ok(partition(owner, partitions)));
    assert!(partition(owner, partitions) < partitions);
    assert!((1..=64).contains(&owner.len()), "{owner:?}");
    assert!(owner.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')), "{owner:?}");
    // An AMQP short string (AMQP 0-9-1, 4.2.5.3).
    assert!((1..=255).contains(&message.message_id.len()), "{:?}", message.message_id);
    assert!(!message.message_id.chars().any(char::is_control), "{:?}", message.message_id);
    owner
}
