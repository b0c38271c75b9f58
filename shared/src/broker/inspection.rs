//! RabbitMQ, looked at for who looks after an installation: what is there, who consumes, what is full.
//!
//! It creates nothing and takes nothing. AMQP tells a queue's length in messages, not in bytes, so that a long queue is
//! asked in the only way there is whether it still takes any: by one more message, a probe, which consumers acknowledge
//! unseen. A short one is not asked.

use std::time::Duration;

use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    message::Delivery,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    connection::{ConnectError, HEARTBEAT, Link, connect, parse},
    consumer::{former_partitions, sources},
    delivery::Source,
};
use crate::settings::BrokerSettings;

/// Everything together; a broker with an alarm may leave the last answers out.
const PATIENCE: Duration = Duration::from_secs(30);
/// A confirm takes milliseconds, where it comes at all.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);
/// No shorter queue can be full: a message is a webhook's at most, which has 3 MB, and a queue holds 1 GiB.
const FULL_AT_LEAST: u32 = 300;
/// AMQP `type` of a probe.
const PROBE: &str = "probe";

/// What was found.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The server's version, where it told it: not over TLS.
    pub version: Option<String>,
    /// Every queue of the installation, and those that a larger number of partitions left behind.
    pub queues: Vec<(Source, QueueState)>,
    /// Whether it takes publishes: with a memory or disk alarm it does not.
    pub accepts_publishes: bool,
}

/// How a queue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueState {
    /// It is not there.
    Missing,
    /// It is there.
    There {
        /// Messages that wait to be delivered.
        messages: u32,
        /// Consumers.
        consumers: u32,
        /// RabbitMQ's word on an argument that it has otherwise.
        differs: Option<String>,
        /// Whether it refuses messages.
        is_full: bool,
    },
}

/// Looks at everything.
///
/// # Errors
/// Why it cannot be looked at, without the password.
pub async fn inspect(settings: &BrokerSettings) -> Result<Inspection, String> {
    let version = version(settings).await;
    let link = connect(settings, "doctor", HEARTBEAT).await.map_err(|error| error.to_string())?;
    let looked = tokio::time::timeout(PATIENCE, look(settings, &link)).await.unwrap_or(Err(ConnectError::Timeout));
    link.close().await;
    let (queues, accepts_publishes) = looked.map_err(|error| error.to_string())?;
    Ok(Inspection { version, queues, accepts_publishes })
}

async fn look(settings: &BrokerSettings, link: &Link) -> Result<(Vec<(Source, QueueState)>, bool), ConnectError> {
    let (topology, connection) = (&settings.topology, &link.connection);
    let mut queues = Vec::new();
    for source in sources(topology, former_partitions(topology, connection).await?) {
        let state = match lengths(connection, &source.queue).await? {
            None => QueueState::Missing,
            Some((messages, consumers)) => {
                let differs = difference(settings, connection, &source).await?;
                QueueState::There { messages, consumers, differs, is_full: false }
            }
        };
        queues.push((source, state));
    }
    // Last: while there is an alarm, nothing more is read from a connection that has published.
    let accepts = accepts(connection, &format!("{}.nowhere", topology.unrouted())).await && !*link.blocked.borrow();
    if accepts {
        for (source, state) in &mut queues {
            if let QueueState::There { messages, is_full, .. } = state
                && *messages >= FULL_AT_LEAST
            {
                *is_full = !self::accepts(connection, &source.queue).await;
            }
        }
    }
    Ok((queues, accepts))
}

