//! `analytics` has one document a business and day, `_id` = `{business _id}:{date}`. `count_at` is there while it has to be
//! counted.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use jiff::{Timestamp, civil::Date};
use mongodb::{
    bson::{Bson, DateTime, Document, deserialize_from_document, doc, serialize_to_bson},
    options::ReturnDocument,
};

use super::{MongoStore, corrupt, from_bson, millis, to_bson, usage::key};
use crate::{
    analytics::Numbers,
    conversation::{BusinessId, Usage},
    store::{CountedDay, DAYS_KEPT, DayToCount, Days, MessageFacts, Result, StoreError},
};

const DAYS: &str = "analytics";
/// More than what is known of the database's clock may be wrong by.
const MAY_BE_DUE_MILLIS: i64 = 5_000;
const MARKED_AT_ONCE: usize = 16;
const DAY: &str = "day of analytics";

#[async_trait]
impl Days for MongoStore {
    async fn mark_days(&self, days: &[(BusinessId, Date)], after: Duration) -> Result<()> {
        for some in days.chunks(MARKED_AT_ONCE) {
            try_join_all(some.iter().map(|(business, day)| self.mark_day(business, *day, after))).await?;
        }
        Ok(())
    }

    async fn take_day(&self, length: Duration) -> Result<Option<DayToCount>> {
        // The index finds what may be due, and the database's own clock decides.
        let soon = DateTime::from_millis(self.now().timestamp_millis().saturating_add(MAY_BE_DUE_MILLIS));
        let due = doc! { "count_at": { "$lte": soon }, "$expr": { "$lte": ["$count_at", "$$NOW"] } };
        let taken = vec![doc! { "$set": { "count_at": { "$add": ["$$NOW", millis(length)] } } }];
        let days = self.db.collection::<Document>(DAYS);
        let taking = days
            .find_one_and_update(due, taken)
            .sort(doc! { "count_at": 1 })
            .projection(doc! { "numbers": 0 })
            .return_document(ReturnDocument::After);
        taking.await?.as_ref().map(to_count).transpose()
    }

    async fn look_at_messages(
        &self,
        business: &BusinessId,
        from: Timestamp,
        until: Timestamp,
        show: &mut (dyn for<'m> FnMut(&'m MessageFacts) + Send),
    ) -> Result<()> {
        let theirs = doc! {
            "business_id": business.0.as_str(),
            "timestamp": { "$gte": to_bson(from), "$lt": to_bson(until) },
        };
        let facts = doc! {
            "_id": 0, "direction": 1, "type": 1, "waited_millis": 1, "status_rank": 1, "error_code": 1, "pricing": 1,
            "usage": 1,
        };
        let mut cursor = self.db.collection::<Document>("messages").find(theirs).projection(facts).await?;
        while cursor.advance().await? {
            show(&facts_of(&cursor.deserialize_current()?));
        }
        Ok(())
    }

    async fn keep_day(&self, day: &DayToCount, numbers: &Numbers, pause: Duration) -> Result<()> {
        let numbers = serialize_to_bson(numbers).map_err(corrupt(DAY))?;
        let is_as_taken = doc! { "$eq": ["$marked_at", to_bson(day.marked_at)] };
        let again = doc! { "$add": ["$$NOW", millis(pause)] };
        let update = vec![doc! { "$set": {
            "business_id": { "$literal": day.business.0.as_str() },
            "day": day.day.to_string(),
            "numbers": { "$literal": numbers },
            "counted_at": "$$NOW",
            "pause_millis": millis(pause),
            "count_at": { "$cond": [is_as_taken, "$$REMOVE", again] },
            "expire_at": expiry(self.now()),
        } }];
        let id = key(&day.business, day.day);
        self.db.collection::<Document>(DAYS).update_one(doc! { "_id": id }, update).upsert(true).await?;
        Ok(())
    }

    async fn counted_days(&self, business: Option<&BusinessId>, first: Date, last: Date) -> Result<Vec<CountedDay>> {
        let mut filter =
            doc! { "day": { "$gte": first.to_string(), "$lte": last.to_string() }, "counted_at": { "$exists": true } };
        if let Some(business) = business {
            filter.insert("business_id", business.0.as_str());
        }
        let days = self.db.collection::<Document>(DAYS);
        let mut cursor = days.find(filter).sort(doc! { "day": 1, "business_id": 1 }).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            found.push(counted(&cursor.deserialize_current()?)?);
        }
        Ok(found)
    }
}

