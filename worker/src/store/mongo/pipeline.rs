//! Pieces of the aggregation pipelines that change a conversation atomically.
//!
//! Everything that a customer or an operator wrote goes through [`literal`], because MongoDB reads a text that
//! begins with `$` as an expression.

use mongodb::bson::{Bson, Document, doc};
use shared::ids::{MessageId, PhoneNumberId};

use super::millis;
use crate::conversation::{ANSWERED_AGE, ANSWERED_KEPT, ANSWERED_MOST, BUCKET_REFILL, QuietTime};

/// A value that is not evaluated.
pub(super) fn literal(value: impl Into<Bson>) -> Bson {
    Bson::Document(doc! { "$literal": value.into() })
}

/// An array field, empty where it is absent.
pub(super) fn array(field: &str) -> Bson {
    Bson::Document(doc! { "$ifNull": [format!("${field}"), []] })
}

/// A count or a position.
pub(super) fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A field as it is: an expression for a missing one would store null.
pub(super) fn keep(field: &str) -> Document {
    doc! { "$ifNull": [format!("${field}"), "$$REMOVE"] }
}

/// Whether somebody has the conversation in hand.
pub(super) fn is_held() -> Document {
    // A missing date sorts before every date.
    doc! { "$gt": ["$lease.until", "$$NOW"] }
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
    doc! { "$map": { "input": array("outbox.parts"), "as": "p", "in": { "$cond": [
        { "$eq": ["$$p.n", whole(part)] },
        { "$mergeObjects": ["$$p", patch] },
        "$$p",
    ] } } }
}

/// The buckets after one more message from this number; what is full again need not be remembered.
pub(super) fn spend_one(number: impl Into<Bson>) -> Document {
    let number = number.into();
    let entries = doc! { "$objectToArray": { "$ifNull": ["$buckets", {}] } };
    let owing = doc! { "$filter": { "input": entries, "as": "b", "cond": { "$gt": ["$$b.v", "$$NOW"] } } };
    let those = |cond: Document| doc! { "$filter": { "input": "$$owing", "as": "b", "cond": cond } };
    let others = those(doc! { "$ne": ["$$b.k", number.clone()] });
    let own = doc! { "$map": { "input": those(doc! { "$eq": ["$$b.k", number.clone()] }), "as": "b", "in": "$$b.v" } };
    let full_from = doc! { "$max": { "$concatArrays": [["$$NOW"], own] } };
    let spent = doc! { "k": number, "v": { "$add": [full_from, millis(BUCKET_REFILL)] } };
    doc! { "$let": {
        "vars": { "owing": owing },
        "in": { "$arrayToObject": { "$concatArrays": [others, [spent]] } },
    } }
}

/// The stages that move messages out of the mailbox into `answered`, and make the rest fit.
pub(super) fn take_out(number: &PhoneNumberId, ids: &[MessageId], quiet: QuietTime) -> Vec<Document> {
    let one_of = is_one_of(number, ids);
    let taken = doc! { "$filter": { "input": array("mailbox"), "as": "m", "cond": one_of.clone() } };
    let entry = doc! { "id": "$$m.id", "phone_number_id": "$$m.phone_number_id", "timestamp": "$$m.timestamp" };
    let mut stages = vec![doc! { "$set": {
        "answered": { "$concatArrays": [array("answered"), { "$map": { "input": taken, "as": "m", "in": entry } }] },
        "mailbox": { "$filter": { "input": array("mailbox"), "as": "m", "cond": { "$not": [one_of] } } },
    } }];
    stages.extend(fit_to_mailbox(quiet));
    stages
}

/// The stages that bound `answered`, and make `due_at` and the times of landing those of the mailbox. Both arrays
/// must be there.
///
/// `answered_floor` is the newest time among the entries that were ever evicted: a message at or before it may
/// have been answered although its id is no longer here, so `land` looks it up in the transcript.
pub(super) fn fit_to_mailbox(quiet: QuietTime) -> Vec<Document> {
    let young = doc! { "$gte": ["$$m.timestamp", { "$subtract": ["$$NOW", millis(ANSWERED_AGE)] }] };
    let old = doc! { "$not": [young.clone()] };
    let filter = |cond: Document| doc! { "$filter": { "input": "$beyond", "as": "m", "cond": cond } };
    let times = |input: Document| doc! { "$max": { "$map": { "input": input, "as": "m", "in": "$$m.timestamp" } } };
    vec![
        // Beyond those that are always kept, an entry stays only while it is young.
        doc! { "$set": { "beyond": all_but_the_last("$answered", whole(ANSWERED_KEPT)) } },
        doc! { "$set": { "kept": { "$concatArrays": [
            filter(young), { "$slice": ["$answered", -whole(ANSWERED_KEPT)] },
        ] } } },
        doc! { "$set": {
            "answered_floor": { "$ifNull": [
                { "$max": [
                    "$answered_floor", times(filter(old)), times(all_but_the_last("$kept", whole(ANSWERED_MOST))),
                ] },
                "$$REMOVE",
            ] },
            "answered": { "$slice": ["$kept", -whole(ANSWERED_MOST)] },
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
fn all_but_the_last(field: &str, count: i64) -> Document {
    let excess = doc! { "$subtract": [{ "$size": field }, count] };
    // A slice must have a length.
    let first = doc! { "$slice": [field, 0, { "$max": [excess.clone(), 1] }] };
    doc! { "$cond": [{ "$gt": [excess, 0] }, first, []] }
}
