//! Lands each delivery and acknowledges it.
//!
//! Deliveries of one customer stay in the order of their queue; those of different customers are landed in
//! parallel. Statuses, whose order does not matter, are handled as they come, and written many at once. While MongoDB is
//! away, a delivery waits here, unacknowledged, and RabbitMQ holds the rest; after a while it goes back. One that can
//! never be landed ends in the dead letters: nothing is lost, and nothing blocks its queue.

mod direct;
mod land;
mod status;
mod statuses;
mod account;
mod dead;
mod revive;
mod merges;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    ops::ControlFlow,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt;
use sha2::{Digest, Sha256};
use shared::{
    broker::{Delivery, QueueRole, Settlement},
    envelope::{Envelope, Kind},
    retry::Delays,
    shutdown::Shutdown,
    trace::{self, HEADER, SPAN, TraceParent},
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, field::Empty, info_span};

pub use direct::{Arrival, DirectIntake};
pub use merges::finish_merges;
pub(crate) use revive::CaughtUp;
pub use revive::revive;
pub(crate) use statuses::StatusWriter;

use crate::{
    analytics::Diary,
    business::Registry,
    identity::Identities,
    message::{parse, sender},
    scheduler::Waker,
    settings::TurnSettings,
    store::{DeadLetter, ReplayPolicy, Store, StoreError, in_time},
    turn::{Indicators, Leases},
};

/// Landings in parallel, of each queue.
const LANES: u64 = 16;
/// Deliveries that wait in each.
const LANE_LENGTH: usize = 8;
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(5);
/// Sooner than another worker may believe that none is held (`ANSWERED_FOR` in `shared::broker`).
const STATUS_RETRY_MOST: Duration = Duration::from_secs(1);

/// What landing needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Conversations and the rest.
    pub store: Arc<dyn Store>,
    /// Businesses.
    pub registry: Registry,
    /// Customers.
    pub identities: Identities,
    /// The scheduler's.
    pub waker: Waker,
    /// Those of this worker's turns, which hear of messages that land.
    pub leases: Leases,
    /// Read receipts and typing.
    pub indicators: Indicators,
    /// Which days have changed.
    pub diary: Diary,
    /// Times and bounds.
    pub settings: TurnSettings,
    /// Statuses.
    pub(crate) statuses: StatusWriter,
    /// Numbers whose dead letters have all come back.
    pub(crate) caught_up: CaughtUp,
}

/// Why a delivery is not handled.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Later, perhaps.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Never: the reason of the dead letter, and what the operator should know.
    #[error("{reason}: {detail}")]
    Unhandled {
        /// A closed word.
        reason: &'static str,
        /// Without message text.
        detail: String,
        /// Whether it comes back by itself.
        replay: ReplayPolicy,
    },
}

impl IntakeError {
    fn unhandled(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::Unhandled { reason, detail: detail.into(), replay: ReplayPolicy::ByHand }
    }
}

/// A decoded delivery.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) envelope: Envelope,
    /// Meta's id, or the one that ingest made up.
    pub(crate) message_id: String,
    /// The number of a replay, for one that comes from the dead letters.
    pub(crate) replay: Option<i64>,
    /// Whether it comes from the dead letters.
    pub(crate) is_revived: bool,
    /// Where its webhook began a trace.
    pub(crate) trace: Option<TraceParent>,
}

impl Update {
    pub(crate) fn decode(body: &[u8], message_id: Option<&str>) -> Result<Self, shared::envelope::DecodeError> {
        let envelope = Envelope::decode(body)?;
        let message_id =
            message_id.map_or_else(|| format!("{}{}", shared::ids::MADE_UP_PREFIX, fingerprint(body)), str::to_owned);
        Ok(Self { envelope, message_id, replay: None, is_revived: false, trace: None })
    }
}

/// Hands deliveries to their lanes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lanes {
    intake: Intake,
    tasks: TaskTracker,
    shutdown: Shutdown,
    /// Each queue has lanes of its own, so that a flood in one does not hold up the landing of the others.
    queues: Arc<Mutex<HashMap<String, Vec<mpsc::Sender<Delivery>>>>>,
}

impl Lanes {
    /// Lanes that start with the first delivery of their queue. They end, after what they hold, when the last clone
    /// is dropped, or when the drain begins and the database is away.
    pub fn new(intake: &Intake, tasks: &TaskTracker, shutdown: &Shutdown) -> Self {
        Self { intake: intake.clone(), tasks: tasks.clone(), shutdown: shutdown.clone(), queues: Arc::default() }
    }

