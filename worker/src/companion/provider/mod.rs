//! What the companion asks of AI providers: chat with pictures and tools, transcription, speech.
//!
//! Any OpenAI-compatible API will do, and ElevenLabs for speech. Requests are typed, answers are read leniently:
//! providers add fields, words and shapes of their own, and a paid answer must not be lost over one. No error holds a
//! word of what was asked or answered, which providers like to repeat in theirs.

mod chat;
mod failover;
mod language;
mod models;
mod speech;
mod transcription;

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use shared::trace::STEP;
use tracing::{Instrument, field::Empty, info_span};

pub use chat::{ChatMessage, Completion, ContentPart, Picture, ToolCall, ToolSpec, UserContent};
pub use failover::{Ai, Ask, Endpoint};
pub use language::language_code;
pub use models::{Served, served_models};
pub use speech::{SPEECH_BYTES_MOST, Speaker, is_mono_opus};
pub use transcription::{Heard, Hint, Transcriber};

use crate::http::{body, retry_after};

/// More than any answer that is of use.
const ANSWER_BYTES_MOST: usize = 8 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AiError {
    /// No answer came.
    #[error("the AI provider cannot be reached: {0}")]
    Unreachable(&'static str),
    /// An error answer.
    #[error("the AI provider answered HTTP {status} ({code})")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The provider's word for it.
        code: String,
        /// What it asked for.
        retry_after: Option<Duration>,
    },
    /// An answer of no use.
    #[error("the AI provider's answer is of no use ({0})")]
    Useless(&'static str),
}

impl AiError {
    /// An error answer. `body` need not be the provider's: proxies answer too.
    pub fn from_answer(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let told: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        Self::Status { status, code: code(&told), retry_after }
    }

    /// How long the provider wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Unreachable(_) | Self::Useless(_) => None,
        }
    }

    /// Whether the request itself is what the provider does not take: the same one would be refused again.
    pub fn is_refusal(&self) -> bool {
        match self {
            // Not 401 and 403, which a key mends, nor 408 and 429, which time mends.
            Self::Status { status, .. } => matches!(status, 400 | 404 | 405 | 413 | 415 | 422),
            Self::Unreachable(_) | Self::Useless(_) => false,
        }
    }

    /// Whether the model made a call of a tool that the provider could not read (Groq's word for it).
    pub fn is_failed_tool_call(&self) -> bool {
        matches!(self, Self::Status { status: 400, code, .. } if code == "tool_use_failed")
    }

    /// A closed word for metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Status { status: 429, .. } => "throttled",
            Self::Status { status: 400..500, .. } => "refused",
            Self::Status { .. } => "failed",
            Self::Useless(_) => "useless",
        }
    }
}

/// One provider: where it is, and its key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Provider {
    client: Client,
    base_url: String,
    key: Option<SecretString>,
}

impl Provider {
    /// `base_url` as in `https://api.groq.com/openai/v1`, without a slash at its end.
    pub fn new(client: Client, base_url: impl Into<String>, key: Option<SecretString>) -> Self {
        Self { client, base_url: base_url.into(), key }
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.authorised(self.client.post(format!("{}/{path}", self.base_url)))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.authorised(self.client.get(format!("{}/{path}", self.base_url)))
    }

    fn authorised(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }
}

/// Counts a call, to the end of what it was made for. `call` is a closed word.
async fn counted<T>(call: &'static str, work: impl Future<Output = Result<T, AiError>>) -> Result<T, AiError> {
    let started = std::time::Instant::now();
    let span = info_span!(target: STEP, "ai", otel.kind = "client", otel.name = call, outcome = Empty);
    let done = work.instrument(span.clone()).await;
    let outcome = done.as_ref().map_or_else(AiError::outcome, |_| "ok");
    span.record("outcome", outcome);
    metrics::counter!("switchboard_ai_calls_total", "call" => call, "outcome" => outcome).increment(1);
    metrics::histogram!("switchboard_ai_call_seconds", "call" => call).record(started.elapsed().as_secs_f64());
    done
}

/// One request to the end of its answer.
///
/// Cancellation: the connection is closed; what the call cost is not known.
async fn exchange(request: RequestBuilder, timeout: Duration) -> Result<Bytes, AiError> {
    let answer = request.timeout(timeout).send().await.map_err(|error| unreachable(&error))?;
    let (status, retry_after) = (answer.status(), retry_after(answer.headers()));
    let bytes = body(answer, ANSWER_BYTES_MOST).await.map_err(|error| unreachable(&error))?;
    let bytes = bytes.ok_or(AiError::Useless("it has no end"))?;
    if status.is_success() { Ok(bytes) } else { Err(AiError::from_answer(status.as_u16(), &bytes, retry_after)) }
}

fn unreachable(error: &reqwest::Error) -> AiError {
    AiError::Unreachable(if error.is_timeout() {
        "timed out"
    } else if shared::tls::is_distrust(error) {
        "its certificate is not trusted; AI_CA_FILE may name a file with the authority that issued it"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    })
}

/// `error.code` or `error.type`, as a word.
fn code(body: &Value) -> String {
    let error = body.get("error").or_else(|| body.get("detail"));
    let words = ["code", "type", "status"].iter().filter_map(|name| error?.get(name)?.as_str());
    let wordly = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let word = words.into_iter().next().map(|word| word.chars().filter(wordly).take(40).collect::<String>());
    word.filter(|word| !word.is_empty()).unwrap_or_else(|| "no code".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_name_the_providers_code_and_nothing_that_was_said() {
        let body = json!({"error":{"message":"you said: my secret","type":"invalid_request_error","code":"json_validate_failed","failed_generation":"my secret"}});
        let error = AiError::Status { status: 400, code: code(&body), retry_after: None };
        assert_eq!(error.to_string(), "the AI provider answered HTTP 400 (json_validate_failed)");
        let elevenlabs = json!({"detail":{"status":"quota_exceeded","message":"my secret"}});
        assert_eq!(code(&elevenlabs), "quota_exceeded");
        assert_eq!(code(&json!({"error": "my secret"})), "no code");
    }

    #[test]
    fn only_what_would_be_refused_again_is_a_refusal() {
        let status = |status| AiError::Status { status, code: String::new(), retry_after: None };
        for refused in [400, 404, 413, 415, 422] {
            assert!(status(refused).is_refusal(), "{refused}");
        }
        for other in [401, 403, 408, 429, 500, 503] {
            assert!(!status(other).is_refusal(), "{other}");
        }
        assert!(!AiError::Unreachable("timed out").is_refusal());
    }
}
