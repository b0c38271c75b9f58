//! How much of something an address may do: some at once, and then so much in the long run.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Mutex,
    time::{Duration, Instant},
};

/// Addresses that are told apart. The rest share one bucket, so that the map cannot be made to grow.
const MAX_ADDRESSES: usize = 10_000;

/// A bucket of tokens for each address.
#[derive(Debug)]
pub struct Buckets {
    burst: f64,
    per_second: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Buckets {
    /// So many at once, and so many a second in the long run.
    pub fn new(burst: f64, per_second: f64) -> Self {
        Self { burst, per_second, buckets: Mutex::default() }
    }

    /// Takes a token of an address.
    ///
    /// # Errors
    /// There is none: how long it takes until there is one.
    pub fn take(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().expect("no code panics while it holds this lock");
        let mut key = network(peer);
        if !buckets.contains_key(&key) && buckets.len() >= MAX_ADDRESSES {
            // A full bucket says no more than a missing one.
            buckets.retain(|_, bucket| self.refilled(*bucket, now) < self.burst);
            if buckets.len() >= MAX_ADDRESSES {
                key = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.burst, at: now });
        let tokens = self.refilled(*bucket, now);
        let allowed = tokens >= 1.0;
        *bucket = Bucket { tokens: if allowed { tokens - 1.0 } else { tokens }, at: now };
        if allowed { Ok(()) } else { Err(Duration::from_secs_f64((1.0 - tokens) / self.per_second)) }
    }

    /// Gives a token back that turned out not to be needed.
    pub fn give_back(&self, peer: IpAddr) {
        let mut buckets = self.buckets.lock().expect("no code panics while it holds this lock");
        if let Some(bucket) = buckets.get_mut(&network(peer)) {
            bucket.tokens = (bucket.tokens + 1.0).min(self.burst);
        }
    }

    fn refilled(&self, bucket: Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + passed * self.per_second).min(self.burst)
    }
}

/// What stands for an address: one sender has a whole /64 of IPv6 addresses.
pub fn network(peer: IpAddr) -> IpAddr {
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
        let (buckets, now) = (Buckets::new(100.0, 1.0), Instant::now());
        let told = (0..1_000).filter(|_| buckets.take(address("192.0.2.1"), now).is_ok()).count();
        assert_eq!(told, 100);
        assert!(buckets.take(address("192.0.2.2"), now).is_ok());
        let later = now + REFILL;
        assert_eq!((0..1_000).filter(|_| buckets.take(address("192.0.2.1"), later).is_ok()).count(), 100);
    }

    #[test]
    fn a_sender_cannot_evade_by_its_many_addresses() {
        let (buckets, now) = (Buckets::new(100.0, 1.0), Instant::now());
        let told = (0..1_000).filter(|n| buckets.take(address(&format!("2001:db8::{n:x}")), now).is_ok()).count();
        assert_eq!(told, 100);
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }

    #[test]
    fn the_map_does_not_grow_without_end() {
        let (buckets, now) = (Buckets::new(100.0, 1.0), Instant::now());
        for n in 0..u32::try_from(MAX_ADDRESSES).expect("small") + 5_000 {
            let _ = buckets.take(IpAddr::V4(n.into()), now);
        }
        assert!(buckets.buckets.lock().expect("not poisoned").len() <= MAX_ADDRESSES + 1);
        let later = now + REFILL;
        assert!(buckets.take(address("198.51.100.1"), later).is_ok());
        assert!(buckets.buckets.lock().expect("not poisoned").len() <= 2, "idle addresses are forgotten");
    }

    #[test]
    fn who_is_refused_hears_how_long_and_what_is_given_back_can_be_taken() {
        let (buckets, now) = (Buckets::new(1.0, 0.1), Instant::now());
        let peer = address("192.0.2.1");
        buckets.take(peer, now).expect("the first");
        assert_eq!(buckets.take(peer, now), Err(Duration::from_secs(10)));
        buckets.give_back(peer);
        buckets.take(peer, now).expect("it was given back");
    }
}
