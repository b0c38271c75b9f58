//! A turn: claim → read receipt and typing → companion → outbox → send → settle.
//!
//! A turn owns one conversation by its lease for as long as it lasts. What it does next is decided by the pure
//! [`machine`]; here is who does it. It may be killed between any two effects: what was written before tells the
//! next holder what to do. It ends in one [`Outcome`], and every way out passes [`run`].

pub mod machine;
mod lease;
mod news;
mod perform;
mod compose;
mod reading;
mod understanding;
mod send;
mod typing;
mod bury;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use shared::{
    broker::StatusesDrained,
    fail_point,
    ids::SessionId,
    retry::full_jitter,
    trace::{self, SPAN, STEP, TraceParent},
};
use tracing::{Instrument, Span, field::Empty, info_span};

pub use lease::{Hold, Leases};
pub(crate) use reading::real_id;
pub use typing::Indicators;

use self::{
    machine::{Accepted, Burial, Effect, Machine, Rules},
    reading::Reading,
};
use crate::{
    analytics::Diary,
    business::{Allowances, Business, DayLeft, Registry},
    companion::{
        Companion,
        provider::{Speaker, Transcriber},
    },
    conversation::{Claim, Conversation, QuietTime},
    document::DocumentReader,
    settings::TurnSettings,
    store::{Postponement, ReplayPolicy, Store, StoreError, in_time},
    whatsapp::{Graph, Pace},
};

/// Longer than any turn that is healthy; after it the lease is no longer renewed.
const TURN_MOST: Duration = Duration::from_secs(240);
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(600);
/// Messages of a flood that a turn's trace refers to.
const LINKS_MOST: usize = 16;

/// What turns work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Turns {
    /// Conversations and the rest.
    pub store: Arc<dyn Store>,
    /// Businesses.
    pub registry: Registry,
    /// Answers.
    pub companion: Companion,
    /// Hears; none where the installation has no model of speech.
    pub ears: Option<Transcriber>,
    /// Speaks; none where the installation has no voice.
    pub voice: Option<Speaker>,
    /// Reads documents.
    pub documents: DocumentReader,
    /// Read receipts and typing.
    pub indicators: Indicators,
    /// Sends.
    pub graph: Graph,
    /// What businesses use up.
    pub allowances: Allowances,
    /// Which days have changed.
    pub diary: Diary,
    /// How fast each number sends.
    pub pace: Pace,
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

/// One turn under way: who performs what its machine wants.
struct Turn<'a> {
    turns: &'a Turns,
    hold: &'a Hold,
    machine: Machine,
    /// What the messages say, once they are read.
    reading: Reading,
    /// What is left of the business's day, once it is known.
    day: DayLeft,
    /// The business of their number, once it is known.
    business: Option<Arc<Business>>,
    /// The installation's, until the business is known.
    quiet: QuietTime,
    /// Whether a tool of the business was called for the reply that is being composed.
    acted: Arc<AtomicBool>,
    /// When the lease was asked for, by this process's clock.
    started: Instant,
    /// When the database was last asked to write that a try begins, by this process's clock.
    try_began: Instant,
    /// Where what follows from it goes on.
    trace: TraceParent,
}

/// Runs a turn of a conversation, if it is due.
///
/// Cancellation: as if the process had died here; the lease is given back by whoever cancels, or runs out.
pub async fn run(turns: &Turns, session: &SessionId) -> Outcome {
    let started = Instant::now();
    let claiming = turns.store.claim(session, turns.leases.worker_id(), rand::random(), turns.settings.lease);
    let claim = match in_time(claiming).await {
        Ok(Some(claim)) => Box::new(claim),
        Ok(None) => return Outcome::NotDue,
        Err(error) => {
            tracing::warn!(%session, %error, "claiming a conversation failed");
            return Outcome::Interrupted;
        }
    };
    let span = info_span!(target: SPAN, "turn", %session, trace = Empty, outcome = Empty);
    let trace = trace_of(&span, &claim.conversation);
    let outcome = take(turns, claim, started, trace).instrument(span.clone()).await;
    span.record("outcome", outcome.name());
    outcome
}

/// Goes on where the first message's webhook began, or the reply that is under way; the other messages have to do with it.
fn trace_of(span: &Span, conversation: &Conversation) -> TraceParent {
    let under_way = conversation.outbox.as_ref().map(|outbox| outbox.trace);
    let mut webhooks = conversation.mailbox.iter().filter_map(|item| item.trace);
    let parent = under_way.unwrap_or_else(|| webhooks.next());
    for other in webhooks.take(LINKS_MOST) {
        trace::link(span, other);
    }
    trace::begin(span, parent)
}

