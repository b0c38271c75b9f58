//! The one publisher: a batch is published, and confirmed as a whole or not at all.
//!
//! Publishes are persistent, pipelined over a few channels, and awaited together; those of one batch share a
//! channel, so they keep their order, and so do batches that come at the same time ([`Bursts`]). Only a plain
//! acknowledgement counts. A timeout means "unknown", not "failed": the message may still arrive, and consumers
//! drop what they know already.
//! No publish is `mandatory`, because lapin can attach a return to the wrong confirm of a shared channel; an
//! alternate exchange takes what no binding takes.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::future::try_join_all;
use lapin::{
    BasicProperties, Channel, Confirmation, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    bursts::Bursts,
    connection::{ConnectError, HEARTBEAT, Link, connect},
};
use crate::{
    admin::Condition,
    retry::Delays,
    settings::BrokerSettings,
    topology::{Exchange, Topology},
};

/// Bursts that are out at once. Fewer make them larger, and let whoever comes wait for longer: with four, 256 connections
/// to ingest on two cores brought up to a tenth more, and at half of that rate a median of 6 in place of 3 ms.
const CHANNELS: usize = 8;
/// Messages of a batch that are handed to lapin before the first one is waited for.
const AT_ONCE: usize = 64;
const RECONNECT_FIRST: Duration = Duration::from_millis(200);
const RECONNECT_MOST: Duration = Duration::from_secs(5);

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to.
    pub exchange: Exchange,
    /// From [`Topology::routing_key`].
    pub routing_key: String,
    /// AMQP `message_id`, at most 255 bytes: the id that duplicates are told by.
    pub message_id: String,
    /// AMQP `type`.
    pub kind: &'static str,
    /// AMQP `content_type`.
    pub content_type: &'static str,
    /// AMQP `timestamp`, in seconds since the Unix epoch.
    pub timestamp: u64,
    /// Extra headers, such as the W3C `traceparent`.
    pub headers: Vec<(&'static str, String)>,
    /// The bytes.
    pub body: Vec<u8>,
}

/// Why a batch is not known to be in the queues. The caller's caller must send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No connection, or the broker is blocked, for the whole time.
    #[error("RabbitMQ cannot be reached, or accepts no publishes")]
    Unavailable,
    /// The broker refused: a queue is full.
    #[error("RabbitMQ refused a message, because a queue is full")]
    Refused,
    /// The connection broke or time ran out before every confirm was there.
    #[error("RabbitMQ did not confirm in time")]
    Unconfirmed,
}

/// The publisher. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    session: watch::Receiver<Option<Arc<Session>>>,
    topology: Topology,
    timeout: Duration,
}

/// The channels of one connection.
#[derive(Debug)]
struct Session {
    channels: Vec<Numbered>,
    bursts: Bursts,
    failed: CancellationToken,
    blocked: watch::Receiver<bool>,
    opened: Instant,
    /// When a batch was confirmed last, in milliseconds since `opened`, and one more; 0 before the first.
    confirmed: AtomicU64,
}

/// A channel on which messages are confirmed by number. lapin counts a message and queues it in two steps, and so does the
/// broker on its side by what arrives: were two threads to take the second step in the other order, each would be told what
/// became of the other's message.
#[derive(Debug)]
struct Numbered {
    channel: Channel,
    order: Mutex<()>,
}

impl Publisher {
    /// Starts the supervisor, which keeps a connection, declares the topology on each new one, and reports to
    /// `condition`. It ends, closing the connection, when `stop` is cancelled.
    pub fn start(settings: &BrokerSettings, name: &'static str, condition: Condition, stop: CancellationToken) -> Self {
        let (sender, session) = watch::channel(None);
        tokio::spawn(supervise(settings.clone(), name, sender, condition, stop));
        Self { session, topology: settings.topology.clone(), timeout: settings.publish_timeout }
    }

