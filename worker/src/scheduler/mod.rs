//! Starts a turn for every conversation that is due, fairly over the businesses.
//!
//! A conversation comes from this worker's own intake, which knows when it will be due, or from a scan of the
//! database twice a second, which finds retries and what dead workers left. What does not fit stays in the
//! database, for whoever has room; and who has room, and found something in the last scan, looks again at once. Who has
//! none looks all the same, less often: what is found of a quiet business has the next free place.

mod backlog;
mod fair;

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt};
use shared::{
    ids::{SessionId, Subdomain},
    shutdown::Shutdown,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::time::{DelayQueue, delay_queue};

pub(crate) use self::backlog::watch_backlog;
use self::fair::FairQueue;
use crate::{
    store::in_time,
    turn::{self, Outcome, SharedTurns},
};

/// Giving leases back is for a quicker hand-over; it must not hold up a stop.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
const SCAN_EVERY: Duration = Duration::from_millis(500);
/// Between two scans of a worker that has nothing left to do lies this many times what the last one took, so that it asks
/// the database for a fifth of the time at most.
const SCAN_PAUSE: u32 = 4;
/// And this at least.
const SCAN_PAUSE_LEAST: Duration = Duration::from_millis(20);
/// A worker that has no room lets so many of the regular scans pass, and makes the next one.
const SCANS_PASSED_WHEN_FULL: u32 = 3;
/// Conversations that a scan takes of each business.
const SCANNED_EACH: i64 = 8;
/// Wakes that wait for the scheduler; beyond, the scan finds the conversation.
const WAKES_MOST: usize = 10_000;

/// A conversation that will be due.
#[derive(Debug)]
struct Wake {
    subdomain: Option<Subdomain>,
    session: SessionId,
    due_in: Duration,
}

/// Tells the scheduler of a conversation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Waker(mpsc::Sender<Wake>);

impl Waker {
    /// The conversation will be due in that time. Never waits: a wake that is lost is found by the scan.
    pub fn wake(&self, subdomain: Option<&Subdomain>, session: &SessionId, due_in: Duration) {
        let wake = Wake { subdomain: subdomain.cloned(), session: session.clone(), due_in };
        drop(self.0.try_send(wake));
    }
}

/// The scheduler of one worker.
#[derive(Debug)]
pub struct Scheduler {
    turns: SharedTurns,
    wakes: mpsc::Receiver<Wake>,
}

type Waiting = (Option<Subdomain>, SessionId);

struct State {
    turns: SharedTurns,
    fair: FairQueue,
    later: DelayQueue<Waiting>,
    later_keys: HashMap<SessionId, delay_queue::Key>,
    running: JoinSet<Outcome>,
    /// Which conversation a task runs, so that a panic frees its place too.
    tasks: HashMap<tokio::task::Id, Waiting>,
    /// Whether the last scan brought something that could run. Another one might.
    scan_was_of_use: bool,
}

impl Scheduler {
    /// A scheduler and what wakes it.
    pub fn new(turns: SharedTurns) -> (Self, Waker) {
        let (sender, wakes) = mpsc::channel(WAKES_MOST);
        (Self { turns, wakes }, Waker(sender))
    }

    /// Runs turns until `shutdown`: in the drain the turns under way go on; when it is over they are dropped, as
    /// if the process had died, and their leases are given back.
    pub async fn run(mut self, shutdown: Shutdown) {
        let max = self.turns.settings.max_conversations;
        let mut state = State {
            turns: Arc::clone(&self.turns),
            fair: FairQueue::new(max),
            later: DelayQueue::new(),
            later_keys: HashMap::new(),
            running: JoinSet::new(),
            tasks: HashMap::new(),
            scan_was_of_use: false,
        };
        let (want, wanted) = watch::channel(Want::Something);
        let (found_sender, mut found) = mpsc::channel(1);
        let scanner = tokio::spawn(scan(Arc::clone(&self.turns), wanted, found_sender));
        while !shutdown.draining.is_cancelled() {
            tokio::select! {
                () = shutdown.draining.cancelled() => break,
                Some(wake) = self.wakes.recv() => state.wake_later(wake),
                Some(expired) = state.later.next(), if !state.later.is_empty() => {
                    let (subdomain, session) = expired.into_inner();
                    state.later_keys.remove(&session);
                    state.fair.push(subdomain, session);
                }
                Some(due) = found.recv() => {
                    for (subdomain, sessions) in due {
                        sessions.into_iter().for_each(|session| state.fair.push(subdomain.clone(), session));
                    }
                    let before = state.running.len();
                    state.start_what_fits();
                    state.scan_was_of_use = state.running.len() > before;
                }
                Some(ended) = state.running.join_next_with_id(), if !state.running.is_empty() => state.ended(ended),
            }
            state.start_what_fits();
            want.send_if_modified(|want| std::mem::replace(want, state.want()) != *want);
            metrics::gauge!("switchboard_turns_running").set(state.running.len() as f64);
        }
        scanner.abort();
        state.drain(&shutdown).await;
    }
}

/// What a scan would be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    /// There is no room now.
    Little,
    /// There is room.
    Something,
    /// There is room, nothing here that could run, and probably something in the database.
    Anything,
}

