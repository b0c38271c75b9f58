//! One test's exchanges and queues: what is in them, and their removal.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::{
    Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::{BasicConsumeOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use shared::{
    envelope::Envelope,
    testing,
    topology::{Exchange, STATUS_PARTITIONS, Topology},
};

use simulator::{Journal, Proxy};

use crate::{oracle::Carried, process::Settings};

const PARTITIONS: u16 = 2;

pub(crate) struct Queues {
    prefix: String,
    topology: Topology,
}

/// RabbitMQ behind a proxy, and its URL by that way.
pub(crate) async fn rabbitmq_by_proxy() -> (Proxy, String) {
    Proxy::before(&testing::server("RABBITMQ_URL"), &Journal::in_memory()).await.expect("a proxy")
}

/// A message as a worker would get it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) routing_key: String,
    pub(crate) message_id: String,
    pub(crate) kind: String,
    pub(crate) content_type: String,
    pub(crate) persistent: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn envelope(&self) -> Envelope {
        Envelope::decode(&self.body).expect("an envelope")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

impl Queues {
    pub(crate) fn new(what: &str) -> Self {
        let prefix = testing::unique(what);
        Self { topology: Topology::new(&prefix, PARTITIONS), prefix }
    }

    /// Settings of a process that publishes here, by the given URL or by RabbitMQ's own.
    pub(crate) fn settings(&self, url: Option<&str>) -> Settings {
        let url = url.map_or_else(|| testing::server("RABBITMQ_URL"), str::to_owned);
        Settings::new(&url).with("QUEUE_PREFIX", &self.prefix)
    }

    fn inbound(&self) -> Vec<String> {
        (0..PARTITIONS).map(|i| self.topology.inbound_queue(i)).collect()
    }

    fn status(&self) -> Vec<String> {
        (0..STATUS_PARTITIONS).map(|i| self.topology.status_queue(i)).collect()
    }

    /// Takes everything out of the inbound and status queues, in the order of each.
    pub(crate) async fn take_updates(&self) -> Vec<Message> {
        let mut queues = self.inbound();
        queues.extend(self.status());
        take(&queues).await
    }

    /// Takes everything out of the queue of dead letters.
    pub(crate) async fn take_dead(&self) -> Vec<Message> {
        take(&[self.topology.dead_queue()]).await
    }

    /// What no binding took; nothing should be there.
    pub(crate) async fn take_unrouted(&self) -> Vec<Message> {
        take(&[self.topology.unrouted()]).await
    }

    /// Has RabbitMQ refuse what is published for this number, but for the first message.
    pub(crate) async fn fill_up(&self, number: &str) {
        let (_connection, channel) = try_channel().await.expect("RabbitMQ");
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        let full = self.full();
        let declaring = channel.queue_declare(full.as_str().into(), QueueDeclareOptions::default(), arguments);
        declaring.await.expect("declared");
        let (exchange, key) = (self.topology.exchange(Exchange::Inbound), format!("*.{number}"));
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        let binding = channel.queue_bind(full.into(), exchange.into(), key.into(), options, arguments);
        binding.await.expect("bound");
    }

    fn full(&self) -> String {
        format!("{}.full", self.prefix)
    }

    async fn remove(topology: Topology, queues: Vec<String>) {
        let Ok((_connection, channel)) = try_channel().await else { return };
        for queue in queues {
            drop(channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await);
        }
        let exchanges = [Exchange::Inbound, Exchange::Status, Exchange::Dead].map(|e| topology.exchange(e));
        for exchange in exchanges.into_iter().chain([topology.unrouted()]) {
            drop(channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await);
        }
    }
}

/// After a panic, too: what a failed test leaves would stay in the broker for ever.
impl Drop for Queues {
    fn drop(&mut self) {
        let mut queues = self.inbound();
        queues.extend(self.status());
        queues.extend([self.topology.unrouted(), self.topology.dead_queue(), self.full()]);
        let removing = Self::remove(self.topology.clone(), queues);
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            runtime.expect("a runtime").block_on(removing);
        });
        drop(removal.join());
    }
}

/// Kind and payload of each, for the oracle.
pub(crate) fn carried(messages: &[Message]) -> Vec<Carried> {
    let carried = |message: &Message| {
        let envelope = message.envelope();
        assert_eq!(envelope.kind.name(), message.kind);
        (message.kind.clone(), envelope.payload.get().to_owned())
    };
    messages.iter().map(carried).collect()
}

/// By consuming, because a queue with a single active consumer refuses to be asked for one message.
async fn take(queues: &[String]) -> Vec<Message> {
    let (connection, channel) = try_channel().await.expect("RabbitMQ");
    let mut messages = Vec::new();
    for queue in queues {
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await;
        let count = usize::try_from(declared.expect("the queue exists").message_count()).expect("a count");
        if count == 0 {
            continue;
        }
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consuming = channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default());
        let deliveries = consuming.await.expect("consuming").take(count).map(|got| message(&got.expect("a delivery")));
        let taken = tokio::time::timeout(Duration::from_secs(30), deliveries.collect::<Vec<_>>()).await;
        messages.extend(taken.expect("as many as the queue says"));
    }
    connection.close(200, "done".into()).await.expect("closed");
    messages
}

async fn try_channel() -> lapin::Result<(Connection, Channel)> {
    shared::install_tls_provider();
    let url = testing::server("RABBITMQ_URL");
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

fn message(got: &Delivery) -> Message {
    let properties = &got.properties;
    let headers = properties.headers().as_ref().into_iter().flat_map(|headers| headers.inner());
    let text = |(name, value): (_, &AMQPValue)| match value {
        AMQPValue::LongString(text) => Some((ToString::to_string(name), text.to_string())),
        _ => None,
    };
    Message {
        routing_key: got.routing_key.to_string(),
        message_id: properties.message_id().as_ref().expect("an id").to_string(),
        kind: properties.kind().as_ref().expect("a type").to_string(),
        content_type: properties.content_type().as_ref().expect("a content type").to_string(),
        persistent: *properties.delivery_mode() == Some(2),
        headers: headers.filter_map(text).collect(),
        body: got.data.clone(),
    }
}
