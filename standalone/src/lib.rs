//! Switchboard in one process: webhooks land straight in one SQLite file and are answered from there.
//!
//! Without credentials it is the demonstration: stand-ins take Meta's and the AI's place, and a page in the browser is
//! the customers' phone. With a verify token and an app secret it serves Meta, for a business that one machine is
//! enough for. The whole start and stop is in [`run`].

pub mod command;
pub mod settings;
pub mod run;
pub mod landing;
pub mod demo;
pub mod backstage;
pub mod banner;
pub mod import;
pub mod store;
