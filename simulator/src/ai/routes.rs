//! The way of a request to the AI: record, let in, go wrong where a rule says so, ask the responder, record the
//! answer.
//!
//! A handler is dropped when its client goes away; [`Pending`] then records that, so each request has its answer in
//! the journal whatever happens.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    AiFault, SpeechRequest, State, TranscriptionRequest,
    answer::{error, model_not_found, play, speak, speech_error},
    asked::{Endpoint, key, read_body},
    chat::ChatRequest,
    picture::abridged,
};
use crate::{
    Journal,
    journal::{AiAnswer, AiRequest, AiSpeech, Event},
    serving::HangUp,
};

const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new().fallback(move |request: Request| handle(state.clone(), request))
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

    fn spoken(&self, mime_type: &str, bytes: &[u8]) {
        self.journal.record(Event::AiSpeech(AiSpeech {
            request: self.request,
            mime_type: mime_type.to_owned(),
            bytes: bytes.len(),
            sha256: hex::encode(Sha256::digest(bytes)),
        }));
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
        body: abridged(&body),
    }));
    let mut pending = Pending { journal, request: joined, began, text: None, answered: false };
    if credential.owner().is_none() && !state.is_open() {
        let refusal = if matches!(endpoint, Endpoint::Speech | Endpoint::Voice) {
            speech_error(401)
        } else {
            error(401, "Invalid API Key")
        };
        return pending.answer(refusal);
    }
    let number = state.requests.fetch_add(1, Ordering::Relaxed);
    let request = ChatRequest { number, model: model.unwrap_or_default(), credential, body };
    let response = respond(&state, endpoint, request, file, &mut pending).await;
    pending.answer(response)
}

async fn respond(
    state: &State,
    endpoint: Endpoint,
    request: ChatRequest,
    file: Bytes,
    pending: &mut Pending,
) -> Response {
    if let Some(message) = malformed(endpoint, &request.body) {
        return error(400, message);
    }
    let has_model = matches!(endpoint, Endpoint::Chat | Endpoint::Transcription);
    if has_model && state.refuses(&request.model) {
        return model_not_found(&request.model);
    }
    let fault = endpoint.call().and_then(|call| state.faults.choose(call, &request.body, &file));
    if let Some(AiFault::Slow(delay)) = fault {
        tokio::time::sleep(delay).await;
    }
    match endpoint {
        Endpoint::Chat => chat(state, &request, fault.as_ref(), pending).await,
        Endpoint::Transcription => transcription(state, request, file, fault.as_ref(), pending).await,
        Endpoint::Speech => speech(state, request, fault.as_ref(), pending).await,
        Endpoint::Models => Json(json!({"object": "list", "data": models(state)})).into_response(),
        Endpoint::Voice => voice(state, &request.body),
        Endpoint::Unknown => error(404, "Unknown request URL"),
    }
}

async fn chat(state: &State, request: &ChatRequest, fault: Option<&AiFault>, pending: &mut Pending) -> Response {
    let responder = state.chat.read().expect("no code panics while it holds this lock").clone();
    let reply = fault.and_then(AiFault::instead).unwrap_or_else(|| responder(request));
    play(reply, |said| {
        pending.text = said.text();
        said.to_chat(state.options.seed, request)
    })
    .await
}

async fn transcription(
    state: &State,
    request: ChatRequest,
    bytes: Bytes,
    fault: Option<&AiFault>,
    pending: &mut Pending,
) -> Response {
    let ChatRequest { number, model, credential, body: fields } = request;
    let request = TranscriptionRequest { number, model, credential, fields, bytes };
    let responder = state.transcribe.read().expect("no code panics while it holds this lock").clone();
    let reply = fault.and_then(AiFault::instead).unwrap_or_else(|| responder(&request));
    play(reply, |said| {
        pending.text = said.text();
        said.to_transcription(&request)
    })
    .await
}

async fn speech(state: &State, request: ChatRequest, fault: Option<&AiFault>, pending: &Pending) -> Response {
    let request = SpeechRequest::read(pending.request, request.credential, request.body);
    let responder = state.speak.read().expect("no code panics while it holds this lock").clone();
    let reply = fault.and_then(AiFault::instead_of_speech).unwrap_or_else(|| responder(&request));
    speak(reply, |mime_type, bytes| pending.spoken(mime_type, bytes)).await
}

fn voice(state: &State, asked: &Value) -> Response {
    let id = asked.get("voice_id").and_then(Value::as_str).unwrap_or_default();
    if state.has_voice(id) {
        Json(json!({"voice_id": id, "name": "Simulated", "category": "premade"})).into_response()
    } else {
        speech_error(404)
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

fn models(state: &State) -> Vec<Value> {
    let model = |id| json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "simulator"});
    state.models().into_iter().map(model).collect()
}
