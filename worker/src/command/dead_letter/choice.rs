//! From arguments to the letters that are meant.

use anyhow::{Context, bail};
use jiff::Timestamp;
use shared::ids::PhoneNumberId;

use super::{Choice, Filters, typed};
use crate::{
    conversation::BusinessId,
    store::{LetterFilter, LetterOwner, Reading, Standing, Store},
};

/// The letters that satisfy the conditions. None that is filed after `now`: it was not there to be looked at.
pub(super) async fn filter(
    store: &dyn Store,
    filters: &Filters,
    standing: Standing,
    now: Timestamp,
) -> anyhow::Result<LetterFilter> {
    let ago = |duration| now.checked_sub(duration).unwrap_or(Timestamp::MIN);
    let owner = match &filters.business {
        Some(subdomain) => Some(owner(store, subdomain).await?),
        None => None,
    };
    Ok(LetterFilter {
        ids: Vec::new(),
        owner,
        reason: filters.reason.clone(),
        until: Some(filters.older_than.map_or(now, ago)),
        since: filters.newer_than.map(ago),
        standing,
    })
}

/// The letters to act on. Those that are named must be there: a command with a wrong id does nothing.
pub(super) async fn chosen(
    store: &dyn Store,
    choice: &Choice,
    standing: Standing,
    now: Timestamp,
) -> anyhow::Result<LetterFilter> {
    if choice.ids.is_empty() {
        return filter(store, &choice.filters, standing, now).await;
    }
    let filter = LetterFilter { ids: choice.ids.clone(), standing: Standing::Any, ..LetterFilter::default() };
    let mut missing: Vec<&String> = choice.ids.iter().collect();
    let mut letters = store.filed_letters(&filter, Reading::default()).await?;
    while let Some(letter) = letters.next_letter().await? {
        missing.retain(|id| **id != letter.id && **id != letter.handle);
    }
    if let Some(id) = missing.first() {
        return Err(unknown(id)).context("nothing was done");
    }
    Ok(filter)
}

/// There is no such letter.
pub(super) fn unknown(id: &str) -> anyhow::Error {
    let id = typed(id);
    anyhow::anyhow!(
        "no dead letter has the id `{id}`; `worker dead-letter list` shows the ids, with --replayed also of those that \
         are done with; after 90 days a letter is deleted"
    )
}

/// `12 unknown_business, 4 refused`.
pub(super) fn by_reason(counts: &[(String, u64)]) -> String {
    counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join(", ")
}

pub(super) fn total(counts: &[(String, u64)]) -> u64 {
    counts.iter().map(|(_, count)| count).sum()
}

async fn owner(store: &dyn Store, subdomain: &str) -> anyhow::Result<LetterOwner> {
    let records = store.businesses_with_subdomain(subdomain).await?;
    if records.is_empty() {
        bail!("no business has the subdomain `{subdomain}`; `worker business list` shows those that there are");
    }
    let numbers = records.iter().flat_map(|record| &record.phone_number_ids);
    Ok(LetterOwner {
        numbers: numbers.filter_map(|id| PhoneNumberId::parse(id).ok()).collect(),
        businesses: records.iter().map(|record| BusinessId(record.id.clone())).collect(),
    })
}
