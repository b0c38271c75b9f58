//! The promises, proved by faults: processes and servers are killed, frozen and cut off, answers and statuses are lost,
//! and the simulator's judge decides from what reached Meta and the AI.
//!
//! `SWITCHBOARD_SOAK=1` makes every run ten times as long. `SWITCHBOARD_SEED` makes the draws of a run repeatable; each
//! run prints its own.

mod judged;
mod servers;

mod crash_table;
mod storm;
mod trouble;
mod tenants;
mod tenancy;
mod conversations;
mod rolling;

/// How often something is done: ten times as often in a soak.
pub(crate) fn rounds(in_ci: u64) -> u64 {
    if is_soak() { in_ci * 10 } else { in_ci }
}

/// Whether this is a soak.
pub(crate) fn is_soak() -> bool {
    std::env::var("SWITCHBOARD_SOAK").is_ok_and(|soak| soak == "1")
}

/// The seed of this run.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("SWITCHBOARD_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    #[expect(clippy::print_stderr, reason = "a failed test shows how to repeat it")]
    let () = eprintln!("SWITCHBOARD_SEED={seed}");
    seed
}
