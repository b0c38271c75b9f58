//! Chance that can be repeated: every draw is a hash of the seed, a label and a key.
//!
//! There is no generator whose state the tasks of a stand-in would share, so a draw does not depend on which task
//! comes first: the same message is lost under the same seed, however the run was scheduled.

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

    /// Whether something of this probability happens; 0.0 never, 1.0 always.
    pub fn happens(self, probability: f64, label: &str, key: &str) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "32 bits fit a double exactly")]
        let draw = (self.number(label, key) >> 32) as f64 / f64::from(u32::MAX);
        probability > 0.0 && (probability >= 1.0 || draw < probability)
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
}
