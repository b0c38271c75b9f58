//! The standalone program, and its store by the suite of every store.

#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a panic is how a test fails, and what a test does not name is what it does not care about"
)]

mod sqlite;
mod process;
mod serving;
mod system;
mod proof;
mod browser;
