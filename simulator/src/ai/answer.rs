//! From a reply to the response: delays, errors, bodies.
//!
//! A reply that says something becomes the body of its endpoint; every other one is the same for all of them, but for
//! the error object, which ElevenLabs writes in its own way.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{ChatReply, ChatRequest, SpeechReply, ToolCall, Transcript, TranscriptionRequest, chat::completion};
use crate::{Seed, serving::HangUp};

/// The beginning of an answer, and no JSON.
pub(super) const GARBAGE: &str = "{\"choices\": [";

/// What is said with 200.
#[derive(Debug)]
pub(super) enum Said {
    Words(Option<String>, Vec<ToolCall>),
    Transcript(Transcript),
    Json(Value),
}

impl Said {
    /// The words, where there are some.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Words(text, _) => text.clone(),
            Self::Transcript(transcript) => Some(transcript.text.clone()),
            Self::Json(body) => {
                let places = ["/choices/0/message/content", "/text"];
                places.iter().find_map(|place| body.pointer(place)?.as_str()).map(str::to_owned)
            }
        }
    }

    pub(super) fn to_chat(&self, seed: Seed, request: &ChatRequest) -> Response {
        let body = match self {
            Self::Words(text, calls) => completion(seed, request, text.as_deref(), calls),
            Self::Transcript(transcript) => completion(seed, request, Some(&transcript.text), &[]),
            Self::Json(body) => body.clone(),
        };
        Json(body).into_response()
    }

    pub(super) fn to_transcription(&self, request: &TranscriptionRequest) -> Response {
        let body = match self {
            Self::Words(text, _) => Transcript::of(text.clone().unwrap_or_default()).to_json(request),
            Self::Transcript(transcript) => transcript.to_json(request),
            Self::Json(body) => body.clone(),
        };
        Json(body).into_response()
    }
}

/// Does what a reply wants. Dropped when the client goes away, which is how [`ChatReply::Hang`] ends.
pub(super) async fn play(reply: ChatReply, answer: impl FnOnce(Said) -> Response) -> Response {
    let mut reply = reply;
    while let ChatReply::Delay(delay, next) = reply {
        tokio::time::sleep(delay).await;
        reply = *next;
    }
    match reply {
        ChatReply::Text(words) => answer(Said::Words(Some(words), Vec::new())),
        ChatReply::ToolCalls { text, calls } => answer(Said::Words(text, calls)),
        ChatReply::Empty => answer(Said::Words(None, Vec::new())),
        ChatReply::Transcript(transcript) => answer(Said::Transcript(transcript)),
        ChatReply::Json(body) => answer(Said::Json(body)),
        ChatReply::Status { code, retry_after, body } => {
            let response = if body.is_empty() { error(code, "") } else { (status(code), body).into_response() };
            told_to_wait(response, retry_after)
        }
        ChatReply::Garbage => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], GARBAGE).into_response(),
        ChatReply::Drop => HangUp::response(),
        ChatReply::Hang | ChatReply::Delay(..) => std::future::pending().await,
    }
}

/// Does what a reply to a text that is to be spoken wants; `heard` gets the type and the bytes of a recording.
pub(super) async fn speak(reply: SpeechReply, heard: impl FnOnce(&str, &[u8])) -> Response {
    let mut reply = reply;
    while let SpeechReply::Delay(delay, next) = reply {
        tokio::time::sleep(delay).await;
        reply = *next;
    }
    match reply {
        SpeechReply::Audio { mime_type, bytes } => {
            heard(&mime_type, &bytes);
            ([(header::CONTENT_TYPE, mime_type)], bytes).into_response()
        }
        SpeechReply::Status { code, retry_after, body } => {
            let response = if body.is_empty() { speech_error(code) } else { (status(code), body).into_response() };
            told_to_wait(response, retry_after)
        }
        SpeechReply::Drop => HangUp::response(),
        SpeechReply::Hang | SpeechReply::Delay(..) => std::future::pending().await,
    }
}

/// The error object of OpenAI and Groq; without a message, the one which belongs to the status.
pub(super) fn error(code: u16, message: &str) -> Response {
    let (kind, name, usual) = match code {
        401 => ("invalid_request_error", "invalid_api_key", "Invalid API Key"),
        413 | 429 => ("tokens", "rate_limit_exceeded", "Rate limit reached for model. Please try again later."),
        400..=499 => ("invalid_request_error", "invalid_request", "The request is not valid."),
        503 => ("service_unavailable", "over_capacity", "The model is over capacity."),
        _ => ("internal_server_error", "internal_server_error", "Internal Server Error"),
    };
    named_error(code, kind, name, if message.is_empty() { usual } else { message })
}

/// What Groq says of a model that it does not serve.
pub(super) fn model_not_found(model: &str) -> Response {
    let message = format!("The model `{model}` does not exist or you do not have access to it.");
    named_error(404, "invalid_request_error", "model_not_found", &message)
}

/// The error object of ElevenLabs.
pub(super) fn speech_error(code: u16) -> Response {
    let (name, message) = match code {
        401 => ("invalid_api_key", "Invalid API key"),
        404 => ("voice_not_found", "A voice with this id does not exist."),
        429 => ("too_many_concurrent_requests", "Too many concurrent requests."),
        400..=499 => ("invalid_request", "The request is not valid."),
        _ => ("internal_server_error", "Something went wrong."),
    };
    (status(code), Json(json!({"detail": {"status": name, "message": message}}))).into_response()
}

fn named_error(code: u16, kind: &str, name: &str, message: &str) -> Response {
    (status(code), Json(json!({"error": {"message": message, "type": kind, "code": name}}))).into_response()
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn told_to_wait(mut response: Response, delay: Option<Duration>) -> Response {
    let value = delay.and_then(|delay| HeaderValue::from_str(&delay.as_secs_f64().to_string()).ok());
    if let Some(value) = value {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}
