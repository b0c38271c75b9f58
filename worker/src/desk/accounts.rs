//! Accounts as operators see them: whether they may send, and what Meta said last.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    account::{AccountStanding, FIELDS, Notice},
    message::parse,
    store::{BusinessRecord, KeptEvent, Result, Store},
};

/// Events of each account that are shown.
const EVENTS: u32 = 5;

/// One account, as it is shown.
#[derive(Debug)]
pub(crate) struct Account {
    /// What Meta lets it do.
    pub(crate) standing: AccountStanding,
    /// The businesses that name it.
    pub(crate) businesses: Vec<String>,
    /// What Meta said last, the newest first.
    pub(crate) events: Vec<KeptEvent>,
}

/// Those of businesses and those of which Meta has said something, by id.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn accounts(store: &dyn Store) -> Result<Vec<Account>> {
    let mut standings: BTreeMap<String, AccountStanding> =
        store.standings().await?.into_iter().map(|standing| (standing.waba_id.clone(), standing)).collect();
    let mut businesses = BTreeMap::<String, BTreeSet<String>>::new();
    for business in store.businesses().await? {
        let Some(waba_id) = business.waba_id.clone() else { continue };
        standings.entry(waba_id.clone()).or_insert_with(|| AccountStanding::new(&waba_id));
        businesses.entry(waba_id).or_default().insert(name(&business));
    }
    let mut accounts = Vec::with_capacity(standings.len());
    for (waba_id, standing) in standings {
        let events = store.last_events(&waba_id, FIELDS, EVENTS).await?;
        let businesses = businesses.remove(&waba_id).unwrap_or_default().into_iter().collect();
        accounts.push(Account { standing, businesses, events });
    }
    Ok(accounts)
}

fn name(business: &BusinessRecord) -> String {
    business.subdomain.clone().unwrap_or_else(|| business.id.clone())
}

/// What an event means; none where it was erased.
pub(crate) fn notice(event: &KeptEvent) -> Option<Notice> {
    let change = parse(event.payload.as_deref()?)?;
    Some(Notice::of(&event.field, change.get("value").unwrap_or(&Value::Null)))
}
