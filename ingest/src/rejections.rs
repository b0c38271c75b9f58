//! How many refusals an address is told, and the log hears of, one by one.
//!
//! The limit is asked *after* a request has turned out to be wrong, never before: behind a reverse proxy every
//! sender has the proxy's address, and a webhook that Meta signed must get through whatever others send from
//! there. What remains to be saved for a flooding address is the log line, the connection (it is closed) and,
//! for requests without a well-formed signature, which are known to be wrong by their head, the whole body.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Mutex,
    time::Instant,
};

/// Refusals at once …
const BURST: f64 = 100.0;
/// … and in the long run.
const PER_SECOND: f64 = 1.0;
/// Addresses that are told apart. The rest share one bucket, so that the map cannot be made to grow.
const MAX_ADDRESSES: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Rejections(Mutex<HashMap<IpAddr, Bucket>>);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn refilled(self, now: Instant) -> f64 {
        (self.tokens + now.saturating_duration_since(self.at).as_secs_f64() * PER_SECOND).min(BURST)
    }
}

impl Rejections {
    /// Notes a refusal; false where the address has had too many.
    pub(crate) fn note(&self, peer: IpAddr, now: Instant) -> bool {
        let mut buckets = self.0.lock().expect("no code panics while it holds this lock");
        let mut key = network(peer);
        if !buckets.contains_key(&key) && buckets.len() >= MAX_ADDRESSES {
            // A full bucket says no more than a missing one.
            buckets.retain(|_, bucket| bucket.refilled(now) < BURST);
            if buckets.len() >= MAX_ADDRESSES {
                key = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: BURST, at: now });
        let tokens = bucket.refilled(now);
        let allowed = tokens >= 1.0;
        *bucket = Bucket { tokens: if allowed { tokens - 1.0 } else { tokens }, at: now };
        allowed
    }
}

/// One sender has a whole /64 of IPv6 addresses.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const REFILL: Duration = Duration::from_secs(100);

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_flood_is_limited_and_its_neighbour_is_not() {
        let (rejections, now) = (Rejections::default(), Instant::now());
        let told = (0..1_000).filter(|_| rejections.note(address("192.0.2.1"), now)).count();
        assert_eq!(told, 100);
        assert!(rejections.note(address("192.0.2.2"), now));
        let later = now + REFILL;
        assert_eq!((0..1_000).filter(|_| rejections.note(address("192.0.2.1"), later)).count(), 100);
    }

    #[test]
    fn a_sender_cannot_evade_by_its_many_addresses() {
        let (rejections, now) = (Rejections::default(), Instant::now());
        let told = (0..1_000).filter(|n| rejections.note(address(&format!("2001:db8::{n:x}")), now)).count();
        assert_eq!(told, 100);
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }

    #[test]
    fn the_map_does_not_grow_without_end() {
        let (rejections, now) = (Rejections::default(), Instant::now());
        for n in 0..u32::try_from(MAX_ADDRESSES).expect("small") + 5_000 {
            rejections.note(IpAddr::V4(n.into()), now);
        }
        assert!(rejections.0.lock().expect("not poisoned").len() <= MAX_ADDRESSES + 1);
        let later = now + REFILL;
        assert!(rejections.note(address("198.51.100.1"), later));
        assert!(rejections.0.lock().expect("not poisoned").len() <= 2, "idle addresses are forgotten");
    }
}
