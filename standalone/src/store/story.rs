//! The transcript as an operator reads it, from `messages`.

use async_trait::async_trait;
use rusqlite::params;
use shared::ids::{MessageId, PhoneNumberId, SessionId};
use worker::store::{Line, Result, Story, said};

use super::{
    SqliteStore,
    days::{usage_of, waited},
    row::{Row, Table, text, time_in, whole},
};

#[async_trait]
impl Story for SqliteStore {
    async fn lines_of(&self, session: &SessionId, most: u32, with_texts: bool) -> Result<Vec<Line>> {
        let session = session.expose().to_owned();
        let meant = "conversation = ?1 AND document ->> '$.timestamp' IS NOT NULL \
                     ORDER BY document ->> '$.timestamp' DESC, id DESC LIMIT ?2";
        let rows = self
            .database
            .read(move |connection, _| Table::Messages.find::<Row>(connection, meant, params![session, most]));
        let rows = rows.await?;
        Ok(rows.iter().rev().filter_map(|(_, row)| line(row, with_texts)).collect())
    }
}

fn line(row: &Row, with_texts: bool) -> Option<Line> {
    let words = |field: &str| text(row, field).filter(|_| with_texts);
    Some(Line {
        inbound: text(row, "direction") == Some("in"),
        number: text(row, "phone_number_id").and_then(|id| PhoneNumberId::parse(id).ok()),
        id: text(row, "id").and_then(|id| MessageId::parse(id).ok()),
        kind: text(row, "type").unwrap_or("unknown").to_owned(),
        at: time_in(row, "timestamp")?,
        received_at: time_in(row, "received_at"),
        answered_at: time_in(row, "answered_at"),
        reply_id: text(row, "reply_id").map(str::to_owned),
        usage: usage_of(row),
        waited: waited(row),
        status: text(row, "status").map(str::to_owned),
        status_at: time_in(row, "status_at"),
        error_code: whole(row, "error_code"),
        text: said(words("body"), words("words"), words("message")),
    })
}
