//! What `ingest` and `worker` must agree on, and the process plumbing that both need.
//!
//! The contract between the two binaries is [`envelope`] (what a queued message looks like), [`topology`]
//! (where it goes) and [`ids`] (what its names may contain). [`broker`] is the one publisher and the one
//! consumer. The rest is plumbing: [`settings`], [`telemetry`], [`trace`], [`admin`], [`serving`],
//! [`tls`], [`buckets`], [`shutdown`], [`retry`].
//!
//! Nothing here knows a database, an AI provider or the Graph API: ingest links this crate and must stay small.

#![warn(missing_docs)]

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub mod ids;
pub mod envelope;
pub mod signature;
pub mod topology;
pub mod broker;
pub mod settings;
pub mod tls;
pub mod telemetry;
pub mod trace;
pub mod admin;
pub mod serving;
pub mod buckets;
pub mod shutdown;
pub mod retry;
pub mod failpoint;
pub mod testing;

/// Installs rustls with ring as the TLS provider of the process.
///
/// Every binary calls this first: lapin and reqwest take the process default, and reqwest panics where there is
/// none. A second call changes nothing, so tests may call it freely.
pub fn install_tls_provider() {
    // The error only says that a provider is installed already, which is what we want.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Open files, connections among them, that a process of ours may have where the system lets it.
const OPEN_FILES: u64 = 65_536;

/// Raises the limit on open files as far as the system allows it, up to 65,536. Where nobody has set it, it is 1,024: a
/// default for programs that use `select`, and less than the connections that ingest accepts.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if limit.current.is_some_and(|current| current < most) {
        // Refused, it stays as it was, and that works as well.
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }).ok();
    }
}
