//! The way of a request to the AI: record, let in, go wrong where a rule says so, ask the responder, record the
//! answer.
//!
//! A handler is dropped when its client goes away; [`Pending`] then records that, so each request has its answer in
//! the journal whatever happens.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{FromRequest, Multipart, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{
    AiCall, AiFault, State,
    chat::{ChatReply, ChatRequest, completion},
    speech::silent_voice_note,
};
use crate::{
    Journal,
    journal::{AiAnswer, AiRequest, Event},
    serving::HangUp,
};

const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new().fallback(move |request: Request| handle(state.clone(), request))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Chat,
    Transcription,
    Speech,
    Models,
    Unknown,
}

impl Endpoint {
    fn read(method: &str, path: &str) -> Self {
        match method {
            "POST" if path.ends_with("/chat/completions") => Self::Chat,
            "POST" if path.ends_with("/audio/transcriptions") => Self::Transcription,
            "POST" if path.contains("/text-to-speech/") => Self::Speech,
            "GET" if path.ends_with("/models") => Self::Models,
            _ => Self::Unknown,
        }
    }

    /// What faults are for; none where there is nothing to go wrong.
    fn call(self) -> Option<AiCall> {
        match self {
            Self::Chat => Some(AiCall::Chat),
            Self::Transcription => Some(AiCall::Transcription),
            Self::Speech => Some(AiCall::Speech),
            Self::Models | Self::Unknown => None,
        }
    }

    fn name(self, path: &str) -> String {
        match self {
            Self::Chat => "chat".to_owned(),
            Self::Transcription => "transcription".to_owned(),
            Self::Speech => "speech".to_owned(),
            Self::Models => "models".to_owned(),
            Self::Unknown => path.to_owned(),
        }
    }
}

/// A request whose answer is not recorded yet.
struct Pending {
    journal: Journal,
    request: u64,
    began: Instant,
    text: Option<String>,
    answered: bool,
}

impl Pending {
    fn answer(mut self, response: Response) -> Response {
        let cut = response.extensions().get::<HangUp>().is_some();
        self.record((!cut).then(|| response.status().as_u16()), false);
        response
    }

    fn record(&mut self, http: Option<u16>, abandoned: bool) {
        self.answered = true;
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (request, text) = (self.request, self.text.take());
        self.journal.record(Event::AiAnswer(AiAnswer { request, http, text, elapsed_ms, abandoned }));
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.answered {
            self.record(None, true);
        }
    }
}

async fn handle(state: Arc<State>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let joined = state.options.journal.number();
    let path = parts.uri.path().to_owned();
    let endpoint = Endpoint::read(parts.method.as_str(), &path);
    let credential = state.credential(key(&parts.headers));
    let (body, file) = read_body(&parts, &bytes, endpoint).await;
    let model = body.get("model").or(body.get("model_id")).and_then(Value::as_str).map(str::to_owned);
    let (journal, began) = (state.options.journal.clone(), Instant::now());
    journal.record(Event::AiRequest(AiRequest {
        request: joined,
        endpoint: endpoint.name(&path),
        credential: credential.clone(),
        model: model.clone(),
        body: body.clone(),
    }));
    let mut pending = Pending { journal, request: joined, began, text: None, answered: false };
    if credential.owner().is_none() && !state.is_open() {
        return pending.answer(error(401, "Invalid API Key"));
    }
    let number = state.requests.fetch_add(1, Ordering::Relaxed);
    let request = ChatRequest { number, model: model.unwrap_or_default(), credential, body };
    let response = respond(&state, endpoint, &request, &file, &mut pending.text).await;
    pending.answer(response)
}