    /// Passes a delivery on; waits while its lane is full.
    pub async fn dispatch(&self, delivery: Delivery) {
        if delivery.source.role == QueueRole::Status {
            // As many at once as the queue's prefetch allows.
            let (intake, shutdown) = (self.intake.clone(), self.shutdown.clone());
            self.tasks.spawn(async move { intake.handle_until_settled(delivery, &shutdown).await });
            return;
        }
        if let Some(lane) = self.lane(&delivery) {
            // A lane that ended drops the delivery, which returns it to its queue.
            drop(lane.send(delivery).await);
        }
    }

    fn lane(&self, delivery: &Delivery) -> Option<mpsc::Sender<Delivery>> {
        let lane = usize::try_from(customer_of(&delivery.body, delivery.message_id.as_deref()) % LANES).unwrap_or(0);
        let mut queues = self.queues.lock().expect("no code panics while it holds this lock");
        let lanes = queues.entry(delivery.source.queue.clone()).or_insert_with(|| self.start());
        lanes.get(lane).cloned()
    }

    fn start(&self) -> Vec<mpsc::Sender<Delivery>> {
        let lane = |_| {
            let (sender, receiver) = mpsc::channel(LANE_LENGTH);
            self.tasks.spawn(run_lane(self.intake.clone(), receiver, self.shutdown.clone()));
            sender
        };
        (0..LANES).map(lane).collect()
    }
}

/// The same number for everything of one customer, so that it is landed in order.
fn customer_of(body: &[u8], message_id: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match Envelope::decode(body) {
        Ok(envelope) => {
            envelope.phone_number_id.hash(&mut hasher);
            let payload = parse(envelope.payload.get()).unwrap_or_default();
            let contact = envelope.contact.as_ref().and_then(|contact| parse(contact.get()));
            if envelope.kind == Kind::Message {
                // The user id where there is one: a number may be shown in one message and hidden in the next.
                let sender = sender(&payload, contact.as_ref());
                match sender.user_id {
                    Some(user_id) => user_id.hash(&mut hasher),
                    None => sender.wa_id.hash(&mut hasher),
                }
            } else {
                message_id.hash(&mut hasher);
            }
        }
        Err(_) => body.hash(&mut hasher),
    }
    hasher.finish()
}

async fn run_lane(intake: Intake, mut deliveries: mpsc::Receiver<Delivery>, shutdown: Shutdown) {
    while let Some(delivery) = deliveries.recv().await {
        if intake.handle_until_settled(delivery, &shutdown).await.is_break() {
            return;
        }
    }
}

impl Intake {
    /// Handles a delivery as often as it takes, or until it has returned to its queue with its connection. Break: a stop
    /// came first, and it returns to its queue.
    async fn handle_until_settled(&self, delivery: Delivery, shutdown: &Shutdown) -> ControlFlow<()> {
        // What no binding took may be one.
        let is_status = delivery.source.role == QueueRole::Status || delivery.source.is_unrouted;
        let (most, try_most) = match is_status {
            // A try that hangs holds the status, too: silence about a send must not count before it is over.
            true => (STATUS_RETRY_MOST, self.settings.heartbeat() * 2),
            false => (RETRY_MOST, Duration::MAX),
        };
        let mut delays = Delays::new(RETRY_FIRST, most);
        // What has waited in a lane while its connection went is somebody else's already.
        while delivery.returned().now_or_never().is_none() {
            let trying = tokio::time::timeout(try_most, in_time(self.handle(&delivery)));
            let handling =
                AssertUnwindSafe(trying.map(|tried| tried.unwrap_or(Err(StoreError::TimedOut)))).catch_unwind();
            let handled = tokio::select! {
                () = shutdown.aborting.cancelled() => return ControlFlow::Break(()),
                handled = handling => handled,
            };
            // A delivery that makes us panic would do so again, and end its lane for everybody.
            let handled = match handled {
                Ok(handled) => handled,
                Err(_) => {
                    let burying = self.bury_panic(&delivery.body, delivery.message_id.as_deref());
                    in_time(burying).await.map(|()| Settlement::Acknowledge)
                }
            };
            match handled {
                Ok(settlement) => {
                    delivery.settle(settlement).await;
                    return ControlFlow::Continue(());
                }
                Err(error) => {
                    tracing::warn!(queue = delivery.source.queue, %error, "a delivery waits");
                    metrics::counter!("switchboard_intake_retries_total").increment(1);
                }
            }
            tokio::select! {
                // What waits returns to its queue, for a worker that goes on.
                () = shutdown.draining.cancelled() => return ControlFlow::Break(()),
                () = delivery.returned() => {}
                () = tokio::time::sleep(delays.next_delay()) => {}
            }
        }
        ControlFlow::Continue(())
    }

