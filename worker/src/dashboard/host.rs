//! From where a browser asks: whether by this machine's loopback, and whether from our own pages.

use axum::http::{HeaderMap, HeaderName, header};

/// Whether the browser names a loopback host: there is no HTTPS there, and none is needed.
pub(super) fn is_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = text(headers, &header::HOST) else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    match name {
        Some(name) if name.eq_ignore_ascii_case("localhost") => true,
        Some(name) => name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// Whether a request that changes something comes from a page of ours, as far as the browser says. A browser that says
/// neither is old; the token of the form holds it.
pub(super) fn is_our_own(headers: &HeaderMap) -> bool {
    let site = text(headers, &HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    match (headers.get(header::ORIGIN), text(headers, &header::HOST)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(origin), Some(host)) => origin.to_str().is_ok_and(|origin| is_origin_of(origin, host)),
    }
}

/// Whether the browser comes from another site, as by a link in a chat: it then keeps its cookie to itself.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    text(headers, &HeaderName::from_static("sec-fetch-site")) == Some("cross-site")
}

fn is_origin_of(origin: &str, host: &str) -> bool {
    let (authority, port) = match (origin.strip_prefix("https://"), origin.strip_prefix("http://")) {
        (Some(authority), _) => (authority, ":443"),
        (None, Some(authority)) => (authority, ":80"),
        (None, None) => return false,
    };
    let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    !authority.is_empty() && bare(authority) == bare(host)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn loopback_is_what_names_this_machine_and_nothing_that_begins_like_it() {
        for host in ["localhost", "LOCALHOST:8100", "127.0.0.1:8100", "127.9.9.9", "[::1]:8100", "[::1]"] {
            assert!(is_loopback(&headers(&[("host", host)])), "{host}");
        }
        for host in ["dash.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1:8100", "[::2]", ""] {
            assert!(!is_loopback(&headers(&[("host", host)])), "{host}");
        }
        assert!(!is_loopback(&headers(&[])));
    }

    #[test]
    fn a_form_of_another_origin_is_told_from_ours() {
        let from = |origin, host| is_our_own(&headers(&[("origin", origin), ("host", host)]));
        assert!(from("https://dash.example", "dash.example") && from("https://dash.example:443", "DASH.example"));
        assert!(from("http://127.0.0.1:8100", "127.0.0.1:8100"));
        for origin in [
            "null",
            "https://",
            "dash.example",
            "https://evil.example",
            "https://dash.example.evil.example",
            "https://dash.example:8443",
            "ftp://dash.example",
        ] {
            assert!(!from(origin, "dash.example"), "{origin}");
        }
        let fetched = |site| is_our_own(&headers(&[("sec-fetch-site", site), ("host", "dash.example")]));
        assert!(fetched("same-origin"));
        assert!(!fetched("cross-site") && !fetched("same-site") && !fetched("none"));
        assert!(is_our_own(&headers(&[("host", "dash.example")])), "an old browser says nothing");
    }
}
