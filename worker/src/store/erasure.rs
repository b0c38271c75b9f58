//! Which letters and events hold something of one customer, and their end.
//!
//! Intake files both before, or without, a conversation: they name their customer in Meta's JSON only. A letter loses
//! its body and an event its payload. Their ids stay, so that what comes again changes nothing. Everything here may be
//! repeated; who repeats it, and for how long, is decided by whoever forgets the customer.

use std::collections::BTreeSet;

use mongodb::bson::{Bson, DateTime, Document, doc};
use shared::ids::{UserId, WaId};

use super::{BusinessRecord, Result, Store};

/// Under these names Meta's webhooks tell who writes, is written to, takes part, or has another id from now on (Meta,
/// "Webhooks reference" and "Business-scoped user IDs"). Nothing else in them is called so and looks like a number or
/// a user id.
const NAMES: &[&str] = &[
    "from",
    "to",
    "id",
    "input",
    "wa_id",
    "phone_number",
    "user_id",
    "parent_user_id",
    "from_user_id",
    "from_parent_user_id",
    "to_user_id",
    "to_parent_user_id",
    "previous",
    "current",
    "recipient_id",
    "recipient_user_id",
    "recipient_parent_user_id",
    "parent_recipient_user_id",
    "recipient_participant_id",
    "participant_recipient_id",
    "recipient_participant_user_id",
];

/// One customer of one business, by everything under which something of theirs may be stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Whose {
    /// Ids of the business's numbers.
    pub(super) numbers: BTreeSet<String>,
    /// Ids of the business's accounts.
    pub(super) waba_ids: BTreeSet<String>,
    /// The customer's own numbers and user ids.
    pub(super) ids: BTreeSet<String>,
    /// The customer's conversations.
    pub(super) sessions: BTreeSet<String>,
    /// Of what names the customer, only what had reached us by then: what came later is another story.
    pub(super) arrived_by: Option<DateTime>,
}

impl Whose {
    /// Adds where a business is written to.
    pub(super) fn add_business(&mut self, business: &BusinessRecord) {
        self.numbers.extend(business.phone_number_ids.iter().cloned());
        self.waba_ids.extend(business.waba_id.clone());
    }

    /// Adds a number or a user id; anything else names nobody.
    pub(super) fn add_id(&mut self, id: &str) {
        if WaId::parse(id).is_ok() || UserId::parse(id).is_ok() {
            self.ids.insert(id.to_owned());
        }
    }

    /// Their letters: those of their turns, and those that intake filed at one of these numbers.
    pub(super) fn letters(&self) -> Document {
        // Where handling it panicked nobody read the number.
        let to_us = format!(r#""phone_number_id"\s*:\s*"({})""#, any_of(&self.numbers));
        let mut of_intake = doc! {
            "conversation": Bson::Null,
            "body": { "$regex": self.naming() },
            "$or": [
                { "phone_number_id": { "$in": listed(&self.numbers) } },
                { "phone_number_id": Bson::Null, "body": { "$regex": to_us } },
            ],
        };
        self.bound(&mut of_intake);
        doc! { "$or": [{ "conversation": { "$in": listed(&self.sessions) } }, of_intake] }
    }

    /// The events that name them, at one of these numbers; where an event knows no number, at the account.
    pub(super) fn events(&self) -> Document {
        let mut events = doc! {
            "payload": { "$regex": self.naming() },
            "$or": [
                { "phone_number_id": { "$in": listed(&self.numbers) } },
                { "phone_number_id": Bson::Null, "waba_id": { "$in": listed(&self.waba_ids) } },
            ],
        };
        self.bound(&mut events);
        events
    }

    fn bound(&self, filter: &mut Document) {
        if let Some(time) = self.arrived_by {
            filter.insert("received_at", doc! { "$lte": time });
        }
    }

    /// A pattern for JSON that names the customer as somebody who takes part. A status may name nobody but the
    /// conversation, in what was sent along with the message.
    fn naming(&self) -> String {
        let (names, ids) = (NAMES.join("|"), any_of(&self.ids));
        let sessions = any_of(&self.sessions);
        format!(
            r#""({names})"\s*:\s*("\s*\+?({ids})\s*"|({ids})\s*[,\]}}])|"biz_opaque_callback_data"\s*:\s*"v1:({sessions}):"#
        )
    }
}

fn listed(texts: &BTreeSet<String>) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Alternatives of a pattern, of which each stands for itself. None of them matches nothing.
fn any_of(texts: &BTreeSet<String>) -> String {
    if texts.is_empty() {
        return "(?!)".to_owned();
    }
    texts.iter().map(|text| pattern(text)).collect::<Vec<_>>().join("|")
}

/// A pattern that matches this text and no other.
pub(super) fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

impl Store {
    /// Discards the letters of a customer, and says how many there were.
    pub(super) async fn erase_letters(&self, whose: &Whose) -> Result<u64> {
        self.discard_all(whose.letters()).await
    }

    /// The same for those of one conversation's turns.
    pub(super) async fn erase_letters_of_turns(&self, session: &str) -> Result<u64> {
        self.discard_all(doc! { "conversation": session }).await
    }

    async fn discard_all(&self, letters: Document) -> Result<u64> {
        let update = doc! {
            "$set": { "discarded_at": DateTime::now(), "replay": Bson::Null },
            "$unset": {
                "body": "",
                "conversation": "",
                "replay_until": "",
                "replay_requested_at": "",
                "replay_taken_until": "",
            },
        };
        Ok(self.db.collection::<Document>("dead_letters").update_many(letters, update).await?.modified_count)
    }

    /// Takes from the events that name a customer what they say, and says how many there were.
    pub(super) async fn erase_events(&self, whose: &Whose) -> Result<u64> {
        let update = doc! { "$unset": { "payload": "" }, "$currentDate": { "forgotten_at": true } };
        let events = self.db.collection::<Document>("account_events");
        Ok(events.update_many(whose.events(), update).await?.modified_count)
    }
}