    /// Handles one delivery to its end; an error means that it has to be handled again.
    async fn handle(&self, delivery: &Delivery) -> Result<Settlement, StoreError> {
        if delivery.source.is_unrouted {
            metrics::counter!("switchboard_unrouted_total").increment(1);
        }
        let update = Update::decode(&delivery.body, delivery.message_id.as_deref());
        let header = delivery.headers.iter().find(|(name, _)| name == HEADER);
        let trace = header.and_then(|(_, value)| value.parse().ok());
        let update = update.map(|update| Update { trace, ..update });
        match (delivery.source.role, update) {
            (QueueRole::Dead, update) => self.take_dead_letter(delivery, update.ok()).await?,
            (QueueRole::Inbound | QueueRole::Status, Ok(update)) => self.take(&update, &delivery.body).await?,
            (QueueRole::Inbound | QueueRole::Status, Err(error)) => {
                tracing::error!(queue = delivery.source.queue, %error, "a delivery cannot be decoded");
                return Ok(Settlement::DeadLetter);
            }
        }
        Ok(Settlement::Acknowledge)
    }

    /// Files a delivery that cannot be handled without a panic, as the bytes that it is.
    async fn bury_panic(&self, body: &[u8], message_id: Option<&str>) -> Result<(), StoreError> {
        tracing::error!("handling a delivery panicked");
        metrics::counter!("switchboard_dead_letters_total", "reason" => "panic").increment(1);
        let letter = DeadLetter {
            id: format!("panic:{}", fingerprint(body)),
            reason: "panic",
            detail: "handling it panicked; the log has the place".to_owned(),
            phone_number_id: None,
            business_id: None,
            session: None,
            message_id: message_id.map(str::to_owned),
            body: body.to_vec(),
            replay: ReplayPolicy::ByHand,
            counted_as_answered: false,
        };
        self.store.bury(&letter).await
    }

    /// Handles an update; what cannot be handled becomes a dead letter.
    pub(crate) async fn take(&self, update: &Update, body: &[u8]) -> Result<(), StoreError> {
        match self.attempt(update).await {
            Ok(()) => Ok(()),
            Err(IntakeError::Store(error)) => Err(error),
            Err(IntakeError::Unhandled { reason, detail, replay }) => {
                self.bury(update, body, reason, detail, replay).await
            }
        }
    }

    /// Handles an update, or says why that can never be done.
    async fn attempt(&self, update: &Update) -> Result<(), IntakeError> {
        let kind = update.envelope.kind;
        let span = info_span!(target: SPAN, "update", otel.kind = "consumer", kind = kind.name(), trace = Empty);
        trace::begin(&span, update.trace);
        let taking = async {
            match kind {
                Kind::Message => self.take_message(update).await,
                Kind::Status => self.take_status(update).await,
                Kind::Echo => self.take_echo(update).await,
                Kind::Account => self.take_account(update).await,
                Kind::Other => self.take_other(update).await,
            }
        };
        let taken = taking.instrument(span).await;
        metrics::counter!("switchboard_updates_total", "kind" => kind.name()).increment(1);
        match taken {
            // A write that MongoDB refuses for what it is would be refused for ever.
            Err(IntakeError::Store(error)) if error.is_permanent() => {
                Err(IntakeError::unhandled("unlandable", error.to_string()))
            }
            Ok(()) | Err(_) => taken,
        }
    }

    async fn bury(
        &self,
        update: &Update,
        body: &[u8],
        reason: &'static str,
        detail: String,
        replay: ReplayPolicy,
    ) -> Result<(), StoreError> {
        let number = &update.envelope.phone_number_id;
        tracing::warn!(reason, detail, phone_number_id = ?number, "a message became a dead letter");
        metrics::counter!("switchboard_dead_letters_total", "reason" => reason).increment(1);
        let scope = number.as_ref().map_or("none", |number| number.expose());
        let letter = DeadLetter {
            id: format!("{scope}:{}", update.message_id),
            reason,
            detail,
            phone_number_id: number.clone(),
            business_id: None,
            session: None,
            message_id: Some(update.message_id.clone()),
            body: body.to_vec(),
            replay,
            counted_as_answered: false,
        };
        self.store.bury(&letter).await
    }
}

/// A name for bytes that have none.
pub(crate) fn fingerprint(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}
