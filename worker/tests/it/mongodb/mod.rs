//! The store on MongoDB: the suite of every store, and what is MongoDB's own.

// Clippy takes a whole file for a test only so.
#![cfg(test)]

mod backend;
mod server;
mod indexes;
mod older;
mod round_trips;
#[path = "../store/mod.rs"]
mod suite;
