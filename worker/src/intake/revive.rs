//! Brings dead letters back: those of businesses that can be served again, and those that an operator asks for.

use std::{collections::HashSet, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use shared::{envelope::DecodeError, shutdown::Shutdown};

use super::{Intake, IntakeError, Update};
use crate::{
    business::Lookup,
    periodic::every,
    store::{StoreError, WaitingLetter, in_time},
};

const EVERY: Duration = Duration::from_secs(5);
const AT_ONCE: i64 = 100;
/// How long a requested replay is one worker's. After that it is taken for dead, and another one begins anew.
const IN_HAND: Duration = Duration::from_secs(30);

/// Looks after dead letters until the drain. Several workers may do so at once: landing knows a message that it has
/// seen.
pub async fn revive(intake: Intake, shutdown: Shutdown) {
    // Each letter is marked when it has landed; the others wait for the next worker.
    every(EVERY, &shutdown, "dead letters could not be looked through", || intake.revive_all()).await;
}

impl Intake {
    async fn revive_all(&self) -> Result<(), StoreError> {
        self.revive_requested().await?;
        for number in in_time(self.store.waiting_numbers()).await? {
            let Ok(Lookup::Served(_)) = in_time(self.registry.lookup(&number)).await else { continue };
            let letters = in_time(self.store.waiting_letters(&number, AT_ONCE)).await?;
            tracing::info!(phone_number_id = %number, messages = letters.len(), "replaying dead letters: their business can be served");
            for letter in letters {
                in_time(self.revive_one(&letter, decode(&letter))).await?;
            }
        }
        Ok(())
    }

    /// What operators want to be replayed, whatever its policy.
    async fn revive_requested(&self) -> Result<(), StoreError> {
        let mut looked_up = HashSet::new();
        while let Some(letter) = in_time(self.store.take_up_requested(IN_HAND)).await? {
            let update = decode(&letter);
            let number = update.as_ref().ok().and_then(|update| update.envelope.phone_number_id.as_ref());
            // Its business may have been mended a moment ago, with the old one still cached here.
            if let Some(number) = number
                && looked_up.insert(number.clone())
            {
                in_time(self.registry.lookup_fresh(number)).await?;
            }
            tracing::info!(phone_number_id = ?number, "replaying a dead letter: an operator asked for it");
            in_time(self.revive_one(&letter, update)).await?;
        }
        Ok(())
    }

    /// Handles what a letter holds. Where that fails the letter is filed again, under its own id.
    async fn revive_one(&self, letter: &WaitingLetter, update: Result<Update, DecodeError>) -> Result<(), StoreError> {
        let number = update.as_ref().ok().and_then(|update| update.envelope.phone_number_id.clone());
        let handled = match update {
            // A panic would end this task, and with it every replay of this worker.
            Ok(update) => AssertUnwindSafe(self.attempt(&update)).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!(phone_number_id = ?number, "replaying a dead letter panicked");
                Err(IntakeError::unhandled("panic", "replaying it panicked; the log has the place"))
            }),
            Err(error) => Err(IntakeError::unhandled("undecodable", error.to_string())),
        };
        match handled {
            Ok(()) => self.store.mark_replayed(letter).await,
            Err(IntakeError::Store(error)) => Err(error),
            Err(IntakeError::Unhandled { reason, detail, replay }) => {
                tracing::warn!(reason, detail, phone_number_id = ?number, "a replayed message became a dead letter again");
                metrics::counter!("switchboard_dead_letters_total", "reason" => reason).increment(1);
                self.store.bury_again(letter, reason, &detail, replay, number.as_ref()).await
            }
        }
    }
}

fn decode(letter: &WaitingLetter) -> Result<Update, DecodeError> {
    let update = Update::decode(&letter.body, letter.message_id.as_deref())?;
    Ok(Update { replay: letter.replay_number, ..update })
}
