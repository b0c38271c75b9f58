//! What reached the AI, and what it answered.
//!
//! A body is shown whole, but for pictures, of which it shows the fingerprint.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Credential;

/// See [`super::Event::AiRequest`].
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

/// See [`super::Event::AiSpeech`]. It is written before the answer is, whose events have the same `request`.
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

/// See [`super::Event::AiAnswer`].
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
