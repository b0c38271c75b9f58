//! The one consumer: every queue of the installation.
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
    Channel, Connection,
    options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::task::TaskTracker;

use super::{
    connection::{ConnectError, Link, connect},
    delivery::{Delivery, QueueRole, Settlement, Source, Unsettled, received},
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
