//! What can stand in the journal. Each event is a fact about the wire as a stand-in saw it; none interprets.
//!
//! Requests are written when they arrive and again when they are decided or answered, joined by `request`, a number
//! that is unique in its journal, so that a request which was never answered shows as such. Posts likewise.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One event; `kind` names it in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Event {
    /// A request reached the Graph API.
    #[serde(rename = "graph.request")]
    GraphRequest(GraphRequest),
    /// The decision on a message to a customer.
    #[serde(rename = "graph.send")]
    GraphSend(GraphSend),
    /// A read receipt, with or without the typing indicator.
    #[serde(rename = "graph.read")]
    GraphRead(GraphRead),
    /// The Graph API took a file.
    #[serde(rename = "graph.upload")]
    GraphUpload(GraphUpload),
    /// What the Graph API answered.
    #[serde(rename = "graph.answer")]
    GraphAnswer(GraphAnswer),
    /// A status which Meta would have posted was kept back on purpose.
    #[serde(rename = "status.withheld")]
    StatusWithheld(StatusWithheld),
    /// A webhook is being posted.
    #[serde(rename = "webhook.post")]
    WebhookPost(WebhookPost),
    /// What the webhook's receiver answered.
    #[serde(rename = "webhook.answer")]
    WebhookAnswer(WebhookAnswer),
    /// A request reached the AI.
    #[serde(rename = "ai.request")]
    AiRequest(AiRequest),
    /// The AI answers with a recording.
    #[serde(rename = "ai.speech")]
    AiSpeech(AiSpeech),
    /// What the AI answered.
    #[serde(rename = "ai.answer")]
    AiAnswer(AiAnswer),
    /// A request reached a host that is neither Meta nor the AI.
    #[serde(rename = "host.request")]
    HostRequest(HostRequest),
    /// Something that the test did.
    #[serde(rename = "mark")]
    Mark(Mark),
}

/// Whose access token or key a request carried. The token itself is never recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// The request carried none.
    Missing,
    /// The request carried one that was never given out, or is revoked.
    Unknown,
    /// The named owner's.
    Of(String),
}

impl Credential {
    /// The owner's name, where there is one.
    pub fn owner(&self) -> Option<&str> {
        match self {
            Self::Of(owner) => Some(owner),
            Self::Missing | Self::Unknown => None,
        }
    }
}

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

/// See [`Event::GraphRequest`].
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

/// See [`Event::GraphSend`].
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

/// See [`Event::GraphRead`].
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

/// See [`Event::GraphUpload`].
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

/// See [`Event::GraphAnswer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphAnswer {
    /// Joins the events of one request.
    pub request: u64,
    /// The HTTP status; none where the connection was cut.
    pub http: Option<u16>,
    /// Meta's error code, of an error.
    pub code: Option<i64>,
}

/// See [`Event::StatusWithheld`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusWithheld {
    /// The message.
    pub wamid: String,
    /// The status which nobody hears of.
    pub status: String,
}

/// What an element of a webhook is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateKind {
    /// A customer's message.
    Message,
    /// The status of a message to a customer.
    Status,
    /// A message that a person at the business wrote in the app.
    Echo,
    /// Any other change.
    Other,
}

/// One element of a webhook, in the order of the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// What it is.
    pub update: UpdateKind,
    /// The message's id; for other changes the field's name.
    pub id: String,
    /// The business's number, where the change names one.
    pub phone_number_id: Option<String>,
    /// The customer: the phone number, or the user id where there is none.
    pub customer: Option<String>,
    /// The customer's user id, where the change names one beside the phone number or alone.
    pub user_id: Option<String>,
    /// The status, of a status.
    pub status: Option<String>,
    /// What was written, of a message or an echo whose type has words.
    pub text: Option<String>,
}

/// See [`Event::WebhookPost`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebhookPost {
    /// Joins the two events of one post.
    pub post: u64,
    /// The same for every post of the same bytes.
    pub body_id: String,
    /// The how manieth try of one delivery, from 1.
    pub attempt: u32,
    /// What is in it.
    pub updates: Vec<Update>,
}

/// See [`Event::WebhookAnswer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebhookAnswer {
    /// Joins the two events of one post.
    pub post: u64,
    /// The HTTP status; none where there was no answer.
    pub http: Option<u16>,
    /// Why there was no answer.
    pub error: Option<String>,
}

/// See [`Event::AiRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiRequest {
    /// Joins the two events of one request.
    pub request: u64,
    /// `chat`, `transcription`, `speech`, `models`, or the path where it is none of them.
    pub endpoint: String,
    /// Whose key came with it.
    pub credential: Credential,
    /// The model that was asked for.
    pub model: Option<String>,
    /// The whole JSON body; for a transcription its fields, with the size of the file; for speech with `voice_id` and
    /// `output_format` as the URL names them. Of a data URL only the type, the size and the SHA-256 are in it.
    pub body: Value,
}

/// See [`Event::AiSpeech`]. It is written before the answer is, whose events have the same `request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AiSpeech {
    /// Joins the events of one request.
    pub request: u64,
    /// The recording's type.
    pub mime_type: String,
    /// Its size.
    pub bytes: usize,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

/// See [`Event::AiAnswer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AiAnswer {
    /// Joins the two events of one request.
    pub request: u64,
    /// The HTTP status; none where the client went away or the connection was cut.
    pub http: Option<u16>,
    /// The text that was answered.
    pub text: Option<String>,
    /// From the arrival to the answer, or to the client's leaving.
    pub elapsed_ms: u64,
    /// Whether the client went away first.
    pub abandoned: bool,
}

/// See [`Event::HostRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostRequest {
    /// A number that no other request has.
    pub request: u64,
    /// The host that it reached, by its base URL.
    pub host: String,
    /// The HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// What is behind the `?`, as it came.
    pub query: Option<String>,
    /// Whose secret came in `Authorization`.
    pub credential: Credential,
    /// All headers but `Authorization`, in order, with lower-case names. A known secret in one is replaced.
    pub headers: Vec<(String, String)>,
    /// The body: JSON where it is some, else a string; `null` where there is none, and the size and the SHA-256 of
    /// what is no text.
    pub body: Value,
}

impl HostRequest {
    /// The first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// See [`Event::Mark`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// What was done, such as `fault`.
    pub name: String,
    /// Its particulars.
    pub fields: Value,
}
