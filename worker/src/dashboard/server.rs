//! Serving the dashboard until the process stops.

use anyhow::Context;
use shared::{serving, shutdown::Shutdown};
use tokio::net::TcpListener;

use super::Dashboard;
use crate::store::wait_until_ready;

const MAX_CONNECTIONS: usize = 256;

/// Serves until the stop has drained or is aborted.
///
/// # Errors
/// The listener has no address.
pub async fn serve(dashboard: Dashboard, listener: TcpListener, shutdown: &Shutdown) -> anyhow::Result<()> {
    let store = std::sync::Arc::clone(&dashboard.store);
    let addr = listener.local_addr().context("the address of the dashboard")?;
    // Whoever asks before the database answers is told that it does not.
    tracing::info!(%addr, "the dashboard is served");
    let served = serving::serve(listener, dashboard.router(), MAX_CONNECTIONS, shutdown);
    let (is_whole, _) = tokio::join!(served, wait_until_ready(&*store, shutdown));
    if !is_whole {
        tracing::warn!("requests were left unanswered");
    }
    store.close().await;
    Ok(())
}
