//! The one consumer: every queue of the installation, with settlement in one place.
//!
//! A delivery is acknowledged when its handler settles it, never before. Whatever goes wrong, the *connection* is
//! closed and rebuilt: unacknowledged deliveries then return to their queues in order. A consumer is never
//! cancelled, because cancelling hands the queue to the next consumer while this one still holds deliveries, and
//! a partition would be landed by two workers at once.
//!
//! What a worker holds nobody else sees, so one whose database is away does not hold it for long: it gives everything
//! back, and consumes again when the database answers. Others may land it meanwhile, and silence about a send can mean
//! something.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use lapin::{
    Acker, Channel, Connection,
    message::Delivery as AmqpDelivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::{
    connection::{ConnectError, Link, connect},
    drained::{InHand, Looks, StatusesDrained},
    inspection::is_probe,
    publisher::PREPARE_TIMEOUT,
};
use crate::{
    admin::Condition,
    retry::Delays,
    settings::BrokerSettings,
    shutdown::Shutdown,
    topology::{self, STATUS_PARTITIONS, Topology},
};

const RECONNECT_FIRST: Duration = Duration::from_millis(200);
const RECONNECT_MOST: Duration = Duration::from_secs(5);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Unacknowledged deliveries a queue. The only bound on lapin's inner buffer.
const PREFETCH: u16 = 128;
/// How often the status queues are looked at, and the database is asked whether it answers.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A look that takes longer has learned nothing.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);
/// A database that takes longer than this, or half a heartbeat where that is more, does not answer.
const ANSWER_LEAST: Duration = Duration::from_secs(1);
/// Dead letters may be large and are written one by one.
const PREFETCH_DEAD: u16 = 16;

/// What a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueRole {
    /// Messages, echoes and account events, in order.
    Inbound,
    /// Statuses; workers compete for them.
    Status,
    /// What was rejected, or came back too often.
    Dead,
}

/// A queue to consume from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The queue's name.
    pub queue: String,
    /// What it holds.
    pub role: QueueRole,
    /// Whether it holds what no binding took.
    pub is_unrouted: bool,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It is durable elsewhere.
    Acknowledge,
    /// It can never be handled: to the dead letters, with its bytes.
    DeadLetter,
}

/// A message from a queue. It must be settled: one that is dropped instead fails the connection, so that the
/// broker delivers it again.
#[derive(Debug)]
pub struct Delivery {
    /// Where it came from.
    pub source: Source,
    /// AMQP `message_id`.
    pub message_id: Option<String>,
    /// AMQP headers that hold text, such as `traceparent`.
    pub headers: Vec<(String, String)>,
    /// Why it was dead-lettered by the broker: the `reason` of the newest `x-death` entry.
    pub death_reason: Option<String>,
    /// The bytes.
    pub body: Vec<u8>,
    /// Whether the broker delivered it before.
    pub redelivered: bool,
    unsettled: Option<Unsettled>,
}

#[derive(Debug)]
struct Unsettled {
    acker: Acker,
    failed: CancellationToken,
    _counted: TaskTrackerToken,
    _status: Option<TaskTrackerToken>,
}

