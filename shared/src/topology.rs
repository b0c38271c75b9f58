//! Which exchanges and queues there are, and which one a message goes to.
//!
//! Both binaries declare everything from here, because RabbitMQ refuses a second declaration with other
//! arguments (406) and then closes the channel. The arguments were run on RabbitMQ 3.10 and 4.0. Three of them
//! carry promises: `reject-publish` (a full queue refuses, it never drops the oldest message), an explicit
//! delivery limit (without one, 3.10 puts a returned message at the tail, and 4.x drops it after 20 returns) and
//! at-least-once dead-lettering (which silently becomes at-most-once without `reject-publish`).

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use sha2::{Digest, Sha256};

use crate::broker::QueueRole;

/// Queues for statuses, apart from the messages so that a backlog of those never delays the evidence that a
/// send happened.
pub const STATUS_PARTITIONS: u16 = 4;

/// Returns after which a queue gives a message to the dead letters. High, because every closed channel counts
/// as a return of its whole window: ordinary deployments must not use it up.
const DELIVERY_LIMIT: i32 = 100;
/// Bytes after which a queue refuses publishes.
const MAX_QUEUE_BYTES: i64 = 1 << 30;
/// The dead-letter queue has nowhere to pass a message on to, so its limit must never be reached. (-1 would
/// dead-letter at the first return on 3.10; without a limit 4.x takes 20 and drops.)
const NO_DELIVERY_LIMIT: i32 = i32::MAX;

/// The names of one installation, from `QUEUE_PREFIX` and `QUEUE_PARTITIONS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    prefix: String,
    partitions: u16,
}

/// The exchange that a message is published to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// Messages, echoes, account events and whatever else is handled in order.
    Inbound,
    /// Delivery statuses.
    Status,
    /// What cannot be handled and must not be lost.
    Dead,
}

impl Topology {
    /// `partitions` must be at least 1; the settings see to it.
    pub fn new(prefix: impl Into<String>, partitions: u16) -> Self {
        Self { prefix: prefix.into(), partitions: partitions.max(1) }
    }

    /// How many inbound queues there are.
    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// The full name of an exchange.
    pub fn exchange(&self, exchange: Exchange) -> String {
        let name = match exchange {
            Exchange::Inbound => "inbound",
            Exchange::Status => "status",
            Exchange::Dead => "dead",
        };
        format!("{}.{name}", self.prefix)
    }

    /// The queue of one inbound partition.
    pub fn inbound_queue(&self, partition: u16) -> String {
        format!("{}.inbound.{partition}", self.prefix)
    }

    /// The queue of one status partition.
    pub fn status_queue(&self, partition: u16) -> String {
        format!("{}.status.{partition}", self.prefix)
    }

    /// The queue (and fanout exchange) of what no binding took: a lost binding loses nothing.
    pub fn unrouted(&self) -> String {
        format!("{}.unrouted", self.prefix)
    }

    /// The queue of dead letters, named like its exchange.
    pub fn dead_queue(&self) -> String {
        self.exchange(Exchange::Dead)
    }

    /// The routing key of an update: `{partition}.{id}`, where the id is the phone number id, for account-level
    /// events the WABA id, and `none` where Meta named neither. All updates of one number share a partition.
    pub fn routing_key(&self, exchange: Exchange, id: Option<&str>) -> String {
        let id = id.unwrap_or("none");
        let partitions = match exchange {
            Exchange::Inbound => self.partitions,
            Exchange::Status => STATUS_PARTITIONS,
            Exchange::Dead => 1,
        };
        format!("{}.{id}", partition(id, partitions))
    }

    /// Declares everything. Idempotent; safe from several processes at once.
    ///
    /// # Errors
    /// lapin's error. 406 (`PRECONDITION_FAILED`) names a queue that exists with other arguments.
    pub async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        self.declare_exchange(channel, &self.unrouted(), ExchangeKind::Fanout, None).await?;
        self.declare_exchange(channel, &self.exchange(Exchange::Dead), ExchangeKind::Fanout, None).await?;
        for exchange in [Exchange::Inbound, Exchange::Status] {
            let alternate = Some(self.unrouted());
            self.declare_exchange(channel, &self.exchange(exchange), ExchangeKind::Topic, alternate).await?;
        }

        let dead = self.dead_queue();
        self.declare_queue(channel, &dead, QueueRole::Dead).await?;
        bind(channel, &dead, &dead, "").await?;

