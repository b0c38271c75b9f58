//! What `ingest` and `worker` must agree on, and the process plumbing that both need.
//!
//! The contract between the two binaries is [`envelope`] (what a queued message looks like), [`topology`]
//! (where it goes) and [`ids`] (what its names may contain). [`broker`] is the one publisher and the one
//! consumer. The rest is plumbing: [`settings`], [`telemetry`], [`trace`], [`admin`], [`serving`],
//! [`tls`], [`buckets`], [`shutdown`], [`retry`].
//!
//! Nothing here knows a database, an AI provider or the Graph API: ingest links this crate and must stay small.

#![warn(missing_docs)]

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
