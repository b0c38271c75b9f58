//! Serving webhooks until the process stops.

use axum::Router;
use shared::{serving, shutdown::Shutdown};
use tokio::net::TcpListener;

const MAX_CONNECTIONS: usize = 4096;

/// Serves until the stop has drained or is aborted; what is left unanswered then, Meta sends again.
pub async fn serve(listener: TcpListener, router: Router, shutdown: &Shutdown) {
    if serving::serve(listener, router, MAX_CONNECTIONS, shutdown).await {
        tracing::info!("every request in flight was answered");
    } else {
        tracing::warn!("requests were left unanswered; Meta will send them again");
    }
}
