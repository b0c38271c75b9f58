//! What can stand in the journal. Each event is a fact about the wire as a stand-in saw it; none interprets.
//!
//! Requests are written when they arrive and again when they are decided or answered, joined by `request`, a number
//! that is unique in its journal, so that a request which was never answered shows as such. Posts likewise.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ai::{AiAnswer, AiRequest, AiSpeech},
    graph::{GraphAnswer, GraphRead, GraphRequest, GraphSend, GraphUpload},
    host::HostRequest,
};

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

/// See [`Event::Mark`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// What was done, such as `fault`.
    pub name: String,
    /// Its particulars.
    pub fields: Value,
}
