//! How many refusals an address is told, and the log hears of, one by one.
//!
//! The limit is asked *after* a request has turned out to be wrong, never before: behind a reverse proxy every
//! sender has the proxy's address, and a webhook that Meta signed must get through whatever others send from
//! there. What remains to be saved for a flooding address is the log line, the connection (it is closed) and,
//! for requests without a well-formed signature, which are known to be wrong by their head, the whole body.

use std::{net::IpAddr, time::Instant};

use shared::buckets::Buckets;

/// Refusals at once …
const BURST: f64 = 100.0;
/// … and in the long run.
const PER_SECOND: f64 = 1.0;

#[derive(Debug)]
pub(crate) struct Rejections(Buckets);

impl Default for Rejections {
    fn default() -> Self {
        Self(Buckets::new(BURST, PER_SECOND))
    }
}

impl Rejections {
    /// Notes a refusal; false where the address has had too many.
    pub(crate) fn note(&self, peer: IpAddr, now: Instant) -> bool {
        self.0.take(peer, now).is_ok()
    }
}
