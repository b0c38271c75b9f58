//! The HTTP client for everything that the worker calls.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{
    Certificate, Client, ClientBuilder, Response,
    header::{HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use shared::tls::Authorities;

/// A client that trusts the system's and Mozilla's roots (an image without a certificate store has none of its
/// own; `SSL_CERT_FILE` and `SSL_CERT_DIR` name another store, for whoever has to pass a proxy that looks into TLS), follows
/// no redirect, so that no bearer token travels to another host, and repeats nothing by itself.
///
/// It speaks HTTP/1.1, a connection for each call under way. Over HTTP/2 all calls of a host would share one: beyond the
/// number of streams that the server allows (often 100) they would wait for each other unseen, and when it broke, every
/// send on it would be in doubt at once.
/// Every request sets its own timeout; the client's is the last resort.
///
/// # Errors
/// TLS could not be set up.
pub fn client() -> reqwest::Result<Client> {
    builder()?.build()
}

/// The same, which trusts these besides.
///
/// # Errors
/// TLS could not be set up.
pub fn client_trusting(authorities: Option<&Authorities>) -> reqwest::Result<Client> {
    let own = authorities.into_iter().flat_map(Authorities::certificates).map(Certificate::from_der);
    builder()?.tls_certs_merge(own.collect::<reqwest::Result<Vec<_>>>()?).build()
}

/// The same, before it is built.
pub(crate) fn builder() -> reqwest::Result<ClientBuilder> {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| Certificate::from_der(root));
    Ok(Client::builder()
        .tls_certs_merge(roots.collect::<reqwest::Result<Vec<_>>>()?)
        .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(120))
        .pool_idle_timeout(Duration::from_secs(30))
        .http1_only()
        .redirect(Policy::none())
        .retry(reqwest::retry::never()))
}

/// A whole body of at most that many bytes; none where it is larger, and then the rest is not read.
///
/// # Errors
/// The connection broke, or the request's time is over.
pub(crate) async fn body(mut response: Response, most: usize) -> reqwest::Result<Option<Bytes>> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes.freeze()))
}

/// `Retry-After` in seconds, at most an hour. Its form with a date is not used by the APIs that we call.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(3_600.0)))
}
