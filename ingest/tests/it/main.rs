//! Ingest as a process: the real binary, a real RabbitMQ, and the network in between broken on purpose.
//!
//! Needs `RABBITMQ_URL`. Every test has a process and queues of its own, so they run side by side.

#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a panic is how a test fails, and the enums that are matched are not ours"
)]

mod oracle;

mod http;
mod process;
mod queues;

mod configuration;
mod content;
mod dependencies;
mod durability;
mod handshake;
mod refusal;
mod stopping;
