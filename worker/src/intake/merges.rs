//! Finishes what takes several steps: merges that were interrupted or had to wait, and forgetting.
//!
//! Any worker may make any step, and a step that was made changes nothing when it is made again, so several workers
//! may look after the same conversation at once.

use std::time::Duration;

use shared::shutdown::Shutdown;

use super::Intake;
use crate::{
    conversation::QuietTime,
    periodic::every,
    store::{StoreError, in_time},
};

const EVERY: Duration = Duration::from_secs(2);
const AT_ONCE: i64 = 100;

/// Looks after merges and closed conversations until the drain.
pub async fn finish_merges(intake: Intake, shutdown: Shutdown) {
    // Between two steps the documents say how it goes on, for the next worker.
    every(EVERY, &shutdown, "merges could not be looked through", || intake.finish_all()).await;
}

impl Intake {
    async fn finish_all(&self) -> Result<(), StoreError> {
        for session in in_time(self.store.merges_under_way(AT_ONCE)).await? {
            // One that fails must not keep the others from being finished.
            if let Err(error) = in_time(self.store.merge(&session, QuietTime::new(self.settings.quiet))).await {
                tracing::error!(%session, %error, "a merge cannot go on");
            }
        }
        for session in in_time(self.store.forgotten_to_look_after(AT_ONCE)).await? {
            // Likewise.
            if let Err(error) = in_time(self.store.forget(&session)).await {
                tracing::error!(%session, %error, "what is left of a forgotten customer cannot be erased yet");
            }
        }
        Ok(())
    }
}
