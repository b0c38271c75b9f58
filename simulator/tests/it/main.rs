//! The stand-ins from outside, as a worker and an ingest meet them.

mod ai;
mod command_line;
mod faults;
mod graph;
mod journal;
mod setup;
mod statuses;
mod webhooks;
