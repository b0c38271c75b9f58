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
        let counts = used.counts().into_iter().filter(|(_, count)| *count > 0);
        let added: Document =
            counts.map(|(name, count)| (name, i64::try_from(count).unwrap_or(i64::MAX).into())).collect();
        let expire_at = expiry(self.now());
        let mut update = doc! {
            "$setOnInsert": { "business_id": business.0.as_str(), "day": day.to_string(), "expire_at": expire_at },
        };
        if !added.is_empty() {
            update.insert("$inc", added);
        }
        let usage = self.db.collection::<Document>("usage");
        usage.update_one(doc! { "_id": key(business, day) }, update).upsert(true).await?;
        Ok(())
    }

    async fn usage_of_day(&self, business: &BusinessId, day: Date) -> Result<DayUsage> {
        let found = self.db.collection::<Document>("usage").find_one(doc! { "_id": key(business, day) }).await?;
        Ok(DayUsage::from_counts(|name| {
            let (outer, inner) = name.split_once('.').map_or((None, name), |(outer, inner)| (Some(outer), inner));
            let day = found.as_ref().and_then(|day| outer.map_or(Some(day), |outer| day.get_document(outer).ok()));
            day.and_then(|day| whole(day, inner)).and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
        }))
    }
}

pub(super) fn key(business: &BusinessId, day: Date) -> String {
    format!("{}:{day}", business.0)
}
