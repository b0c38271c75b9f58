//! Chance that can be repeated: every draw is a hash of the seed, a label and a key.
//!
//! There is no generator whose state the tasks of a stand-in would share, so a draw does not depend on which task
//! comes first: the same message is lost under the same seed, however the run was scheduled.

use std::{ops::RangeInclusive, time::Duration};

use sha2::{Digest, Sha256};

/// The one number that decides every draw of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// A seed that no other process has, for programs whose ids must not repeat.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// 32 bytes for a label (what the draw is for) and a key (whom it concerns).
    pub fn bytes(self, label: &str, key: &str) -> [u8; 32] {
        let digest = Sha256::new()
            .chain_update(self.0.to_be_bytes())
            .chain_update(label.len().to_be_bytes())
            .chain_update(label)
            .chain_update(key)
            .finalize();
        digest.into()
    }

    /// A whole number, evenly distributed.
    pub fn number(self, label: &str, key: &str) -> u64 {
        self.bytes(label, key).iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    }

    /// A number from 0.0 up to, but without, 1.0, evenly distributed.
    pub fn fraction(self, label: &str, key: &str) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let (draw, end) = ((self.number(label, key) >> 11) as f64, (1_u64 << 53) as f64);
        draw / end
    }

    /// Whether something of this probability happens; 0.0 never, 1.0 always.
    pub fn happens(self, probability: f64, label: &str, key: &str) -> bool {
        self.fraction(label, key) < probability
    }

    /// A duration between these two, evenly distributed.
    pub fn duration(self, range: &RangeInclusive<Duration>, label: &str, key: &str) -> Duration {
        let span = range.end().saturating_sub(*range.start());
        *range.start() + span.mul_f64(self.fraction(label, key))
    }

    /// At most one of several things, each with its own probability. Where these sum up to more than 1.0, the last
    /// ones come short.
    pub fn one_of<T>(self, things: impl IntoIterator<Item = (f64, T)>, label: &str, key: &str) -> Option<T> {
        let mut draw = self.fraction(label, key);
        let mut is_it = |probability: f64| {
            let hit = draw < probability;
            draw -= probability;
            hit
        };
        things.into_iter().find_map(|(probability, thing)| is_it(probability).then_some(thing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_seed_label_and_key_alone() {
        assert_eq!(Seed(1).bytes("a", "b"), Seed(1).bytes("a", "b"));
        assert_ne!(Seed(1).bytes("a", "b"), Seed(2).bytes("a", "b"));
        assert_ne!(Seed(1).bytes("a", "b"), Seed(1).bytes("ab", ""));
    }

    #[test]
    fn probabilities_hold_and_the_ends_are_certain() {
        let count = |p| (0..2_000).filter(|n| Seed(7).happens(p, "loss", &n.to_string())).count();
        assert_eq!((count(0.0), count(1.0)), (0, 2_000));
        assert!((400..600).contains(&count(0.25)), "{}", count(0.25));
    }

    #[test]
    fn durations_fill_their_range_and_do_not_leave_it() {
        let range = Duration::from_millis(200)..=Duration::from_secs(1);
        let drawn = |n: u32| Seed(7).duration(&range, "pause", &n.to_string());
        assert!((0..500).all(|n| range.contains(&drawn(n))));
        assert!((0..500).any(|n| drawn(n) < Duration::from_millis(300)));
        assert!((0..500).any(|n| drawn(n) > Duration::from_millis(900)));
        assert_eq!(Seed(7).duration(&(*range.start()..=*range.start()), "", ""), *range.start());
    }

    #[test]
    fn of_several_things_each_has_its_own_probability_and_the_rest_is_nothing() {
        let one_of = |n: u32| Seed(7).one_of([(0.0, 'a'), (0.5, 'b'), (0.2, 'c')], "fault", &n.to_string());
        let count = |thing| (0..2_000).filter(|n| one_of(*n) == thing).count();
        assert_eq!(count(Some('a')), 0);
        assert!((900..1_100).contains(&count(Some('b'))), "{}", count(Some('b')));
        assert!((300..500).contains(&count(Some('c'))), "{}", count(Some('c')));
        assert!((500..700).contains(&count(None)), "{}", count(None));
        let certain = (0..500).map(|n: u32| Seed(7).one_of([(0.5, 1), (0.5, 2)], "fault", &n.to_string()));
        assert!(certain.flatten().count() == 500, "halves make a whole");
    }
}
