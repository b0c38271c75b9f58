//! The sum over all questions of a variant.

use serde::Serialize;

use super::{answer::Answer, variant::Variant};

/// What came of a variant so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    variant: String,
    model: String,
    pub(super) answered: usize,
    failed: usize,
    /// Of the answers, in milliseconds.
    latencies: Vec<u64>,
    tokens_in: u64,
    tokens_out: u64,
    /// None where the variant has no prices.
    cost: Option<f64>,
}

/// A variant in a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) variant: String,
    pub(super) model: String,
    pub(super) answered: usize,
    pub(super) failed: usize,
    /// These two are none where nothing was answered.
    pub(super) latency_ms_median: Option<u64>,
    pub(super) latency_ms_p95: Option<u64>,
    pub(super) tokens_in: u64,
    pub(super) tokens_out: u64,
    pub(super) cost: Option<f64>,
}

impl Tally {
    /// Nothing yet.
    pub(super) fn of(variant: &Variant) -> Self {
        let (model, cost) = (variant.model.clone(), variant.prices.map(|_| 0.0));
        Self { variant: variant.name.clone(), model, cost, ..Self::default() }
    }

    /// One more.
    pub(super) fn add(&mut self, answer: &Answer) {
        let Some(spent) = &answer.spent else {
            self.failed += 1;
            return;
        };
        self.answered += 1;
        self.latencies.push(answer.latency_ms);
        self.tokens_in += spent.tokens_in;
        self.tokens_out += spent.tokens_out;
        self.cost = self.cost.zip(spent.cost).map(|(sum, cost)| sum + cost);
    }

    /// All of it.
    pub(super) fn summary(&self) -> Summary {
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        Summary {
            variant: self.variant.clone(),
            model: self.model.clone(),
            answered: self.answered,
            failed: self.failed,
            latency_ms_median: percentile(&latencies, 50),
            latency_ms_p95: percentile(&latencies, 95),
            tokens_in: self.tokens_in,
            tokens_out: self.tokens_out,
            cost: self.cost,
        }
    }
}

/// The least value that so many percent of all do not exceed ("nearest rank"); the values are in order.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!((percentile(&hundred, 50), percentile(&hundred, 95)), (Some(50), Some(95)));
        let twenty_one: Vec<u64> = (1..=21).collect();
        assert_eq!((percentile(&twenty_one, 50), percentile(&twenty_one, 95)), (Some(11), Some(20)));
        assert_eq!((percentile(&[3, 9], 50), percentile(&[3, 9], 95)), (Some(3), Some(9)));
        assert_eq!((percentile(&[7], 50), percentile(&[7], 95)), (Some(7), Some(7)));
        assert_eq!((percentile(&[], 50), percentile(&[], 95)), (None, None));
    }
}
