//! A message of ours that Meta could not deliver, back into the mailbox: once, and only while nothing else was said.

use std::time::Duration;

use mongodb::{bson::doc, options::ReturnDocument};
use shared::ids::SessionId;

use super::{
    super::{
        Result, Store,
        pipeline::{array, due, literal, whole},
    },
    landing::item_document,
    not_handed_over, time_left,
};
use crate::conversation::{MailboxItem, Resend, resend_id};

impl Store {
    /// Puts a part of the last reply into the mailbox, to be sent once more. Says when it is due, from now. None:
    /// that part was sent once more already, something else was said since or is under way, or a person has the
    /// conversation.
    ///
    /// # Errors
    /// [`crate::store::StoreError`]; after `Unavailable` it may have landed, and a repetition says None.
    pub async fn land_resend(&self, resend: &Resend<'_>) -> Result<Option<Duration>> {
        let Some(id) = resend_id(resend.wamid) else { return Ok(None) };
        let item = MailboxItem {
            id,
            phone_number_id: resend.number.clone(),
            timestamp: resend.failed_at,
            received_at: resend.failed_at,
            index: u32::try_from(resend.part).unwrap_or(u32::MAX),
            message: Some(resend.body.to_owned()),
            resend_of: Some(resend.wamid.clone()),
        };
        let filter = doc! {
            "_id": resend.session.expose(),
            "last_reply.id": resend.reply_id,
            "last_reply.resent": { "$ne": whole(resend.part) },
            "outbox": { "$exists": false },
            "merged_into": { "$not": { "$type": "string" } },
            "$expr": not_handed_over(),
        };
        let landed = doc! { "$mergeObjects": [
            literal(item_document(&item)),
            { "received_at": "$$NOW", "landed_at": "$$NOW" },
        ] };
        let update = vec![
            doc! { "$set": {
                "mailbox": { "$concatArrays": [array("mailbox"), [landed]] },
                "last_reply.resent": { "$concatArrays": [array("last_reply.resent"), [whole(resend.part)]] },
                "first_landed_at": { "$ifNull": ["$first_landed_at", "$$NOW"] },
                "last_landed_at": "$$NOW",
            } },
            doc! { "$set": { "due_at": due("$$NOW", resend.quiet) } },
        ];
        let landed = self
            .conversations()
            .find_one_and_update(filter, update)
            .return_document(ReturnDocument::After)
            .projection(doc! { "due_in": { "$subtract": ["$due_at", "$$NOW"] } })
            .await?;
        Ok(landed.map(|document| time_left(&document, "due_in").unwrap_or_default()))
    }

    /// Whether a reply is still on its way out.
    ///
    /// # Errors
    /// [`crate::store::StoreError`].
    pub async fn is_under_way(&self, session: &SessionId, reply_id: &str) -> Result<bool> {
        let filter = doc! { "_id": session.expose(), "outbox.reply_id": reply_id };
        Ok(self.conversations().find_one(filter).projection(doc! { "_id": 1 }).await?.is_some())
    }
}
