//! Which letters and events hold something of one customer, and their end.
//!
//! Intake files both before, or without, a conversation: they name their customer in Meta's JSON only. A letter loses
//! its body and an event its payload. Their ids stay, so that what comes again changes nothing. Everything here may be
//! repeated; who repeats it, and for how long, is decided by whoever forgets the customer.

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::{MongoStore, to_bson};
use crate::store::{Result, Whose};

/// Their letters: those of their turns, and those that intake filed at one of these numbers.
pub(super) fn letters(whose: &Whose) -> Document {
    let numbers: Vec<&str> = whose.numbers.iter().map(String::as_str).collect();
    let sessions: Vec<&str> = whose.sessions.iter().map(String::as_str).collect();
    let mut of_intake = doc! {
        "conversation": Bson::Null,
        "body": { "$regex": whose.naming() },
        "$or": [
            { "phone_number_id": { "$in": numbers } },
            // Where handling it panicked nobody read the number.
            { "phone_number_id": Bson::Null, "body": { "$regex": whose.to_us() } },
        ],
    };
    bound(whose, &mut of_intake);
    doc! { "$or": [{ "conversation": { "$in": sessions } }, of_intake] }
}

/// The events that name them, at one of these numbers; where an event knows no number, at the account.
pub(super) fn events(whose: &Whose) -> Document {
    let numbers: Vec<&str> = whose.numbers.iter().map(String::as_str).collect();
    let waba_ids: Vec<&str> = whose.waba_ids.iter().map(String::as_str).collect();
    let mut events = doc! {
        "payload": { "$regex": whose.naming() },
        "$or": [
            { "phone_number_id": { "$in": numbers } },
            { "phone_number_id": Bson::Null, "waba_id": { "$in": waba_ids } },
        ],
    };
    bound(whose, &mut events);
    events
}

fn bound(whose: &Whose, filter: &mut Document) {
    if let Some(time) = whose.arrived_by {
        filter.insert("received_at", doc! { "$lte": to_bson(time) });
    }
}

impl MongoStore {
    /// Discards the letters of a customer, and says how many there were.
    pub(super) async fn erase_letters(&self, whose: &Whose) -> Result<u64> {
        self.discard_all(letters(whose)).await
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
        let collection = self.db.collection::<Document>("account_events");
        Ok(collection.update_many(events(whose), update).await?.modified_count)
    }
}
