//! How long to wait before the next try. The only place that uses the `backoff` crate, and only as a policy: the
//! sleeping is done by the callers, who must also hear a stop signal, a server's `Retry-After` and deadlines.

use std::time::Duration;

use backoff::{ExponentialBackoff, backoff::Backoff as _};

/// Growing delays for something that is tried until it works, such as a connection: ×2 each time with jitter of
/// ±50 %, without an end. Starts over after [`Delays::reset`].
#[derive(Debug)]
pub struct Delays(ExponentialBackoff);

impl Delays {
    /// The first delay is about `first`; no delay is longer than one and a half times `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        let mut policy = policy(first, most);
        policy.randomization_factor = 0.5;
        Self(policy)
    }

    /// The delay before the next try.
    pub fn next_delay(&mut self) -> Duration {
        self.0.next_backoff().expect("a policy without a time limit never ends")
    }

    /// To be called after a success.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

/// A random delay between nothing and `first` × 2^`attempt`, at most `most` ("full jitter"), for tries whose count
/// is stored and survives the process. `attempt` counts from 0.
pub fn full_jitter(attempt: u32, first: Duration, most: Duration) -> Duration {
    let ceiling = first.saturating_mul(2_u32.saturating_pow(attempt.min(30))).min(most);
    // A factor of 1 draws between nothing and twice the interval.
    let mut policy = policy(ceiling / 2, most);
    policy.randomization_factor = 1.0;
    policy.next_backoff().expect("a policy without a time limit never ends").min(most)
}

fn policy(first: Duration, most: Duration) -> ExponentialBackoff {
    ExponentialBackoff {
        current_interval: first,
        initial_interval: first,
        max_interval: most,
        multiplier: 2.0,
        // The crate's default gives up after 15 minutes.
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn full_jitter_stays_under_its_ceiling(attempt in 0_u32..80, first_ms in 1_u64..5_000, most_ms in 1_u64..600_000) {
            let (first, most) = (Duration::from_millis(first_ms), Duration::from_millis(most_ms));
            let delay = full_jitter(attempt, first, most);
            prop_assert!(delay <= most);
            prop_assert!(delay <= first.saturating_mul(2_u32.saturating_pow(attempt.min(30))) + Duration::from_millis(1));
        }
    }

    #[test]
    fn full_jitter_uses_the_whole_range() {
        let draws: Vec<_> =
            (0..400).map(|_| full_jitter(3, Duration::from_millis(100), Duration::from_secs(60))).collect();
        let below = draws.iter().filter(|d| **d < Duration::from_millis(400)).count();
        assert!((100..300).contains(&below), "half of the draws lie in the lower half of 0 to 800 ms: {below}");
    }

    #[test]
    fn delays_grow_never_end_and_start_over() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(2));
        let mut delays = Delays::new(first, most);
        let drawn: Vec<_> = (0..50).map(|_| delays.next_delay()).collect();
        assert!(drawn[0] <= first.mul_f64(1.5));
        assert!(drawn[10..].iter().all(|d| *d >= most / 2 && *d <= most.mul_f64(1.5)), "{drawn:?}");
        delays.reset();
        assert!(delays.next_delay() <= first.mul_f64(1.5));
    }
}
