//! Faults by probability: how often each thing goes wrong with a request to the Graph API.
//!
//! One draw decides between all faults, so at most one of them happens to a request and each happens as often as
//! its own probability says.

use std::{ops::RangeInclusive, time::Duration};

use super::{Fault, Refusal};
use crate::{Seed, rules::check_probabilities};

/// How often each thing goes wrong. Every probability is 0.0 unless set; those of the faults exclude each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Chances {
    /// Refused: too much from this number (130429).
    pub number_throttled: f64,
    /// Refused: too much from this number to this customer (131056).
    pub pair_throttled: f64,
    /// Refused: too much from this app (4).
    pub app_throttled: f64,
    /// Refused: too much from this account (80007).
    pub account_throttled: f64,
    /// The share of the throttled requests which are told how long to wait.
    pub with_retry_after: f64,
    /// How long they are told to wait, in whole seconds: a fraction is cut off.
    pub retry_after: RangeInclusive<Duration>,
    /// Refused for no reason: 131000, HTTP 500.
    pub something_wrong: f64,
    /// Refused for the time being: 131016, HTTP 503.
    pub unavailable: f64,
    /// A proxy answers HTTP 502, without JSON; Meta has not got the request.
    pub bad_gateway: f64,
    /// A proxy answers HTTP 503, without JSON; Meta has not got the request.
    pub gateway_unavailable: f64,
    /// The connection is cut before anything is done.
    pub dropped: f64,
    /// Done, and the connection is cut instead of an answer.
    pub answer_lost: f64,
    /// Done, and the answer comes late.
    pub answer_late: f64,
    /// How late. A range around the client's timeout has answers in it that come just in time.
    pub lateness: RangeInclusive<Duration>,
    /// Everything comes late: the request is done only then.
    pub delayed: f64,
    /// How late.
    pub delay: RangeInclusive<Duration>,
}

impl Default for Chances {
    fn default() -> Self {
        Self {
            number_throttled: 0.0,
            pair_throttled: 0.0,
            app_throttled: 0.0,
            account_throttled: 0.0,
            with_retry_after: 0.0,
            retry_after: Duration::from_secs(1)..=Duration::from_secs(4),
            something_wrong: 0.0,
            unavailable: 0.0,
            bad_gateway: 0.0,
            gateway_unavailable: 0.0,
            dropped: 0.0,
            answer_lost: 0.0,
            answer_late: 0.0,
            lateness: Duration::from_secs(1)..=Duration::from_secs(30),
            delayed: 0.0,
            delay: Duration::from_millis(100)..=Duration::from_secs(3),
        }
    }
}

impl Chances {
    /// Refuses probabilities that cannot be meant.
    pub(super) fn check(&self) {
        let exclusive = self.faults(Seed(0), "").map(|(probability, _)| probability);
        check_probabilities(&exclusive, &[self.with_retry_after]);
    }

    /// The fate of the attempt with this key.
    pub(super) fn draw(&self, seed: Seed, key: &str) -> Option<Fault> {
        seed.one_of(self.faults(seed, key), "graph-fault", key)
    }

    fn faults(&self, seed: Seed, key: &str) -> [(f64, Fault); 12] {
        let throttle = |code| {
            let refusal = Refusal::code(code);
            let told = seed.happens(self.with_retry_after, "graph-with-retry-after", key);
            let wait = seed.duration(&self.retry_after, "graph-retry-after", key);
            Fault::Refuse(if told { refusal.retry_after(wait) } else { refusal })
        };
        [
            (self.number_throttled, throttle(130_429)),
            (self.pair_throttled, throttle(131_056)),
            (self.app_throttled, throttle(4)),
            (self.account_throttled, throttle(80_007)),
            (self.something_wrong, Fault::Refuse(Refusal::code(131_000).http(500))),
            (self.unavailable, Fault::Refuse(Refusal::code(131_016).http(503))),
            (self.bad_gateway, Fault::NonJson(502)),
            (self.gateway_unavailable, Fault::NonJson(503)),
            (self.dropped, Fault::DropBeforeAccept),
            (self.answer_lost, Fault::AcceptThenDrop),
            (self.answer_late, Fault::AcceptThenDelay(seed.duration(&self.lateness, "graph-lateness", key))),
            (self.delayed, Fault::Delay(seed.duration(&self.delay, "graph-delay", key))),
        ]
    }
}
