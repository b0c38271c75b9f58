//! Read receipt and typing indicator: from the first message on, and while an answer is thought over.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use secrecy::SecretString;
use shared::ids::{MessageId, PhoneNumberId};
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};

use crate::whatsapp::Graph;

/// The indicator lasts 25 seconds (Meta, "Typing indicators").
const RENEWAL: Duration = Duration::from_secs(20);
/// An answer waits this long for the first indicator at most.
const PATIENCE: Duration = Duration::from_secs(1);
const MOST_REMEMBERED: u64 = 100_000;
/// Indicators of messages that have just landed.
const LANDED_AT_ONCE: usize = 32;

/// What was shown a short while ago, so that a turn need not show again what the landing has shown. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Indicators {
    graph: Graph,
    shown: Cache<(PhoneNumberId, MessageId), ()>,
    places: Arc<Semaphore>,
}

impl Indicators {
    /// Over a client of the Graph API.
    pub fn new(graph: Graph) -> Self {
        let shown = Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(RENEWAL / 2).build();
        Self { graph, shown, places: Arc::new(Semaphore::new(LANDED_AT_ONCE)) }
    }

    /// Marks the message as read and shows that somebody types, unless that has just been done; then waits for it. A
    /// courtesy: a failure changes nothing.
    pub async fn show(&self, token: &SecretString, number: &PhoneNumberId, message: &MessageId) {
        let showing = self.graph.read_and_type(token, number, message);
        if let Err(error) = self.shown.try_get_with((number.clone(), message.clone()), showing).await {
            tracing::debug!(%error, "the typing indicator was not shown");
        }
    }

    /// The same for a message that has just landed, beside whatever its landing does next. Not where many are shown
    /// already: in a flood the sends come first.
    pub fn show_landed(&self, token: SecretString, number: PhoneNumberId, message: MessageId) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let indicators = self.clone();
        tokio::spawn(async move {
            indicators.show(&token, &number, &message).await;
            drop(place);
        });
    }
}

/// The indicator, renewed until this value goes out of scope.
pub(super) struct Typing {
    task: JoinHandle<()>,
    shown: oneshot::Receiver<()>,
}

impl Typing {
    /// Marks the message as read and shows that somebody types.
    pub(super) fn show(indicators: Indicators, token: SecretString, number: PhoneNumberId, message: MessageId) -> Self {
        let (first, shown) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut first = Some(first);
            loop {
                // Boxed, so that its room is free again while this task sleeps, as it does most of the time.
                Box::pin(indicators.show(&token, &number, &message)).await;
                if let Some(first) = first.take() {
                    // Nobody waits for it where the answer failed.
                    first.send(()).ok();
                }
                tokio::time::sleep(RENEWAL).await;
            }
        });
        Self { task, shown }
    }

    /// Waits until the first indicator was shown: one that came after the answer would say for 25 seconds that
    /// more is being written, and one that never came would leave the message unread.
    pub(super) async fn shown(mut self) {
        drop(tokio::time::timeout(PATIENCE, &mut self.shown).await);
    }
}

impl Drop for Typing {
    fn drop(&mut self) {
        self.task.abort();
    }
}