impl Delivery {
    /// Resolves when its connection is gone: the broker delivers it again, and nobody waits for it here.
    pub async fn returned(&self) {
        match &self.unsettled {
            Some(unsettled) => unsettled.failed.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Acknowledges or dead-letters it. Where the channel is gone the broker delivers it again, to whomever; the
    /// handler's effect must allow that.
    pub async fn settle(mut self, settlement: Settlement) {
        let Some(unsettled) = self.unsettled.take() else { return };
        #[expect(clippy::disallowed_methods, reason = "the one place that settles")]
        let settling = async {
            match settlement {
                Settlement::Acknowledge => unsettled.acker.ack(BasicAckOptions::default()).await,
                Settlement::DeadLetter => unsettled.acker.reject(BasicRejectOptions { requeue: false }).await,
            }
        };
        // On a connection that is gone lapin may never say so, and whoever settles would wait for ever.
        let settled = tokio::select! {
            () = unsettled.failed.cancelled() => Ok(false),
            settled = tokio::time::timeout(SETTLE_TIMEOUT, settling) => settled.unwrap_or(Ok(false)),
        };
        // `Ok(false)`: the channel died first, and nothing was sent.
        if !matches!(settled, Ok(true)) {
            metrics::counter!("switchboard_settlements_lost_total").increment(1);
            unsettled.failed.cancel();
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(unsettled) = self.unsettled.take()
            && !unsettled.failed.is_cancelled()
        {
            tracing::warn!(queue = self.source.queue, "a delivery was not settled: reconnecting, to get it again");
            unsettled.failed.cancel();
        }
    }
}

/// Consumes everything that workers handle.
#[derive(Debug)]
pub struct Consumer {
    /// Where and what.
    pub settings: BrokerSettings,
    /// Names the connection in RabbitMQ's management pages and spreads the partitions: different per process.
    pub worker_id: String,
    /// Reports whether the consumer is connected.
    pub condition: Condition,
    /// How soon RabbitMQ notices that this process stands still, and takes back what it holds: after about two and a
    /// half of these. Whole seconds.
    pub heartbeat: Duration,
    drained: watch::Sender<Option<Instant>>,
}

impl Consumer {
    /// A consumer that connects when it is run.
    pub fn new(settings: BrokerSettings, worker_id: String, condition: Condition, heartbeat: Duration) -> Self {
        Self { settings, worker_id, condition, heartbeat, drained: watch::Sender::new(None) }
    }

    /// What it learns about the status queues.
    pub fn statuses_drained(&self) -> StatusesDrained {
        StatusesDrained::from_queues(self.drained.subscribe())
    }

    /// Consumes until `shutdown`. `handle` gets the deliveries of one queue in their order, one call at a time
    /// for each queue; it should pass them on, and may wait to slow the queue down.
    ///
    /// `answers` tells whether the database does. While it does not, nothing is consumed; where it stops doing so, what
    /// was received goes back a heartbeat later, sooner than RabbitMQ takes it from a worker that stands still.
    ///
    /// In the drain, deliveries that were handed over may still be settled; the rest returns to the queues.
    pub async fn run<H, F, A, B>(self, handle: H, answers: A, shutdown: Shutdown)
    where
        H: Fn(Delivery) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send,
        A: Fn() -> B + Send + Sync,
        B: Future<Output = bool> + Send,
    {
        let mut delays = Delays::new(RECONNECT_FIRST, RECONNECT_MOST);
        while !shutdown.draining.is_cancelled() {
            let opened = tokio::select! {
                () = shutdown.draining.cancelled() => return,
                opened = async {
                    self.until(&answers).await;
                    self.open().await
                } => opened,
            };
            match opened {
                Ok((link, queues)) => {
                    delays.reset();
                    tracing::info!(queues = queues.len(), "consuming from RabbitMQ");
                    self.condition.set(true);
                    let statuses = InHand::default();
                    let looking = self.look_at_statuses(&link, &statuses, &answers);
                    tokio::select! {
                        () = consume(&link, queues, &statuses, handle.clone(), &shutdown) => {}
                        () = looking => unreachable!("it only ends with the select"),
                    }
                    self.condition.set(false);
                    link.close().await;
                    metrics::counter!("switchboard_rabbitmq_reconnects_total", "side" => "consume").increment(1);
                }
                Err(error) => tracing::warn!(%error, "no connection to RabbitMQ for consuming; trying again"),
            }
            tokio::select! {
                () = shutdown.draining.cancelled() => return,
                () = tokio::time::sleep(delays.next_delay()) => {}
            }
        }
    }

    async fn open(&self) -> Result<(Link, Vec<(Source, Channel, lapin::Consumer)>), ConnectError> {
        let link = connect(&self.settings, &format!("worker {} (consume)", self.worker_id), self.heartbeat).await?;
        let subscribing = tokio::time::timeout(PREPARE_TIMEOUT, self.subscribe(&link.connection));
        let subscribed = match subscribing.await {
            Ok(subscribed) => subscribed.map_err(ConnectError::from),
            Err(_) => Err(ConnectError::Timeout),
        };
        match subscribed {
            Ok(queues) => Ok((link, queues)),
            Err(error) => {
                link.close().await;
                Err(error)
            }
        }
    }

    async fn subscribe(&self, connection: &Connection) -> lapin::Result<Vec<(Source, Channel, lapin::Consumer)>> {
        let topology = &self.settings.topology;
        topology.declare(&connection.create_channel().await?).await?;
        let mut subscriptions = Vec::new();
        for source in sources(topology, former_partitions(topology, connection).await?) {
            let channel = connection.create_channel().await?;
            let prefetch = if source.role == QueueRole::Dead { PREFETCH_DEAD } else { PREFETCH };
            channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
            let mut arguments = FieldTable::default();
            arguments.insert("x-priority".into(), AMQPValue::LongInt(self.priority(&source.queue)));
            let (queue, options) = (source.queue.as_str().into(), BasicConsumeOptions::default());
            let consumer = channel.basic_consume(queue, "".into(), options, arguments).await?;
            subscriptions.push((source, channel, consumer));
        }
        Ok(subscriptions)
    }

    /// Notes each time that no status waits, and ends the link where the database is away for too long.
    async fn look_at_statuses<B>(&self, link: &Link, in_hand: &InHand, answers: &impl Fn() -> B)
    where
        B: Future<Output = bool> + Send,
    {
        let (mut channel, mut looks) = (None, Looks::default());
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let looked_at = Instant::now();
            let (waiting, answered) = tokio::join!(self.waiting(link, &mut channel), self.answered(answers));
            let drained = looks.look(looked_at, waiting, answered, in_hand);
            // On a link that failed, what was in hand is on its way back.
            if link.failed.is_cancelled() {
                continue;
            }
            if let Some(drained) = drained {
                self.drained.send_replace(Some(drained));
            }
            if looks.silent_for(looked_at) >= self.heartbeat {
                tracing::warn!("the database does not answer: giving back what was received from RabbitMQ");
                link.failed.cancel();
            }
        }
    }

    async fn answered<B: Future<Output = bool>>(&self, answers: &impl Fn() -> B) -> bool {
        let most = ANSWER_LEAST.max(self.heartbeat / 2);
        tokio::time::timeout(most, answers()).await.unwrap_or(false)
    }

    async fn until<B: Future<Output = bool>>(&self, answers: &impl Fn() -> B) {
        let mut told = false;
        while !self.answered(answers).await {
            if !std::mem::replace(&mut told, true) {
                tracing::warn!("the database does not answer in time: nothing is consumed until it does");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How many statuses wait in queues; none, where that cannot be learned.
    async fn waiting(&self, link: &Link, channel: &mut Option<Channel>) -> Option<u32> {
        let topology = &self.settings.topology;
        let counting = async {
            let open = match channel.take() {
                Some(open) => open,
                None => link.connection.create_channel().await?,
            };
            let queues = (0..STATUS_PARTITIONS).map(|i| topology.status_queue(i)).chain([topology.unrouted()]);
            let mut waiting = Some(0);
            for queue in queues {
                let passive = QueueDeclareOptions { passive: true, ..Default::default() };
                let found = open.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await?;
                // Without its leader a queue says that it has nothing, and not even us.
                waiting = waiting.filter(|_| found.consumer_count() > 0).map(|sum| sum + found.message_count());
            }
            // Kept only where all went well: an error closes a channel.
            *channel = Some(open);
            lapin::Result::Ok(waiting)
        };
        tokio::time::timeout(LOOK_TIMEOUT, counting).await.ok()?.ok()?
    }

    /// A score per worker and queue (rendezvous hashing), so that RabbitMQ 4 spreads the partitions over the
    /// workers; 3.x lets the first come have a queue. Never negative, for consumers without one count as 0.
    fn priority(&self, queue: &str) -> i32 {
        i32::from(topology::partition(&format!("{}/{queue}", self.worker_id), 1_000))
    }
}

pub(super) fn sources(topology: &Topology, former: Vec<String>) -> Vec<Source> {
    let inbound = (0..topology.partitions()).map(|i| topology.inbound_queue(i));
    let source = |queue, role| Source { queue, role, is_unrouted: false };
    let inbound = inbound.chain(former).map(|queue| source(queue, QueueRole::Inbound));
    let unrouted = Source { queue: topology.unrouted(), role: QueueRole::Inbound, is_unrouted: true };
    let status = (0..STATUS_PARTITIONS).map(|i| source(topology.status_queue(i), QueueRole::Status));
    let dead = source(topology.dead_queue(), QueueRole::Dead);
    inbound.chain([unrouted]).chain(status).chain([dead]).collect()
}

/// The queues that an installation with more partitions left behind: they must be emptied.
pub(super) async fn former_partitions(topology: &Topology, connection: &Connection) -> lapin::Result<Vec<String>> {
    let mut found = Vec::new();
    loop {
        // A passive declaration that finds nothing closes its channel, so each gets one to throw away.
        let channel = connection.create_channel().await?;
        let index = topology.partitions().saturating_add(u16::try_from(found.len()).unwrap_or(u16::MAX));
        let queue = topology.inbound_queue(index);
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        match channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await {
            Ok(_) => found.push(queue),
            Err(_) if connection.status().connected() => return Ok(found),
            Err(error) => return Err(error),
        }
    }
}

/// Runs one task a queue until one of them ends, the link fails, or a stop begins; then waits for what was handed
/// over, as long as it can still be settled.
async fn consume<H, F>(
    link: &Link,
    queues: Vec<(Source, Channel, lapin::Consumer)>,
    statuses: &InHand,
    handle: H,
    shutdown: &Shutdown,
) where
    H: Fn(Delivery) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send,
{
    let handed_over = TaskTracker::new();
    handed_over.close();
    let mut tasks = JoinSet::new();
    // Kept until the link is closed: dropping a lapin consumer cancels it.
    let mut channels = Vec::with_capacity(queues.len());
    for (source, channel, consumer) in queues {
        channels.push(channel);
        let (handle, counted) = (handle.clone(), handed_over.clone());
        let status = (source.role == QueueRole::Status || source.is_unrouted).then(|| statuses.clone());
        let (failed, draining) = (link.failed.clone(), shutdown.draining.clone());
        tasks.spawn(async move {
            let mut consumer = consumer;
            loop {
                let next = tokio::select! {
                    () = failed.cancelled() => break,
                    () = draining.cancelled() => break,
                    next = consumer.next() => next,
                };
                match next {
                    Some(Ok(delivery)) => {
                        let unsettled = Unsettled {
                            acker: delivery.acker.clone(),
                            failed: failed.clone(),
                            _counted: counted.token(),
                            _status: status.as_ref().map(InHand::token),
                        };
                        if is_probe(&delivery) {
                            received(source.clone(), delivery, unsettled).settle(Settlement::Acknowledge).await;
                            continue;
                        }
                        // A handler that waits holds its delivery; on a failed link that is of no use.
                        tokio::select! {
                            () = handle(received(source.clone(), delivery, unsettled)) => {}
                            () = failed.cancelled() => break,
                        }
                    }
                    Some(Err(error)) => {
                        tracing::warn!(queue = source.queue, %error, "consuming failed");
                        failed.cancel();
                    }
                    None => {
                        tracing::warn!(queue = source.queue, "RabbitMQ ended the consumer");
                        failed.cancel();
                    }
                }
            }
            consumer
        });
    }
    // The consumers are kept alive as well, for the same reason.
    let mut ended = Vec::new();
    loop {
        tokio::select! {
            task = tasks.join_next() => match task {
                Some(Ok(consumer)) => ended.push(consumer),
                Some(Err(error)) => {
                    tracing::error!(%error, "a consumer task failed");
                    link.failed.cancel();
                }
                None => break,
            },
            // A handler that waits (a queue that is slowed down) must not hold up a stop.
            () = shutdown.aborting.cancelled() => break,
        }
    }
    tokio::select! {
        () = handed_over.wait() => {}
        () = link.failed.cancelled() => {}
        () = shutdown.aborting.cancelled() => {}
    }
    link.close().await;
    tasks.abort_all();
    drop((ended, channels));
}

fn received(source: Source, delivery: AmqpDelivery, unsettled: Unsettled) -> Delivery {
    let properties = &delivery.properties;
    let headers = properties.headers().as_ref().map(FieldTable::inner);
    let texts = headers.into_iter().flatten().filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
    Delivery {
        message_id: properties.message_id().as_ref().map(ToString::to_string),
        headers: texts.collect(),
        death_reason: headers.and_then(|headers| newest_death(headers.get("x-death")?)),
        redelivered: delivery.redelivered,
        source,
        body: delivery.data,
        unsettled: Some(unsettled),
    }
}

/// `x-death` is an array of tables, newest first (RabbitMQ, "Dead Letter Exchanges").
fn newest_death(deaths: &AMQPValue) -> Option<String> {
    let AMQPValue::FieldArray(deaths) = deaths else { return None };
    let AMQPValue::FieldTable(newest) = deaths.as_slice().first()? else { return None };
    text(newest.inner().get("reason")?)
}

fn text(value: &AMQPValue) -> Option<String> {
    if let AMQPValue::LongString(text) = value { Some(text.to_string()) } else { None }
}
