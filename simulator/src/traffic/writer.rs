//! One customer at work: step after step, each acknowledged before the next.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};

use super::{
    SentMessage,
    batches::Parcel,
    plan::{Draft, Writer},
};
use crate::{
    Business, Sender,
    webhook::{Body, Message, Undelivered},
};

/// How a customer's messages get to the receiver.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) sender: Sender,
    pub(super) parcels: mpsc::Sender<Parcel>,
    pub(super) pace: Option<Arc<Pace>>,
}

impl Writer {
    /// Writes everything, and waits for the copies that come again.
    pub(super) async fn write(self, post: Post) -> Vec<SentMessage> {
        let mut sent = Vec::new();
        let mut copies = JoinSet::new();
        for (nth, step) in self.steps.into_iter().enumerate() {
            tokio::time::sleep(step.pause).await;
            // Meta stamps in the order in which it posts: were each stamped when its turn comes, those of a second's
            // last moment could be posted after those of the next second.
            let written_at = jiff::Timestamp::now().as_second();
            let mut deliveries = JoinSet::new();
            for draft in step.drafts {
                deliveries.spawn(post.clone().deliver(self.business.clone(), draft, written_at));
            }
            for Delivery { tag, message, acknowledged, again } in deliveries.join_all().await {
                sent.push(SentMessage {
                    business: self.business.name.clone(),
                    phone_number_id: self.business.phone_number_id.clone(),
                    customer: self.customer.key().to_owned(),
                    tag,
                    id: message.id.clone(),
                    step: nth,
                    acknowledged,
                });
                if let Some(after) = again {
                    copies.spawn(post.clone().deliver_again(self.business.clone(), message, after));
                }
            }
        }
        copies.join_all().await;
        sent
    }
}

/// What became of a draft.
struct Delivery {
    tag: crate::Tag,
    message: Message,
    acknowledged: bool,
    again: Option<Duration>,
}

impl Post {
    async fn deliver(self, business: Business, draft: Draft, written_at: i64) -> Delivery {
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
        let Draft { tag, message, batched, doubled, again } = draft;
        let message = message.at(written_at);
        let acknowledged = if batched {
            self.deliver_with_others(business, message.clone(), doubled).await
        } else {
            acknowledged(post(&self.sender, &Body::of(&business, &message), doubled).await)
        };
        Delivery { tag, message, acknowledged, again }
    }

    async fn deliver_with_others(self, business: Business, message: Message, doubled: bool) -> bool {
        let (done, acknowledged) = oneshot::channel();
        let parcel = Parcel { sender: self.sender, business, message, doubled, done };
        // Neither fails: who gathers the parcels outlives those who write, and answers each.
        self.parcels.send(parcel).await.is_ok() && acknowledged.await.unwrap_or(false)
    }

    async fn deliver_again(self, business: Business, message: Message, after: Duration) {
        tokio::time::sleep(after).await;
        acknowledged(post(&self.sender, &Body::of(&business, &message), false).await);
    }
}

/// Posts a body until it is acknowledged, once or twice at once.
pub(super) async fn post(sender: &Sender, body: &Body, doubled: bool) -> Result<(), Undelivered> {
    let body = body.to_json();
    if doubled { sender.duplicate(&body, 2).await } else { sender.deliver(&body).await.map(drop) }
}

pub(super) fn acknowledged(delivered: Result<(), Undelivered>) -> bool {
    if let Err(error) = &delivered {
        tracing::warn!(%error, "a customer's message was given up");
    }
    delivered.is_ok()
}

/// Lets one pass after the other, so far apart.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    /// How much of the time in which nobody came is made up for: the length of a hiccup, not of an outage.
    const CATCH_UP: Duration = Duration::from_millis(100);

    pub(super) fn new(gap: Duration) -> Self {
        Self { gap, next: Mutex::new(Instant::now()) }
    }

    async fn turn(&self) {
        tokio::time::sleep_until(self.slot()).await;
    }

    fn slot(&self) -> Instant {
        let mut next = self.next.lock().expect("no code panics while it holds this lock");
        let now = Instant::now();
        let slot = if *next + Self::CATCH_UP < now { now } else { *next };
        *next = slot + self.gap;
        slot
    }
}
