//! The whole system: the real binaries, real servers, and the simulator in Meta's and the AI's place.

mod harness;
mod process;

mod answers;
mod commands;
mod credentials;
mod hostile;
mod identity;
mod lifecycle;
mod sending;
