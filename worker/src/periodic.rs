//! Housekeeping that comes round again and again.

use std::{fmt::Display, time::Duration};

use shared::shutdown::Shutdown;

/// Does `work` after each `pause`, until the drain begins; then drops it where it stands, so it must be such that
/// another worker can go on with it. An error is logged as `what`, and the next round tries again.
pub(crate) async fn every<F, E>(pause: Duration, shutdown: &Shutdown, what: &str, work: impl FnMut() -> F)
where
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    if goes_on_after(pause, shutdown).await {
        now_and_every(pause, shutdown, what, work).await;
    }
}

/// The same, beginning at once.
pub(crate) async fn now_and_every<F, E>(pause: Duration, shutdown: &Shutdown, what: &str, mut work: impl FnMut() -> F)
where
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    loop {
        let worked = tokio::select! {
            () = shutdown.draining.cancelled() => return,
            worked = work() => worked,
        };
        if let Err(error) = worked {
            tracing::warn!(%error, "{what}");
        }
        if !goes_on_after(pause, shutdown).await {
            return;
        }
    }
}

async fn goes_on_after(pause: Duration, shutdown: &Shutdown) -> bool {
    tokio::select! {
        () = shutdown.draining.cancelled() => false,
        () = tokio::time::sleep(pause) => true,
    }
}
