//! Who may ask: the page's own browser window, and nobody who only reaches the same port.
//!
//! A foreign page could post to this one, or, with a name that it lets resolve to loopback, read it. So the `Host` must
//! be loopback or one that was named, and whatever changes something must say that it comes from this very page. No
//! answer may be framed, sniffed or run as something else.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Shared;

/// What the page may load and do: itself, from here, and what the person recorded or chose.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' blob:; media-src 'self' blob:; form-action 'none'; frame-ancestors 'none'; \
                      base-uri 'none'";

const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Refuses who may not ask, and adds the headers. Cancelled with its request, of which nothing is left then.
pub(super) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let refusal = refusal(request.method(), path, request.headers(), &shared.options.hosts);
    let mut response = match refusal {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn refusal(method: &Method, path: &str, headers: &HeaderMap, hosts: &[String]) -> Option<&'static str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text(header::HOST.as_str()).filter(|host| is_known(host, hosts)) else {
        return Some("This page is not served under that name.\n");
    };
    let site = text("sec-fetch-site");
    let own_site = site.map(|site| site == "same-origin");
    if matches!(*method, Method::GET | Method::HEAD) {
        // A link from elsewhere may open the page, and nothing else.
        let foreign = matches!(site, Some("cross-site" | "same-site")) && path != "/";
        return foreign.then_some("Only the page itself may ask for this.\n");
    }
    let own_origin = text(header::ORIGIN.as_str())
        .map(|origin| origin.strip_prefix("http://").or(origin.strip_prefix("https://")) == Some(host));
    // Each where it is there, and one of them at least.
    let is_own = own_site.unwrap_or(true) && own_origin.unwrap_or(true) && own_site.or(own_origin).is_some();
    (!is_own).then_some("Only the page itself may do this.\n")
}

/// Whether the host, with or without a port, is loopback or one of these.
fn is_known(host: &str, hosts: &[String]) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let is_loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || name.eq_ignore_ascii_case("localhost") || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &Method, path: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)));
        refusal(method, path, &headers.collect(), &["phone.test".to_owned()]).is_some()
    }

    #[test]
    fn only_loopback_and_named_hosts_are_served() {
        for host in ["127.0.0.1:8202", "localhost", "LOCALHOST:1", "[::1]:8202", "127.1.2.3", "phone.test:80"] {
            assert!(!refused(&Method::GET, "/", &[("host", Box::leak(host.to_owned().into_boxed_str()))]), "{host}");
        }
        for host in ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test", "", "192.168.0.1", "[fe80::1]:1"] {
            assert!(refused(&Method::GET, "/", &[("host", Box::leak(host.to_owned().into_boxed_str()))]), "{host}");
        }
        assert!(refused(&Method::GET, "/", &[]));
    }

    #[test]
    fn only_the_page_itself_changes_anything() {
        const HOST: (&str, &str) = ("host", "localhost:8202");
        const OWN: (&str, &str) = ("origin", "http://localhost:8202");
        let post = |headers: &[(&'static str, &'static str)]| refused(&Method::POST, "/phone/messages", headers);
        assert!(!post(&[HOST, OWN]) && !post(&[HOST, OWN, ("sec-fetch-site", "same-origin")]));
        assert!(post(&[HOST]), "nobody says where it comes from");
        assert!(post(&[HOST, ("origin", "http://evil.test")]) && post(&[HOST, ("origin", "null")]));
        assert!(post(&[HOST, ("origin", "http://localhost:9999")]), "another port is another page");
        assert!(post(&[HOST, OWN, ("sec-fetch-site", "same-site")]));
        assert!(post(&[HOST, ("sec-fetch-site", "cross-site")]) && post(&[HOST, ("sec-fetch-site", "none")]));
    }

    #[test]
    fn a_foreign_page_may_link_to_the_page_and_embed_nothing_of_it() {
        let get = |path| refused(&Method::GET, path, &[("host", "localhost"), ("sec-fetch-site", "cross-site")]);
        assert!(!get("/") && get("/phone/events") && get("/phone/media/1"));
    }
}