impl MongoStore {
    async fn mark_day(&self, business: &BusinessId, day: Date, after: Duration) -> Result<()> {
        let pause = doc! { "$max": [millis(after), { "$ifNull": ["$pause_millis", 0] }] };
        let update = vec![doc! { "$set": {
            "business_id": { "$literal": business.0.as_str() },
            "day": day.to_string(),
            "marked_at": "$$NOW",
            "count_at": { "$ifNull": ["$count_at", { "$add": ["$$NOW", pause] }] },
            "expire_at": expiry(self.now()),
        } }];
        let days = self.db.collection::<Document>(DAYS);
        days.update_one(doc! { "_id": key(business, day) }, update).upsert(true).await?;
        Ok(())
    }
}

fn expiry(now: DateTime) -> DateTime {
    let kept = i64::try_from(DAYS_KEPT.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_millis(now.timestamp_millis().saturating_add(kept))
}

fn facts_of(message: &Document) -> MessageFacts {
    let text = |field: &str| message.get_str(field).ok();
    let whole = |field: &str| whole(message.get(field));
    MessageFacts {
        is_inbound: text("direction") == Some("in"),
        kind: text("type").unwrap_or("unknown").to_owned(),
        waited: waited(message),
        status_rank: whole("status_rank").and_then(|rank| i32::try_from(rank).ok()),
        error_code: whole("error_code"),
        pricing: text("pricing").map(str::to_owned),
        usage: message.get_document("usage").ok().map(usage_of),
    }
}

/// How long a customer had waited for a message.
pub(super) fn waited(message: &Document) -> Option<Duration> {
    whole(message.get("waited_millis")).and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis)
}

/// What a reply cost.
pub(super) fn usage_of(usage: &Document) -> Usage {
    let count = |field: &str| whole(usage.get(field)).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let few = |field: &str| u32::try_from(count(field)).unwrap_or(u32::MAX);
    Usage {
        model: usage.get_str("model").unwrap_or_default().to_owned(),
        calls: few("calls"),
        tokens_in: count("tokens_in"),
        tokens_out: count("tokens_out"),
        transcriptions: few("transcriptions"),
        spoken_characters: count("spoken_characters"),
    }
}

pub(super) fn whole(value: Option<&Bson>) -> Option<i64> {
    value.and_then(|value| value.as_i64().or_else(|| value.as_i32().map(i64::from)))
}

fn to_count(document: &Document) -> Result<DayToCount> {
    let (business, day) = whose(document)?;
    let marked_at = from_bson(*document.get_datetime("marked_at").map_err(corrupt(DAY))?);
    Ok(DayToCount { business, day, marked_at })
}

fn counted(document: &Document) -> Result<CountedDay> {
    let (business, day) = whose(document)?;
    let numbers = document.get_document("numbers").map_err(corrupt(DAY))?.clone();
    Ok(CountedDay {
        business,
        day,
        numbers: deserialize_from_document(numbers).map_err(corrupt(DAY))?,
        counted_at: from_bson(*document.get_datetime("counted_at").map_err(corrupt(DAY))?),
    })
}

fn whose(document: &Document) -> Result<(BusinessId, Date)> {
    let text = |field: &str| document.get_str(field).map_err(corrupt(DAY));
    let no_date = |_| StoreError::Corrupt { what: DAY, problem: "its day is no date".to_owned() };
    Ok((BusinessId(text("business_id")?.to_owned()), text("day")?.parse().map_err(no_date)?))
}
