//! A request, read: which of the few things that Graph is asked for, by whom, with what.

use std::collections::HashMap;

use axum::{
    body::Bytes,
    extract::Query,
    http::{Method, Uri, header, request::Parts},
};

use super::tokens::{MANAGEMENT, MESSAGING};

/// A request with its body.
#[derive(Debug)]
pub(super) struct Request {
    /// Joins the journal's events of this request.
    pub(super) number: u64,
    pub(super) parts: Parts,
    /// What stands in the query, and in a form.
    pub(super) query: HashMap<String, String>,
    pub(super) token: Option<String>,
    pub(super) body: Bytes,
    pub(super) target: Target,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Messages(String),
    Upload(String),
    /// A number or a file: Graph's ids share one name space.
    Node(String),
    Delete(String),
    Download(String),
    ExchangeToken,
    DebugToken,
    /// The numbers of an account.
    Numbers(String),
    /// The apps that get an account's webhooks.
    Subscriptions(String),
    /// The wish to be one of them.
    Subscribe(String),
    Unknown,
}

impl Request {
    pub(super) fn read(number: u64, parts: Parts, body: Bytes) -> Self {
        let mut query = parameters(&parts.uri);
        if is_form(&parts) {
            // Graph takes parameters from a form as it does from the query.
            let form = std::str::from_utf8(&body).ok().and_then(|text| format!("/?{text}").parse().ok());
            query.extend(form.as_ref().map(parameters).unwrap_or_default());
        }
        let target = Target::read(&parts.method, parts.uri.path());
        let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        // Graph takes the token from the query as well.
        let token = bearer.or_else(|| query.get("access_token").cloned());
        Self { number, parts, query, token, body, target }
    }

    /// The path as the journal shows it.
    pub(super) fn path(&self) -> String {
        segments(self.parts.uri.path()).join("/")
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

impl Target {
    fn read(method: &Method, path: &str) -> Self {
        let segments = segments(path);
        let own = |id: &&str| (*id).to_owned();
        match (method.as_str(), segments.as_slice()) {
            ("POST", [id, "messages"]) => Self::Messages(own(id)),
            ("POST", [id, "media"]) => Self::Upload(own(id)),
            ("GET" | "POST", ["oauth", "access_token"]) => Self::ExchangeToken,
            ("GET", ["debug_token"]) => Self::DebugToken,
            ("GET", ["media-download", id]) => Self::Download(own(id)),
            ("GET", [id, "phone_numbers"]) => Self::Numbers(own(id)),
            ("GET", [id, "subscribed_apps"]) => Self::Subscriptions(own(id)),
            ("POST", [id, "subscribed_apps"]) => Self::Subscribe(own(id)),
            ("GET", [id]) => Self::Node(own(id)),
            ("DELETE", [id]) => Self::Delete(own(id)),
            _ => Self::Unknown,
        }
    }

    /// What may be the id of a file.
    pub(super) fn media_id(&self) -> Option<&str> {
        match self {
            Self::Node(id) | Self::Delete(id) | Self::Download(id) => Some(id),
            Self::Messages(_) | Self::Upload(_) => None,
            Self::Numbers(_) | Self::Subscriptions(_) | Self::Subscribe(_) => None,
            Self::ExchangeToken | Self::DebugToken | Self::Unknown => None,
        }
    }

    /// The number whose token is needed, where the URL names one.
    pub(super) fn phone_number_id(&self) -> Option<&str> {
        match self {
            Self::Messages(id) | Self::Upload(id) => Some(id),
            Self::Node(_) | Self::Delete(_) | Self::Download(_) => None,
            Self::Numbers(_) | Self::Subscriptions(_) | Self::Subscribe(_) => None,
            Self::ExchangeToken | Self::DebugToken | Self::Unknown => None,
        }
    }
}

impl Target {
    /// The account, where the URL names one.
    pub(super) fn waba_id(&self) -> Option<&str> {
        match self {
            Self::Numbers(id) | Self::Subscriptions(id) | Self::Subscribe(id) => Some(id),
            Self::Messages(_) | Self::Upload(_) => None,
            Self::Node(_) | Self::Delete(_) | Self::Download(_) => None,
            Self::ExchangeToken | Self::DebugToken | Self::Unknown => None,
        }
    }

    /// What a token must be allowed for it, besides being one.
    pub(super) fn scope(&self) -> Option<&'static str> {
        match self {
            Self::Messages(_) | Self::Upload(_) => Some(MESSAGING),
            Self::Numbers(_) | Self::Subscriptions(_) | Self::Subscribe(_) => Some(MANAGEMENT),
            Self::Node(_) | Self::Delete(_) | Self::Download(_) => None,
            Self::ExchangeToken | Self::DebugToken | Self::Unknown => None,
        }
    }
}

fn parameters(uri: &Uri) -> HashMap<String, String> {
    Query::try_from_uri(uri).map(|Query(parameters)| parameters).unwrap_or_default()
}

fn is_form(parts: &Parts) -> bool {
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"))
}

/// The parts of a path behind its version, if it has one.
fn segments(path: &str) -> Vec<&str> {
    let is_version =
        |part: &&str| part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let mut parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.first().is_some_and(is_version) {
        parts.remove(0);
    }
    parts
}