/// Plays a turn that was claimed when the process's clock said `started` at the latest.
async fn take(turns: &Turns, claim: Box<Claim>, started: Instant, trace: TraceParent) -> Outcome {
    let Claim { lease, conversation, taken_over } = *claim;
    let session = &lease.session.clone();
    if taken_over {
        // Somebody died with it in hand, or lost the database.
        tracing::warn!(%session, takeovers = conversation.takeovers, "took over an expired lease");
        metrics::counter!("switchboard_leases_taken_over_total").increment(1);
    }
    let hold = turns.leases.hold(lease, started, &conversation.mailbox);
    let (quiet, settings) = (QuietTime::new(turns.settings.quiet), turns.settings);
    let rules = Rules { send_evidence: settings.patience(), ai_give_up: settings.ai_give_up, jitter: full_jitter };
    let (machine, first) = Machine::begin(conversation, rules);
    let mut turn = Turn {
        turns,
        hold: &hold,
        machine,
        reading: Reading::default(),
        day: DayLeft { is_over_for: None, may_speak: true },
        business: None,
        quiet,
        acted: Arc::default(),
        started,
        try_began: started,
        trace,
    };
    // Boxed: the future of a whole turn is large, and there are hundreds of tasks.
    let playing = tokio::time::timeout(TURN_MOST, Box::pin(turn.play(first)));
    let played = tokio::select! {
        () = hold.lost() => None,
        played = playing => Some(played),
    };
    let Some(played) = played else {
        turn.keep_what_was_accepted().await;
        return Outcome::Lost;
    };
    let outcome = match played {
        Ok(Ok(Outcome::Lost)) => {
            turn.keep_what_was_accepted().await;
            // Where it was not the lease but the outbox that changed, the conversation must not wait for it to run out.
            hold.let_go();
            in_time(turns.store.release(hold.key())).await.ok();
            Outcome::Lost
        }
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            tracing::warn!(%session, %error, "a turn was interrupted");
            Box::pin(turn.give_up(&error.to_string(), error.is_permanent())).await
        }
        Err(_) => {
            tracing::error!(%session, "a turn took too long");
            Box::pin(turn.give_up("the turn took too long", false)).await
        }
    };
    metrics::counter!("switchboard_turns_total", "outcome" => outcome.name()).increment(1);
    metrics::histogram!("switchboard_turn_seconds").record(started.elapsed().as_secs_f64());
    outcome
}

impl Turn<'_> {
    async fn play(&mut self, first: Effect) -> Result<Outcome, StoreError> {
        let mut effect = first;
        loop {
            if let Effect::End(outcome) = effect {
                return Ok(outcome);
            }
            let name = effect.name();
            if effect.begins_a_try() {
                self.try_began = Instant::now();
            }
            fail_point!("turn.before", name);
            let began = Instant::now();
            let performing = self.perform(effect).instrument(info_span!(target: STEP, "step", otel.name = name));
            let event = performing.await?;
            metrics::histogram!("switchboard_turn_step_seconds", "step" => name).record(began.elapsed().as_secs_f64());
            fail_point!("turn.after", name);
            effect = self.machine.step(event);
        }
    }

    /// What Meta has said must not be forgotten with the turn: its status may be late, or lost, and until then the send is
    /// in doubt. Tried for as long as the lease would last.
    async fn keep_what_was_accepted(&self) {
        let until = Instant::now() + self.turns.settings.lease;
        let session = &self.machine.conversation().id;
        for Accepted { reply_id, number, part, wamid } in self.machine.accepted() {
            let keep = || in_time(self.turns.store.evidence(session, number, reply_id, *part, wamid));
            while keep().await.is_err() && Instant::now() < until {
                tokio::time::sleep(KEEP_EVERY).await;
            }
        }
    }

    /// The conversation waits, longer each time; where even that cannot be written, the lease runs out. What the
    /// database can never take becomes a dead letter.
    async fn give_up(&mut self, detail: &str, permanent: bool) -> Outcome {
        self.keep_what_was_accepted().await;
        if permanent {
            let burial = Burial { reason: "unrecordable", detail: detail.to_owned(), replay: ReplayPolicy::ByHand };
            if let Ok(outcome) = in_time(self.bury_at_hand(burial)).await {
                return outcome;
            }
        }
        let conversation = self.machine.conversation();
        let postponement = Postponement {
            delay: full_jitter(conversation.attempts, RETRY_FIRST, RETRY_MOST),
            reason: "interrupted",
            detail: detail.to_owned(),
            for_evidence: false,
            ai: None,
            not_sent: None,
            token: None,
        };
        self.hold.let_go();
        match in_time(self.turns.store.postpone(self.hold.key(), &postponement)).await {
            Ok(true) => Outcome::Postponed,
            Ok(false) => Outcome::Lost,
            Err(_) => Outcome::Interrupted,
        }
    }
}

/// How often it is tried to write down what Meta took.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// A `Retry-After` that asks for a wait at all: zero would have us try again without end.
fn in_earnest(asked: Option<Duration>) -> Option<Duration> {
    asked.filter(|asked| *asked >= Duration::from_millis(100))
}

/// What several turns share without copying it.
pub type SharedTurns = Arc<Turns>;