    /// Names of exchanges and routing keys.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Publishes the batch and waits until all of it is confirmed, within the configured timeout. A connection
    /// that breaks is waited for, and the batch repeated, as long as time is left.
    ///
    /// Cancellation: what was written may still arrive.
    ///
    /// # Errors
    /// See [`PublishError`]; part of the batch may be in the queues all the same.
    pub async fn publish(&self, batch: &[Outgoing]) -> Result<(), PublishError> {
        let deadline = Instant::now() + self.timeout;
        let mut sessions = self.session.clone();
        let mut outcome = PublishError::Unavailable;
        loop {
            let waiting = usable_session(&mut sessions);
            let Ok(Some(session)) = tokio::time::timeout_at(deadline, waiting).await else {
                return Err(outcome);
            };
            let began = Instant::now();
            match tokio::time::timeout_at(deadline, session.publish(&self.topology, batch)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(BatchError::Refused)) => return Err(PublishError::Refused),
                // Before anything of this batch was written.
                Ok(Err(BatchError::Gone)) => {}
                Ok(Err(BatchError::Broken(error))) => {
                    tracing::debug!(%error, "a publish failed");
                    session.failed.cancel();
                    outcome = PublishError::Unconfirmed;
                }
                Err(_) => {
                    if session.is_dead(began, self.timeout) {
                        session.failed.cancel();
                    }
                    return Err(PublishError::Unconfirmed);
                }
            }
        }
    }
}

/// Waits for a session that is neither failed nor blocked; none when the supervisor is gone.
async fn usable_session(sessions: &mut watch::Receiver<Option<Arc<Session>>>) -> Option<Arc<Session>> {
    loop {
        let current = sessions.borrow_and_update().clone();
        match current {
            Some(session) if !session.failed.is_cancelled() => {
                let mut blocked = session.blocked.clone();
                // The block drops the channel's read guard, which must not be held (nor sent) across an await.
                let free = async { blocked.wait_for(|blocked| !blocked).await.is_ok() };
                tokio::select! {
                    free = free => {
                        if free && !session.failed.is_cancelled() {
                            return Some(session);
                        }
                        sessions.changed().await.ok()?;
                    }
                    changed = sessions.changed() => changed.ok()?,
                }
            }
            Some(_) | None => sessions.changed().await.ok()?,
        }
    }
}

enum BatchError {
    Gone,
    Refused,
    Broken(lapin::Error),
}

impl Session {
    /// Whether a publish that began then, and was not confirmed in time, shows that the connection is dead. One that had
    /// waited for the connection, and had little time left, shows nothing: after an outage there are many of them, and
    /// each would take the connection from all others. While the broker is blocked the frames wait in the socket, and
    /// while others are confirmed it is a single queue that does not answer.
    fn is_dead(&self, began: Instant, timeout: Duration) -> bool {
        let confirmed = self.confirmed.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis);
        let others_are_confirmed = confirmed.is_some_and(|after| self.opened + after >= began);
        began.elapsed() >= timeout / 2 && !*self.blocked.borrow() && !others_are_confirmed
    }

    fn note_confirmed(&self) {
        let after = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.confirmed.fetch_max(after.saturating_add(1), Ordering::Relaxed);
    }

    async fn publish(&self, topology: &Topology, batch: &[Outgoing]) -> Result<(), BatchError> {
        let place = tokio::select! {
            place = self.bursts.place() => place,
            () = self.failed.cancelled() => return Err(BatchError::Gone),
        };
        let channel = self.channels.get(place.channel()).expect("there is a burst for each channel");
        let publishing = async {
            let mut confirms = Vec::with_capacity(batch.len());
            for some in batch.chunks(AT_ONCE) {
                confirms.extend(channel.publish(topology, some).await?);
            }
            crate::fail_point!("ingest.before.confirms");
            try_join_all(confirms).await
        };
        let confirmations = place.keep_until(publishing).await.map_err(BatchError::Broken)?;
        self.note_confirmed();
        // An acknowledgement that carries a returned message was not routed; nothing here is mandatory, so it
        // would be a fault in this module.
        let stored = |confirmation: &Confirmation| matches!(confirmation, Confirmation::Ack(None));
        if confirmations.iter().all(stored) { Ok(()) } else { Err(BatchError::Refused) }
    }
}

