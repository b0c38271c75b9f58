//! The store in a SQLite file: the suite of every store, and what is SQLite's own.

// Clippy takes a whole file for a test only so.
#![cfg(test)]

mod backend;
#[path = "../../../../worker/tests/it/store/mod.rs"]
mod suite;
mod erasing;
mod listing;
