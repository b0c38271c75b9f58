//! The whole promise on one screen: verify, parse, publish with confirm, answer.
//!
//! A webhook is answered with 200 when everything that it carries is confirmed by the broker, and only then.
//!
//! Cancellation: when the sender goes away, its request is dropped where it stands. Nothing is finished behind
//! its back: what was published stays published, the rest is not, Meta has seen no 200 and sends the whole body
//! again, and consumers drop what they know by its id. (Finishing in a task of its own would let requests that
//! nobody waits for pile up beyond the bound on those in flight.)

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Instant, SystemTime},
};

use axum::{
    Router,
    extract::{ConnectInfo, Query, Request, State},
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics::{counter, histogram};
use secrecy::SecretString;
use shared::trace::{self, SPAN, STEP};
use tokio::sync::Semaphore;
use tracing::{Instrument, field::Empty, info_span};

use crate::{
    batch::Batch,
    body::{self, Unreadable},
    handshake::Handshake,
    outcome::{InFlight, Outcome},
    rejections::Rejections,
    settings::WebhookSettings,
    signatures::Signatures,
    sink::{NotKept, Sink},
};

/// Signed webhooks that are being published. Meta sends them concurrently; what is beyond is told to come again rather
/// than kept waiting. Bodies that are being read do not count: anybody can send them slowly, and their number and size
/// have bounds of their own.
const MAX_IN_FLIGHT: usize = 512;

/// What a webhook is handled with. One for the whole process.
#[derive(Debug)]
pub struct Webhooks {
    verify_token: SecretString,
    signatures: Signatures,
    sink: Arc<dyn Sink>,
    in_flight: Semaphore,
    bodies: body::Reader,
    rejections: Rejections,
}

impl Webhooks {
    /// Ready to serve; the sink may still be connecting.
    pub fn new(settings: WebhookSettings, sink: Arc<dyn Sink>) -> Self {
        Self {
            verify_token: settings.verify_token,
            signatures: settings.signatures,
            sink,
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            bodies: body::Reader::new(),
            rejections: Rejections::default(),
        }
    }

    /// The paths for Meta. The server must put a [`ConnectInfo`] with the peer's address into every request.
    pub fn router(self) -> Router {
        let webhook = get(verify_address).post(deliver);
        Router::new().route("/whatsapp_response", webhook.clone()).route("/webhook", webhook).with_state(Arc::new(self))
    }

    async fn take(&self, peer: IpAddr, request: Request) -> Outcome {
        let _counted = InFlight::enter();
        let announced = content_length(request.headers());
        let Some(claim) = self.signatures.claim(request.headers()) else {
            return self.refuse(peer, "there is no well-formed signature");
        };
        let body = match self.bodies.read(request.into_body(), announced).await {
            Ok(body) => body,
            Err(unreadable) => return unread(peer, unreadable),
        };
        let Some(signed) = self.signatures.verify(&claim, &body.bytes) else {
            return self.refuse(peer, "the signature fits no app secret");
        };
        let Ok(_permit) = self.in_flight.try_acquire() else { return Outcome::Overloaded };
        // Only what Meta signed begins a trace: anybody can send the rest.
        let span = info_span!(target: SPAN, "webhook", otel.kind = "server", trace = Empty, outcome = Empty);
        let trace = trace::begin(&span, None);
        let batch = span.in_scope(|| Batch::of(signed, self.sink.topology(), SystemTime::now(), trace));
        // What was copied out of it takes its place.
        let _room = body.into_room();
        let outcome = self.keep(&batch).instrument(span.clone()).await;
        span.record("outcome", outcome.name());
        outcome
    }

    async fn keep(&self, batch: &Batch) -> Outcome {
        if batch.messages.is_empty() {
            // An empty `entry`: a broker that is away must not make Meta repeat it.
            return Outcome::Accepted;
        }
        let started = Instant::now();
        let span = info_span!(target: STEP, "publish", otel.kind = "producer", updates = batch.messages.len());
        if let Err(error) = self.sink.keep(&batch.messages).instrument(span).await {
            return unpublished(batch, error);
        }
        histogram!("switchboard_ingest_publish_confirm_seconds").record(started.elapsed());
        published(batch)
    }

    /// What is wrong with it is for the log only; whoever sent it learns nothing.
    fn refuse(&self, peer: IpAddr, why: &'static str) -> Outcome {
        if self.rejections.note(peer, Instant::now()) {
            tracing::warn!(%peer, why, "refused a webhook");
            Outcome::Unauthorized
        } else {
            Outcome::Limited
        }
    }
}

async fn deliver(
    State(webhooks): State<Arc<Webhooks>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Outcome {
    let started = Instant::now();
    let outcome = webhooks.take(peer.ip(), request).await;
    outcome.record(started.elapsed());
    outcome
}

async fn verify_address(
    State(webhooks): State<Arc<Webhooks>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    uri: Uri,
) -> Response {
    let parameters: Vec<_> = Query::try_from_uri(&uri).map(|Query(parameters)| parameters).unwrap_or_default();
    let handshake = Handshake::judge(&webhooks.verify_token, &parameters);
    let peer = peer.ip();
    match &handshake {
        Handshake::Passed { .. } => tracing::info!(%peer, "the webhook address was verified"),
        Handshake::NoChallenge => tracing::warn!(%peer, "a verification came without a usable challenge"),
        Handshake::Refused if webhooks.rejections.note(peer, Instant::now()) => {
            tracing::warn!(%peer, "refused a verification of the webhook address");
        }
        Handshake::Refused => return Outcome::Limited.into_response(),
    }
    handshake.into_response()
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn unread(peer: IpAddr, unreadable: Unreadable) -> Outcome {
    // Anybody can cause these, so they are counted and not logged at the default level.
    tracing::debug!(%peer, ?unreadable, "a body was not read");
    match unreadable {
        Unreadable::TooLarge => Outcome::TooLarge,
        Unreadable::TooSlow => Outcome::Timeout,
        Unreadable::BrokenOff => Outcome::BadRequest,
        Unreadable::NoRoom => Outcome::Overloaded,
    }
}

fn unpublished(batch: &Batch, error: NotKept) -> Outcome {
    let (trace, updates) = (batch.trace.trace_id(), batch.messages.len());
    tracing::warn!(%trace, updates, %error, "a webhook could not be published; Meta will send it again");
    Outcome::Unavailable
}

fn published(batch: &Batch) -> Outcome {
    let (trace, bytes) = (batch.trace.trace_id(), batch.bytes);
    if let Some(reason) = batch.dead {
        tracing::error!(%trace, bytes, %reason, "a signed body is no webhook; it is kept among the dead letters");
        return Outcome::Dead;
    }
    for message in &batch.messages {
        counter!("switchboard_ingest_updates_total", "kind" => message.kind).increment(1);
    }
    tracing::debug!(%trace, bytes, updates = batch.messages.len(), "a webhook is durable");
    Outcome::Accepted
}
