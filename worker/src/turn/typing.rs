//! Read receipt and typing indicator while an answer is thought over.

use std::time::Duration;

use secrecy::SecretString;
use shared::ids::{MessageId, PhoneNumberId};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::whatsapp::Graph;

/// The indicator lasts 25 seconds (Meta, "Typing indicators").
const RENEWAL: Duration = Duration::from_secs(20);
/// An answer waits this long for the first indicator at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// The indicator, renewed until this value goes out of scope.
pub(super) struct Typing {
    task: JoinHandle<()>,
    shown: oneshot::Receiver<()>,
}

impl Typing {
    /// Marks the message as read and shows that somebody types. A courtesy: a failure changes nothing.
    pub(super) fn show(graph: Graph, token: SecretString, number: PhoneNumberId, message: MessageId) -> Self {
        let (first, shown) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut first = Some(first);
            loop {
                if let Err(error) = graph.read_and_type(&token, &number, &message).await {
                    tracing::debug!(%error, "the typing indicator was not shown");
                }
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
