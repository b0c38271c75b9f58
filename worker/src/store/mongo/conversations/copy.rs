//! What a conversation holds, added to what another one holds: one update, of two memories one.
//!
//! Of each array the two together, within its bounds; of each time the one that promises more; of each counter the
//! larger. What the other one waits for stays its own, for its next turn finds out whether that still holds.

use mongodb::bson::{Bson, Document, doc};
use shared::ids::SessionId;

use super::{
    super::pipeline::{array, fit_to_mailbox, literal},
    MEMORY_TURNS,
};
use crate::conversation::{self, QuietTime};

/// As a slice of an array takes it.
const FACTS_MOST: i32 = conversation::FACTS_MOST as i32;
const NOTICES_MOST: i32 = conversation::NOTICES_MOST as i32;
const MEMORY_TURN_BYTES: i32 = conversation::MEMORY_TURN_BYTES as i32;

/// The stages that add a tombstone's content to the conversation that goes on. It is a literal, so that they read the
/// document which they change and no other.
pub(super) fn pipeline(from: &SessionId, source: Document, quiet: QuietTime) -> Vec<Document> {
    let numbers = |field: &str| source.get_document(field).cloned().unwrap_or_default();
    let (windows, buckets) = (numbers("windows"), numbers("buckets"));
    // What the number's former owner wrote is known to the transcript only.
    let former = if from.has_former_owner() { Bson::from("$$NOW") } else { Bson::Null };
    let mut set = doc! {
        "mailbox": mailbox(),
        "answered": { "$concatArrays": [array("source.answered"), array("answered")] },
        "answered_floor": { "$ifNull": [
            { "$max": ["$answered_floor", "$source.answered_floor", former] }, "$$REMOVE",
        ] },
        "memory.turns": by_time("$source.memory.turns", "$memory.turns"),
        "memory.summary": both_summaries(),
        "memory.facts": { "$slice": [
            { "$concatArrays": [array("source.memory.facts"), array("memory.facts")] }, -FACTS_MOST,
        ] },
        "customer": { "$mergeObjects": [literal(who(&source)), "$customer"] },
        "attempts": { "$max": ["$attempts", "$source.attempts", 0] },
        "takeovers": { "$max": ["$takeovers", "$source.takeovers", 0] },
        "last_error": { "$ifNull": ["$last_error", "$source.last_error", "$$REMOVE"] },
        "ai_failing_since": { "$ifNull": [
            { "$min": ["$ai_failing_since", "$source.ai_failing_since"] }, "$$REMOVE",
        ] },
        "apologised_at": later_of("apologised_at"),
        "handed_over_until": later_of("handed_over_until"),
        "opted_out_at": later_of("opted_out_at"),
        "limited_until": later_of("limited_until"),
        "notices": { "$let": {
            "vars": { "all": { "$slice": [
                { "$concatArrays": [array("source.notices"), array("notices")] }, -NOTICES_MOST,
            ] } },
            "in": { "$cond": [{ "$eq": ["$$all", []] }, "$$REMOVE", "$$all"] },
        } },
        "merged_from": { "$setUnion": [array("merged_from"), array("source.merged_from"), [literal(from.expose())]] },
    };
    for (field, times) in [("windows", windows), ("buckets", buckets)] {
        for number in times.keys() {
            set.insert(format!("{field}.{number}"), later_of(&format!("{field}.{number}")));
        }
    }
    let mut stages = vec![doc! { "$set": { "source": literal(source) } }, doc! { "$set": set }];
    stages.push(doc! { "$unset": "source" });
    stages.extend(fit_to_mailbox(quiet));
    stages
}

/// What waits in either, once, unless either has answered it.
fn mailbox() -> Document {
    let ids = |input: Bson| {
        let id = doc! { "id": "$$m.id", "phone_number_id": "$$m.phone_number_id" };
        doc! { "$map": { "input": input, "as": "m", "in": id } }
    };
    let is_in = |known: &str| {
        doc! { "$in": [{ "id": "$$m.id", "phone_number_id": "$$m.phone_number_id" }, format!("$${known}")] }
    };
    let without = |input: Bson, known: &str| {
        doc! { "$filter": { "input": input, "as": "m", "cond": { "$not": [is_in(known)] } } }
    };
    let all = doc! { "$concatArrays": [array("mailbox"), without(array("source.mailbox"), "waiting")] };
    doc! { "$let": {
        "vars": {
            "waiting": ids(array("mailbox")),
            "answered": { "$concatArrays": [ids(array("answered")), ids(array("source.answered"))] },
        },
        "in": without(Bson::Document(all), "answered"),
    } }
}

/// Both summaries, one behind the other, where both are there; else the one that is.
fn both_summaries() -> Document {
    let is_there = |summary: &str| doc! { "$eq": [{ "$type": summary }, "string"] };
    let joined = doc! { "$concat": ["$source.memory.summary", "\n", "$memory.summary"] };
    // A sign has four bytes at most.
    let joined = doc! { "$substrCP": [joined, 0, MEMORY_TURN_BYTES / 4] };
    doc! { "$cond": [
        { "$and": [is_there("$source.memory.summary"), is_there("$memory.summary")] },
        joined,
        { "$ifNull": ["$memory.summary", "$source.memory.summary", "$$REMOVE"] },
    ] }
}

/// The last lines of both memories. Lines of one turn have one time, and stay in their order.
fn by_time(theirs: &str, own: &str) -> Document {
    let numbered = |lines: &str, side: i32| {
        let line = doc! { "$arrayElemAt": [lines, "$$n"] };
        let numbered = doc! { "$let": {
            "vars": { "line": line },
            "in": { "at": "$$line.at", "side": side, "n": "$$n", "line": "$$line" },
        } };
        let range = doc! { "$range": [0, { "$size": { "$ifNull": [lines, []] } }] };
        doc! { "$map": { "input": range, "as": "n", "in": numbered } }
    };
    let sorted = doc! { "$sortArray": {
        "input": { "$concatArrays": [numbered(theirs, 0), numbered(own, 1)] },
        "sortBy": { "at": 1, "side": 1, "n": 1 },
    } };
    let lines = doc! { "$map": { "input": sorted, "as": "numbered", "in": "$$numbered.line" } };
    doc! { "$slice": [lines, -MEMORY_TURNS] }
}

/// Who the customer is, except for the number: the message that asked for the merge tells it, and a number is what may
/// have gone to somebody else since.
fn who(source: &Document) -> Document {
    let customer = source.get_document("customer").cloned().unwrap_or_default();
    customer.into_iter().filter(|(field, _)| field == "user_id" || field == "name" || field == "language").collect()
}

fn later_of(field: &str) -> Document {
    doc! { "$ifNull": [{ "$max": [format!("${field}"), format!("$source.{field}")] }, "$$REMOVE"] }
}
