//! Runs with many departures, drawn by a seed.

use super::{choices::Chance, world::World};
use crate::proof::{rounds, seed};

#[test]
fn whatever_happens_each_message_is_answered_once_and_in_order() {
    let seed = seed();
    for n in 0..rounds(6_000) {
        let (messages, long) = (1 + usize::try_from(n % 5).expect("small"), n.is_multiple_of(3));
        let mut chance = Chance::new(seed.wrapping_add(n), 30 + 40 * u32::try_from(n % 7).expect("small"), 20);
        if let Err(why) = World::new(messages, long, None).run(&mut chance) {
            panic!("run {n} of seed {seed}: {why}");
        }
    }
}
