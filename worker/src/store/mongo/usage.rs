//! `usage` has one document a business and day, `_id` = `{business _id}:{date}`.

use async_trait::async_trait;
use jiff::civil::Date;
use mongodb::bson::{Document, doc};

use super::{MongoStore, dead_letters::whole, expiry};
use crate::{
    conversation::BusinessId,
    store::{DayUsage, Result, UsageBook},
};

#[async_trait]
impl UsageBook for MongoStore {
    async fn add_usage(&self, business: &BusinessId, day: Date, used: &DayUsage) -> Result<()> {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let expire_at = expiry(self.now());
        let update = doc! {
            "$inc": {
                "replies": count(used.replies),
                "tokens": count(used.tokens),
                "speech_characters": count(used.speech_characters),
            },
            "$setOnInsert": { "business_id": business.0.as_str(), "day": day.to_string(), "expire_at": expire_at },
        };
        let usage = self.db.collection::<Document>("usage");
        usage.update_one(doc! { "_id": key(business, day) }, update).upsert(true).await?;
        Ok(())
    }

    async fn usage_of_day(&self, business: &BusinessId, day: Date) -> Result<DayUsage> {
        let found = self.db.collection::<Document>("usage").find_one(doc! { "_id": key(business, day) }).await?;
        let count = |field: &str| {
            found.as_ref().and_then(|day| whole(day, field)).and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
        };
        Ok(DayUsage {
            replies: count("replies"),
            tokens: count("tokens"),
            speech_characters: count("speech_characters"),
        })
    }
}

fn key(business: &BusinessId, day: Date) -> String {
    format!("{}:{day}", business.0)
}
