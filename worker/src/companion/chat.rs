//! An OpenAI-compatible chat API. Requests are typed, answers are read leniently: providers add fields, words and
//! shapes of their own, and a paid answer must not be lost over one.

use std::time::Duration;

use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;

use crate::http::retry_after;

/// A whole call, thinking included.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Who speaks in a chat request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatRole {
    /// The business's instructions.
    System,
    /// The customer.
    User,
    /// The companion.
    Assistant,
}

/// One message of a chat request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChatMessage {
    /// Who.
    pub role: ChatRole,
    /// What.
    pub content: String,
}

/// A usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Never blank.
    pub text: String,
    /// Tokens of the prompt, 0 where the provider does not say.
    pub tokens_in: u64,
    /// Tokens of the answer, 0 where the provider does not say.
    pub tokens_out: u64,
}

/// Why there is no answer. Holds no text of the prompt or the answer, which providers like to repeat.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// No answer came.
    #[error("the AI provider cannot be reached: {0}")]
    Unreachable(String),
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
    /// An answer without a usable text.
    #[error("the AI provider's answer holds no text ({0})")]
    Useless(&'static str),
}

impl ChatError {
    /// How long the provider wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Unreachable(_) | Self::Useless(_) => None,
        }
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

/// A client of one provider. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Chat {
    client: Client,
    base_url: String,
    key: Option<SecretString>,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: &'a [ChatMessage],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
}

impl Chat {
    /// `base_url` as in `https://api.groq.com/openai/v1`.
    pub fn new(client: Client, base_url: impl Into<String>, key: Option<SecretString>) -> Self {
        Self { client, base_url: base_url.into(), key }
    }

    /// One chat call.
    ///
    /// # Errors
    /// [`ChatError`].
    pub async fn complete(
        &self,
        model: &str,
        temperature: Option<f64>,
        messages: &[ChatMessage],
    ) -> Result<Completion, ChatError> {
        let started = std::time::Instant::now();
        let completed = self.call(&Request { model, messages, temperature }).await;
        let outcome = completed.as_ref().map_or_else(ChatError::outcome, |_| "ok");
        metrics::counter!("switchboard_ai_calls_total", "outcome" => outcome).increment(1);
        metrics::histogram!("switchboard_ai_call_seconds").record(started.elapsed().as_secs_f64());
        completed
    }

    async fn call(&self, request: &Request<'_>) -> Result<Completion, ChatError> {
        let url = format!("{}/chat/completions", self.base_url);
        let mut post = self.client.post(url).timeout(TIMEOUT).json(request);
        if let Some(key) = &self.key {
            post = post.bearer_auth(key.expose_secret());
        }
        let answer = post.send().await.map_err(unreachable)?;
        let (status, retry_after) = (answer.status(), retry_after(answer.headers()));
        let bytes = answer.bytes().await.map_err(unreachable)?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if !status.is_success() {
            return Err(ChatError::Status { status: status.as_u16(), code: code(&body), retry_after });
        }
        read(&body)
    }
}

fn unreachable(error: reqwest::Error) -> ChatError {
    let what = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    ChatError::Unreachable(what.to_owned())
}

/// `error.code` or `error.type`, as a word.
fn code(body: &Value) -> String {
    let error = body.get("error");
    let word = error.and_then(|error| error.get("code").or_else(|| error.get("type"))).and_then(Value::as_str);
    let wordly = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    word.unwrap_or("no code").chars().filter(wordly).take(40).collect()
}

fn read(body: &Value) -> Result<Completion, ChatError> {
    let message = body.pointer("/choices/0/message").ok_or(ChatError::Useless("no choice"))?;
    let text = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        // Some providers send a list of pieces.
        Some(Value::Array(pieces)) => {
            pieces.iter().filter_map(|piece| piece.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    };
    let text = without_thinking(&text).trim().to_owned();
    if text.is_empty() {
        return Err(ChatError::Useless("blank"));
    }
    let tokens = |name: &str| body.pointer(&format!("/usage/{name}")).and_then(Value::as_u64).unwrap_or(0);
    Ok(Completion { text, tokens_in: tokens("prompt_tokens"), tokens_out: tokens("completion_tokens") })
}

/// Reasoning models that think aloud do so in front, between these marks.
fn without_thinking(text: &str) -> &str {
    match text.trim_start().strip_prefix("<think>") {
        Some(thought) => thought.split_once("</think>").map_or("", |(_, answer)| answer),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_of_many_providers_are_read() {
        let plain = json!({"choices":[{"message":{"role":"assistant","content":" Hi! "},"finish_reason":"eos"}],
            "usage":{"prompt_tokens":7,"completion_tokens":3},"service_tier":"on_demand","x_groq":{"id":1},"created":1.5});
        assert_eq!(read(&plain).expect("read"), Completion { text: "Hi!".to_owned(), tokens_in: 7, tokens_out: 3 });
        let pieces =
            json!({"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]});
        assert_eq!(read(&pieces).expect("read").text, "ab");
        let thinking = json!({"choices":[{"message":{"content":"<think>hm</think>\nYes."}}]});
        assert_eq!(read(&thinking).expect("read").text, "Yes.");
    }

    #[test]
    fn an_answer_without_text_is_an_error_not_silence() {
        for useless in [
            json!(null),
            json!({}),
            json!({"choices":[]}),
            json!({"choices":[{"message":{"content":null}}]}),
            json!({"choices":[{"message":{"content":"  "}}]}),
            json!({"choices":[{"message":{"content":"<think>for ever"}}]}),
        ] {
            assert!(matches!(read(&useless), Err(ChatError::Useless(_))), "{useless}");
        }
    }

    #[test]
    fn errors_name_the_providers_code_and_nothing_that_was_said() {
        let body = json!({"error":{"message":"you said: my secret","type":"invalid_request_error","code":"json_validate_failed","failed_generation":"my secret"}});
        let error = ChatError::Status { status: 400, code: code(&body), retry_after: None };
        assert_eq!(error.to_string(), "the AI provider answered HTTP 400 (json_validate_failed)");
    }
}