/// How many messages and consumers a queue has; none, where it is not there.
async fn lengths(connection: &Connection, queue: &str) -> Result<Option<(u32, u32)>, ConnectError> {
    // What is not there costs the channel, so each question gets one to throw away.
    let channel = connection.create_channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    match channel.queue_declare(queue.into(), passive, FieldTable::default()).await {
        Ok(found) => Ok(Some((found.message_count(), found.consumer_count()))),
        Err(_) if connection.status().connected() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a queue that is there has otherwise. A passive declaration compares nothing; one that fits changes nothing.
async fn difference(
    settings: &BrokerSettings,
    connection: &Connection,
    source: &Source,
) -> Result<Option<String>, ConnectError> {
    let channel = connection.create_channel().await?;
    match settings.topology.declare_queue(&channel, &source.queue, source.role).await {
        Ok(()) => Ok(None),
        Err(error) if connection.status().connected() => Ok(Some(reason(&error.to_string()))),
        Err(error) => Err(error.into()),
    }
}

/// The argument, out of `… inequivalent arg 'x-overflow' for queue 'q' in vhost '/': received … but current is …`.
fn reason(error: &str) -> String {
    let behind = error.split_once("inequivalent arg ").map(|(_, behind)| behind);
    behind.and_then(|behind| behind.split_whitespace().next()).unwrap_or("an argument").trim_matches('\'').to_owned()
}

/// Whether the broker confirms a message to this queue; to one that is not there it drops it, and confirms too.
async fn accepts(connection: &Connection, queue: &str) -> bool {
    let publishing = async {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        probe(&channel, queue).await?.await
    };
    let confirmed = tokio::time::timeout(CONFIRM_TIMEOUT, publishing).await;
    matches!(confirmed, Ok(Ok(Confirmation::Ack(_))))
}

async fn probe(channel: &Channel, queue: &str) -> lapin::Result<lapin::PublisherConfirm> {
    let properties = BasicProperties::default().with_type(PROBE.into());
    #[expect(clippy::disallowed_methods, reason = "it is confirmed, and to one queue, which the publisher cannot name")]
    let published = channel.basic_publish("".into(), queue.into(), BasicPublishOptions::default(), &[], properties);
    published.await
}

/// Whether a delivery is a question whether its queue takes any.
pub(super) fn is_probe(delivery: &Delivery) -> bool {
    delivery.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == PROBE) && delivery.data.is_empty()
}

/// What the server says of itself when it is greeted (AMQP 0-9-1, `connection.start`). The client library keeps it to
/// itself.
async fn version(settings: &BrokerSettings) -> Option<String> {
    let uri = parse(&settings.url, HEARTBEAT).ok()?;
    if uri.scheme != lapin::uri::AMQPScheme::AMQP {
        return None;
    }
    let greeting = async {
        let mut stream = TcpStream::connect((uri.authority.host.as_str(), uri.authority.port)).await.ok()?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await.ok()?;
        let mut bytes = vec![0; 4_096];
        let read = stream.read(&mut bytes).await.ok()?;
        version_in(bytes.get(..read)?)
    };
    tokio::time::timeout(CONFIRM_TIMEOUT, greeting).await.ok().flatten()
}

/// The entry `version` of the table: its name behind its length, `S`, four bytes of length, the text.
fn version_in(greeting: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\x07versionS";
    let at = greeting.windows(NAME.len()).position(|window| window == NAME)?;
    let (length, text) = greeting.get(at + NAME.len()..)?.split_first_chunk::<4>()?;
    let text = text.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_that_differs_is_found_in_the_error() {
        let error = "PRECONDITION_FAILED - inequivalent arg 'x-max-length-bytes' for queue 'q' in vhost '/': received";
        assert_eq!(reason(error), "x-max-length-bytes");
        assert_eq!(reason("anything else"), "an argument");
    }

    #[test]
    fn the_version_is_read_from_the_greeting_and_from_nothing_else() {
        let greeting = b"\x01\x00\x00\x07productS\x00\x00\x00\x08RabbitMQ\x07versionS\x00\x00\x00\x063.10.8\x05other";
        assert_eq!(version_in(greeting).as_deref(), Some("3.10.8"));
        for odd in [b"".as_slice(), b"HTTP/1.1 400", b"\x07versionS\x00\x00\xff\xff3", b"\x07versionS\x00"] {
            assert_eq!(version_in(odd), None);
        }
    }
}
