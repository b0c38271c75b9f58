//! Rules for what goes wrong, the same for every stand-in: an attempt is shown to each rule in the order in which
//! they were added, and the first that names a fault wins.

use std::{collections::VecDeque, fmt};

type Rule<A, F> = Box<dyn FnMut(&A) -> Option<F> + Send>;

/// The rules for attempts `A`, which meet faults `F`.
pub(crate) struct Rules<A, F>(Vec<Rule<A, F>>);

impl<A, F> Default for Rules<A, F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A, F> fmt::Debug for Rules<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rules({})", self.0.len())
    }
}

impl<A, F: Clone + Send + 'static> Rules<A, F> {
    pub(crate) fn add(&mut self, rule: impl FnMut(&A) -> Option<F> + Send + 'static) {
        self.0.push(Box::new(rule));
    }

    /// Every attempt that fits meets this fault.
    pub(crate) fn always(&mut self, fits: impl Fn(&A) -> bool + Send + 'static, fault: F) {
        self.add(move |attempt| fits(attempt).then(|| fault.clone()));
    }

    /// The n-th attempt that fits, of those that no earlier rule took, meets the n-th entry; then the rule is used up.
    pub(crate) fn schedule(&mut self, fits: impl Fn(&A) -> bool + Send + 'static, mut entries: VecDeque<Option<F>>) {
        self.add(move |attempt| if fits(attempt) { entries.pop_front().flatten() } else { None });
    }

    pub(crate) fn choose(&mut self, attempt: &A) -> Option<F> {
        self.0.iter_mut().find_map(|rule| rule(attempt))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Refuses probabilities that cannot be meant.
///
/// # Panics
/// Where one is not between 0.0 and 1.0, or those that exclude each other sum up to more than 1.0.
pub(crate) fn check_probabilities(exclusive: &[f64], others: &[f64]) {
    let fits = |probability: &f64| (0.0..=1.0).contains(probability);
    assert!(exclusive.iter().chain(others).all(fits), "a probability is between 0.0 and 1.0");
    // Ten times 0.1 is a little more than 1.0.
    assert!(
        exclusive.iter().sum::<f64>() <= 1.0 + 1e-9,
        "only one fault happens at a time: they sum up to 1.0 at most"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_names_a_fault_wins_and_a_schedule_is_used_up() {
        let mut rules = Rules::<u32, char>::default();
        rules.schedule(|n| *n < 100, VecDeque::from([Some('a'), None, Some('b')]));
        rules.always(|n| *n == 7, 'z');
        let seen = [1, 7, 100, 2, 7].map(|n| rules.choose(&n));
        assert_eq!(seen, [Some('a'), Some('z'), None, Some('b'), Some('z')]);
        rules.clear();
        assert_eq!(rules.choose(&7), None);
    }

    #[test]
    fn probabilities_that_cannot_be_meant_are_refused() {
        check_probabilities(&[0.1; 10], &[1.0]);
        for (exclusive, other) in [(vec![0.6, 0.6], 0.0), (vec![-0.1], 0.0), (vec![f64::NAN], 0.0), (vec![], 1.1)] {
            let checked = std::panic::catch_unwind(|| check_probabilities(&exclusive, &[other]));
            assert!(checked.is_err(), "{exclusive:?} {other}");
        }
    }
}
