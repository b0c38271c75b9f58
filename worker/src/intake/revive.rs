//! Brings dead letters back: those of businesses that can be served again, and those that an operator asks for.

use std::{collections::HashSet, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use moka::future::Cache;
use shared::{envelope::DecodeError, ids::PhoneNumberId, shutdown::Shutdown};

use super::{Intake, IntakeError, Update, status::DELIVERY_FAILED};
use crate::{
    business::Lookup,
    periodic::every,
    store::{ReplayPolicy, StoreError, WaitingLetter, in_time, letter_handle},
};

const EVERY: Duration = Duration::from_secs(5);
const AT_ONCE: i64 = 100;
/// How long a requested replay is one worker's. After that it is taken for dead, and another one begins anew.
const IN_HAND: Duration = Duration::from_secs(30);

/// Letters that are brought back before a message lands, and for how long.
const FIRST_MOST: usize = 20;
const FIRST_WITHIN: Duration = Duration::from_secs(2);
/// How long a number is taken to have no letters that wait: for as long as a business is not looked up again.
const CAUGHT_UP_FOR: Duration = Duration::from_secs(60);
const MOST_CAUGHT_UP: u64 = 100_000;

/// Numbers of which no dead letter waits for its business. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct CaughtUp(Cache<PhoneNumberId, ()>);

impl Default for CaughtUp {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST_CAUGHT_UP).time_to_live(CAUGHT_UP_FOR).build())
    }
}

impl CaughtUp {
    /// There may be one again.
    pub(super) async fn forget(&self, number: &PhoneNumberId) {
        self.0.invalidate(number).await;
    }
}

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
            self.revive_these(&number, letters).await?;
        }
        Ok(())
    }

    /// Brings back letters of a number whose business is served.
    async fn revive_these(&self, number: &PhoneNumberId, letters: Vec<WaitingLetter>) -> Result<(), StoreError> {
        let messages = letters.iter().filter(|letter| letter.reason != DELIVERY_FAILED).count();
        if messages > 0 {
            tracing::info!(phone_number_id = %number, messages, "replaying dead letters: their business can be served");
        }
        for letter in letters {
            match in_time(self.revive_one(&letter, decode(&letter))).await {
                // What the database will never take of this one must not keep the others waiting.
                Err(error) if error.is_permanent() => {
                    tracing::error!(letter = letter_handle(&letter.id), %error, "a dead letter cannot be replayed");
                }
                revived => revived?,
            }
        }
        Ok(())
    }

    /// What waited for this number's business was written before what comes now. Of many letters a few are brought back
    /// before each message, by whoever comes first: none waits for all of them, nor for one that cannot be brought back.
    pub(super) async fn let_letters_go_first(&self, number: &PhoneNumberId) {
        let passing = Box::pin(async {
            let going = tokio::time::timeout(FIRST_WITHIN, self.revive_first(number));
            going.await.is_ok_and(|were_all| were_all).then_some(()).ok_or(())
        });
        // Whether there are more is for the next message.
        drop(self.caught_up.0.try_get_with(number.clone(), passing).await);
    }

    /// Whether all that waited for the number's business is back. A status of a message that failed waits for something
    /// else.
    async fn revive_first(&self, number: &PhoneNumberId) -> bool {
        let Ok(letters) = in_time(self.store.waiting_letters(number, AT_ONCE)).await else { return false };
        let listed = i64::try_from(letters.len()).unwrap_or(i64::MAX);
        let mut messages: Vec<_> = letters.into_iter().filter(|letter| letter.reason != DELIVERY_FAILED).collect();
        let are_all = messages.is_empty() || (listed < AT_ONCE && messages.len() <= FIRST_MOST);
        messages.truncate(FIRST_MOST);
        let revived = self.revive_these(number, messages).await;
        if let Err(error) = &revived {
            tracing::warn!(phone_number_id = %number, %error, "letters that should go first wait");
        }
        revived.is_ok() && are_all
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
                if reason == DELIVERY_FAILED && replay != ReplayPolicy::ByHand {
                    // Its reply is under way still. It waits as it is, for as long as it was filed to.
                    return Ok(());
                }
                tracing::warn!(reason, detail, phone_number_id = ?number, "a replayed message became a dead letter again");
                metrics::counter!("switchboard_dead_letters_total", "reason" => reason).increment(1);
                self.store.bury_again(letter, reason, &detail, replay, number.as_ref()).await
            }
        }
    }
}

fn decode(letter: &WaitingLetter) -> Result<Update, DecodeError> {
    let update = Update::decode(&letter.body, letter.message_id.as_deref())?;
    Ok(Update { replay: letter.replay_number, is_revived: true, ..update })
}
