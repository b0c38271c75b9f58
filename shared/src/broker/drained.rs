//! Whether silence about a send says anything: only where no status waits between Meta and MongoDB any more.
//!
//! A status may wait in a queue, which can be asked; here, which is counted; or with another worker, which nobody
//! can see. So a worker that cannot write what it holds gives it back in bounded time (see [`Consumer`]), and none is
//! believed to be through before the database has answered for a while.
//!
//! [`Consumer`]: super::Consumer

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::watch;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// Longer than a worker that holds a status takes to write it, once the database is back.
const ANSWERED_FOR: Duration = Duration::from_secs(3);

/// How often a process without a queue looks whether it stood still.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// From how long on it did: what Meta wanted to tell meanwhile may still be on its way.
const STOOD_STILL: Duration = Duration::from_secs(1);

/// When it was last known that no status waited anywhere between Meta and this process. Until then, that no status came
/// of a send means nothing. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StatusesDrained(Drained);

#[derive(Debug, Clone)]
enum Drained {
    /// The queues were seen empty, and every status that this process had received by then was settled later.
    Queues(watch::Receiver<Option<Instant>>),
    /// There is no queue.
    Direct(Arc<Mutex<Hearing>>),
}

impl StatusesDrained {
    /// As it is learned from queues.
    pub(super) fn from_queues(seen: watch::Receiver<Option<Instant>>) -> Self {
        Self(Drained::Queues(seen))
    }

