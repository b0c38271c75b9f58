//! The days of businesses, in numbers: one row a business and day, `id` = `{business _id}:{date}`.

use async_trait::async_trait;
use jiff::civil::Date;
use rusqlite::params;
use worker::{
    conversation::BusinessId,
    store::{CountedDay, Days, Result},
};

use super::{
    SqliteStore,
    error::corrupt,
    row::{Row, Table, required, time_in},
};

const DAYS: Table = Table::Analytics;

#[async_trait]
impl Days for SqliteStore {
    async fn counted_days(&self, business: Option<&BusinessId>, first: Date, last: Date) -> Result<Vec<CountedDay>> {
        let business = business.map(|business| business.0.clone());
        let meant = "day BETWEEN ?1 AND ?2 AND business_id = coalesce(?3, business_id) \
                     AND document ->> '$.counted_at' IS NOT NULL ORDER BY day, business_id";
        let found = self.database.read(move |connection, _| {
            DAYS.find::<Row>(connection, meant, params![first.to_string(), last.to_string(), business])
        });
        found.await?.iter().map(|(_, row)| counted(row)).collect()
    }
}

fn counted(row: &Row) -> Result<CountedDay> {
    let what = "day of analytics";
    Ok(CountedDay {
        business: BusinessId(required(row, "business_id", what)?.to_owned()),
        day: required(row, "day", what)?.parse().map_err(|_| corrupt(what))?,
        numbers: row
            .get("numbers")
            .cloned()
            .and_then(|n| serde_json::from_value(n).ok())
            .ok_or_else(|| corrupt(what))?,
        counted_at: time_in(row, "counted_at").ok_or_else(|| corrupt(what))?,
    })
}
