//! A closed conversation: how it closes, what it still tells, and what is left of it in the end.
//!
//! At first it keeps what is needed to erase the rest: the customer's ids, and the ids of the messages that waited. Once
//! that is done a *shell* is left: its name, the numbers that were written to, and when it was closed. The names that the
//! customer's next conversation might have are closed as well. No closed conversation ever opens again.

use std::collections::BTreeSet;

use mongodb::bson::{Bson, DateTime, Document, doc};
use shared::ids::{MessageId, PhoneNumberId, SessionId, Subdomain};

use super::super::{
    MongoStore, from_bson, is_duplicate_key,
    pipeline::{keep, literal},
};
use crate::{
    conversation::BusinessId,
    store::{Businesses, Result, Whose},
};

/// A closed conversation is looked after again when it is twice as old, within these bounds, in milliseconds.
const LOOK_FIRST_MS: i64 = 10_000;
const LOOK_MOST_MS: i64 = 24 * 60 * 60 * 1_000;

/// What is still known of a closed conversation.
#[derive(Default)]
pub(super) struct Remains {
    /// What waited in its mailbox: it counts as answered from now on.
    pub(super) unanswered: Vec<(PhoneNumberId, MessageId, DateTime)>,
    /// Whose letters and events are to be erased.
    pub(super) whose: Whose,
}

impl MongoStore {
    /// Leaves of a conversation what is needed to erase the rest, and to tell what was known. False: it is closed, or
    /// there is none.
    pub(super) async fn close_for_good(&self, session: &SessionId) -> Result<bool> {
        let item = doc! { "id": "$$m.id", "phone_number_id": "$$m.phone_number_id", "timestamp": "$$m.timestamp" };
        let items = doc! { "$map": { "input": "$mailbox", "as": "m", "in": item } };
        let closed = doc! {
            "_id": "$_id",
            "business_id": "$business_id",
            "subdomain": "$subdomain",
            "customer": { "wa_id": keep("customer.wa_id"), "user_id": keep("customer.user_id") },
            "mailbox": { "$cond": [{ "$isArray": "$mailbox" }, items, []] },
            "answered": keep("answered"),
            "answered_floor": keep("answered_floor"),
            "windows": keep("windows"),
            "epoch": { "$add": [{ "$ifNull": ["$epoch", 0_i64] }, 1_i64] },
            "merged_into": "$_id",
            "forgotten_at": "$$NOW",
            "look_after_at": "$$NOW",
        };
        let filter = doc! { "_id": session.expose(), "forgotten_at": { "$exists": false } };
        let closing = self.conversations().update_one(filter, vec![doc! { "$replaceWith": closed }]).await?;
        Ok(closing.matched_count == 1)
    }

    /// What a closed conversation still tells. Once all is erased that is its name, and when it was closed: whatever
    /// names the customer and had reached us by then is theirs.
    pub(super) async fn remains(&self, session: &SessionId, closed: &Document) -> Result<Remains> {
        let mut whose = Whose { numbers: numbers_of(closed), ..Whose::default() };
        whose.sessions.insert(session.expose().to_owned());
        if let Ok(business) = closed.get_str("business_id")
            && let Some(business) = self.business(&BusinessId(business.to_owned())).await?
        {
            whose.add_business(&business);
        }
        if is_fresh(closed) {
            ids_of(closed).iter().for_each(|id| whose.add_id(id));
        } else {
            whose.arrived_by = closed.get_datetime("forgotten_at").ok().map(|at| from_bson(*at));
            if is_named(closed) {
                whose.add_id(session.customer());
            }
        }
        Ok(Remains { unanswered: unanswered(closed), whose })
    }

    /// Leaves of a closed conversation what the next look needs, and nothing of the customer but its name.
    pub(super) async fn leave_a_shell(&self, session: &SessionId, closed: &Document, whose: &Whose) -> Result<()> {
        let is_theirs = if is_fresh(closed) { whose.ids.contains(session.customer()) } else { is_named(closed) };
        let age = doc! { "$subtract": ["$$NOW", "$forgotten_at"] };
        let wait = doc! { "$max": [LOOK_FIRST_MS, { "$min": [LOOK_MOST_MS, age] }] };
        let shell = doc! {
            "_id": "$_id",
            "business_id": "$business_id",
            "subdomain": "$subdomain",
            "epoch": "$epoch",
            "numbers": literal(numbers_of(closed).into_iter().collect::<Vec<_>>()),
            "named": is_theirs,
            "merged_into": "$_id",
            "forgotten_at": "$forgotten_at",
            "look_after_at": { "$add": ["$$NOW", wait] },
        };
        // Closed once more since it was read, it knows of more to erase.
        let as_read = doc! { "_id": session.expose(), "forgotten_at": closed.get("forgotten_at").cloned() };
        self.conversations().update_one(as_read, vec![doc! { "$replaceWith": shell }]).await?;
        Ok(())
    }

