//! Opening a connection, and telling when it is gone.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::{
    Connection, ConnectionProperties, Event,
    uri::{AMQPScheme, AMQPUri},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{dial::dial, tls::RABBITMQ};
use crate::settings::BrokerSettings;

/// TCP, TLS and the AMQP handshake together. lapin's own timeout covers the first only, and a load balancer
/// that accepts and stays silent would hang it for ever.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A dead peer is noticed after about two and a half of these. RabbitMQ recommends 5 to 20 s.
pub const HEARTBEAT: Duration = Duration::from_secs(10);
/// The largest frame that is asked for, in bytes. lapin keeps room for 32 of them each way and connection, 8 MB at the 128 kB
/// that RabbitMQ offers; a longer body goes in several.
const FRAME_MOST: u32 = 32 * 1024;
/// A clean close is a courtesy to the broker; it must not delay a reconnection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("RABBITMQ_URL cannot be parsed")]
    Url,
    #[error("no answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
    /// In words, for a certificate that is not trusted is an operator's to mend.
    #[error("{0}")]
    Tls(String),
    #[error(transparent)]
    Amqp(lapin::Error),
}

impl From<lapin::Error> for ConnectError {
    fn from(error: lapin::Error) -> Self {
        RABBITMQ.explain(&error).map_or(Self::Amqp(error), Self::Tls)
    }
}

/// A connection and the signal of its end.
pub(super) struct Link {
    pub(super) connection: Connection,
    /// Cancelled when the connection failed or somebody found it unusable: it is then rebuilt.
    pub(super) failed: CancellationToken,
    /// True while the broker refuses publishes (memory or disk alarm).
    pub(super) blocked: watch::Receiver<bool>,
}

/// Whether the text is a URL that lapin can connect to.
pub fn is_valid_url(url: &SecretString) -> bool {
    parse(url, HEARTBEAT).is_ok()
}

/// Whether the URL is one with TLS; one that is no URL is not.
pub(super) fn is_encrypted(url: &SecretString) -> bool {
    parse(url, HEARTBEAT).is_ok_and(|uri| uri.scheme == AMQPScheme::AMQPS)
}

pub(super) fn parse(url: &SecretString, heartbeat: Duration) -> Result<AMQPUri, ConnectError> {
    let mut uri: AMQPUri = url.expose_secret().parse().map_err(|_| ConnectError::Url)?;
    // A bare slash at the end names the virtual host "" by the letter; everybody who writes it means "/".
    if uri.vhost.is_empty() {
        uri.vhost = "/".to_owned();
    }
    // An operator may want it shorter, but evidence of a send must not be held by a frozen worker for longer.
    let most = u16::try_from(heartbeat.as_secs()).unwrap_or(u16::MAX).max(1);
    uri.query.heartbeat = Some(uri.query.heartbeat.filter(|given| (1..most).contains(given)).unwrap_or(most));
    uri.query.frame_max.get_or_insert(FRAME_MOST);
    Ok(uri)
}

pub(super) async fn connect(settings: &BrokerSettings, name: &str, heartbeat: Duration) -> Result<Link, ConnectError> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let dialing = dial(parse(&settings.url, heartbeat)?, properties, settings.tls.config());
    let connection = tokio::time::timeout(CONNECT_TIMEOUT, dialing).await.map_err(|_| ConnectError::Timeout)??;
    let failed = CancellationToken::new();
    let (blocked_sender, blocked) = watch::channel(false);
    let mut events = connection.events_listener();
    let end = failed.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                event = events.next() => match event {
                                        Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(reason, "RabbitMQ accepts no publishes");
                        blocked_sender.send_replace(true);
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!("RabbitMQ accepts publishes again");
                        blocked_sender.send_replace(false);
                    }
                    // A soft error ends its channel only, and whoever uses that channel hears of it; looking
                    // for a queue that is not there is one.
                    Some(Event::Error(error)) if error.is_amqp_soft_error() => {
                        tracing::debug!(%error, "RabbitMQ closed a channel");
                    }
                    Some(Event::Error(error)) => {
                        let error = ConnectError::from(error);
                        tracing::warn!(%error, "the connection to RabbitMQ failed");
                        return end.cancel();
                    }
                    // Connected and flow events, and what later versions may add, change nothing here.
                    Some(_) => {}
                    None => return end.cancel(),
                },
            }
        }
    });
    Ok(Link { connection, failed, blocked })
}

impl Link {
    /// Ends the connection; unacknowledged deliveries return to their queues, in order.
    pub(super) async fn close(&self) {
        self.failed.cancel();
        let closing = self.connection.close(200, "closing".into());
        // Nothing is lost where this fails: the broker notices the lost socket.
        drop(tokio::time::timeout(CLOSE_TIMEOUT, closing).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_people_write_them() {
        let read = |url: &str| parse(&SecretString::from(url.to_owned()), HEARTBEAT);
        assert_eq!(read("amqp://localhost").expect("valid").vhost, "/");
        assert_eq!(read("amqp://u:p@localhost:5672/").expect("valid").vhost, "/");
        assert_eq!(read("amqps://u:p@localhost/%2f").expect("valid").vhost, "/");
        assert_eq!(read("amqp://localhost/tenant").expect("valid").vhost, "tenant");
        assert_eq!(read("amqp://localhost").expect("valid").query.heartbeat, Some(10));
        assert_eq!(read("amqp://localhost?heartbeat=5").expect("valid").query.heartbeat, Some(5));
        assert_eq!(read("amqp://localhost").expect("valid").query.frame_max, Some(FRAME_MOST));
        assert_eq!(read("amqp://localhost?frame_max=8192").expect("valid").query.frame_max, Some(8192));
        assert!(read("http://localhost").is_err());
        assert!(read("localhost:5672").is_err());
    }
}
