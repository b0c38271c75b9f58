//! The operations on a conversation, each one atomic update.
//!
//! Times are the database's (`$$NOW`), never a worker's. Guarded operations name the lease by conversation and
//! epoch; a stale epoch matches nothing, which the callers read as "no longer mine". An update whose answer was
//! lost is repeated by the driver, and a commit that finds its own reply already there counts as done.

mod document;
mod landing;
mod resend;
mod lease;
mod waiting;
mod reply;
mod person;
mod notices;
mod listing;
mod chain;
mod merge;
mod copy;
mod forget;
mod closed;

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};

pub(super) use closed::{ids_of, is_named, numbers_of};
pub(super) use forget::CLOSED_KEPT;
pub(super) use reply::proof;

use super::pipeline::literal;
use crate::conversation::{self, Consent, Holder, LeaseKey, MemoryTurn, Speaker, remembered};

/// As a slice of an array takes it.
const MEMORY_TURNS: i32 = conversation::MEMORY_TURNS as i32;

fn held_by(lease: &LeaseKey) -> Document {
    let Holder { worker, epoch, nonce } = &lease.holder;
    doc! { "_id": lease.session.expose(), "lease.epoch": epoch, "lease.worker": &**worker, "lease.nonce": nonce }
}

fn not_handed_over() -> Document {
    // A missing date sorts before every date.
    doc! { "$lte": ["$handed_over_until", "$$NOW"] }
}

fn opted_out() -> Document {
    doc! { "$eq": [{ "$type": "$opted_out_at" }, "date"] }
}

/// What becomes of `opted_out_at`; none: it stays.
fn heeded(consent: Option<Consent>) -> Option<Bson> {
    consent.map(|consent| match consent {
        Consent::Withdrawn => doc! { "$ifNull": ["$opted_out_at", "$$NOW"] }.into(),
        Consent::Given => Bson::from("$$REMOVE"),
    })
}

fn turn_document(turn: &MemoryTurn) -> Document {
    let speaker = match turn.speaker {
        Speaker::Customer => "customer",
        Speaker::Companion => "companion",
        Speaker::Person => "person",
    };
    doc! { "speaker": speaker, "text": remembered(&turn.text) }
}

/// The lines with the time of the update.
fn with_time(turns: Vec<Document>) -> Bson {
    let turns =
        turns.into_iter().map(|turn| Bson::Document(doc! { "$mergeObjects": [literal(turn), { "at": "$$NOW" }] }));
    Bson::Array(turns.collect())
}

/// A difference of two dates as the time from the one to the other; zero where that is past.
#[expect(clippy::wildcard_enum_match_arm, reason = "BSON's types are a foreign enum; any other is no whole number")]
fn time_left(document: &Document, field: &str) -> Option<Duration> {
    let millis = match document.get(field)? {
        Bson::Int64(millis) => *millis,
        Bson::Int32(millis) => i64::from(*millis),
        _ => return None,
    };
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}
