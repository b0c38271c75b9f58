//! RabbitMQ: the one publisher and the one consumer.
//!
//! lapin's own recovery stays off: it is silent towards consumers and does not end when a peer accepts and then
//! says nothing. Instead each side owns a supervisor that drops the whole connection on any error and builds a
//! new one, under a timeout, with growing jittered delays. Publishing and consuming use connections of their own,
//! because a memory alarm stops all writes of a connection that published, acknowledgements too.

mod connection;
mod dial;
mod tls;
mod bursts;
mod publisher;
mod consumer;
mod delivery;
mod drained;
mod inspection;

pub use connection::{HEARTBEAT, is_valid_url};
pub use consumer::Consumer;
pub use delivery::{Delivery, QueueRole, Settlement, Source};
pub use drained::StatusesDrained;
pub use inspection::{Inspection, QueueState, inspect};
pub use publisher::{Outgoing, PublishError, Publisher};
pub use tls::BrokerTls;
