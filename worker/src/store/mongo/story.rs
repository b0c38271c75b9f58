//! The transcript as an operator reads it, from `messages`.

use async_trait::async_trait;
use mongodb::bson::{Bson, Document, doc};
use shared::ids::{MessageId, PhoneNumberId, SessionId};

use super::{MongoStore, from_bson};
use crate::{
    conversation::Usage,
    store::{Line, Result, Story, said},
};

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
        usage: row.get_document("usage").ok().map(usage),
        status: text("status").map(str::to_owned),
        status_at: time("status_at"),
        error_code: row.get("error_code").and_then(whole),
        text: said(text("body"), text("words"), text("message")),
    })
}

fn usage(usage: &Document) -> Usage {
    let count = |field: &str| usage.get(field).and_then(whole).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let small = |field: &str| u32::try_from(count(field)).unwrap_or(u32::MAX);
    Usage {
        model: usage.get_str("model").unwrap_or_default().to_owned(),
        calls: small("calls"),
        tokens_in: count("tokens_in"),
        tokens_out: count("tokens_out"),
        transcriptions: small("transcriptions"),
        spoken_characters: count("spoken_characters"),
    }
}

fn whole(value: &Bson) -> Option<i64> {
    value.as_i64().or_else(|| value.as_i32().map(i64::from))
}
