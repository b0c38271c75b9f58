//! Customers who write: a load that the seed decides, posted through Meta's webhook as Meta posts.
//!
//! Each customer writes message after message, the next one a pause after the previous was acknowledged with 200, so
//! the order within a conversation is well defined; the messages of a burst are posted together and have none. Every
//! text begins with a [`Tag`] that no other message of the run has. Options make Meta's habits: duplicates at once,
//! copies that come later, bodies shared by several customers and businesses.
//!
//! What is written, by whom and in which manner is the seed's; when it is posted, and with whom it shares a body,
//! depends on when the receiver answers.

mod batches;
mod plan;
mod writer;

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{Business, Meta, Seed, Tag};
use writer::{Pace, Post};

/// A load in the making. Shares are between 0.0 and 1.0, and 0.0 unless set.
#[derive(Debug, Clone)]
pub struct Traffic {
    seed: Seed,
    businesses: Vec<Business>,
    customers_each: usize,
    messages_each: usize,
    first_tag: Tag,
    hidden: f64,
    both_ids: f64,
    pauses: RangeInclusive<Duration>,
    gap: Option<Duration>,
    bursts: f64,
    burst_most: usize,
    doubled: f64,
    repeated: f64,
    repeated_after: RangeInclusive<Duration>,
    batched: f64,
    batch_most: usize,
    batch_wait: Duration,
}

/// What was written, customer by customer, each in the order of writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The messages, in the order of their tags.
    pub messages: Vec<SentMessage>,
}

/// One message that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// The name of the business.
    pub business: String,
    /// The business's number.
    pub phone_number_id: String,
    /// The customer as the journal calls them: the phone number, or the user id where it is hidden.
    pub customer: String,
    /// The tag at the beginning of the text.
    pub tag: Tag,
    /// Meta's id of the message.
    pub id: String,
    /// Counts what this customer did one after the other, from 0. Messages of one step are a burst: no order.
    pub step: usize,
    /// Whether the receiver has answered 200; otherwise patience ran out, and the customer wrote on.
    pub acknowledged: bool,
}

impl Traffic {
    /// No business yet, three customers for each, five messages from each, at most 200 ms between two.
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            businesses: Vec::new(),
            customers_each: 3,
            messages_each: 5,
            first_tag: Tag(1),
            hidden: 0.0,
            both_ids: 0.0,
            pauses: Duration::ZERO..=Duration::from_millis(200),
            gap: None,
            bursts: 0.0,
            burst_most: 3,
            doubled: 0.0,
            repeated: 0.0,
            repeated_after: Duration::from_secs(2)..=Duration::from_secs(10),
            batched: 0.0,
            batch_most: 10,
            batch_wait: Duration::from_millis(50),
        }
    }

    /// The businesses that are written to; Meta must know them.
    #[must_use]
    pub fn businesses(self, businesses: impl IntoIterator<Item = Business>) -> Self {
        Self { businesses: businesses.into_iter().collect(), ..self }
    }

    /// How many customers each business has. No customer writes to two.
    #[must_use]
    pub fn customers_each(self, customers: usize) -> Self {
        Self { customers_each: customers, ..self }
    }

    /// How many messages each customer writes.
    #[must_use]
    pub fn messages_each(self, messages: usize) -> Self {
        Self { messages_each: messages, ..self }
    }

    /// The first tag; the others follow it without a gap. A second load of the same run begins behind the first.
    #[must_use]
    pub fn first_tag(self, tag: Tag) -> Self {
        Self { first_tag: tag, ..self }
    }

    /// The share of the customers who hide their phone number: they are known by user id only.
    #[must_use]
    pub fn hidden(self, share: f64) -> Self {
        Self { hidden: share, ..self }
    }

    /// The share of the other customers who are known by user id as well. Meta is told which belong together.
    #[must_use]
    pub fn both_ids(self, share: f64) -> Self {
        Self { both_ids: share, ..self }
    }

    /// How long a customer waits before each message, the first one too.
    #[must_use]
    pub fn pauses(self, pauses: RangeInclusive<Duration>) -> Self {
        Self { pauses, ..self }
    }

    /// How many messages a second are posted at most, by all customers together. Duplicates and copies come on top.
    ///
    /// # Panics
    /// Where that is not a positive number.
    #[must_use]
    pub fn rate(self, per_second: f64) -> Self {
        let gap = Duration::try_from_secs_f64(per_second.recip()).expect("a rate is a positive number");
        Self { gap: Some(gap), ..self }
    }

    /// The share of the steps in which a customer posts several messages at once, two at least and `most` at most.
    #[must_use]
    pub fn bursts(self, share: f64, most: usize) -> Self {
        Self { bursts: share, burst_most: most, ..self }
    }

    /// The share of the messages whose body is delivered twice at once.
    #[must_use]
    pub fn doubled(self, share: f64) -> Self {
        Self { doubled: share, ..self }
    }

    /// The share of the messages of which a copy comes again, so long after the acknowledgement, in a body of its
    /// own. The customer does not wait for it.
    #[must_use]
    pub fn repeated(self, share: f64, after: RangeInclusive<Duration>) -> Self {
        Self { repeated: share, repeated_after: after, ..self }
    }

    /// The share of the messages that share a body with others, of any customer and business of the same app: `most`
    /// in one body at most, which is posted at the latest so long after its first message was written.
    #[must_use]
    pub fn batched(self, share: f64, most: usize, wait: Duration) -> Self {
        Self { batched: share, batch_most: most, batch_wait: wait, ..self }
    }

    /// Lets all customers write what they have to, and returns when everything is delivered, copies too, or given
    /// up. Each delivery has the patience of [`Meta::sender`]. The journal gets a mark `traffic` first. Dropping the
    /// future stops the load; what was posted stays posted.
    ///
    /// # Panics
    /// Where Meta has no webhook URL.
    pub async fn run(&self, meta: &Meta) -> Sent {
        let plan = self.plan();
        meta.journal().mark(
            "traffic",
            json!({
                "seed": self.seed.0, "conversations": plan.len(), "messages": plan.len() * self.messages_each,
                "first_tag": self.first_tag.to_string(),
            }),
        );
        let (parcels, collected) = mpsc::channel(1024);
        let mut batching = JoinSet::new();
        batching.spawn(batches::gather(collected, self.batch_most, self.batch_wait));
        let pace = self.gap.map(|gap| Arc::new(Pace::new(gap)));
        let mut writers = JoinSet::new();
        for writer in plan {
            meta.introduce(&writer.customer);
            let post = Post { sender: meta.sender(&writer.business), parcels: parcels.clone(), pace: pace.clone() };
            writers.spawn(writer.write(post));
        }
        drop(parcels);
        let mut messages = writers.join_all().await.concat();
        batching.join_all().await;
        messages.sort_by_key(|message| message.tag);
        Sent { messages }
    }
}
