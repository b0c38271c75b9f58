//! What Meta posts: the bodies of webhooks, and the [`Sender`] that signs and posts them.
//!
//! A [`Message`] is a [`Content`] from a [`Customer`]; a [`Body`] gathers messages, statuses and other changes of
//! any number of businesses, as Meta batches them. [`bytes_on_the_wire`] escapes as Meta does, and what it returns is
//! what must be signed.

mod body;
mod content;
mod customer;
mod message;
mod samples;
mod sender;
mod updates;
mod wire;

pub use body::{Body, Status};
pub use content::{Content, Media};
pub use customer::Customer;
pub use message::{Ids, Message};
pub use samples::{SAMPLES, sample, sample_content};
pub use sender::{Delivered, Patience, Sender, Undelivered};
pub use updates::updates;
pub use wire::bytes_on_the_wire;
