//! How long answers took, in so few numbers that days can be added up.

use std::{collections::BTreeMap, num::ParseIntError, time::Duration};

use serde::{Deserialize, Serialize};

/// Times up to here fall into buckets of this width; above it they are eight to each power of two, so that a time is told
/// within an eighth of itself.
const LINEAR_MILLIS: u64 = 16;
const STEPS: u64 = 8;

/// How many answers took how long. By the upper end of a bucket, in milliseconds; stored as text, as keys of documents are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "BTreeMap<String, u64>", try_from = "BTreeMap<String, u64>")]
pub struct AnswerTimes(BTreeMap<u64, u64>);

impl From<AnswerTimes> for BTreeMap<String, u64> {
    fn from(times: AnswerTimes) -> Self {
        times.0.into_iter().map(|(millis, count)| (millis.to_string(), count)).collect()
    }
}

impl TryFrom<BTreeMap<String, u64>> for AnswerTimes {
    type Error = ParseIntError;

    fn try_from(stored: BTreeMap<String, u64>) -> Result<Self, ParseIntError> {
        stored.into_iter().map(|(millis, count)| Ok((millis.parse()?, count))).collect::<Result<_, _>>().map(Self)
    }
}

impl AnswerTimes {
    /// Counts one.
    pub fn add(&mut self, time: Duration) {
        *self.0.entry(upper_end(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))).or_default() += 1;
    }

    /// Adds those of another day.
    pub fn merge(&mut self, other: &Self) {
        for (millis, count) in &other.0 {
            *self.0.entry(*millis).or_default() += count;
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// The time that a share of them, such as 0.95, did not exceed: at most an eighth too long. None where there are none.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of a day are far below 2^52"
    )]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        self.0.iter().find_map(|(millis, count)| {
            seen += count;
            (seen >= rank).then(|| Duration::from_millis(*millis))
        })
    }

    /// Half took no longer.
    pub fn p50(&self) -> Option<Duration> {
        self.quantile(0.5)
    }

    /// Of twenty, one took longer.
    pub fn p95(&self) -> Option<Duration> {
        self.quantile(0.95)
    }
}

fn upper_end(millis: u64) -> u64 {
    if millis <= LINEAR_MILLIS {
        return LINEAR_MILLIS;
    }
    let power = 1 << (u64::BITS - 1 - (millis - 1).leading_zeros());
    let step = power / STEPS;
    millis.checked_next_multiple_of(step).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_told_within_an_eighth(millis in 17_u64..10_000_000) {
            let end = upper_end(millis);
            prop_assert!(end >= millis && end - millis <= millis / 8, "{} {}", millis, end);
            prop_assert_eq!(upper_end(end), end, "the end is of its own bucket");
        }
    }

    #[test]
    fn shares_are_of_all_days_together() {
        let mut times = AnswerTimes::default();
        assert_eq!(times.p50(), None);
        let mut other = AnswerTimes::default();
        (0..18).for_each(|_| times.add(Duration::from_millis(1_000)));
        other.add(Duration::from_secs(60));
        other.add(Duration::from_secs(60));
        times.merge(&other);
        assert_eq!(times.count(), 20);
        assert_eq!(times.p50(), Some(Duration::from_millis(1_024)));
        assert_eq!(times.p95(), Some(Duration::from_millis(61_440)));
    }

    #[test]
    fn they_are_the_same_after_they_were_written_and_read() {
        let mut times = AnswerTimes::default();
        [3, 500, 90_000].into_iter().for_each(|millis| times.add(Duration::from_millis(millis)));
        let written = serde_json::to_value(&times).expect("JSON");
        assert_eq!(written, serde_json::json!({"16": 1, "512": 1, "90112": 1}));
        assert_eq!(serde_json::from_value::<AnswerTimes>(written).expect("times"), times);
    }
}
