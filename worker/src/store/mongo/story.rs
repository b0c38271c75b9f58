//! The transcript as an operator reads it, from `messages`.

use async_trait::async_trait;
use mongodb::bson::{Document, doc};
use shared::ids::{MessageId, PhoneNumberId, SessionId};

use super::{
    MongoStore,
    days::{usage_of, waited, whole},
    from_bson,
};
use crate::store::{Line, Result, Story, said};

#[async_trait]
impl Story for MongoStore {
    async fn lines_of(&self, session: &SessionId, most: u32, with_texts: bool) -> Result<Vec<Line>> {
        let messages = self.db.collection::<Document>("messages");
        // What only a status is known of has no time of its own, and is in no conversation.
        let filter = doc! { "conversation": session.expose(), "timestamp": { "$type": "date" } };
        let found = messages.find(filter).sort(doc! { "timestamp": -1, "_id": -1 }).limit(i64::from(most));
        let hidden = doc! { "body": 0, "words": 0, "message": 0 };
        let mut cursor = found.projection(if with_texts { Document::new() } else { hidden }).await?;
        let mut lines = Vec::new();
        while cursor.advance().await? {
            lines.extend(line(&cursor.deserialize_current()?));
        }
        lines.reverse();
        Ok(lines)
    }
}

fn line(row: &Document) -> Option<Line> {
    let text = |field: &str| row.get_str(field).ok();
    let time = |field: &str| row.get_datetime(field).ok().map(|time| from_bson(*time));
    Some(Line {
        inbound: text("direction") == Some("in"),
        number: text("phone_number_id").and_then(|id| PhoneNumberId::parse(id).ok()),
        id: text("id").and_then(|id| MessageId::parse(id).ok()),
        kind: text("type").unwrap_or("unknown").to_owned(),
        at: time("timestamp")?,
        received_at: time("received_at"),
        answered_at: time("answered_at"),
        reply_id: text("reply_id").map(str::to_owned),
        usage: row.get_document("usage").ok().map(usage_of),
        waited: waited(row),
        status: text("status").map(str::to_owned),
        status_at: time("status_at"),
        error_code: whole(row.get("error_code")),
        text: said(text("body"), text("words"), text("message")),
    })
}
