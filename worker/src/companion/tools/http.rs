//! A business's own tools: HTTP endpoints that the business named in its document.
//!
//! Whoever may write a business's document may name a URL, so the worker must not be led to what only it can reach: the
//! name is resolved here, addresses that are not public are left out before a connection is made, a redirect is not
//! followed, and the scheme is `https`. An installation for development may lift both (`ALLOW_INSECURE_TOOLS`).
//! The model gives the arguments; who the customer is comes from the conversation, so that a tool can trust it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Client, Response, Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    business::{CompanionSettings, ToolSettings},
    companion::situation::Situation,
    http,
};

/// A whole call.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of arguments.
const ARGUMENTS_MOST: usize = 8 * 1024;
/// Bytes of an answer; what is beyond goes.
const ANSWER_MOST: usize = 16 * 1024;
/// What the model gets in a rehearsal instead of an answer.
const NOT_CALLED: &str = "[This is a rehearsal: the tool was not called, and there is no result. Answer as well as you \
                          can without it, and invent none.]";

/// Calls the tools of businesses. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Strangers {
    /// None in a rehearsal: there is nothing that a request could leave by.
    client: Option<Client>,
    insecure: bool,
}

impl Strangers {
    /// `insecure`: also by plain HTTP, and to private addresses.
    ///
    /// # Errors
    /// TLS could not be set up.
    pub fn new(insecure: bool) -> reqwest::Result<Self> {
        shared::install_tls_provider();
        let builder = http::builder()?;
        let builder = if insecure { builder } else { builder.dns_resolver(Arc::new(PublicOnly)) };
        // What a proxy resolves nobody here has looked at.
        Ok(Self { client: Some(builder.no_proxy().build()?), insecure })
    }

    /// Offers what [`Self::new`] would, also tools whose secret is sealed, and calls none: the model is told so.
    pub fn rehearsal(insecure: bool) -> Self {
        Self { client: None, insecure }
    }

    /// The tools that can be called at all: their secret decrypts, and their address may be called.
    pub(super) fn callable<'a>(&self, companion: &'a CompanionSettings) -> impl Iterator<Item = &'a ToolSettings> {
        let (insecure, is_rehearsal) = (self.insecure, self.client.is_none());
        companion.tools.iter().filter(move |tool| {
            let has_secret = tool.header.as_ref().is_none_or(|header| header.value.is_ok());
            (has_secret || is_rehearsal) && Url::parse(&tool.url).is_ok_and(|url| may_call(&url, insecure))
        })
    }

    /// Calls a tool, once. What it answers is for the model, and so is what went wrong.
    pub(super) async fn call(
        &self,
        tool: &ToolSettings,
        situation: &Situation<'_>,
        arguments: Map<String, Value>,
    ) -> Result<String, String> {
        let arguments = Value::Object(arguments);
        if arguments.to_string().len() > ARGUMENTS_MOST {
            return Err("the arguments are too long".to_owned());
        }
        let Some(client) = &self.client else { return Ok(NOT_CALLED.to_owned()) };
        let customer = situation.customer();
        // The same for the same wish, so that a tool which changes something can tell a repetition.
        let wish = [situation.session(), situation.first_message(), &tool.name, &arguments.to_string()].join("\n");
        let key = hex::encode(Sha256::digest(wish));
        let body = json!({
            "tool": tool.name,
            "key": key,
            "arguments": arguments,
            "conversation": situation.session(),
            "customer": {
                "phoneNumber": customer.wa_id.as_ref().map(|id| id.expose()),
                "userId": customer.user_id.as_ref().map(|id| id.expose()),
                "name": customer.name,
            },
        });
        let mut request = client.post(&tool.url).timeout(TIMEOUT).json(&body);
        if let Some(header) = &tool.header {
            let Ok(value) = &header.value else { return Err("the tool cannot be used now".to_owned()) };
            request = request.header(&header.name, value.expose_secret());
        }
        self.answer(tool, situation, request).await
    }

    async fn answer(
        &self,
        tool: &ToolSettings,
        situation: &Situation<'_>,
        request: reqwest::RequestBuilder,
    ) -> Result<String, String> {
        let subdomain = situation.business().subdomain.as_ref().map(|subdomain| subdomain.expose());
        let failed = |what: String| {
            tracing::warn!(subdomain, tool = tool.name, what, "a business's tool failed");
            format!("the tool{what}")
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => return Err(failed(" timed out".to_owned())),
            Err(_) => return Err(failed(" cannot be reached".to_owned())),
        };
        if !response.status().is_success() {
            return Err(failed(format!(" answered with HTTP {}", response.status().as_u16())));
        }
        // Half an answer may say the opposite of the whole.
        let answer = read(response)
            .await
            .map_err(|_| failed("'s answer broke off; what it has done is not known".to_owned()))?;
        let answer = String::from_utf8_lossy(&answer).trim().to_owned();
        Ok(if answer.is_empty() { "Done.".to_owned() } else { answer })
    }
}

/// The beginning of an answer, of [`ANSWER_MOST`] bytes at most.
async fn read(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        answer.extend_from_slice(&chunk);
        if answer.len() >= ANSWER_MOST {
            answer.truncate(ANSWER_MOST);
            break;
        }
    }
    Ok(answer)
}

/// By TLS, and to no address that is written out and not public. Names are looked at when they are resolved.
fn may_call(url: &Url, insecure: bool) -> bool {
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
    use std::sync::atomic::AtomicBool;

    use jiff::Timestamp;

    use super::*;
    use crate::companion::testing::{business, conversation};

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
        let strangers = Strangers::new(false).expect("a client");
        let error =
            strangers.client.expect("no rehearsal").post("https://localhost:9/").send().await.expect_err("refused");
        let mut innermost: &dyn std::error::Error = &error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        assert_eq!(innermost.to_string(), "the name leads to no public address");
    }

    #[tokio::test]
    async fn a_rehearsal_offers_every_tool_and_nothing_leaves() {
        let host = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/stock", host.local_addr().expect("bound"));
        let tool = |name: &str| json!({"name": name, "description": "Stock", "url": url});
        let mut sealed = tool("sealed");
        sealed["header"] = json!({"name": "Authorization", "value": "6741"});
        let business = business(json!({"tools": [tool("open"), sealed]}));
        let conversation = conversation();
        let acted = AtomicBool::new(false);
        let situation = Situation::of(&business, &conversation, Timestamp::UNIX_EPOCH, &acted);
        let situation = situation.expect("they belong together");
        let names = |strangers: &Strangers| -> Vec<String> {
            strangers.callable(&business.companion).map(|tool| tool.name.clone()).collect()
        };
        assert_eq!(names(&Strangers::new(true).expect("a client")), ["open"]);
        assert!(names(&Strangers::rehearsal(false)).is_empty(), "what could never be called is not offered");
        let rehearsal = Strangers::rehearsal(true);
        assert_eq!(names(&rehearsal), ["open", "sealed"]);
        for tool in &business.companion.tools {
            assert_eq!(rehearsal.call(tool, &situation, Map::new()).await.as_deref(), Ok(NOT_CALLED));
        }
        let knock = tokio::time::timeout(Duration::from_millis(50), host.accept()).await;
        assert!(knock.is_err(), "a connection was made");
        // The same call without a rehearsal does arrive.
        let strangers = Strangers::new(true).expect("a client");
        tokio::select! {
            answered = strangers.call(&business.companion.tools[0], &situation, Map::new()) => panic!("{answered:?}"),
            knock = host.accept() => assert!(knock.is_ok()),
        }
    }
}
