//! Lands queued WhatsApp messages in their conversations, and answers them.
//!
//! [`intake`] takes deliveries from RabbitMQ and lands each in its conversation's mailbox; [`scheduler`] starts a
//! [`turn`] for every conversation that is due, fairly over the businesses; a turn claims the conversation's
//! lease, asks the [`companion`], writes the outbox, sends through [`whatsapp`], and settles. What they share is
//! the [`conversation`], kept by the [`store`]; [`business`] and [`identity`] say whose it is, and
//! [`account`] whether Meta lets it send. [`document`] reads what customers attach; [`notify`] tells businesses where a
//! person is wanted. [`dashboard`] shows operators what goes on.

pub mod run;
pub mod engine;
pub mod settings;
pub mod command;
pub mod intake;
pub mod scheduler;
pub mod turn;
pub mod companion;
pub mod whatsapp;
pub mod conversation;
pub mod store;
pub mod scope;
pub mod business;
pub mod account;
pub mod identity;
pub mod message;
pub mod consent;
pub mod document;
pub mod notify;
pub mod analytics;
mod desk;
pub mod dashboard;
mod periodic;
pub mod http;
mod outside;
