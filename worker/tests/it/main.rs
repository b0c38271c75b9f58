//! The worker against real RabbitMQ and MongoDB, with Meta and the AI stood in for by the simulator.

#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a panic is how a test fails, and what a test does not name is what it does not care about"
)]

mod readme;
mod document;
mod mongodb;
mod system;
mod tls;
mod proof;
mod model;