        self.declare_queue(channel, &self.unrouted(), QueueRole::Inbound).await?;
        bind(channel, &self.unrouted(), &self.unrouted(), "").await?;
        for i in 0..self.partitions {
            let queue = self.inbound_queue(i);
            self.declare_queue(channel, &queue, QueueRole::Inbound).await?;
            bind(channel, &queue, &self.exchange(Exchange::Inbound), &format!("{i}.*")).await?;
        }
        for i in 0..STATUS_PARTITIONS {
            let queue = self.status_queue(i);
            self.declare_queue(channel, &queue, QueueRole::Status).await?;
            bind(channel, &queue, &self.exchange(Exchange::Status), &format!("{i}.*")).await?;
        }
        Ok(())
    }

    async fn declare_exchange(
        &self,
        channel: &Channel,
        name: &str,
        kind: ExchangeKind,
        alternate: Option<String>,
    ) -> lapin::Result<()> {
        let mut arguments = FieldTable::default();
        if let Some(alternate) = alternate {
            arguments.insert("alternate-exchange".into(), AMQPValue::LongString(alternate.into()));
        }
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel.exchange_declare(name.into(), kind, options, arguments).await
    }

    /// Declares one queue. Where it is there with other arguments, RabbitMQ closes the channel with 406.
    pub(crate) async fn declare_queue(&self, channel: &Channel, name: &str, role: QueueRole) -> lapin::Result<()> {
        let arguments = match role {
            QueueRole::Inbound => {
                let mut arguments = self.with_dead_letters(quorum_arguments(DELIVERY_LIMIT));
                arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
                arguments
            }
            QueueRole::Status => self.with_dead_letters(quorum_arguments(DELIVERY_LIMIT)),
            QueueRole::Dead => quorum_arguments(NO_DELIVERY_LIMIT),
        };
        channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await?;
        Ok(())
    }

    fn with_dead_letters(&self, mut arguments: FieldTable) -> FieldTable {
        let exchange = self.exchange(Exchange::Dead);
        arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(exchange.into()));
        arguments.insert("x-dead-letter-strategy".into(), AMQPValue::LongString("at-least-once".into()));
        arguments
    }
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default()).await
}

fn quorum_arguments(delivery_limit: i32) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(delivery_limit));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(MAX_QUEUE_BYTES));
    arguments
}

/// The partition of an id: the first eight bytes of its SHA-256, modulo the number of partitions.
///
/// Golden-tested: two versions that disagreed would put one customer's messages into two queues.
pub fn partition(id: &str, partitions: u16) -> u16 {
    let digest = Sha256::digest(id.as_bytes());
    let first = digest.iter().take(8).fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
    u16::try_from(first % u64::from(partitions.max(1))).expect("less than a u16")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_those_of_every_other_version() {
        let ids = ["106540352242922", "102290129340398", "1", "none", "a-b_C"];
        assert_eq!(ids.map(|id| partition(id, 8)), GOLDEN_OF_8);
        assert_eq!(ids.map(|id| partition(id, 3)), GOLDEN_OF_3);
        assert!(ids.iter().all(|id| partition(id, 1) == 0));
    }
    // First eight bytes of `printf %s ID | sha256sum`, as a number, modulo 8 and 3.
    const GOLDEN_OF_8: [u16; 5] = [5, 7, 1, 6, 4];
    const GOLDEN_OF_3: [u16; 5] = [1, 1, 1, 0, 0];

    #[test]
    fn ids_spread_over_the_partitions() {
        let mut hits = [0_u32; 8];
        for n in 0..8_000 {
            hits[usize::from(partition(&format!("10654035{n}"), 8))] += 1;
        }
        assert!(hits.iter().all(|n| (800..1_200).contains(n)), "{hits:?}");
    }

    #[test]
    fn routing_keys_and_names_follow_the_contract() {
        let topology = Topology::new("whatsapp", 8);
        let p = partition("106540352242922", 8);
        assert_eq!(topology.routing_key(Exchange::Inbound, Some("106540352242922")), format!("{p}.106540352242922"));
        assert_eq!(topology.routing_key(Exchange::Inbound, None), format!("{}.none", partition("none", 8)));
        assert_eq!(topology.exchange(Exchange::Inbound), "whatsapp.inbound");
        assert_eq!(topology.inbound_queue(7), "whatsapp.inbound.7");
        assert_eq!(topology.status_queue(3), "whatsapp.status.3");
        assert_eq!(topology.unrouted(), "whatsapp.unrouted");
        assert_eq!(topology.dead_queue(), "whatsapp.dead");
    }
}
