//! Pieces of the aggregation pipelines that change a conversation atomically.
//!
//! Everything that a customer or an operator wrote goes through [`literal`], because MongoDB reads a text that
//! begins with `$` as an expression.

use mongodb::bson::{Bson, Document, doc};
use shared::ids::{MessageId, PhoneNumberId};

use super::millis;
use crate::conversation::QuietTime;

/// Entries of `answered` that are always kept, whatever their age.
const ANSWERED_KEPT: i32 = 100;
/// Entries that are kept however young; older ones are found in the transcript.
const ANSWERED_MOST: i32 = 5_000;
/// Entries younger than this are kept.
const ANSWERED_AGE_MS: i64 = 24 * 60 * 60 * 1_000;

/// A value that is not evaluated.
pub(super) fn literal(value: impl Into<Bson>) -> Bson {
    Bson::Document(doc! { "$literal": value.into() })
}

/// An array field, empty where it is absent.
pub(super) fn array(field: &str) -> Bson {
    Bson::Document(doc! { "$ifNull": [format!("${field}"), []] })
}

/// Whether an array of messages has this one.
pub(super) fn contains(field: &str, number: &PhoneNumberId, id: &MessageId) -> Document {
    let matches = doc! { "$and": [
        { "$eq": ["$$m.id", literal(id.expose())] },
        { "$eq": ["$$m.phone_number_id", literal(number.expose())] },
    ] };
    doc! { "$anyElementTrue": [{ "$map": { "input": array(field), "as": "m", "in": matches } }] }
}

/// Whether the message `$$m` is one of these, written to this number.
pub(super) fn is_one_of(number: &PhoneNumberId, ids: &[MessageId]) -> Document {
    let ids: Vec<&str> = ids.iter().map(MessageId::expose).collect();
    doc! { "$and": [
        { "$in": ["$$m.id", literal(ids)] },
        { "$eq": ["$$m.phone_number_id", literal(number.expose())] },
    ] }
}

/// When a conversation with a mailbox is due: after the quiet time, at most the ceiling after the first message,
/// and never before a retry is.
pub(super) fn due(last_landed: impl Into<Bson>, quiet: QuietTime) -> Document {
    doc! { "$max": [
        "$retry_at",
        { "$min": [
            { "$add": [last_landed.into(), millis(quiet.quiet)] },
            { "$add": ["$first_landed_at", millis(quiet.ceiling)] },
        ] },
    ] }
}

/// Changes one part of the outbox.
pub(super) fn with_part(part: usize, patch: Document) -> Document {
    let index = i64::try_from(part).unwrap_or(i64::MAX);
    doc! { "$map": { "input": array("outbox.parts"), "as": "p", "in": { "$cond": [
        { "$eq": ["$$p.n", index] },
        { "$mergeObjects": ["$$p", patch] },
        "$$p",
    ] } } }
}

/// The stages that move messages out of the mailbox into `answered`, and make `due_at` fit what is left.
///
/// `answered_floor` is the newest time among the entries that were ever evicted: a message at or before it may
/// have been answered although its id is no longer here, so `land` looks it up in the transcript.
pub(super) fn take_out(number: &PhoneNumberId, ids: &[MessageId], quiet: QuietTime) -> Vec<Document> {
    let one_of = is_one_of(number, ids);
    let taken = doc! { "$filter": { "input": array("mailbox"), "as": "m", "cond": one_of.clone() } };
    let entry = doc! { "id": "$$m.id", "phone_number_id": "$$m.phone_number_id", "timestamp": "$$m.timestamp" };
    let young = doc! { "$gte": ["$$m.timestamp", { "$subtract": ["$$NOW", ANSWERED_AGE_MS] }] };
    let old = doc! { "$not": [young.clone()] };
    let filter = |cond: Document| doc! { "$filter": { "input": "$beyond", "as": "m", "cond": cond } };
    let times = |input: Document| doc! { "$max": { "$map": { "input": input, "as": "m", "in": "$$m.timestamp" } } };
    vec![
        doc! { "$set": {
            "answered": { "$concatArrays": [array("answered"), { "$map": { "input": taken, "as": "m", "in": entry } }] },
            "mailbox": { "$filter": { "input": array("mailbox"), "as": "m", "cond": { "$not": [one_of] } } },
        } },
        // Beyond those that are always kept, an entry stays only while it is young.
        doc! { "$set": { "beyond": all_but_the_last("$answered", ANSWERED_KEPT) } },
        doc! { "$set": { "kept": { "$concatArrays": [filter(young), { "$slice": ["$answered", -ANSWERED_KEPT] }] } } },
        doc! { "$set": {
            "answered_floor": { "$ifNull": [
                { "$max": ["$answered_floor", times(filter(old)), times(all_but_the_last("$kept", ANSWERED_MOST))] },
                "$$REMOVE",
            ] },
            "answered": { "$slice": ["$kept", -ANSWERED_MOST] },
            "beyond": "$$REMOVE",
            "kept": "$$REMOVE",
            "first_landed_at": { "$ifNull": [{ "$min": "$mailbox.landed_at" }, "$$REMOVE"] },
            "last_landed_at": { "$ifNull": [{ "$max": "$mailbox.landed_at" }, "$$REMOVE"] },
        } },
        doc! { "$set": { "due_at": { "$cond": [
            { "$eq": [{ "$size": "$mailbox" }, 0] },
            "$$REMOVE",
            due("$last_landed_at", quiet),
        ] } } },
    ]
}

/// The first entries of an array, without its last `count`.
fn all_but_the_last(field: &str, count: i32) -> Document {
    let excess = doc! { "$subtract": [{ "$size": field }, count] };
    // A slice must have a length.
    let first = doc! { "$slice": [field, 0, { "$max": [excess.clone(), 1] }] };
    doc! { "$cond": [{ "$gt": [excess, 0] }, first, []] }
}
