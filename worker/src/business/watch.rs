//! Lets conversations go on that wait for their business's token.

use std::{sync::Arc, time::Duration};

use shared::shutdown::Shutdown;

use super::Registry;
use crate::{
    periodic::every,
    store::{Store, StoreError, in_time},
};

const EVERY: Duration = Duration::from_secs(2);

/// Looks, until the drain, whether businesses whose conversations wait have another token than the one that was
/// refused, and releases the conversations at once. Several workers may do so at the same time.
pub async fn watch_tokens(store: Arc<dyn Store>, registry: Registry, shutdown: Shutdown) {
    let what = "conversations that wait for a token could not be looked through";
    every(EVERY, &shutdown, what, || in_time(release(&*store, &registry))).await;
}

async fn release(store: &dyn Store, registry: &Registry) -> Result<(), StoreError> {
    for business in store.businesses_waiting().await? {
        let Some(current) = registry.current_token(&business).await? else { continue };
        let released = store.release_waiting(&business, &current).await?;
        if released > 0 {
            tracing::info!(business_id = business.0, conversations = released, "a new token: its conversations go on");
        }
    }
    Ok(())
}
