//! How fast a number may send.
//!
//! Meta takes 80 messages a second of a number, in and out together (Meta, "Throughput", 2026), from all workers
//! together, and how many those are nobody knows. So each worker begins near the limit, halves its own rate when Meta
//! says that it was too much (130429), and grows again slowly.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use shared::ids::PhoneNumberId;

/// Messages a second at most: nine tenths of Meta's limit.
const FASTEST: f64 = 72.0;
const SLOWEST: f64 = 1.0;
/// How long a rate that was too high is not raised again.
const LOWERED_FOR: Duration = Duration::from_secs(30);
/// Afterwards it grows by a tenth in each of these.
const GROWS_EVERY: Duration = Duration::from_secs(10);
const GROWTH: f64 = 1.1;
/// Whoever would have to wait longer is told to come back.
const WAIT_MOST: Duration = Duration::from_secs(1);
/// A number that sent nothing for so long is at its fastest again, and need not be remembered.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
const FORGET_ABOVE: usize = 10_000;

/// The rates of all numbers, for one worker. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Pace(Arc<Mutex<HashMap<PhoneNumberId, Rate>>>);

/// Whether a message may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// After that wait, for which its place is kept.
    After(Duration),
    /// Not now; there may be a place in that time.
    NotBefore(Duration),
}

#[derive(Debug)]
struct Rate {
    per_second: f64,
    /// When the next message may go.
    next: Instant,
    /// When the last of those may come back that were sent away.
    back: Instant,
    /// From when on the rate grows.
    grows_from: Instant,
}

impl Pace {
    /// Asks for a place for one message.
    pub fn permit(&self, number: &PhoneNumberId, now: Instant) -> Permit {
        let mut rates = self.lock();
        if rates.len() > FORGET_ABOVE {
            rates.retain(|_, rate| now.saturating_duration_since(rate.next) < FORGOTTEN_AFTER);
        }
        let rate = rates.entry(number.clone()).or_insert_with(|| Rate::new(now));
        rate.grow(now);
        let wait = rate.next.saturating_duration_since(now);
        if wait > WAIT_MOST {
            // One after the other, or all of them would come back at once.
            rate.back = rate.back.max(rate.next) + rate.gap();
            return Permit::NotBefore(rate.back.saturating_duration_since(now));
        }
        rate.next = rate.next.max(now) + rate.gap();
        Permit::After(wait)
    }

    /// Meta said that the number sent too much.
    pub fn throttled(&self, number: &PhoneNumberId, now: Instant) {
        let mut rates = self.lock();
        let rate = rates.entry(number.clone()).or_insert_with(|| Rate::new(now));
        rate.grow(now);
        // Several messages under way are refused by one throttle: it counts once.
        let already = rate.grows_from.saturating_duration_since(now) > LOWERED_FOR - Duration::from_secs(1);
        if !already {
            rate.per_second = (rate.per_second / 2.0).max(SLOWEST);
            tracing::warn!(phone_number_id = %number, per_second = rate.per_second, "Meta throttles a number: it sends more slowly");
        }
        rate.grows_from = now + LOWERED_FOR;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PhoneNumberId, Rate>> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

impl Rate {
    fn new(now: Instant) -> Self {
        Self { per_second: FASTEST, next: now, back: now, grows_from: now }
    }

    /// Between two messages.
    fn gap(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second)
    }

    fn grow(&mut self, now: Instant) {
        while self.per_second < FASTEST && self.grows_from + GROWS_EVERY <= now {
            self.per_second = (self.per_second * GROWTH).min(FASTEST);
            self.grows_from += GROWS_EVERY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number() -> PhoneNumberId {
        PhoneNumberId::parse("1").expect("valid")
    }

    /// How many messages get a place that is not later than `within` from `now`.
    fn fit(pace: &Pace, now: Instant, within: Duration) -> usize {
        std::iter::repeat_with(|| pace.permit(&number(), now))
            .take_while(|permit| matches!(permit, Permit::After(wait) if *wait <= within))
            .count()
    }

    #[test]
    fn a_number_sends_as_fast_as_meta_allows_and_no_faster() {
        let (pace, now) = (Pace::default(), Instant::now());
        let fitting = fit(&pace, now, WAIT_MOST);
        assert!((72..=74).contains(&fitting), "{fitting}");
        assert!(matches!(pace.permit(&number(), now), Permit::NotBefore(_)));
        assert_eq!(pace.permit(&number(), now + Duration::from_secs(5)), Permit::After(Duration::ZERO));
    }

    #[test]
    fn a_throttle_halves_the_rate_once_and_it_grows_back() {
        let (pace, now) = (Pace::default(), Instant::now());
        for _ in 0..5 {
            pace.throttled(&number(), now);
        }
        let fitting = fit(&pace, now, WAIT_MOST);
        assert!((36..=38).contains(&fitting), "{fitting}");
        let later = now + LOWERED_FOR + Duration::from_secs(5);
        assert!((36..=38).contains(&fit(&pace, later, WAIT_MOST)), "not raised yet");
        let much_later = now + LOWERED_FOR + GROWS_EVERY * 8;
        assert!((72..=74).contains(&fit(&pace, much_later, WAIT_MOST)), "as fast as ever");
    }

    #[test]
    fn those_who_are_sent_away_come_back_one_after_the_other() {
        let (pace, now) = (Pace::default(), Instant::now());
        fit(&pace, now, WAIT_MOST);
        let waits: Vec<_> = (0..72).map(|_| pace.permit(&number(), now)).collect();
        let Some(Permit::NotBefore(last)) = waits.last() else { panic!("{waits:?}") };
        assert!(*last > WAIT_MOST + Duration::from_millis(900), "{last:?}");
        assert!(waits.windows(2).all(|pair| matches!(pair, [Permit::NotBefore(a), Permit::NotBefore(b)] if a < b)));
    }

    #[test]
    fn it_never_stops_altogether() {
        let (pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..20 {
            pace.throttled(&number(), now);
            now += Duration::from_secs(2);
        }
        assert!(matches!(pace.permit(&number(), now), Permit::After(_)));
    }
}
