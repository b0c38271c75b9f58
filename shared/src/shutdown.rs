//! Two-phase stop: first no new work, then, after a bounded drain, no work at all.
//!
//! One [`Shutdown`] is made in `main` and handed down. Whoever accepts work stops at `draining`; whoever
//! finishes work that was accepted goes on until it is done or `aborting` is cancelled.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two signals of a stop. Cheap to clone; all clones see the same signals.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled when no new work may be taken.
    pub draining: CancellationToken,
    /// Cancelled when work under way must be left as it is; always after `draining`.
    pub aborting: CancellationToken,
}

impl Shutdown {
    /// A stop that SIGTERM or SIGINT begins and that a second signal, or `drain` after the first, ends.
    ///
    /// # Errors
    /// Where the process cannot listen to signals.
    pub fn on_signals(drain: Duration) -> std::io::Result<Self> {
        let shutdown = Self::default();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let signals = shutdown.clone();
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, drain_secs = drain.as_secs_f64(), "stopping: no new work");
            signals.draining.cancel();
            tokio::select! {
                _ = terminate.recv() => tracing::warn!("second signal: leaving the rest as it is"),
                _ = interrupt.recv() => tracing::warn!("second signal: leaving the rest as it is"),
                () = tokio::time::sleep(drain) => tracing::warn!("work is left after the drain time"),
            }
            signals.aborting.cancel();
        });
        Ok(shutdown)
    }

    /// Begins both phases at once, for tests and for a process that cannot go on.
    pub fn now(&self) {
        self.draining.cancel();
        self.aborting.cancel();
    }
}
