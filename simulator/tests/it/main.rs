//! The stand-ins from outside, as a worker and an ingest meet them.

#![allow(clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod account;
mod ai;
mod ai_faults;
mod ai_voice;
mod checker;
mod command_line;
mod demo;
mod faults;
mod graph;
mod journal;
mod media;
mod messages;
mod phone;
mod proxy;
mod setup;
mod statuses;
mod traffic;
mod webhooks;
