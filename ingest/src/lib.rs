//! Ingest: takes Meta's webhooks, makes what they carry durable on RabbitMQ, and acknowledges.
//!
//! The promise: a webhook is answered with 200 only when everything that it carries is confirmed by the broker,
//! and nothing that Meta signed is refused for its content. Whatever else happens is answered so that Meta sends
//! the webhook again, and what had been published already comes again under the same ids.
//!
//! The story is in [`webhooks`]: verify, parse, publish with confirm, answer. Ingest knows no business, no
//! database and no AI provider.

pub mod command;
pub mod process;
pub mod server;
pub mod settings;
pub mod sink;
pub mod webhooks;

mod batch;
mod body;
mod handshake;
pub mod outcome;
mod rejections;
mod signatures;
mod webhook;

pub use settings::VARIABLES;
pub use signatures::Signatures;
