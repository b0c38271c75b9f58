//! RabbitMQ looked at and written to without the product's own publisher: what is measured against must not share its
//! faults. The queues are the product's, by `shared::topology`.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, PublisherConfirm,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeleteOptions, QueuePurgeOptions,
    },
    types::{AMQPValue, FieldTable},
};
use secrecy::{ExposeSecret, SecretString};
use shared::{
    broker::Outgoing,
    topology::{Exchange, STATUS_PARTITIONS, Topology},
};

use super::report::line;

/// More bring nothing.
const CHANNELS: usize = 4;
/// Inbound queues of every run, the product's default.
pub(super) const PARTITIONS: u16 = 8;

/// The queues of one run, and a connection that publishes into them.
#[derive(Debug)]
pub(super) struct Queues {
    connection: Connection,
    channels: Vec<Channel>,
    next: AtomicUsize,
    pub(super) topology: Topology,
    pub(super) prefix: String,
}

impl Queues {
    /// Connects, and declares queues that nothing else uses.
    pub(super) async fn declare(url: &SecretString, what: &str) -> anyhow::Result<Self> {
        let prefix = format!("bench_{what}_{:08x}", rand::random::<u32>());
        let connecting = Connection::connect(url.expose_secret(), ConnectionProperties::default());
        let connection = connecting.await.context("connect to RABBITMQ_URL")?;
        let topology = Topology::new(prefix.clone(), PARTITIONS);
        topology.declare(&connection.create_channel().await?).await.context("declare the queues")?;
        let mut channels = Vec::with_capacity(CHANNELS);
        for _ in 0..CHANNELS {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            channels.push(channel);
        }
        Ok(Self { connection, channels, next: AtomicUsize::new(0), topology, prefix })
    }

    /// Publishes messages and waits until all are confirmed.
    pub(super) async fn publish(&self, messages: &[Outgoing]) -> anyhow::Result<()> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % CHANNELS;
        let channel = self.channels.get(turn).context("there are channels")?;
        // All are handed over before the first one is waited for.
        for confirm in try_join_all(messages.iter().map(|message| self.write(channel, message))).await? {
            ensure!(matches!(confirm.await?, Confirmation::Ack(None)), "RabbitMQ refused a message");
        }
        Ok(())
    }

    async fn write(&self, channel: &Channel, message: &Outgoing) -> lapin::Result<PublisherConfirm> {
        let mut headers = FieldTable::default();
        for (name, value) in &message.headers {
            headers.insert((*name).into(), AMQPValue::LongString(value.as_str().into()));
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_message_id(message.message_id.as_str().into())
            .with_type(message.kind.into())
            .with_content_type(message.content_type.into())
            .with_timestamp(message.timestamp)
            .with_headers(headers);
        let exchange = self.topology.exchange(message.exchange);
        let (key, options) = (message.routing_key.as_str(), BasicPublishOptions::default());
        #[expect(clippy::disallowed_methods, reason = "this is what the product's publisher is measured against")]
        channel.basic_publish(exchange.into(), key.into(), options, &message.body, properties).await
    }

    /// Empties the queues, so that one measurement does not wait for what another left.
    pub(super) async fn purge(&self) -> anyhow::Result<()> {
        let channel = self.connection.create_channel().await?;
        for queue in self.names() {
            channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default()).await?;
        }
        Ok(channel.close(200, "done".into()).await?)
    }

    /// Deletes everything that was declared. What was measured counts, also where RabbitMQ cannot: it gives up a quorum
    /// queue whose log it is busy with after five seconds, and the connection with it.
    pub(super) async fn delete(self) {
        let prefix = self.prefix.clone();
        if let Err(error) = self.try_delete().await {
            line(&format!("  queues of {prefix} are left behind: {error:#}"));
        }
    }

    async fn try_delete(self) -> anyhow::Result<()> {
        let channel = self.connection.create_channel().await?;
        for queue in self.names() {
            channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
        }
        let exchanges = [Exchange::Inbound, Exchange::Status, Exchange::Dead].map(|one| self.topology.exchange(one));
        for exchange in exchanges.into_iter().chain([self.topology.unrouted()]) {
            channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await?;
        }
        Ok(self.connection.close(200, "done".into()).await?)
    }

    fn names(&self) -> Vec<String> {
        let inbound = (0..PARTITIONS).map(|n| self.topology.inbound_queue(n));
        let status = (0..STATUS_PARTITIONS).map(|n| self.topology.status_queue(n));
        inbound.chain(status).chain([self.topology.unrouted(), self.topology.dead_queue()]).collect()
    }
}