    /// No conversation begins under a name that the customer's next one might have, as if nobody had written before:
    /// one that has to take another name asks the transcript what is known.
    pub(super) async fn close_names(&self, closed: &Document, aliases: &[String]) -> Result<()> {
        let subdomain = closed.get_str("subdomain").ok().and_then(|text| Subdomain::parse(text).ok());
        for alias in aliases {
            let name = SessionId::new(subdomain.as_ref(), alias);
            let shell = doc! {
                "business_id": closed.get_str("business_id").ok(),
                "subdomain": subdomain.as_ref().map(Subdomain::expose),
                "epoch": 0_i64,
                "named": true,
                "merged_into": name.expose(),
                "forgotten_at": self.now(),
                "look_after_at": self.now(),
            };
            let beginning = doc! { "$setOnInsert": shell };
            let named = doc! { "_id": name.expose() };
            match self.conversations().update_one(named, beginning).upsert(true).await {
                Ok(_) => {}
                // Somebody else began it.
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Closes the names that a customer's ids would give to a conversation, so that whoever looks after these erases
    /// what names the customer, also where there never was a conversation. One that is somebody's stays as it is.
    pub(in super::super) async fn close_ids(
        &self,
        business: &BusinessId,
        subdomain: Option<&Subdomain>,
        whose: &Whose,
    ) -> Result<Vec<SessionId>> {
        let list = |texts: &BTreeSet<String>| literal(texts.iter().cloned().collect::<Vec<_>>());
        let closed = doc! {
            "_id": "$_id",
            "business_id": literal(business.0.as_str()),
            "subdomain": literal(subdomain.map(Subdomain::expose)),
            "customer": { "ids": list(&whose.ids) },
            "numbers": list(&whose.numbers),
            "epoch": { "$ifNull": ["$epoch", 0_i64] },
            "merged_into": "$_id",
            "forgotten_at": "$$NOW",
            "look_after_at": "$$NOW",
        };
        let missing = |field: &str| doc! { "$eq": [{ "$type": field }, "missing"] };
        let (is_open, is_unfinished) = (missing("$forgotten_at"), doc! { "$not": [missing("$customer")] });
        let begun = doc! { "$not": [missing("$business_id")] };
        let stays = doc! { "$and": [begun, { "$or": [is_open, is_unfinished] }] };
        let update = vec![doc! { "$replaceWith": { "$cond": [stays, "$$ROOT", closed] } }];
        let names: Vec<_> = whose.ids.iter().map(|id| SessionId::new(subdomain, id)).collect();
        for name in &names {
            let named = doc! { "_id": name.expose() };
            match self.conversations().update_one(named, update.clone()).upsert(true).await {
                Ok(_) => {}
                // Somebody else began it.
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(names)
    }
}

/// Whether everything else is still to be erased for the first time.
fn is_fresh(closed: &Document) -> bool {
    closed.contains_key("customer")
}

/// Whether the customer's number or user id stands in the conversation's name. A number may have got another owner.
pub(in super::super) fn is_named(closed: &Document) -> bool {
    closed.get_bool("named").unwrap_or(false)
}

/// The customer's own numbers and user ids, as far as a conversation has them.
pub(in super::super) fn ids_of(conversation: &Document) -> Vec<String> {
    let Ok(customer) = conversation.get_document("customer") else { return Vec::new() };
    let single = ["wa_id", "user_id"].into_iter().filter_map(|field| customer.get_str(field).ok());
    let listed = customer.get_array("ids").into_iter().flatten().filter_map(Bson::as_str);
    single.chain(listed).map(str::to_owned).collect()
}

/// The numbers of the business that the customer wrote to, as far as a conversation has them. Read piece by piece: a
/// document that cannot be read as a whole can be forgotten all the same.
pub(in super::super) fn numbers_of(conversation: &Document) -> BTreeSet<String> {
    let windows = conversation.get_document("windows").into_iter().flat_map(Document::keys).cloned();
    let listed = conversation.get_array("numbers").into_iter().flatten().filter_map(Bson::as_str);
    let items = documents(conversation, "answered").chain(documents(conversation, "mailbox"));
    let written_to = items.filter_map(|item| item.get_str("phone_number_id").ok());
    windows.chain(listed.chain(written_to).map(str::to_owned)).collect()
}

fn documents<'a>(conversation: &'a Document, field: &str) -> impl Iterator<Item = &'a Document> {
    conversation.get_array(field).into_iter().flatten().filter_map(Bson::as_document)
}

fn unanswered(closed: &Document) -> Vec<(PhoneNumberId, MessageId, DateTime)> {
    let known = |item: &Document| {
        let number = PhoneNumberId::parse(item.get_str("phone_number_id").ok()?).ok()?;
        let id = MessageId::parse(item.get_str("id").ok()?).ok()?;
        Some((number, id, *item.get_datetime("timestamp").ok()?))
    };
    documents(closed, "mailbox").filter_map(known).collect()
}
