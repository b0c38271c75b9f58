//! Which days of which businesses are meant, and their numbers.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

use crate::{
    analytics::Numbers,
    business::CompanionSettings,
    conversation::BusinessId,
    store::{BusinessRecord, CountedDay, Store},
};

/// The last days up to a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    days: u32,
    now: Timestamp,
}

/// A business and its days, each of them, whether anything happened or not.
#[derive(Debug, Clone)]
pub(super) struct OneBusiness {
    pub(super) id: BusinessId,
    /// Its subdomain; its id where it has gone from the database.
    pub(super) name: String,
    pub(super) days: Vec<(Date, Option<CountedDay>)>,
}

impl OneBusiness {
    /// The days that were counted.
    pub(super) fn counted(&self) -> impl Iterator<Item = (Date, &Numbers)> {
        self.days.iter().filter_map(|(day, counted)| Some((*day, &counted.as_ref()?.numbers)))
    }

    /// All days together.
    pub(super) fn total(&self) -> Numbers {
        let mut total = Numbers::default();
        self.counted().for_each(|(_, numbers)| total.merge(numbers));
        total
    }

    /// Messages of customers, day by day.
    pub(super) fn received(&self) -> Vec<u64> {
        let received = |day: &Option<CountedDay>| day.as_ref().map_or(0, |day| day.numbers.received());
        self.days.iter().map(|(_, day)| received(day)).collect()
    }
}

impl Period {
    pub(super) fn last(days: u32, now: Timestamp) -> Self {
        Self { days, now }
    }

    fn dates(self, zone: &TimeZone) -> Vec<Date> {
        let today = self.now.to_zoned(zone.clone()).date();
        (0..self.days).rev().map(|ago| today.saturating_sub(i64::from(ago).days())).collect()
    }

    /// From the first day to the last one, wherever a business is.
    fn bounds(self) -> (Date, Date) {
        let today = self.now.to_zoned(TimeZone::UTC).date();
        (today.saturating_sub((i64::from(self.days)).days()), today.saturating_add(1.day()))
    }
}

/// The businesses with that subdomain, or all: those in the database, and those of which there are days.
///
/// # Errors
/// The database is not reachable, or no business has the subdomain.
pub(super) async fn read(
    store: &dyn Store,
    subdomain: Option<&str>,
    period: Period,
) -> anyhow::Result<Vec<OneBusiness>> {
    let records = match subdomain {
        Some(subdomain) => store.businesses_with_subdomain(subdomain).await?,
        None => store.businesses().await?,
    };
    let (first, last) = period.bounds();
    let only = match (subdomain, records.as_slice()) {
        (Some(subdomain), []) => {
            bail!("no business has the subdomain `{subdomain}`; `worker business list` shows those that there are")
        }
        (Some(_), [one]) => Some(BusinessId(one.id.clone())),
        _ => None,
    };
    let counted = store.counted_days(only.as_ref(), first, last).await?;
    let mut by_business: BTreeMap<String, BTreeMap<Date, CountedDay>> = BTreeMap::new();
    for day in counted {
        by_business.entry(day.business.0.clone()).or_default().insert(day.day, day);
    }
    let mut businesses = Vec::new();
    for record in &records {
        let days = by_business.remove(&record.id).unwrap_or_default();
        businesses.push(one(record.id.clone(), Some(record), days, period));
    }
    if subdomain.is_none() {
        let gone: BTreeSet<String> = by_business.keys().cloned().collect();
        for id in gone {
            let days = by_business.remove(&id).unwrap_or_default();
            businesses.push(one(id, None, days, period));
        }
    }
    Ok(businesses)
}

fn one(
    id: String,
    record: Option<&BusinessRecord>,
    mut days: BTreeMap<Date, CountedDay>,
    period: Period,
) -> OneBusiness {
    let zone = record.map_or(TimeZone::UTC, |record| CompanionSettings::read(&record.companion).zone());
    let name = record.and_then(|record| record.subdomain.clone()).unwrap_or_else(|| id.clone());
    let days = period.dates(&zone).into_iter().map(|day| (day, days.remove(&day))).collect();
    OneBusiness { id: BusinessId(id), name, days }
}
