//! Where what a webhook carries becomes durable: on RabbitMQ, or wherever whoever embeds ingest keeps it.

use std::fmt;

use async_trait::async_trait;
use shared::{
    broker::{Outgoing, Publisher},
    topology::Topology,
};

/// Keeps what webhooks carry.
#[async_trait]
pub trait Sink: fmt::Debug + Send + Sync {
    /// How updates are addressed.
    fn topology(&self) -> &Topology;

    /// Makes everything of one webhook durable, in its order. Dropping the future leaves some of it kept; it comes again
    /// under the same ids.
    ///
    /// # Errors
    /// Not all of it is known to be durable: the webhook must come again.
    async fn keep(&self, messages: &[Outgoing]) -> Result<(), NotKept>;
}

/// Why something is not known to be durable, for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct NotKept(pub String);

#[async_trait]
impl Sink for Publisher {
    fn topology(&self) -> &Topology {
        Self::topology(self)
    }

    async fn keep(&self, messages: &[Outgoing]) -> Result<(), NotKept> {
        self.publish(messages).await.map_err(|error| NotKept(error.to_string()))
    }
}
