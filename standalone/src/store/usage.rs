//! What businesses have used: one row a business and day, `id` = `{business _id}:{date}`.

use async_trait::async_trait;
use jiff::civil::Date;
use serde_json::{Value, json};
use worker::{
    conversation::BusinessId,
    store::{DayUsage, Result, UsageBook},
};

use super::{
    SqliteStore,
    row::{Row, Table, expiry, fields},
};

#[async_trait]
impl UsageBook for SqliteStore {
    async fn add_usage(&self, business: &BusinessId, day: Date, used: &DayUsage) -> Result<()> {
        let (business, used) = (business.clone(), used.clone());
        self.database
            .write(move |connection, now| {
                let id = key(&business, day);
                let mut row = Table::Usage.get(connection, &id)?.unwrap_or_else(|| {
                    fields([
                        ("_id", id.as_str().into()),
                        ("business_id", business.0.as_str().into()),
                        ("day", day.to_string().into()),
                        ("expire_at", expiry(now).into()),
                    ])
                });
                for (name, count) in used.counts().into_iter().filter(|(_, count)| *count > 0) {
                    add(&mut row, &name, count);
                }
                Table::Usage.put(connection, &id, &row)
            })
            .await
    }

    async fn usage_of_day(&self, business: &BusinessId, day: Date) -> Result<DayUsage> {
        let id = key(business, day);
        let found = self.database.read(move |connection, _| Table::Usage.get::<Row>(connection, &id)).await?;
        Ok(DayUsage::from_counts(|name| found.as_ref().map_or(0, |row| count(row, name))))
    }
}

fn count(row: &Row, name: &str) -> u64 {
    let value = match name.split_once('.') {
        Some((outer, inner)) => row.get(outer).and_then(|outer| outer.get(inner)),
        None => row.get(name),
    };
    value.and_then(Value::as_u64).unwrap_or(0)
}

fn add(row: &mut Row, name: &str, added: u64) {
    let sum = json!(count(row, name).saturating_add(added));
    match name.split_once('.') {
        Some((outer, inner)) => {
            let outer = row.entry(outer).or_insert_with(|| json!({}));
            if let Some(outer) = outer.as_object_mut() {
                outer.insert(inner.to_owned(), sum);
            }
        }
        None => drop(row.insert(name.to_owned(), sum)),
    }
}

pub(super) fn key(business: &BusinessId, day: Date) -> String {
    format!("{}:{day}", business.0)
}
