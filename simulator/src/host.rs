//! Any other server that a worker may turn to: one that keeps files, or a business's own that its tools call.
//!
//! Each request is one event of the journal before it is answered, by a closure of the test. The secrets that came with
//! it are not: `Authorization` becomes whose it was, and a known secret in another header is replaced.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, RwLock},
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    Journal,
    journal::{Credential, Event, HostRequest, Stamped},
    serving::{HangUp, Serving},
};

const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// What a responder wants to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostReply {
    /// An answer.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Something else, later.
    Delay(Duration, Box<HostReply>),
    /// No answer, until the client gives up.
    Hang,
    /// The connection is cut.
    Drop,
}

impl HostReply {
    /// 200 with this JSON.
    pub fn json(body: &Value) -> Self {
        Self::file("application/json", body.to_string())
    }

    /// 200 with a file of this type.
    pub fn file(mime_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self::status(200).with_header("content-type", mime_type).with_body(bytes)
    }

    /// This HTTP status, and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A redirect, 302.
    pub fn redirect(url: &str) -> Self {
        Self::status(302).with_header("location", url)
    }

    /// The same answer with one more header; what is no answer stays as it is.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The same answer with this body; what is no answer stays as it is.
    #[must_use]
    pub fn with_body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Self::Answer { body, .. } = &mut self {
            *body = bytes.into();
        }
        self
    }

    /// The same reply, later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::Delay(delay, Box::new(self))
    }
}

type Respond = Arc<dyn Fn(&HostRequest) -> HostReply + Send + Sync>;

/// A running server. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Host {
    serving: Serving,
    state: Arc<State>,
}

struct State {
    url: String,
    journal: Journal,
    respond: RwLock<Respond>,
    keys: RwLock<BTreeMap<String, String>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Host {
    /// Serves on a free port of this machine, and answers 404 until [`Host::on_request`] is called.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start(journal: &Journal) -> io::Result<Self> {
        let mut made = None;
        let serving = Serving::start(SocketAddr::from(([127, 0, 0, 1], 0)), |addr, _, _| {
            let state = Arc::new(State {
                url: format!("http://{addr}"),
                journal: journal.clone(),
                respond: RwLock::new(Arc::new(|_| HostReply::status(404))),
                keys: RwLock::default(),
            });
            made = Some(state.clone());
            Router::new().fallback(move |request: Request| handle(state.clone(), request))
        });
        let serving = serving.await?;
        Ok(Self { serving, state: made.expect("the server asked for its router") })
    }

    /// The base URL, such as `http://127.0.0.1:8300`.
    pub fn url(&self) -> String {
        self.state.url.clone()
    }

    /// From now on requests are answered by this closure. It must not block.
    pub fn on_request(&self, respond: impl Fn(&HostRequest) -> HostReply + Send + Sync + 'static) {
        *self.state.respond.write().expect("no code panics while it holds this lock") = Arc::new(respond);
    }

    /// Makes a secret known under the name of its owner, for the journal to say whose came. Every request is let in.
    pub fn add_key(&self, owner: impl Into<String>, key: &SecretString) {
        let mut keys = self.state.keys.write().expect("no code panics while it holds this lock");
        keys.insert(key.expose_secret().to_owned(), owner.into());
    }

    /// What reached this host, in order.
    pub fn requests(&self) -> Vec<Stamped<HostRequest>> {
        let all = self.state.journal.host_requests();
        all.into_iter().filter(|request| request.host == self.state.url).collect()
    }

    /// Cuts every connection and waits until all has ended.
    pub async fn stop(&self) {
        self.serving.stop().await;
    }
}

impl State {
    fn credential(&self, parts: &Parts) -> Credential {
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else { return Credential::Missing };
        let value = value.to_str().unwrap_or_default();
        let secret = value.split_once(' ').map_or(value, |(_, secret)| secret);
        let keys = self.keys.read().expect("no code panics while it holds this lock");
        keys.get(secret).map_or(Credential::Unknown, |owner| Credential::Of(owner.clone()))
    }

    /// A text of a request without the secrets that are known.
    fn without_secrets(&self, text: &str) -> String {
        let keys = self.keys.read().expect("no code panics while it holds this lock");
        keys.iter().fold(text.to_owned(), |text, (key, owner)| text.replace(key, &format!("<secret of {owner}>")))
    }

    fn headers(&self, parts: &Parts) -> Vec<(String, String)> {
        let shown = parts.headers.iter().filter(|(name, _)| **name != header::AUTHORIZATION);
        let text = |value: &HeaderValue| self.without_secrets(&String::from_utf8_lossy(value.as_bytes()));
        shown.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
    }
}

async fn handle(state: Arc<State>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let request = HostRequest {
        request: state.journal.number(),
        host: state.url.clone(),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(|query| state.without_secrets(query)),
        credential: state.credential(&parts),
        headers: state.headers(&parts),
        body: shown(&body),
    };
    state.journal.record(Event::HostRequest(request.clone()));
    let responder = state.respond.read().expect("no code panics while it holds this lock").clone();
    play(responder(&request)).await
}

/// The body as the journal shows it.
fn shown(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(body).unwrap_or_else(|_| match std::str::from_utf8(body) {
        Ok(text) => json!(text),
        Err(_) => json!({"bytes": body.len(), "sha256": hex::encode(Sha256::digest(body))}),
    })
}

async fn play(mut reply: HostReply) -> Response {
    while let HostReply::Delay(delay, next) = reply {
        tokio::time::sleep(delay).await;
        reply = *next;
    }
    match reply {
        HostReply::Answer { status, headers, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = (status, body).into_response();
            for (name, value) in headers {
                let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
                response.headers_mut().extend(header.map(|(name, value)| (Some(name), value)));
            }
            response
        }
        HostReply::Drop => HangUp::response(),
        HostReply::Hang | HostReply::Delay(..) => std::future::pending().await,
    }
}
