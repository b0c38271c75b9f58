//! The whole system: the real binaries, real servers, and the simulator in Meta's and the AI's place.

pub(crate) mod harness;
pub(crate) mod process;

mod answers;
mod commands;
mod credentials;
mod customers;
mod dead_letters;
mod hostile;
mod identity;
mod knowledge;
mod lifecycle;
mod replay;
mod sending;
