//! The days of businesses, in numbers: one row a business and day, `id` = `{business _id}:{date}`. `count_at` is there
//! while it has to be counted.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};
use rusqlite::params;
use serde_json::Value;
use worker::{
    analytics::Numbers,
    conversation::{BusinessId, Usage},
    store::{CountedDay, DAYS_KEPT, DayToCount, Days, MessageFacts, Result},
};

use super::{
    SqliteStore,
    error::corrupt,
    row::{Row, Table, fields, required, text, time, time_in, whole},
    usage::key,
};

const DAYS: Table = Table::Analytics;
const DAY: &str = "day of analytics";

#[async_trait]
impl Days for SqliteStore {
    async fn mark_days(&self, days: &[(BusinessId, Date)], delay: Duration) -> Result<()> {
        let days = days.to_vec();
        self.database
            .write(move |connection, now| {
                for (business, day) in &days {
                    let id = key(business, *day);
                    let mut row: Row = DAYS.get(connection, &id)?.unwrap_or_default();
                    let pause = Duration::from_millis(row.get("pause_millis").and_then(Value::as_u64).unwrap_or(0));
                    row.entry("count_at").or_insert_with(|| time(after(now, pause.max(delay))).into());
                    row.extend(named(business, *day, now));
                    row.insert("marked_at".to_owned(), time(now).into());
                    DAYS.put(connection, &id, &row)?;
                }
                Ok(())
            })
            .await
    }

    async fn take_day(&self, length: Duration) -> Result<Option<DayToCount>> {
        self.database
            .write(move |connection, now| {
                let due = "count_at <= ?1 ORDER BY count_at LIMIT 1";
                let found = DAYS.find::<Row>(connection, due, params![time(now)])?;
                let Some((id, mut row)) = found.into_iter().next() else { return Ok(None) };
                row.insert("count_at".to_owned(), time(after(now, length)).into());
                DAYS.put(connection, &id, &row)?;
                let (business, day) = whose(&row)?;
                let marked_at = time_in(&row, "marked_at").ok_or_else(|| corrupt(DAY))?;
                Ok(Some(DayToCount { business, day, marked_at }))
            })
            .await
    }

    async fn look_at_messages(
        &self,
        business: &BusinessId,
        from: Timestamp,
        until: Timestamp,
        show: &mut (dyn for<'m> FnMut(&'m MessageFacts) + Send),
    ) -> Result<()> {
        let business = business.0.clone();
        let found = self.database.read(move |connection, _| {
            let theirs = "business_id = ?1 AND timestamp >= ?2 AND timestamp < ?3";
            let found = Table::Messages.find::<Row>(connection, theirs, params![business, time(from), time(until)])?;
            Ok(found.iter().map(|(_, row)| facts_of(row)).collect::<Vec<_>>())
        });
        found.await?.iter().for_each(show);
        Ok(())
    }

    async fn keep_day(&self, day: &DayToCount, numbers: &Numbers, pause: Duration) -> Result<()> {
        let (day, numbers) = (day.clone(), serde_json::to_value(numbers).map_err(|_| corrupt(DAY))?);
        self.database
            .write(move |connection, now| {
                let id = key(&day.business, day.day);
                let mut row: Row = DAYS.get(connection, &id)?.unwrap_or_default();
                if time_in(&row, "marked_at") == Some(day.marked_at) {
                    row.remove("count_at");
                } else {
                    row.insert("count_at".to_owned(), time(after(now, pause)).into());
                }
                row.extend(named(&day.business, day.day, now));
                row.insert("numbers".to_owned(), numbers);
                row.insert("counted_at".to_owned(), time(now).into());
                let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                row.insert("pause_millis".to_owned(), pause.into());
                DAYS.put(connection, &id, &row)
            })
            .await
    }

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

fn after(now: Timestamp, by: Duration) -> Timestamp {
    now.saturating_add(by).unwrap_or(now)
}

fn named(business: &BusinessId, day: Date, now: Timestamp) -> Row {
    fields([
        ("_id", key(business, day).into()),
        ("business_id", business.0.as_str().into()),
        ("day", day.to_string().into()),
        ("expire_at", time(now.saturating_add(DAYS_KEPT).unwrap_or(now)).into()),
    ])
}

fn facts_of(message: &Row) -> MessageFacts {
    MessageFacts {
        is_inbound: text(message, "direction") == Some("in"),
        kind: text(message, "type").unwrap_or("unknown").to_owned(),
        waited: waited(message),
        status_rank: whole(message, "status_rank").and_then(|rank| i32::try_from(rank).ok()),
        error_code: whole(message, "error_code"),
        pricing: text(message, "pricing").map(str::to_owned),
        usage: usage_of(message),
    }
}

/// How long a customer had waited for a message.
pub(super) fn waited(message: &Row) -> Option<Duration> {
    message.get("waited_millis").and_then(Value::as_u64).map(Duration::from_millis)
}

/// What the reply of a message cost.
pub(super) fn usage_of(message: &Row) -> Option<Usage> {
    message.get("usage").cloned().and_then(|usage| serde_json::from_value(usage).ok())
}

fn counted(row: &Row) -> Result<CountedDay> {
    let (business, day) = whose(row)?;
    let numbers = row.get("numbers").cloned().and_then(|numbers| serde_json::from_value(numbers).ok());
    Ok(CountedDay {
        business,
        day,
        numbers: numbers.ok_or_else(|| corrupt(DAY))?,
        counted_at: time_in(row, "counted_at").ok_or_else(|| corrupt(DAY))?,
    })
}

fn whose(row: &Row) -> Result<(BusinessId, Date)> {
    let day = required(row, "day", DAY)?.parse().map_err(|_| corrupt(DAY))?;
    Ok((BusinessId(required(row, "business_id", DAY)?.to_owned()), day))
}
