//! Into the mailbox.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::{
    bson::{Document, doc},
    options::ReturnDocument,
};
use shared::ids::{SessionId, Subdomain};

use super::super::{
    MongoStore, corrupt, from_bson, is_duplicate_key, millis,
    pipeline::{array, contains, due, keep, literal, whole},
    to_bson,
};
use crate::{
    conversation::{Customer, Landed, Landing, MAILBOX_WITH_CONTENT, MINUTE, MailboxItem, Resend, later, window_end},
    store::{Mailboxes, Result, StoreError},
};

#[async_trait]
impl Mailboxes for MongoStore {
    async fn land(&self, landing: &Landing<'_>) -> Result<Landed> {
        let update = land_pipeline(landing);
        let filter = doc! { "_id": landing.session.expose() };
        let conversations = self.conversations();
        loop {
            let landing = conversations
                .find_one_and_update(filter.clone(), update.clone())
                .upsert(true)
                .return_document(ReturnDocument::After)
                .projection(
                    doc! { "last_land": 1, "due_at": 1, "merged_into": 1, "first_landed_at": 1, "handed_over_until": 1,
                    "opted_out_at": 1, "limited_until": 1 },
                );
            match landing.await {
                Ok(Some(document)) => return read_landed(&document),
                Ok(None) => {
                    return Err(StoreError::Corrupt {
                        what: "conversation",
                        problem: "landing returned no document".to_owned(),
                    });
                }
                // Two first messages met; the conversation is there now.
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn land_resend(&self, resend: &Resend<'_>) -> Result<Option<Duration>> {
        self.put_back(resend).await
    }
}

fn land_pipeline(landing: &Landing<'_>) -> Vec<Document> {
    let item = landing.item;
    let known = doc! { "$or": [
        contains("mailbox", &item.phone_number_id, &item.id),
        contains("answered", &item.phone_number_id, &item.id),
    ] };
    // A missing floor sorts before every date.
    let beyond_memory = doc! { "$gte": ["$answered_floor", to_bson(item.timestamp)] };
    let no_room = doc! { "$gte": [{ "$size": array("mailbox") }, whole(MAILBOX_WITH_CONTENT)] };
    let verdict = doc! { "$switch": { "branches": [
        // A tombstone knows its own messages until they were copied; the conversation that goes on does after that.
        { "case": known, "then": "duplicate" },
        { "case": { "$and": [beyond_memory, !landing.looked_up] }, "then": "ask_transcript" },
        { "case": { "$eq": [{ "$type": "$merged_into" }, "string"] }, "then": "moved" },
        { "case": { "$and": [no_room, item.message.is_some()] }, "then": "no_room" },
    ], "default": "new" } };
    let new = doc! { "$eq": ["$last_land.verdict", "new"] };
    let landed = doc! { "$mergeObjects": [literal(item_document(item)), { "landed_at": "$$NOW" }] };
    let window = format!("windows.{}", item.phone_number_id.expose());
    let window_end = to_bson(window_end(item.timestamp));
    vec![
        doc! { "$set": { "last_land.verdict": verdict } },
        doc! { "$set": {
            "last_land.at": { "$cond": [new.clone(), "$$NOW", { "$ifNull": ["$last_land.at", "$$NOW"] }] },
            "business_id": { "$ifNull": ["$business_id", literal(landing.business_id.0.as_str())] },
            "subdomain": { "$ifNull": ["$subdomain", literal(landing.subdomain.map(Subdomain::expose))] },
            "attempts": { "$ifNull": ["$attempts", 0] },
            "mailbox": { "$cond": [
                new.clone(),
                { "$concatArrays": [array("mailbox"), [landed]] },
                { "$map": { "input": array("mailbox"), "as": "m", "in": earliest(item) } },
            ] },
            "customer": { "$cond": [
                new.clone(),
                { "$mergeObjects": ["$customer", literal(customer_document(landing.customer))] },
                keep("customer"),
            ] },
            "first_landed_at": { "$cond": [
                new.clone(), { "$ifNull": ["$first_landed_at", "$$NOW"] }, keep("first_landed_at"),
            ] },
            "last_landed_at": { "$cond": [new.clone(), "$$NOW", keep("last_landed_at")] },
            "minute": { "$cond": [
                { "$and": [new.clone(), was_written_just_now(item)] }, counted(), keep("minute"),
            ] },
            window.as_str(): { "$cond": [
                new.clone(), { "$max": [format!("${window}"), window_end] }, keep(&window),
            ] },
        } },
        doc! { "$set": { "due_at": { "$cond": [new, due("$$NOW", landing.quiet), keep("due_at")] } } },
    ]
}

/// What waited for us, and lands all at once, is no flood.
fn was_written_just_now(item: &MailboxItem) -> Document {
    doc! { "$gt": [to_bson(later(item.timestamp, MINUTE)), "$$NOW"] }
}

/// The minute with one message more, or a new one that begins with it.
fn counted() -> Document {
    // Without one the sum is null, which sorts before every date.
    let goes_on = doc! { "$gt": [{ "$add": ["$minute.began_at", millis(MINUTE)] }, "$$NOW"] };
    let more = doc! { "began_at": "$minute.began_at", "messages": { "$add": ["$minute.messages", 1] } };
    doc! { "$cond": [goes_on, more, { "began_at": "$$NOW", "messages": 1 }] }
}

/// The item `$$m`, with the arrival of this copy of it where that was earlier: two deliveries of one body may land
/// interleaved, and the body's order must not depend on which of them a message came from.
fn earliest(item: &MailboxItem) -> Document {
    let earlier = doc! { "$and": [
        { "$eq": ["$$m.id", literal(item.id.expose())] },
        { "$eq": ["$$m.phone_number_id", literal(item.phone_number_id.expose())] },
        { "$gt": ["$$m.received_at", to_bson(item.received_at)] },
    ] };
    let arrival = doc! { "received_at": to_bson(item.received_at), "index": i64::from(item.index) };
    doc! { "$cond": [earlier, { "$mergeObjects": ["$$m", arrival] }, "$$m"] }
}

fn read_landed(document: &Document) -> Result<Landed> {
    let read = || {
        let last_land = document.get_document("last_land")?;
        Ok::<_, mongodb::bson::error::Error>((last_land.get_str("verdict")?, from_bson(*last_land.get_datetime("at")?)))
    };
    let (verdict, at) = read().map_err(corrupt("landing"))?;
    Ok(match verdict {
        "new" => {
            let due_at = document.get_datetime("due_at").map_or(at, |due_at| from_bson(*due_at));
            let time = |field: &str| document.get_datetime(field).ok().map(|time| from_bson(*time));
            let until = |field: &str| time(field).is_some_and(|until| until > at);
            let is_silent = until("handed_over_until") || until("limited_until") || time("opted_out_at").is_some();
            let first = time("first_landed_at") == Some(at) && !is_silent;
            Landed::New { due_in: Duration::try_from(due_at.duration_since(at)).unwrap_or_default(), first }
        }
        "duplicate" => Landed::Duplicate,
        "ask_transcript" => Landed::AskTranscript,
        "no_room" => Landed::NoRoomForContent,
        _ => Landed::Moved(SessionId::from_stored(document.get_str("merged_into").map_err(corrupt("tombstone"))?)),
    })
}

pub(super) fn item_document(item: &MailboxItem) -> Document {
    let mut document = doc! {
        "id": item.id.expose(),
        "phone_number_id": item.phone_number_id.expose(),
        "timestamp": to_bson(item.timestamp),
        "received_at": to_bson(item.received_at),
        "index": i64::from(item.index),
        "message": item.message.as_deref(),
    };
    if let Some(failed) = &item.resend_of {
        document.insert("resend_of", failed.expose());
    }
    if let Some(trace) = item.trace {
        document.insert("trace", trace.to_string());
    }
    document
}

pub(super) fn customer_document(customer: &Customer) -> Document {
    let mut document = Document::new();
    if let Some(wa_id) = &customer.wa_id {
        document.insert("wa_id", wa_id.expose());
    }
    if let Some(user_id) = &customer.user_id {
        document.insert("user_id", user_id.expose());
    }
    if let Some(name) = &customer.name {
        document.insert("name", name.as_str());
    }
    if let Some(language) = &customer.language {
        document.insert("language", language.as_str());
    }
    document
}
