//! What people change about a conversation: those of the business who take it over, and the customer whose id changes.

use std::time::Duration;

use mongodb::bson::doc;
use shared::ids::{SessionId, UserId, WaId};

use super::{
    super::{Result, Store, millis, pipeline::array},
    MEMORY_TURNS, turn_document, with_time,
};
use crate::conversation::{MemoryTurn, Speaker};

/// An id of a customer that is theirs no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerIdChange {
    /// A phone number.
    Phone {
        /// The former one.
        old: WaId,
        /// The one that came in its place, where that is known.
        new: Option<WaId>,
    },
    /// A business-scoped user id.
    User {
        /// The former one.
        old: UserId,
        /// The one that came in its place.
        new: UserId,
    },
}

impl Store {
    /// A person has the conversation for that time from now. A turn under way cannot commit a reply any more.
    /// False: there is no such conversation.
    ///
    /// # Errors
    /// [`crate::store::StoreError`].
    pub async fn hand_over(&self, session: &SessionId, length: Duration, said: Option<&str>) -> Result<bool> {
        let line = said.map(|text| turn_document(&MemoryTurn { speaker: Speaker::Person, text: text.to_owned() }));
        let turns = with_time(line.into_iter().collect());
        let update = vec![doc! { "$set": {
            "handed_over_until": { "$max": ["$handed_over_until", { "$add": ["$$NOW", millis(length)] }] },
            "memory.turns": { "$slice": [{ "$concatArrays": [array("memory.turns"), turns] }, -MEMORY_TURNS] },
        } }];
        Ok(self.conversations().update_one(doc! { "_id": session.expose() }, update).await?.matched_count == 1)
    }

    /// The customer of a conversation has another id now, or none that is known: what is answered from here on
    /// must not go to the next owner of the old one. Nothing changes where the old one is not on record, or where
    /// no id would be left to answer to.
    ///
    /// # Errors
    /// [`crate::store::StoreError`].
    pub async fn replace_customer_id(&self, session: &SessionId, change: &CustomerIdChange) -> Result<()> {
        let (field, old, new) = match change {
            CustomerIdChange::Phone { old, new } => ("customer.wa_id", old.expose(), new.as_ref().map(WaId::expose)),
            CustomerIdChange::User { old, new } => ("customer.user_id", old.expose(), Some(new.expose())),
        };
        let mut filter = doc! { "_id": session.expose() };
        filter.insert(field, old);
        let update = match new {
            Some(new) => doc! { "$set": { field: new } },
            None => {
                filter.insert("customer.user_id", doc! { "$exists": true });
                doc! { "$unset": { field: "" } }
            }
        };
        self.conversations().update_one(filter, update).await?;
        Ok(())
    }
}