    /// Where each status is handled before Meta's request is answered. Until this process has run for `at_first`, one may
    /// still wait at Meta, which could not deliver it while nobody was there. The same holds after it stood still: stopped,
    /// or on a machine that slept. To be called within a runtime, which looks for that.
    pub fn without_a_queue(at_first: Duration) -> Self {
        let hearing = Arc::new(Mutex::new(Hearing::new(at_first, Instant::now(), SystemTime::now())));
        let watched = Arc::downgrade(&hearing);
        tokio::spawn(async move {
            while let Some(hearing) = watched.upgrade() {
                hear(&hearing);
                drop(hearing);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Self(Drained::Direct(hearing))
    }

    /// The last time; none before the first.
    pub fn last(&self) -> Option<Instant> {
        match &self.0 {
            Drained::Queues(seen) => *seen.borrow(),
            Drained::Direct(hearing) => hear(hearing),
        }
    }
}

fn hear(hearing: &Mutex<Hearing>) -> Option<Instant> {
    let (now, wall) = (Instant::now(), SystemTime::now());
    hearing.lock().unwrap_or_else(PoisonError::into_inner).look(now, wall)
}

/// Whether this process has heard what Meta had to say.
#[derive(Debug)]
struct Hearing {
    at_first: Duration,
    heard_out: Instant,
    /// The last look. By two clocks: one stands still while the machine sleeps.
    looked_at: (Instant, SystemTime),
}

impl Hearing {
    fn new(at_first: Duration, now: Instant, wall: SystemTime) -> Self {
        Self { at_first, heard_out: now + at_first, looked_at: (now, wall) }
    }

    /// Now, if nothing can wait at Meta any more.
    fn look(&mut self, now: Instant, wall: SystemTime) -> Option<Instant> {
        let (before, wall_before) = self.looked_at;
        let by_wall = wall.duration_since(wall_before).unwrap_or_default();
        if now.saturating_duration_since(before).max(by_wall) > STOOD_STILL {
            self.heard_out = now + self.at_first;
        }
        self.looked_at = (now, wall);
        (now >= self.heard_out).then_some(now)
    }
}

/// Counts the statuses that this process has received and not settled, in groups: there may never be a moment without
/// any, but each group comes to its end. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct InHand(Arc<Mutex<TaskTracker>>);

impl InHand {
    /// One more, until the token is dropped.
    pub(super) fn token(&self) -> TaskTrackerToken {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).token()
    }

    /// Those that are in hand now; later ones are another group's.
    fn close_group(&self) -> TaskTracker {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What repeated looks at the queues say of a connection's statuses.
#[derive(Debug, Default)]
pub(super) struct Looks {
    answers_since: Option<Instant>,
    silent_since: Option<Instant>,
    /// The look before, where it found the queues empty.
    empty_at: Option<Instant>,
    /// What had been received when the queues had been empty at that time.
    group: Option<(Instant, TaskTracker)>,
}

impl Looks {
    /// Takes a look that began at `at`: how many statuses waited in the queues, where that could be learned, and whether
    /// the database answered. When it is now known that no status waited, where that is news.
    pub(super) fn look(
        &mut self,
        at: Instant,
        waiting: Option<u32>,
        answers: bool,
        in_hand: &InHand,
    ) -> Option<Instant> {
        self.answers_since = answers.then(|| self.answers_since.unwrap_or(at));
        self.silent_since = (!answers).then(|| self.silent_since.unwrap_or(at));
        let empty_at = self.empty_at.take();
        // One that learned nothing does not show either that anything has come since.
        let waiting = waiting?;
        if self.group.is_none() {
            // What had left the queues by the look before has been received by this one.
            self.group = empty_at.map(|empty_at| (empty_at, in_hand.close_group()));
        }
        self.empty_at = (waiting == 0).then_some(at);
        let (empty_at, group) = self.group.as_ref()?;
        let answered_for = self.answers_since.map(|since| at.saturating_duration_since(since));
        if !group.is_empty() || answered_for.is_none_or(|length| length < ANSWERED_FOR) {
            return None;
        }
        let empty_at = *empty_at;
        self.group = None;
        Some(empty_at)
    }

    /// How long the database has not answered.
    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        self.silent_since.map(|since| now.saturating_duration_since(since)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: Option<u32> = Some(0);

    /// Looks once a second.
    struct Watch {
        looks: Looks,
        in_hand: InHand,
        began: Instant,
        seconds: u64,
    }

    impl Watch {
        fn new() -> Self {
            Self { looks: Looks::default(), in_hand: InHand::default(), began: Instant::now(), seconds: 0 }
        }

        /// The second of the look at which the queues are known to have been empty, with nothing left of it.
        fn look(&mut self, waiting: Option<u32>, answers: bool) -> Option<u64> {
            let at = self.began + Duration::from_secs(self.seconds);
            self.seconds += 1;
            let known = self.looks.look(at, waiting, answers, &self.in_hand);
            known.map(|known| known.duration_since(self.began).as_secs())
        }

        fn looks<const N: usize>(&mut self, looks: [(Option<u32>, bool); N]) -> [Option<u64>; N] {
            looks.map(|(waiting, answers)| self.look(waiting, answers))
        }
    }

    #[test]
    fn who_stood_still_hears_meta_out_again() {
        let (began, wall) = (Instant::now(), SystemTime::now());
        let mut hearing = Hearing::new(Duration::from_millis(500), began, wall);
        let mut look = |awake: u64, slept: u64| {
            let now = began + Duration::from_millis(awake);
            hearing.look(now, wall + Duration::from_millis(awake + slept)).is_some()
        };
        assert_eq!([250, 500, 750].map(|at| look(at, 0)), [false, true, true]);
        // Stopped for two seconds, and asked before anybody looked.
        assert_eq!([2_750, 3_000, 3_250].map(|at| look(at, 0)), [false, false, true]);
        // The machine slept for an hour: only the clock on the wall tells.
        assert_eq!([3_500, 3_750, 4_000].map(|at| look(at, 3_600_000)), [false, false, true]);
        assert!(look(4_250, 0), "a clock that was set back tells nothing");
    }

    #[test]
    fn an_empty_queue_counts_when_the_database_has_answered_for_a_while() {
        let mut watch = Watch::new();
        assert_eq!(watch.looks([(EMPTY, true); 6]), [None, None, None, Some(0), Some(3), Some(4)]);
    }

    #[test]
    fn what_waits_or_cannot_be_learned_is_not_empty() {
        let mut watch = Watch::new();
        watch.looks([(EMPTY, true); 6]);
        let looks = [(Some(1), true), (None, true), (EMPTY, true), (EMPTY, true)];
        assert_eq!(watch.looks(looks), [Some(5), None, None, Some(8)]);
        let looks = [(EMPTY, true), (None, true), (EMPTY, true), (EMPTY, true)];
        assert_eq!(watch.looks(looks), [Some(9), None, None, Some(12)]);
    }

    #[test]
    fn a_status_in_hand_counts_until_it_is_settled_and_later_ones_do_not() {
        let mut watch = Watch::new();
        watch.looks([(EMPTY, true); 6]);
        let first = watch.in_hand.token();
        assert_eq!(watch.look(EMPTY, true), None, "read by this look, it may have left the queue by the one before");
        let second = watch.in_hand.token();
        assert_eq!(watch.look(EMPTY, true), None);
        drop(first);
        assert_eq!(watch.look(EMPTY, true), Some(5));
        // There is never a moment without one in hand.
        let third = watch.in_hand.token();
        assert_eq!(watch.look(EMPTY, true), None);
        drop(second);
        let _fourth = watch.in_hand.token();
        drop(third);
        assert_eq!(watch.look(EMPTY, true), Some(8));
    }

    #[test]
    fn after_the_database_was_away_nothing_counts_until_it_has_answered_for_a_while() {
        let mut watch = Watch::new();
        watch.looks([(EMPTY, true); 6]);
        assert_eq!(watch.looks([(EMPTY, false); 3]), [None; 3]);
        assert_eq!(watch.looks.silent_for(watch.began + Duration::from_secs(9)), Duration::from_secs(3));
        assert_eq!(watch.looks([(EMPTY, true); 5]), [None, None, None, Some(5), Some(12)]);
        assert_eq!(watch.looks.silent_for(watch.began + Duration::from_secs(14)), Duration::ZERO);
    }
}
