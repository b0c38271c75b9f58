//! What the tests share: a running Meta, a client like the worker's, and a receiver of webhooks.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::{Value, json};
use simulator::{Business, Journal, Meta, MetaOptions};
use tokio::sync::mpsc;

pub(crate) const SECRET: &str = "test-app-secret";
pub(crate) const ANA: &str = "4915112345678";
/// Later than anything that happens, however busy the machine is.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// Long enough for an answer that is not held back.
const A_MOMENT: Duration = Duration::from_millis(50);

pub(crate) fn client() -> reqwest::Client {
    shared::install_tls_provider();
    reqwest::Client::builder().timeout(SOON).no_proxy().build().expect("a client")
}

/// A Meta with the businesses `acme` (1001) and `bolt` (2002).
pub(crate) async fn meta(options: MetaOptions) -> (Meta, Business) {
    let meta = Meta::start(options).await.expect("a free port");
    let acme = Business::new("acme", "1001");
    meta.register(acme.clone());
    meta.register(Business::new("bolt", "2002"));
    (meta, acme)
}

pub(crate) fn text(body: &str) -> Value {
    json!({
        "messaging_product": "whatsapp", "recipient_type": "individual", "to": format!("+{ANA}"),
        "type": "text", "text": {"body": body}, "biz_opaque_callback_data": "v1:acme:r1:0:1",
    })
}

/// Posts to `/messages` of a number; gives the status and the body.
pub(crate) async fn send(meta: &Meta, number: &str, token: &str, body: &Value) -> (u16, Value) {
    let request = client().post(format!("{}/{number}/messages", meta.graph_url()));
    let response = request.bearer_auth(token).json(body).send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

/// A client that stops waiting for its answer, but not before its request is recorded.
pub(crate) async fn give_up(request: reqwest::RequestBuilder, journal: &Journal, recorded: impl Fn(&Journal) -> bool) {
    let mut asking = tokio::spawn(request.send());
    journal.wait_until(recorded, SOON).await.expect("it arrives");
    tokio::time::timeout(A_MOMENT, &mut asking).await.expect_err("no answer");
    asking.abort();
}

/// One POST as the receiver of webhooks saw it.
pub(crate) struct Received {
    pub(crate) signature: String,
    pub(crate) bytes: Bytes,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("JSON")
    }
}

/// A receiver which answers with these HTTP statuses in turn, then with 200; gives its URL and what came.
pub(crate) async fn receiver(answers: &[u16]) -> (String, mpsc::UnboundedReceiver<Received>) {
    let (sender, received) = mpsc::unbounded_channel();
    let answers = Arc::new(Mutex::new(answers.iter().rev().copied().collect::<Vec<_>>()));
    let handler = move |headers: HeaderMap, bytes: Bytes| {
        let signature = headers.get(shared::signature::HEADER).map(|value| value.to_str().expect("ASCII").to_owned());
        sender.send(Received { signature: signature.unwrap_or_default(), bytes }).ok();
        let status = answers.lock().expect("not poisoned").pop().unwrap_or(200);
        std::future::ready(StatusCode::from_u16(status).expect("a status"))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/webhook", listener.local_addr().expect("bound"));
    let router = Router::new().route("/webhook", post(handler));
    tokio::spawn(axum::serve(listener, router).into_future());
    (url, received)
}
