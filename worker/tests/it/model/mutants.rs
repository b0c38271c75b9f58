//! The protocol with a fault in it: a search that misses one of these would miss a real one, too.

use super::{choices::Chance, explore::departures, world::World};

/// A deliberate fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// A delivery is acknowledged before it has landed.
    AcknowledgesFirst,
    /// A message that comes again lands again.
    KnowsNoDuplicates,
    /// Writes do not name the lease that they are made under.
    IgnoresEpochs,
    /// A request goes out without a look at the clock: neither at the lease nor at when the try began.
    SendsWithoutLook,
    /// Nothing is written before the request.
    KeepsNoOutbox,
    /// Messages leave the mailbox before their answer is sent.
    SettlesFirst,
    /// All messages leave the mailbox with the answer to some.
    SettlesEverything,
    /// A request without an answer counts as one that did not arrive.
    TakesDoubtForFailure,
    /// Statuses are no evidence.
    HearsNoStatus,
    /// The newest message is answered first, alone.
    NewestFirst,
}

/// Whether a run shows it that departs from the good day in two places at most, or in many by chance.
fn is_found(mutant: Mutant) -> bool {
    let world = |messages, long| World::new(messages, long, Some(mutant));
    let few = |messages| departures(2, &world(messages, false)).is_err();
    let many = |seed: u64| {
        let messages = 1 + usize::try_from(seed % 5).expect("small");
        world(messages, seed.is_multiple_of(3)).run(&mut Chance::new(seed, 150, 20)).is_err()
    };
    few(1) || few(2) || (0..20_000).any(many)
}

macro_rules! found {
    ($($name:ident: $mutant:ident;)*) => {
        $(#[test]
        fn $name() {
            assert!(is_found(Mutant::$mutant), "nobody noticed");
        })*
    };
}

found! {
    acknowledging_before_landing_is_found: AcknowledgesFirst;
    answering_duplicates_is_found: KnowsNoDuplicates;
    writing_without_the_epoch_is_found: IgnoresEpochs;
    sending_without_a_look_at_the_clock_is_found: SendsWithoutLook;
    sending_without_an_outbox_is_found: KeepsNoOutbox;
    settling_before_sending_is_found: SettlesFirst;
    settling_more_than_was_answered_is_found: SettlesEverything;
    repeating_what_is_in_doubt_is_found: TakesDoubtForFailure;
    hearing_no_status_is_found: HearsNoStatus;
    answering_the_newest_first_is_found: NewestFirst;
}
