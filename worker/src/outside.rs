//! Addresses that a business named: its tools, and where it is told of hand-overs.
//!
//! Whoever may write a business's document may name a URL, so the worker must not be led to what only it can reach: the
//! name is resolved here, addresses that are not public are left out before a connection is made, a redirect is not
//! followed, and the scheme is `https`. An installation for development may lift both (`ALLOW_INSECURE_TOOLS`).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use crate::http;

/// A client for such addresses. `insecure`: also for private ones. It does not look at what is written out in a URL:
/// [`may_call`] does.
///
/// # Errors
/// TLS could not be set up.
pub(crate) fn client(insecure: bool) -> reqwest::Result<Client> {
    shared::install_tls_provider();
    let builder = http::builder()?;
    let builder = if insecure { builder } else { builder.dns_resolver(Arc::new(PublicOnly)) };
    // What a proxy resolves nobody here has looked at.
    builder.no_proxy().build()
}

/// By TLS, and to no address that is written out and not public. Names are looked at when they are resolved.
pub(crate) fn may_call(url: &Url, insecure: bool) -> bool {
    if insecure {
        return matches!(url.scheme(), "http" | "https");
    }
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    url.scheme() == "https" && address.map_or(!host.is_empty(), is_public)
}

/// Resolves names to public addresses only, so that no name leads into the worker's own network, also where it is
/// resolved anew for each connection.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err("the name leads to no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is anybody's on the internet (IANA, "Special-Purpose Address Registries").
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..=127).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let benchmarking = a == 198 && (b == 18 || b == 19);
    let special =
        address.is_private() || address.is_loopback() || address.is_link_local() || address.is_documentation();
    !(a == 0 || a >= 224 || shared || protocol || benchmarking || special)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3; of it documentation, and what is no host's address.
    let global = first & 0xe000 == 0x2000;
    let documentation = (first == 0x2001 && second == 0x0db8) || first == 0x3fff;
    let protocol = first == 0x2001 && second < 0x0200;
    global && !documentation && !protocol
}

/// The IPv4 address inside: mapped, compatible, NAT64 and 6to4 lead to it.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(inner(high, low)),
        [0x2002, high, low, ..] => Some(inner(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(url: &str) -> bool {
        may_call(&Url::parse(url).expect("a URL"), false)
    }

    #[test]
    fn what_only_the_worker_can_reach_is_not_called() {
        for url in ["https://tools.example/stock", "https://8.8.8.8/x", "https://[2606:4700::1111]/x"] {
            assert!(may(url), "{url}");
        }
        for url in [
            "http://tools.example/stock",
            "ftp://tools.example/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://10.0.0.8/",
            "https://172.16.3.4/",
            "https://192.168.1.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://192.0.2.1/",
            "https://198.18.0.1/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:a00:1::]/",
            "https://[fc00::1]/",
            "https://[fe80::1]/",
            "https://[2001:db8::1]/",
        ] {
            assert!(!may(url), "{url}");
        }
    }

    #[test]
    fn development_may_call_itself() {
        let url = |text| Url::parse(text).expect("a URL");
        assert!(may_call(&url("http://127.0.0.1:9/"), true));
        assert!(!may_call(&url("file:///etc/passwd"), true));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let client = client(false).expect("a client");
        let error = client.post("https://localhost:9/").send().await.expect_err("refused");
        let mut innermost: &dyn std::error::Error = &error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        assert_eq!(innermost.to_string(), "the name leads to no public address");
    }
}
