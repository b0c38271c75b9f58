//! A turn: claim → read receipt and typing → companion → outbox → send → settle.
//!
//! A turn owns one conversation by its lease for as long as it lasts. It may be killed at any line: what it wrote
//! before tells the next holder what to do. It ends in one [`Outcome`], and every way out passes [`run`].

mod lease;
mod answer;
mod typing;
mod deliver;
mod bury;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use shared::{
    broker::StatusesDrained,
    ids::{MessageId, SessionId},
    retry::full_jitter,
};

pub use lease::{Hold, Leases};

use crate::{
    business::Registry,
    companion::Companion,
    conversation::{Conversation, MailboxItem, QuietTime, next_run},
    settings::TurnSettings,
    store::{Postponement, ReplayPolicy, Store, StoreError},
    whatsapp::Graph,
};

/// Longer than any turn that is healthy; after it the lease is no longer renewed.
const TURN_MOST: Duration = Duration::from_secs(240);
/// Leases that may expire in a row, each with a dead process behind it, before the messages count as poison.
const TAKEOVERS_MOST: u32 = 5;
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(600);

/// What turns work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Turns {
    /// Conversations and the rest.
    pub store: Store,
    /// Businesses.
    pub registry: Registry,
    /// Answers.
    pub companion: Companion,
    /// Sends.
    pub graph: Graph,
    /// The leases of this worker.
    pub leases: Leases,
    /// Whether silence about a send says anything.
    pub statuses: StatusesDrained,
    /// Times and bounds.
    pub settings: TurnSettings,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not due, or somebody else has it.
    NotDue,
    /// The messages are answered, or need no answer. With messages left, when they are due.
    Settled {
        /// From now.
        due_in: Option<Duration>,
    },
    /// It waits in the database until it is due again.
    Postponed,
    /// The lease went to another worker.
    Lost,
    /// The database was not available; the lease is given back, or runs out.
    Interrupted,
}

impl Outcome {
    /// A closed word for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotDue => "not_due",
            Self::Settled { .. } => "settled",
            Self::Postponed => "postponed",
            Self::Lost => "lost",
            Self::Interrupted => "interrupted",
        }
    }
}

/// One turn under way.
struct Turn<'a> {
    turns: &'a Turns,
    hold: &'a Hold,
    conversation: Conversation,
    /// The installation's, until the business is known.
    quiet: QuietTime,
    /// When the lease was asked for, by this process's clock.
    started: Instant,
}

/// Runs a turn of a conversation, if it is due.
///
/// Cancellation: as if the process had died here; the lease is given back by whoever cancels, or runs out.
pub async fn run(turns: &Turns, session: &SessionId) -> Outcome {
    let started = Instant::now();
    let claim = match turns.store.claim(session, turns.leases.worker_id(), turns.settings.lease).await {
        Ok(Some(claim)) => claim,
        Ok(None) => return Outcome::NotDue,
        Err(error) => {
            tracing::warn!(%session, %error, "claiming a conversation failed");
            return Outcome::Interrupted;
        }
    };
    let hold = turns.leases.hold(claim.lease, started);
    let quiet = QuietTime::new(turns.settings.quiet);
    let mut turn = Turn { turns, hold: &hold, conversation: claim.conversation, quiet, started };
    // Boxed: the future of a whole turn is large, and there are hundreds of tasks.
    let playing = tokio::time::timeout(TURN_MOST, Box::pin(turn.play()));
    let played = tokio::select! {
        () = hold.lost() => return Outcome::Lost,
        played = playing => played,
    };
    let outcome = match played {
        Ok(Ok(Outcome::Lost)) => {
            // Where it was not the lease but the outbox that changed, the conversation must not wait for it to run out.
            turns.store.release(hold.key()).await.ok();
            Outcome::Lost
        }
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            tracing::warn!(%session, %error, "a turn was interrupted");
            turn.give_up(&error.to_string(), error.is_permanent()).await
        }
        Err(_) => {
            tracing::error!(%session, "a turn took too long");
            turn.give_up("the turn took too long", false).await
        }
    };
    metrics::counter!("switchboard_turns_total", "outcome" => outcome.name()).increment(1);
    metrics::histogram!("switchboard_turn_seconds").record(started.elapsed().as_secs_f64());
    outcome
}

impl Turn<'_> {
    async fn play(&mut self) -> Result<Outcome, StoreError> {
        if self.conversation.takeovers >= TAKEOVERS_MOST {
            return self.bury_poison().await;
        }
        match self.conversation.outbox.take() {
            Some(outbox) => self.resume(outbox).await,
            None => self.answer().await,
        }
    }

    /// The conversation waits, longer each time; where even that cannot be written, the lease runs out. What the
    /// database can never take becomes a dead letter.
    async fn give_up(&self, detail: &str, permanent: bool) -> Outcome {
        if permanent {
            let items = next_run(&self.conversation.mailbox, 1).to_vec();
            if let Ok(outcome) = self.bury(&items, "unrecordable", detail, ReplayPolicy::ByHand).await {
                return outcome;
            }
        }
        let postponement = Postponement {
            delay: self.backoff(None),
            reason: "interrupted",
            detail: detail.to_owned(),
            for_evidence: false,
            ai: false,
            not_sent: None,
        };
        match self.turns.store.postpone(self.hold.key(), &postponement).await {
            Ok(true) => Outcome::Postponed,
            Ok(false) => Outcome::Lost,
            Err(_) => Outcome::Interrupted,
        }
    }

    /// Gives the conversation back until a retry.
    async fn postpone(&self, postponement: Postponement) -> Result<Outcome, StoreError> {
        let (session, attempts) = (&self.conversation.id, self.conversation.attempts);
        let Postponement { reason, detail, delay, .. } = &postponement;
        // Throttles and waiting for evidence are everyday; the rest somebody may have to mend.
        if postponement.for_evidence || *reason == "throttled" {
            tracing::info!(%session, reason, detail, ?delay, attempts, "a conversation waits");
        } else {
            tracing::warn!(%session, reason, detail, ?delay, attempts, "a conversation waits");
        }
        metrics::counter!("switchboard_postponements_total", "reason" => postponement.reason).increment(1);
        let mine = self.turns.store.postpone(self.hold.key(), &postponement).await?;
        Ok(if mine { Outcome::Postponed } else { Outcome::Lost })
    }

    /// A growing, jittered delay after the failures so far; what a server asked for wins within bounds.
    fn backoff(&self, asked: Option<Duration>) -> Duration {
        let own = full_jitter(self.conversation.attempts, RETRY_FIRST, RETRY_MOST);
        in_earnest(asked).map_or(own, |asked| asked.min(RETRY_MOST))
    }
}

/// A `Retry-After` that asks for a wait at all: zero would have us try again without end.
fn in_earnest(asked: Option<Duration>) -> Option<Duration> {
    asked.filter(|asked| *asked >= Duration::from_millis(100))
}

fn ids(items: &[MailboxItem]) -> Vec<MessageId> {
    items.iter().map(|item| item.id.clone()).collect()
}

/// What several turns share without copying it.
pub type SharedTurns = Arc<Turns>;