impl State {
    fn want(&self) -> Want {
        match self.fair.has_room() {
            false => Want::Little,
            true if self.scan_was_of_use && !self.fair.has_waiting() => Want::Anything,
            true => Want::Something,
        }
    }

    fn wake_later(&mut self, wake: Wake) {
        let Wake { subdomain, session, due_in } = wake;
        if due_in.is_zero() {
            // Its timer stays, if there is one: a message may have put off what was due now.
            self.fair.push(subdomain, session);
            return;
        }
        // A little late rather than a little early: an early claim finds nothing due.
        let due_in = due_in + Duration::from_millis(2);
        match self.later_keys.get(&session) {
            Some(key) => self.later.reset(key, due_in),
            None => {
                let key = self.later.insert((subdomain, session.clone()), due_in);
                self.later_keys.insert(session, key);
            }
        }
    }

    fn start_what_fits(&mut self) {
        while let Some((subdomain, session)) = self.fair.next() {
            let turns = Arc::clone(&self.turns);
            let running = session.clone();
            let task = self.running.spawn(async move { turn::run(&turns, &running).await });
            self.tasks.insert(task.id(), (subdomain, session));
        }
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, Outcome), tokio::task::JoinError>) {
        let task = ended.as_ref().map_or_else(tokio::task::JoinError::id, |(task, _)| *task);
        let Some((subdomain, session)) = self.tasks.remove(&task) else { return };
        let woken = self.fair.finished(subdomain.as_ref(), &session);
        match ended {
            Ok((_, Outcome::Settled { due_in: Some(due_in) })) => self.wake_later(Wake { subdomain, session, due_in }),
            // The message that woke it may have landed after the turn had settled. Where it had not, a claim finds nothing.
            Ok(_) if woken => self.fair.push(subdomain, session),
            Ok(_) => {}
            Err(error) => {
                // Its lease runs out, and counts as a takeover: five in a row, and the messages are poison.
                tracing::error!(%session, %error, "a turn panicked");
                metrics::counter!("switchboard_turn_panics_total").increment(1);
            }
        }
    }

    async fn drain(mut self, shutdown: &Shutdown) {
        tracing::info!(turns = self.running.len(), "finishing turns");
        loop {
            tokio::select! {
                ended = self.running.join_next() => match ended {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => tracing::error!(%error, "a turn panicked"),
                    None => break,
                },
                () = shutdown.aborting.cancelled() => {
                    self.running.shutdown().await;
                    break;
                }
            }
        }
        let worker_id = self.turns.leases.worker_id();
        let releasing = tokio::time::timeout(RELEASE_TIMEOUT, self.turns.store.release_all(worker_id));
        match releasing.await {
            Ok(Ok(0)) => {}
            Ok(Ok(leases)) => tracing::info!(leases, "gave leases back"),
            Ok(Err(error)) => tracing::warn!(%error, "leases could not be given back; they run out"),
            Err(_) => tracing::warn!("giving leases back took too long; they run out"),
        }
    }
}

/// Looks for due conversations: twice a second, sooner where the last look found some and they are used up, and less
/// often while there is no room for them.
async fn scan(turns: SharedTurns, mut want: watch::Receiver<Want>, found: mpsc::Sender<crate::store::DueBusinesses>) {
    let businesses = turns.settings.max_conversations.max(16);
    let mut ticks = tokio::time::interval(SCAN_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut found_some, mut pause, mut passed) = (false, Duration::ZERO, 0);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Ok(()) = used_up(&mut want, pause), if found_some => ticks.reset(),
        }
        if *want.borrow() == Want::Little && passed < SCANS_PASSED_WHEN_FULL {
            passed += 1;
            continue;
        }
        passed = 0;
        let began = Instant::now();
        // Were the scan to end, a worker that looks healthy would leave every retry and what dead workers left.
        let scanning = AssertUnwindSafe(in_time(turns.store.due(businesses, SCANNED_EACH)));
        let scanned = scanning.catch_unwind().await;
        pause = (began.elapsed() * SCAN_PAUSE).max(SCAN_PAUSE_LEAST);
        found_some = matches!(&scanned, Ok(Ok(due)) if due.iter().any(|(_, sessions)| !sessions.is_empty()));
        match scanned {
            Ok(Ok(due)) if due.is_empty() => {}
            Ok(Ok(due)) => {
                if found.send(due).await.is_err() {
                    return;
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "the scan for due conversations failed"),
            Err(_) => tracing::error!("the scan for due conversations panicked"),
        }
    }
}

/// Resolves after the pause, when there is room and nothing that could run.
async fn used_up(want: &mut watch::Receiver<Want>, pause: Duration) -> Result<(), watch::error::RecvError> {
    tokio::time::sleep(pause).await;
    want.wait_for(|want| *want == Want::Anything).await.map(drop)
}
