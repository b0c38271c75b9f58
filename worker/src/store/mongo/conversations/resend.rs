//! A message of ours that Meta could not deliver, back into the mailbox: once, and only while nothing else was said.

use std::time::Duration;

use mongodb::{bson::doc, options::ReturnDocument};

use super::{
    super::{
        MongoStore,
        pipeline::{array, due, literal, whole},
    },
    landing::item_document,
    not_handed_over, time_left,
};
use crate::{
    conversation::{MailboxItem, Resend, resend_id},
    store::Result,
};

impl MongoStore {
    /// [`crate::store::Mailboxes::land_resend`].
    pub(super) async fn put_back(&self, resend: &Resend<'_>) -> Result<Option<Duration>> {
        let Some(id) = resend_id(resend.wamid) else { return Ok(None) };
        let item = MailboxItem {
            id,
            phone_number_id: resend.number.clone(),
            timestamp: resend.failed_at,
            received_at: resend.failed_at,
            index: u32::try_from(resend.part).unwrap_or(u32::MAX),
            message: Some(resend.body.to_owned()),
            resend_of: Some(resend.wamid.clone()),
            trace: resend.trace,
        };
        let filter = doc! {
            "_id": resend.session.expose(),
            "last_reply.id": resend.reply_id,
            "last_reply.resent": { "$ne": whole(resend.part) },
            "outbox": { "$exists": false },
            "merged_into": { "$not": { "$type": "string" } },
            "opted_out_at": { "$exists": false },
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
}
