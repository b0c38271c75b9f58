//! Which conversation is next: round robin over the businesses, with a cap for each and for all.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use shared::ids::{SessionId, Subdomain};

/// Conversations that wait here for each business; the database holds the others.
const WAITING_EACH: usize = 200;

/// The due conversations of one worker.
#[derive(Debug)]
pub(super) struct FairQueue {
    businesses: HashMap<Option<Subdomain>, Lane>,
    /// The businesses that have something waiting, in turn.
    ring: VecDeque<Option<Subdomain>>,
    /// A conversation is only ever in one place.
    places: HashMap<SessionId, Place>,
    running: usize,
    most_running: usize,
    most_of_one: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiting,
    /// Pushed meanwhile, or not. What woke it may have come when the turn had settled and was not over yet.
    Running {
        pushed: bool,
    },
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<SessionId>,
    running: usize,
}

impl FairQueue {
    /// At most that many turns at once, and at most a quarter of them (two at least) of one business.
    pub(super) fn new(most_running: usize) -> Self {
        Self {
            businesses: HashMap::new(),
            ring: VecDeque::new(),
            places: HashMap::new(),
            running: 0,
            most_running,
            most_of_one: (most_running / 4).max(2).min(most_running),
        }
    }

    /// Adds a conversation, unless it waits here or its business has enough waiting. Of one that runs it is remembered
    /// until [`FairQueue::finished`].
    pub(super) fn push(&mut self, business: Option<Subdomain>, session: SessionId) {
        let place = match self.places.entry(session.clone()) {
            Entry::Occupied(known) => {
                if let Place::Running { pushed } = known.into_mut() {
                    *pushed = true;
                }
                return;
            }
            Entry::Vacant(place) => place,
        };
        let lane = self.businesses.entry(business.clone()).or_default();
        if lane.waiting.len() >= WAITING_EACH {
            return;
        }
        place.insert(Place::Waiting);
        if lane.waiting.is_empty() {
            self.ring.push_back(business);
        }
        lane.waiting.push_back(session);
    }

    /// The next conversation that may run now; it counts as running until [`FairQueue::finished`].
    pub(super) fn next(&mut self) -> Option<(Option<Subdomain>, SessionId)> {
        if self.running >= self.most_running {
            return None;
        }
        for _ in 0..self.ring.len() {
            let business = self.ring.pop_front()?;
            let Some(lane) = self.businesses.get_mut(&business) else { continue };
            if lane.running >= self.most_of_one {
                self.ring.push_back(business);
                continue;
            }
            let Some(session) = lane.waiting.pop_front() else { continue };
            lane.running += 1;
            self.running += 1;
            self.places.insert(session.clone(), Place::Running { pushed: false });
            if !lane.waiting.is_empty() {
                self.ring.push_back(business.clone());
            }
            return Some((business, session));
        }
        None
    }

    /// The turn is over. Whether the conversation was pushed meanwhile; it is not in the queue for that.
    pub(super) fn finished(&mut self, business: Option<&Subdomain>, session: &SessionId) -> bool {
        let Some(Place::Running { pushed }) = self.places.remove(session) else { return false };
        self.running = self.running.saturating_sub(1);
        let key = business.cloned();
        if let Some(lane) = self.businesses.get_mut(&key) {
            lane.running = lane.running.saturating_sub(1);
            if lane.running == 0 && lane.waiting.is_empty() {
                self.businesses.remove(&key);
            }
        }
        pushed
    }

    /// Whether a conversation waits here that may run as soon as there is room: its business has not all that it may have.
    pub(super) fn has_waiting(&self) -> bool {
        let may_run = |lane: &Lane| !lane.waiting.is_empty() && lane.running < self.most_of_one;
        self.businesses.values().any(may_run)
    }

    /// Whether another turn could run.
    pub(super) fn has_room(&self) -> bool {
        self.running < self.most_running
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn business(n: usize) -> Option<Subdomain> {
        Some(Subdomain::parse(&format!("b{n}")).expect("valid"))
    }

    fn session(business: usize, n: usize) -> SessionId {
        SessionId::from_stored(format!("b{business}:{n}"))
    }

    #[test]
    fn a_flood_of_one_business_does_not_delay_another() {
        let mut queue = FairQueue::new(8);
        (0..100).for_each(|n| queue.push(business(0), session(0, n)));
        queue.push(business(1), session(1, 0));
        let started: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(started.iter().filter(|(b, _)| *b == business(0)).count(), 2, "a quarter of eight");
        assert!(started.contains(&(business(1), session(1, 0))));
        assert!(queue.has_room());
    }

    #[test]
    fn a_conversation_runs_once_at_a_time() {
        let mut queue = FairQueue::new(4);
        queue.push(business(0), session(0, 0));
        queue.push(business(0), session(0, 0));
        assert!(queue.next().is_some());
        queue.push(business(0), session(0, 0));
        assert!(queue.next().is_none());
        assert!(queue.finished(business(0).as_ref(), &session(0, 0)), "pushed while it ran");
        assert!(queue.next().is_none(), "whoever hears of it pushes again");
        queue.push(business(0), session(0, 0));
        assert!(queue.next().is_some());
        assert!(!queue.finished(business(0).as_ref(), &session(0, 0)));
        assert!(!queue.finished(business(0).as_ref(), &session(0, 0)), "it does not run");
    }

    #[test]
    fn a_business_that_has_enough_waiting_is_forgotten_with_the_last_of_it() {
        let mut queue = FairQueue::new(1);
        (0..WAITING_EACH + 10).for_each(|n| queue.push(business(0), session(0, n)));
        let mut ran = 0;
        while let Some((of, session)) = queue.next() {
            queue.finished(of.as_ref(), &session);
            ran += 1;
        }
        assert_eq!(ran, WAITING_EACH, "the database holds the others");
        assert!(queue.businesses.is_empty() && queue.places.is_empty() && queue.ring.is_empty(), "{queue:?}");
    }

    proptest! {
        #[test]
        fn caps_hold_and_every_conversation_runs_in_the_end(pushes in proptest::collection::vec((0_usize..5, 0_usize..20), 1..150)) {
            let mut queue = FairQueue::new(6);
            let mut left: HashSet<SessionId> = HashSet::new();
            for (b, n) in &pushes {
                queue.push(business(*b), session(*b, *n));
                left.insert(session(*b, *n));
            }
            let mut running: VecDeque<(Option<Subdomain>, SessionId)> = VecDeque::new();
            while !left.is_empty() {
                while let Some(next) = queue.next() {
                    prop_assert!(left.remove(&next.1), "twice: {:?}", next);
                    running.push_back(next);
                }
                prop_assert!(running.len() <= 6);
                for b in 0..5 {
                    prop_assert!(running.iter().filter(|(of, _)| *of == business(b)).count() <= 2);
                }
                let (b, s) = running.pop_front().expect("something runs while something is left");
                queue.finished(b.as_ref(), &s);
            }
        }
    }
}
