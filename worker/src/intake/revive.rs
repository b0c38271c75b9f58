//! Brings back the dead letters of businesses that can be served again.

use std::time::Duration;

use shared::shutdown::Shutdown;

use super::{Intake, Update};
use crate::{
    business::Lookup,
    store::{StoreError, WaitingLetter},
};

const EVERY: Duration = Duration::from_secs(5);
const AT_ONCE: i64 = 100;

/// Looks after waiting dead letters until the drain. Several workers may do so at once: landing knows a message
/// that it has seen.
pub async fn revive(intake: Intake, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.draining.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let reviving = tokio::select! {
            // Each letter is marked when it has landed; the others wait for the next worker.
            () = shutdown.draining.cancelled() => return,
            reviving = intake.revive_all() => reviving,
        };
        if let Err(error) = reviving {
            tracing::warn!(%error, "dead letters could not be looked through");
        }
    }
}

impl Intake {
    async fn revive_all(&self) -> Result<(), StoreError> {
        for number in self.store.waiting_numbers().await? {
            let Ok(Lookup::Served(_)) = self.registry.lookup(&number).await else { continue };
            let letters = self.store.waiting_letters(&number, AT_ONCE).await?;
            tracing::info!(phone_number_id = %number, messages = letters.len(), "replaying dead letters: their business can be served");
            for letter in letters {
                self.revive_one(&letter).await?;
            }
        }
        Ok(())
    }

    async fn revive_one(&self, letter: &WaitingLetter) -> Result<(), StoreError> {
        if let Ok(mut update) = Update::decode(&letter.body, letter.message_id.as_deref()) {
            update.replay = letter.replay_number;
            self.take(&update, &letter.body).await?;
        }
        self.store.mark_replayed(letter).await
    }
}