async fn respond(
    state: &State,
    endpoint: Endpoint,
    request: &ChatRequest,
    file: &[u8],
    text: &mut Option<String>,
) -> Response {
    if let Some(message) = malformed(endpoint, &request.body) {
        return error(400, message);
    }
    let fault = endpoint.call().and_then(|call| state.faults.choose(call, &request.body, file));
    if let Some(AiFault::Slow(delay)) = fault {
        tokio::time::sleep(delay).await;
    }
    let instead = fault.as_ref().and_then(AiFault::instead);
    match endpoint {
        Endpoint::Chat => {
            let responder = state.chat.read().expect("no code panics while it holds this lock").clone();
            play(instead.unwrap_or_else(|| responder(request)), |words, calls| {
                *text = words.map(str::to_owned);
                Json(completion(state.options.seed, request, words, calls)).into_response()
            })
            .await
        }
        Endpoint::Transcription => {
            let responder = state.transcribe.read().expect("no code panics while it holds this lock").clone();
            play(instead.unwrap_or_else(|| responder(file)), |words, _| {
                *text = words.map(str::to_owned);
                Json(json!({"text": words.unwrap_or_default(), "x_groq": {"id": format!("req_{}", request.number)}}))
                    .into_response()
            })
            .await
        }
        Endpoint::Speech => {
            play(instead.unwrap_or_else(|| ChatReply::text("spoken")), |words, _| {
                let file = words.map_or_else(Vec::new, |_| silent_voice_note());
                ([(header::CONTENT_TYPE, "audio/ogg")], file).into_response()
            })
            .await
        }
        Endpoint::Models => Json(json!({"object": "list", "data": models()})).into_response(),
        Endpoint::Unknown => error(404, "Unknown request URL"),
    }
}

/// What is wrong with a request that no provider would take.
fn malformed(endpoint: Endpoint, body: &Value) -> Option<&'static str> {
    if endpoint != Endpoint::Chat {
        return None;
    }
    if body.get("messages").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Some("'messages' : minimum number of items is 1");
    }
    (body.get("stream") == Some(&json!(true))).then_some("streaming is not simulated")
}

/// Does what a reply wants. Dropped when the client goes away, which is how [`ChatReply::Hang`] ends.
async fn play(reply: ChatReply, answer: impl FnOnce(Option<&str>, &[super::ToolCall]) -> Response) -> Response {
    let mut reply = reply;
    while let ChatReply::Delay(delay, next) = reply {
        tokio::time::sleep(delay).await;
        reply = *next;
    }
    match reply {
        ChatReply::Text(words) => answer(Some(&words), &[]),
        ChatReply::ToolCalls { text, calls } => answer(text.as_deref(), &calls),
        ChatReply::Empty => answer(None, &[]),
        ChatReply::Status { code, retry_after, body } => {
            let mut response = if body.is_empty() { error(code, "") } else { (status(code), body).into_response() };
            if let Some(value) = retry_after.and_then(retry_after_value) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            response
        }
        ChatReply::Garbage => {
            (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], "{\"choices\": [").into_response()
        }
        ChatReply::Drop => HangUp::response(),
        ChatReply::Hang | ChatReply::Delay(..) => std::future::pending().await,
    }
}

/// The error object of OpenAI and Groq; without a message, the one which belongs to the status.
fn error(code: u16, message: &str) -> Response {
    let (kind, name, usual) = match code {
        401 => ("invalid_request_error", "invalid_api_key", "Invalid API Key"),
        413 | 429 => ("tokens", "rate_limit_exceeded", "Rate limit reached for model. Please try again later."),
        400..=499 => ("invalid_request_error", "invalid_request", "The request is not valid."),
        503 => ("service_unavailable", "over_capacity", "The model is over capacity."),
        _ => ("internal_server_error", "internal_server_error", "Internal Server Error"),
    };
    let message = if message.is_empty() { usual } else { message };
    (status(code), Json(json!({"error": {"message": message, "type": kind, "code": name}}))).into_response()
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn retry_after_value(delay: Duration) -> Option<HeaderValue> {
    HeaderValue::from_str(&delay.as_secs_f64().to_string()).ok()
}

fn models() -> Vec<Value> {
    let names = ["llama-3.3-70b-versatile", "meta-llama/llama-4-scout-17b-16e-instruct", "whisper-large-v3-turbo"];
    let model = |id| json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "simulator"});
    names.map(model).into()
}

/// The key, as OpenAI (`Authorization: Bearer`) or ElevenLabs (`xi-api-key`) takes it.
fn key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    bearer.or_else(|| headers.get("xi-api-key")?.to_str().ok())
}

/// The body as JSON and, for a transcription, the file: its form's fields stand for the body then.
async fn read_body(parts: &Parts, bytes: &Bytes, endpoint: Endpoint) -> (Value, Bytes) {
    if endpoint != Endpoint::Transcription {
        return (serde_json::from_slice(bytes).unwrap_or(Value::Null), Bytes::new());
    }
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
