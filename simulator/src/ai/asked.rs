//! A request to the AI, read: which endpoint, with whose key, with what.
//!
//! The body is one JSON value whatever the endpoint: a transcription's form becomes its fields, and a text to speak
//! gets the voice of the path and the format of the query.

use std::collections::HashMap;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Multipart, Query, Request},
    http::{HeaderMap, header, request::Parts},
};
use serde_json::{Map, Value, json};

use super::AiCall;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Chat,
    Transcription,
    Speech,
    Models,
    Voice,
    Unknown,
}

impl Endpoint {
    pub(super) fn read(method: &str, path: &str) -> Self {
        match method {
            "POST" if path.ends_with("/chat/completions") => Self::Chat,
            "POST" if path.ends_with("/audio/transcriptions") => Self::Transcription,
            "POST" if path.contains(SPEECH) => Self::Speech,
            "GET" if path.ends_with("/models") => Self::Models,
            "GET" if path.contains(VOICES) => Self::Voice,
            _ => Self::Unknown,
        }
    }

    /// What faults are for; none where there is nothing to go wrong.
    pub(super) fn call(self) -> Option<AiCall> {
        match self {
            Self::Chat => Some(AiCall::Chat),
            Self::Transcription => Some(AiCall::Transcription),
            Self::Speech => Some(AiCall::Speech),
            Self::Models | Self::Voice | Self::Unknown => None,
        }
    }

    pub(super) fn name(self, path: &str) -> String {
        match self {
            Self::Chat => "chat".to_owned(),
            Self::Transcription => "transcription".to_owned(),
            Self::Speech => "speech".to_owned(),
            Self::Models => "models".to_owned(),
            Self::Voice => "voice".to_owned(),
            Self::Unknown => path.to_owned(),
        }
    }
}

const SPEECH: &str = "/text-to-speech/";
const VOICES: &str = "/voices/";

/// The key, as OpenAI (`Authorization: Bearer`) or ElevenLabs (`xi-api-key`) takes it.
pub(super) fn key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    bearer.or_else(|| headers.get("xi-api-key")?.to_str().ok())
}

/// The body and, of a transcription, the file.
pub(super) async fn read_body(parts: &Parts, bytes: &Bytes, endpoint: Endpoint) -> (Value, Bytes) {
    match endpoint {
        Endpoint::Transcription => read_form(parts, bytes).await,
        Endpoint::Speech => (read_speech(parts, bytes), Bytes::new()),
        Endpoint::Voice => (read_voice(parts), Bytes::new()),
        Endpoint::Chat | Endpoint::Models | Endpoint::Unknown => {
            (serde_json::from_slice(bytes).unwrap_or(Value::Null), Bytes::new())
        }
    }
}

fn read_voice(parts: &Parts) -> Value {
    json!({"voice_id": parts.uri.path().split_once(VOICES).map(|(_, id)| id)})
}

fn read_speech(parts: &Parts, bytes: &Bytes) -> Value {
    let mut fields: Map<String, Value> = serde_json::from_slice(bytes).unwrap_or_default();
    let behind = parts.uri.path().split_once(SPEECH).map(|(_, behind)| behind).unwrap_or_default();
    // `/stream` may follow.
    let voice_id = behind.split('/').next().unwrap_or_default();
    fields.insert("voice_id".to_owned(), json!(voice_id));
    let query = Query::try_from_uri(&parts.uri).map(|Query(query): Query<HashMap<String, String>>| query);
    if let Some(format) = query.ok().and_then(|mut query| query.remove("output_format")) {
        fields.insert("output_format".to_owned(), json!(format));
    }
    Value::Object(fields)
}

async fn read_form(parts: &Parts, bytes: &Bytes) -> (Value, Bytes) {
    let whole = Request::from_parts(parts.clone(), Body::from(bytes.clone()));
    let Ok(mut form) = Multipart::from_request(whole, &()).await else { return (Value::Null, Bytes::new()) };
    let (mut fields, mut file) = (Map::new(), Bytes::new());
    while let Ok(Some(field)) = form.next_field().await {
        let name = field.name().unwrap_or_default().to_owned();
        let (file_name, mime_type) = (field.file_name().map(str::to_owned), field.content_type().map(str::to_owned));
        let content = field.bytes().await.unwrap_or_default();
        if name == "file" {
            fields.insert(name, json!({"name": file_name, "type": mime_type, "bytes": content.len()}));
            file = content;
        } else {
            fields.insert(name, json!(String::from_utf8_lossy(&content)));
        }
    }
    (Value::Object(fields), file)
}
