//! How often a wrong secret may be tried.
//!
//! A try is taken before the secret is looked at, and given back where it was right: tries at once are no way around.
//! Behind a proxy all have its address, and share what one address may.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv6Addr},
    sync::Mutex,
    time::{Duration, Instant},
};

use shared::buckets::{Buckets, network};

/// Wrong secrets of one address at once …
const BURST: f64 = 5.0;
/// … and in the long run.
const PER_SECOND: f64 = 1.0 / 30.0;
/// Wrong secrets of all addresses: so generous that nobody is kept out by others, and too few to guess.
const BURST_OF_ALL: f64 = 1_000.0;
const PER_SECOND_OF_ALL: f64 = 1.0;
/// Addresses that are remembered because somebody signed in from there.
const KNOWN_MOST: usize = 1_000;
/// What stands for all addresses.
const ALL: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The tries of this process's life.
#[derive(Debug)]
pub(super) struct Attempts {
    of_one: Buckets,
    of_all: Buckets,
    /// What others try keeps nobody out who was in from here before.
    known: Mutex<HashSet<IpAddr>>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self {
            of_one: Buckets::new(BURST, PER_SECOND),
            of_all: Buckets::new(BURST_OF_ALL, PER_SECOND_OF_ALL),
            known: Mutex::default(),
        }
    }

    /// Takes a try.
    ///
    /// # Errors
    /// There were too many: how long to wait.
    pub(super) fn take(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        self.of_one.take(peer, now)?;
        if self.is_known(peer) { Ok(()) } else { self.of_all.take(ALL, now) }
    }

    /// It was right.
    pub(super) fn was_right(&self, peer: IpAddr) {
        self.of_one.give_back(peer);
        if !self.is_known(peer) {
            self.of_all.give_back(ALL);
        }
        let mut known = self.known.lock().expect("no code panics while it holds this lock");
        if known.len() < KNOWN_MOST {
            known.insert(network(peer));
        }
    }

    fn is_known(&self, peer: IpAddr) -> bool {
        self.known.lock().expect("no code panics while it holds this lock").contains(&network(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn an_address_has_five_tries_at_once_and_then_one_in_thirty_seconds() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        for _ in 0..5 {
            attempts.take(address(1), now).expect("one of five");
        }
        let wait = attempts.take(address(1), now).expect_err("too many");
        assert_eq!(wait.as_secs_f64().round(), 30.0);
        attempts.take(address(2), now).expect("another address");
        attempts.take(address(1), now + wait).expect("it waited");
        attempts.take(address(1), now + wait).expect_err("one");
    }

    #[test]
    fn who_knows_the_secret_is_never_held_up_by_signing_in() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        for _ in 0..2_000 {
            attempts.take(address(1), now).expect("it was right before");
            attempts.was_right(address(1));
        }
    }

    #[test]
    fn a_botnet_cannot_go_on_for_ever_and_does_not_keep_out_who_was_in_before() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        attempts.take(address(0), now).expect("the first");
        attempts.was_right(address(0));
        let tried = (1..5_000).filter(|n| attempts.take(address(*n), now).is_ok()).count();
        assert_eq!(tried, 1_000);
        attempts.take(address(9_999), now).expect_err("all tries are taken");
        attempts.take(address(0), now).expect("known");
        attempts.take(address(9_999), now + Duration::from_secs(60)).expect("later");
    }
}
