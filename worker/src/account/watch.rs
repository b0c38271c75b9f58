//! Looks after accounts that may not send: what is cached of them, and how many businesses wait.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use shared::shutdown::Shutdown;
use tokio::sync::Mutex;

use super::AccountStanding;
use crate::{
    business::Registry,
    periodic::every,
    store::{Store, StoreError, in_time},
};

const EVERY: Duration = Duration::from_secs(2);

/// Looks, until the drain, at every account that Meta has said something of: what another worker heard counts here, too,
/// within seconds. Conversations that wait are released by whoever watches the tokens.
pub async fn watch_accounts(store: Arc<dyn Store>, registry: Registry, shutdown: Shutdown) {
    let seen = Mutex::new(HashMap::new());
    let what = "the standing of accounts could not be looked through";
    every(EVERY, &shutdown, what, || in_time(look(&*store, &registry, &seen))).await;
}

async fn look(
    store: &dyn Store,
    registry: &Registry,
    seen: &Mutex<HashMap<String, AccountStanding>>,
) -> Result<(), StoreError> {
    let (mut seen, now) = (seen.lock().await, Timestamp::now());
    let mut paused = 0_u32;
    for standing in store.standings().await? {
        let is_news = seen.get(&standing.waba_id) != Some(&standing);
        let pause = standing.pause(now);
        if !is_news && pause.is_none() {
            continue;
        }
        let businesses = store.businesses_of_account(&standing.waba_id).await?;
        if is_news {
            registry.drop_cached(&businesses).await;
        }
        if pause.is_some() {
            let served = businesses.iter().filter(|business| business.whatsapp_enabled && business.is_active).count();
            paused = paused.saturating_add(u32::try_from(served).unwrap_or(u32::MAX));
        }
        seen.insert(standing.waba_id.clone(), standing);
    }
    metrics::gauge!("switchboard_businesses_paused").set(f64::from(paused));
    Ok(())
}
