//! What businesses have used: one row a business and day, `id` = `{business _id}:{date}`.

use async_trait::async_trait;
use jiff::civil::Date;
use serde_json::json;
use worker::{
    conversation::BusinessId,
    store::{DayUsage, Result, UsageBook},
};

use super::{
    SqliteStore,
    row::{Row, Table, expiry, whole},
};

#[async_trait]
impl UsageBook for SqliteStore {
    async fn add_usage(&self, business: &BusinessId, day: Date, used: &DayUsage) -> Result<()> {
        let (business, used) = (business.clone(), *used);
        self.database
            .write(move |connection, now| {
                let id = key(&business, day);
                let before = of_row(Table::Usage.get(connection, &id)?.as_ref());
                let row = json!({
                    "_id": id,
                    "business_id": business.0,
                    "day": day.to_string(),
                    "replies": before.replies + used.replies,
                    "tokens": before.tokens + used.tokens,
                    "speech_characters": before.speech_characters + used.speech_characters,
                    "expire_at": expiry(now),
                });
                Table::Usage.put(connection, &id, &row)
            })
            .await
    }

    async fn usage_of_day(&self, business: &BusinessId, day: Date) -> Result<DayUsage> {
        let id = key(business, day);
        let found = self.database.read(move |connection, _| Table::Usage.get::<Row>(connection, &id)).await?;
        Ok(of_row(found.as_ref()))
    }
}

fn of_row(row: Option<&Row>) -> DayUsage {
    let count = |field: &str| row.and_then(|row| whole(row, field)).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    DayUsage { replies: count("replies"), tokens: count("tokens"), speech_characters: count("speech_characters") }
}

fn key(business: &BusinessId, day: Date) -> String {
    format!("{}:{day}", business.0)
}
