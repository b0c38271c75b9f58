//! `analytics` has one document a business and day, `_id` = `{business _id}:{date}`.

use async_trait::async_trait;
use jiff::civil::Date;
use mongodb::bson::{Document, deserialize_from_document, doc};

use super::{MongoStore, corrupt, from_bson};
use crate::{
    conversation::BusinessId,
    store::{CountedDay, Days, Result, StoreError},
};

const DAYS: &str = "analytics";

#[async_trait]
impl Days for MongoStore {
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
            found.push(counted(cursor.deserialize_current()?)?);
        }
        Ok(found)
    }
}

fn counted(document: Document) -> Result<CountedDay> {
    let text = |field: &str| document.get_str(field).map_err(corrupt("day of analytics"));
    let numbers = document.get_document("numbers").map_err(corrupt("day of analytics"))?.clone();
    Ok(CountedDay {
        business: BusinessId(text("business_id")?.to_owned()),
        day: text("day")?.parse().map_err(|_| no_day())?,
        numbers: deserialize_from_document(numbers).map_err(corrupt("day of analytics"))?,
        counted_at: from_bson(*document.get_datetime("counted_at").map_err(corrupt("day of analytics"))?),
    })
}

fn no_day() -> StoreError {
    StoreError::Corrupt { what: "day of analytics", problem: "its day is no date".to_owned() }
}
