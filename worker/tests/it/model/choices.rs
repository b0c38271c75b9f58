//! Who decides what happens next: a list of departures from the good day, or chance.

use rand::{Rng, SeedableRng, rngs::StdRng};

/// Decides between the things that may happen next. 0 is what happens on a good day.
pub(super) trait Choices {
    fn choose(&mut self, of: usize) -> usize;
}

/// Departs from the good day at given steps only, and tells how much there was to choose from at each.
#[derive(Debug, Default)]
pub(super) struct Departures {
    /// Step and choice, in the order of the steps.
    pub(super) plan: Vec<(usize, usize)>,
    /// How many choices there were at each step.
    pub(super) widths: Vec<usize>,
}

impl Choices for Departures {
    fn choose(&mut self, of: usize) -> usize {
        let step = self.widths.len();
        self.widths.push(of);
        let departure = self.plan.iter().find(|(at, _)| *at == step);
        departure.map_or(0, |(_, choice)| *choice).min(of - 1)
    }
}

/// Departs at random, so often in a thousand steps and in so many steps at most.
pub(super) struct Chance {
    random: StdRng,
    per_mille: u32,
    left: u32,
}

impl Chance {
    pub(super) fn new(seed: u64, per_mille: u32, most: u32) -> Self {
        Self { random: StdRng::seed_from_u64(seed), per_mille, left: most }
    }
}

impl Choices for Chance {
    fn choose(&mut self, of: usize) -> usize {
        if of < 2 || self.left == 0 || !self.random.random_ratio(self.per_mille, 1_000) {
            return 0;
        }
        self.left -= 1;
        self.random.random_range(1..of)
    }
}
