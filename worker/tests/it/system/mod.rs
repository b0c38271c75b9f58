//! The whole system: the real binaries, real servers, and the simulator in Meta's and the AI's place.

pub(crate) mod dialogue;
pub(crate) mod harness;
pub(crate) mod process;

mod accounts;
mod answers;
mod attachments;
mod changes;
mod choices;
mod commands;
mod consent;
mod conversations;
mod credentials;
mod customers;
mod dead_letters;
mod demo;
mod doctor;
mod fallback;
mod files;
mod gathering;
mod hand_over;
mod hostile;
mod identity;
mod injection;
mod knowledge;
mod lifecycle;
mod limits;
mod memory;
mod message_types;
mod onboarding;
mod providers;
mod replay;
mod sending;
mod tokens;
mod tools;
mod voice;
mod voice_trouble;