impl Numbered {
    /// Publishes messages, in this order.
    async fn publish(&self, topology: &Topology, messages: &[Outgoing]) -> lapin::Result<Vec<PublisherConfirm>> {
        let mut publishing: Vec<_> =
            messages.iter().map(|message| Box::pin(self.publish_one(topology, message))).collect();
        // Both steps are taken when one is polled for the first time; from then on it waits for the socket.
        let begun = poll_fn(|context| {
            let _alone = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            Poll::Ready(publishing.iter_mut().map(|one| one.as_mut().poll(context)).collect::<Vec<_>>())
        });
        let begun = begun.await;
        let mut confirms = Vec::with_capacity(messages.len());
        for (one, begun) in publishing.into_iter().zip(begun) {
            confirms.push(match begun {
                Poll::Ready(written) => written?,
                Poll::Pending => one.await?,
            });
        }
        Ok(confirms)
    }

    async fn publish_one(&self, topology: &Topology, message: &Outgoing) -> lapin::Result<PublisherConfirm> {
        let (exchange, options) = (topology.exchange(message.exchange), BasicPublishOptions::default());
        let (key, properties) = (message.routing_key.as_str().into(), properties(message));
        #[expect(clippy::disallowed_methods, reason = "the one place that publishes, with confirms")]
        self.channel.basic_publish(exchange.into(), key, options, &message.body, properties).await
    }
}

fn properties(message: &Outgoing) -> BasicProperties {
    const PERSISTENT: u8 = 2;
    let mut headers = FieldTable::default();
    for (name, value) in &message.headers {
        headers.insert((*name).into(), AMQPValue::LongString(value.as_str().into()));
    }
    BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(message.message_id.as_str().into())
        .with_type(message.kind.into())
        .with_content_type(message.content_type.into())
        .with_timestamp(message.timestamp)
        .with_headers(headers)
}

async fn supervise(
    settings: BrokerSettings,
    name: &'static str,
    sessions: watch::Sender<Option<Arc<Session>>>,
    condition: Condition,
    stop: CancellationToken,
) {
    let mut delays = Delays::new(RECONNECT_FIRST, RECONNECT_MOST);
    loop {
        let opened = tokio::select! {
            () = stop.cancelled() => return,
            opened = open(&settings, name) => opened,
        };
        match opened {
            Ok((link, session)) => {
                tracing::info!("connected to RabbitMQ for publishing");
                let session = Arc::new(session);
                let failed = session.failed.clone();
                let mut blocked = link.blocked.clone();
                sessions.send_replace(Some(Arc::clone(&session)));
                condition.set(true);
                loop {
                    tokio::select! {
                        () = failed.cancelled() => break,
                        () = stop.cancelled() => break,
                        Ok(()) = blocked.changed() => condition.set(!*blocked.borrow_and_update()),
                    }
                }
                condition.set(false);
                sessions.send_replace(None);
                link.close().await;
                if stop.is_cancelled() {
                    return;
                }
                // One that confirmed nothing is no better than none.
                if session.confirmed.load(Ordering::Relaxed) > 0 {
                    delays.reset();
                }
                metrics::counter!("switchboard_rabbitmq_reconnects_total", "side" => "publish").increment(1);
            }
            Err(error) => {
                tracing::warn!(%error, "no connection to RabbitMQ for publishing; trying again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(delays.next_delay()) => {}
        }
    }
}

async fn open(settings: &BrokerSettings, name: &str) -> Result<(Link, Session), ConnectError> {
    let link = connect(settings, name, HEARTBEAT).await?;
    let preparing = async {
        settings.topology.declare(&link.connection.create_channel().await?).await?;
        let mut channels = Vec::with_capacity(CHANNELS);
        for _ in 0..CHANNELS {
            let channel = link.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            channels.push(Numbered { channel, order: Mutex::new(()) });
        }
        lapin::Result::Ok(channels)
    };
    let prepared = match tokio::time::timeout(PREPARE_TIMEOUT, preparing).await {
        Ok(prepared) => prepared.map_err(ConnectError::from),
        Err(_) => Err(ConnectError::Timeout),
    };
    match prepared {
        Ok(channels) => {
            let (failed, blocked) = (link.failed.clone(), link.blocked.clone());
            let (bursts, opened, confirmed) = (Bursts::new(CHANNELS), Instant::now(), AtomicU64::new(0));
            Ok((link, Session { channels, bursts, failed, blocked, opened, confirmed }))
        }
        Err(error) => {
            link.close().await;
            Err(error)
        }
    }
}

/// Declaring some twenty quorum queues on a busy broker takes seconds.
pub(super) const PREPARE_TIMEOUT: Duration = Duration::from_secs(60);
