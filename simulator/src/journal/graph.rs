//! What reached the Graph API, and what it did.
//!
//! A message is one event, written when it is decided; its request and its answer are others, joined by `request`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Credential;

/// What the Graph API did with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Accepted, and the answer said so.
    Accepted,
    /// Accepted, but the connection was cut instead of an answer.
    AcceptedNoReply,
    /// Refused with an error.
    Refused,
    /// Thrown away, and the connection cut.
    Dropped,
}

/// See [`super::Event::GraphRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphRequest {
    /// Joins the events of one request.
    pub request: u64,
    /// The HTTP method.
    pub method: String,
    /// The path without version and query (the query may hold secrets).
    pub path: String,
    /// Whose token came with it.
    pub credential: Credential,
    /// Whether the `appsecret_proof` fits the token; none where none was given.
    pub proof: Option<bool>,
}

/// See [`super::Event::GraphSend`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphSend {
    /// Joins the events of one request.
    pub request: u64,
    /// The number in the URL.
    pub phone_number_id: String,
    /// The business that the number belongs to; none where it is not registered.
    pub business: Option<String>,
    /// Whose token came with it.
    pub credential: Credential,
    /// `to` as it came.
    pub to: Option<String>,
    /// `recipient` as it came.
    pub recipient: Option<String>,
    /// `type`, or `text` where there is none.
    pub message_type: String,
    /// `context.message_id`.
    pub context_id: Option<String>,
    /// `biz_opaque_callback_data`.
    pub opaque: Option<String>,
    /// The whole body; `null` where it was not JSON.
    pub body: Value,
    /// What was done with it.
    pub decision: Decision,
    /// The id of the new message, where it was accepted.
    pub wamid: Option<String>,
    /// The error code, where it was refused.
    pub code: Option<i64>,
    /// The fault that was injected, if any.
    pub fault: Option<String>,
}

impl GraphSend {
    /// Whether the customer gets it.
    pub fn is_accepted(&self) -> bool {
        matches!(self.decision, Decision::Accepted | Decision::AcceptedNoReply)
    }

    /// The customer: the digits of `to`, else `recipient`.
    pub fn customer(&self) -> &str {
        self.to.as_deref().map(|to| to.trim_start_matches('+')).or(self.recipient.as_deref()).unwrap_or_default()
    }

    /// What the customer reads: a text, the body of an interactive message, or a caption.
    pub fn words(&self) -> Option<&str> {
        let particulars = self.body.get(&self.message_type)?;
        let place = match self.message_type.as_str() {
            "text" => "/body",
            "interactive" => "/body/text",
            _ => "/caption",
        };
        particulars.pointer(place)?.as_str()
    }

    /// The text, of a text message.
    pub fn text(&self) -> Option<&str> {
        self.body.pointer("/text/body").and_then(Value::as_str)
    }
}

/// See [`super::Event::GraphRead`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphRead {
    /// Joins the events of one request.
    pub request: u64,
    /// The number in the URL.
    pub phone_number_id: String,
    /// The business that the number belongs to; none where it is not registered.
    pub business: Option<String>,
    /// Whose token came with it.
    pub credential: Credential,
    /// The customer's message that was read.
    pub message_id: String,
    /// Whether the typing indicator shows.
    pub typing: bool,
}

/// See [`super::Event::GraphUpload`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphUpload {
    /// Joins the events of one request.
    pub request: u64,
    /// The number in the URL.
    pub phone_number_id: String,
    /// The business that the number belongs to; none where it is not registered.
    pub business: Option<String>,
    /// Whose token came with it.
    pub credential: Credential,
    /// The new file's id.
    pub media_id: String,
    /// The type that it was given.
    pub mime_type: String,
    /// Its size.
    pub bytes: usize,
    /// The SHA-256 of the file, in hex.
    pub sha256: String,
}

/// See [`super::Event::GraphAnswer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphAnswer {
    /// Joins the events of one request.
    pub request: u64,
    /// The HTTP status; none where the connection was cut.
    pub http: Option<u16>,
    /// Meta's error code, of an error.
    pub code: Option<i64>,
}
