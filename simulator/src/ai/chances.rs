//! Faults by probability: how often each thing goes wrong with a request to the AI.
//!
//! One draw decides between all faults, so at most one of them happens to a request and each happens as often as
//! its own probability says.

use std::{ops::RangeInclusive, time::Duration};

use super::AiFault;
use crate::{Seed, rules::check_probabilities};

/// How often each thing goes wrong. Every probability is 0.0 unless set; those of the faults exclude each other.
#[derive(Debug, Clone, PartialEq)]
pub struct AiChances {
    /// Too many requests: 429.
    pub throttled: f64,
    /// The share of the throttled requests which are told how long to wait.
    pub with_retry_after: f64,
    /// How long they are told to wait; fractions of a second as Groq writes them.
    pub retry_after: RangeInclusive<Duration>,
    /// The provider fails: 500.
    pub failed: f64,
    /// The model is over capacity: 503.
    pub unavailable: f64,
    /// No answer, until the client gives up.
    pub hanging: f64,
    /// The connection is cut instead of an answer.
    pub dropped: f64,
    /// The answer comes late.
    pub slow: f64,
    /// How late.
    pub slowness: RangeInclusive<Duration>,
    /// 200 with a body that is no JSON.
    pub garbage: f64,
    /// 200 with an answer without words.
    pub empty: f64,
}

impl Default for AiChances {
    fn default() -> Self {
        Self {
            throttled: 0.0,
            with_retry_after: 0.0,
            retry_after: Duration::from_millis(50)..=Duration::from_secs(3),
            failed: 0.0,
            unavailable: 0.0,
            hanging: 0.0,
            dropped: 0.0,
            slow: 0.0,
            slowness: Duration::from_secs(1)..=Duration::from_secs(10),
            garbage: 0.0,
            empty: 0.0,
        }
    }
}

impl AiChances {
    /// Refuses probabilities that cannot be meant.
    pub(super) fn check(&self) {
        let exclusive = self.faults(Seed(0), "").map(|(probability, _)| probability);
        check_probabilities(&exclusive, &[self.with_retry_after]);
    }

    /// The fate of the attempt with this key.
    pub(super) fn draw(&self, seed: Seed, key: &str) -> Option<AiFault> {
        seed.one_of(self.faults(seed, key), "ai-fault", key)
    }

    fn faults(&self, seed: Seed, key: &str) -> [(f64, AiFault); 8] {
        let told = seed.happens(self.with_retry_after, "ai-with-retry-after", key);
        let retry_after = told.then(|| seed.duration(&self.retry_after, "ai-retry-after", key));
        [
            (self.throttled, AiFault::Throttled { retry_after }),
            (self.failed, AiFault::Status(500)),
            (self.unavailable, AiFault::Status(503)),
            (self.hanging, AiFault::Hang),
            (self.dropped, AiFault::Drop),
            (self.slow, AiFault::Slow(seed.duration(&self.slowness, "ai-slowness", key))),
            (self.garbage, AiFault::Garbage),
            (self.empty, AiFault::Empty),
        ]
    }
}
