//! A message from a queue, and its settlement in the one place that settles.

use std::time::Duration;

use lapin::{
    Acker,
    message::Delivery as AmqpDelivery,
    options::{BasicAckOptions, BasicRejectOptions},
    types::{AMQPValue, FieldTable},
};
use tokio_util::{sync::CancellationToken, task::task_tracker::TaskTrackerToken};

const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

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
pub(super) struct Unsettled {
    pub(super) acker: Acker,
    pub(super) failed: CancellationToken,
    /// Kept until it is settled, for whoever waits for all of them.
    pub(super) _counted: TaskTrackerToken,
    /// The same, where it may be a status.
    pub(super) _status: Option<TaskTrackerToken>,
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

/// What came, as handlers see it.
pub(super) fn received(source: Source, delivery: AmqpDelivery, unsettled: Unsettled) -> Delivery {
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
