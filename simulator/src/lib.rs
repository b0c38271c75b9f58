//! Stand-ins for Meta and the AI providers, for tests and for trying Switchboard without an account.
//!
//! [`Meta`] serves the Graph API and reports back what became of a message, [`Ai`] serves chat, transcription and
//! speech, [`Host`] is any other server that a worker may turn to, and [`webhook`] builds and posts what customers
//! write. [`Traffic`] is a whole load of that, and [`Proxy`]
//! breaks connections between programs and servers. All of it is seeded, and scriptable from a test. [`Phone`] is a page
//! where a person is the customer; without a script and without an AI, [`demo`] answers.
//! Whatever reaches a stand-in, and whatever it posts, is one line of the [`journal`]: a judge needs nothing else, and
//! [`checker`] is that judge.
//!
//! Nothing here knows how Switchboard works inside, but for the words of its prompt, by which the demo goes; `shared`
//! lends it the signature and the plumbing only.

pub mod ai;
pub mod checker;
pub mod demo;
pub mod files;
pub mod host;
pub mod journal;
pub mod meta;
pub mod phone;
pub mod proxy;
mod rules;
mod seed;
mod serving;
mod tag;
pub mod traffic;
pub mod webhook;

pub use ai::{Ai, AiOptions};
pub use host::Host;
pub use journal::Journal;
pub use meta::{Business, Meta, MetaOptions};
pub use phone::{Phone, PhoneBusiness, PhoneOptions};
pub use proxy::Proxy;
pub use seed::Seed;
pub use tag::Tag;
pub use traffic::Traffic;
pub use webhook::{Customer, Sender};
