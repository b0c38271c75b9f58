//! What happened behind a chat: one webhook, one request to Graph, one call of the AI, as the page shows it.

use serde::Serialize;
use serde_json::Value;

/// Which way something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// A customer's message, posted to ingest.
    Webhook,
    /// A status of a business's message, posted to ingest.
    Status,
    /// A request to the Graph API.
    Graph,
    /// A request to the AI.
    Ai,
}

/// One thing that happened. The page replaces what it has under the same id.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Scene {
    #[serde(skip)]
    pub(super) revision: u64,
    pub(super) id: String,
    /// The business's number id; none where nobody knows whose chat it belongs to.
    pub(super) chat: Option<String>,
    /// When it began, in milliseconds since the Unix epoch.
    pub(super) at: i64,
    pub(super) what: What,
    pub(super) title: String,
    /// The HTTP status of the answer, once there is one.
    pub(super) http: Option<u16>,
    /// Meta's error code.
    pub(super) code: Option<i64>,
    /// How long the answer took.
    pub(super) ms: Option<u64>,
    /// Whether it is over; without a status the connection was cut then.
    pub(super) done: bool,
    /// The fault that was made to happen.
    pub(super) fault: Option<String>,
    /// The signature of a webhook.
    pub(super) signature: Option<String>,
    /// Every post of a webhook.
    pub(super) tries: Vec<Try>,
    /// The body, where it is known.
    pub(super) body: Value,
    /// What the AI answered.
    pub(super) answer: Option<String>,
}

/// One post of a webhook.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Try {
    pub(super) post: u64,
    pub(super) at: i64,
    pub(super) http: Option<u16>,
    pub(super) error: Option<String>,
    pub(super) ms: Option<u64>,
}

impl Scene {
    pub(super) fn new(what: What, id: String, at: i64, title: impl Into<String>) -> Self {
        Self {
            revision: 0,
            id,
            chat: None,
            at,
            what,
            title: title.into(),
            http: None,
            code: None,
            ms: None,
            done: false,
            fault: None,
            signature: None,
            tries: Vec::new(),
            body: Value::Null,
            answer: None,
        }
    }

    /// Takes the answer to a post; a 200 stays, whatever another post of the same webhook gets.
    pub(super) fn answered(&mut self, post: u64, http: Option<u16>, error: Option<String>, ms: u64) {
        if let Some(known) = self.tries.iter_mut().find(|known| known.post == post) {
            (known.http, known.error, known.ms) = (http, error, Some(ms));
        }
        if self.http != Some(200) {
            (self.http, self.ms, self.done) = (http, Some(ms), true);
        }
    }
}
