//! The HTTP client for everything that the worker calls.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Certificate, Client, ClientBuilder, Response,
    header::{DATE, HeaderMap, HeaderName, RETRY_AFTER},
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

/// `Retry-After`, in seconds or until a date, at most an hour. A date is reckoned by the clock of whoever named it,
/// where the answer tells that.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    const MOST: Duration = Duration::from_secs(3_600);
    let asked = text(headers, RETRY_AFTER)?;
    if let Ok(until) = httpdate::parse_http_date(asked) {
        let now = text(headers, DATE).and_then(|date| httpdate::parse_http_date(date).ok());
        // What is over is no wait any more.
        let left = until.duration_since(now.unwrap_or_else(SystemTime::now)).unwrap_or_default();
        return Some(left.min(MOST));
    }
    let seconds: f64 = asked.parse().ok()?;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(MOST.as_secs_f64())))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn asked(wait: &str, date: Option<&str>) -> Option<f64> {
        let value = |text: &str| HeaderValue::from_str(text).expect("a header's value");
        let mut headers = HeaderMap::from_iter([(RETRY_AFTER, value(wait))]);
        headers.extend(date.map(|date| (DATE, value(date))));
        retry_after(&headers).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn a_wait_is_told_in_seconds_or_by_a_date_and_is_bounded() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (told, wait) in [
            ("0", Some(0.0)),
            (" 1.5 ", Some(1.5)),
            ("7200", Some(3_600.0)),
            ("inf", Some(3_600.0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30.0)),
            // Older forms of a date, which a server may still send (RFC 9110, 5.6.7).
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30.0)),
            ("Sun Nov  6 08:50:07 1994", Some(30.0)),
            ("Mon, 07 Nov 1994 08:50:07 GMT", Some(3_600.0)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0.0)),
            ("-1", None),
            ("NaN", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(asked(told, now), wait, "{told:?}");
        }
    }

    #[test]
    fn a_date_counts_by_our_own_clock_where_the_server_tells_none() {
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        for date in [None, Some("noon")] {
            assert!(asked(&later, date).is_some_and(|wait| (1.0..=60.0).contains(&wait)), "{date:?}");
        }
    }
}
