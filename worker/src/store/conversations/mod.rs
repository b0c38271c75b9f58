//! The operations on a conversation, each one atomic update.
//!
//! Times are the database's (`$$NOW`), never a worker's. Guarded operations name the lease by conversation and
//! epoch; a stale epoch matches nothing, which the callers read as "no longer mine". An update whose answer was
//! lost is repeated by the driver, and a commit that finds its own reply already there counts as done.

mod document;
mod landing;
mod lease;
mod reply;
mod person;

use mongodb::bson::{Bson, Document, doc};

pub use landing::{Landed, Landing};
pub use lease::{Claim, DueBusinesses, Postponement, Renewed};
pub use person::CustomerIdChange;
pub use reply::{CommitOutcome, Memory, Settled};

use super::pipeline::literal;
use crate::conversation::{LeaseKey, MemoryTurn, Speaker};

/// Remembered lines.
const MEMORY_TURNS: i32 = 40;
/// Bytes of one remembered line.
const MEMORY_TURN_BYTES: usize = 4_096;

fn held_by(lease: &LeaseKey) -> Document {
    doc! { "_id": lease.session.expose(), "lease.epoch": lease.epoch }
}

fn not_handed_over() -> Document {
    // A missing date sorts before every date.
    doc! { "$lte": ["$handed_over_until", "$$NOW"] }
}

fn index(part: usize) -> Bson {
    Bson::Int64(i64::try_from(part).unwrap_or(i64::MAX))
}

fn turn_document(turn: &MemoryTurn) -> Document {
    let speaker = match turn.speaker {
        Speaker::Customer => "customer",
        Speaker::Companion => "companion",
        Speaker::Person => "person",
    };
    let mut text = turn.text.as_str();
    if text.len() > MEMORY_TURN_BYTES {
        let end = (0..=MEMORY_TURN_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text = text.get(..end).unwrap_or_default();
    }
    doc! { "speaker": speaker, "text": text }
}

/// The lines with the time of the update.
fn with_time(turns: Vec<Document>) -> Bson {
    let turns =
        turns.into_iter().map(|turn| Bson::Document(doc! { "$mergeObjects": [literal(turn), { "at": "$$NOW" }] }));
    Bson::Array(turns.collect())
}
