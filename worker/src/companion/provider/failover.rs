//! Which provider and model a chat goes to, and where it goes next when that one fails.
//!
//! In order: the business's model, the installation's (where the business's is not served), the fallback (where the
//! first provider is away, throttled or of no use). A provider that failed several times in a row is passed over for a
//! while, so that not every customer waits for its timeout. What nobody takes with pictures is asked without them.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    AiError, Completion, Provider, ToolSpec,
    chat::{ChatMessage, ContentPart, Request, UserContent},
};

/// A whole call, thinking included.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Whoever makes customers wait for less than that (`AI_GIVE_UP_SECS`) waits for less, but for this at least: a model may
/// be slow.
const TIMEOUT_LEAST: Duration = Duration::from_secs(10);
/// The same where somebody else can be asked.
const TIMEOUT_WITH_FALLBACK: Duration = Duration::from_secs(25);
/// Failures in a row after which a provider is passed over …
const FAILURES_MOST: u32 = 3;
/// … for this long.
const PASSED_OVER: Duration = Duration::from_secs(30);
/// In place of a picture that nobody could look at.
const UNSEEN: &str = "[You cannot see this picture. Say so kindly and ask what it shows.]";

/// A provider and its models.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where.
    pub provider: Provider,
    /// The model that answers.
    pub chat_model: String,
    /// The model that looks at pictures; none: nobody there does.
    pub vision_model: Option<String>,
}

/// One question.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The conversation so far.
    pub messages: &'a [ChatMessage],
    /// What the model may call.
    pub tools: &'a [ToolSpec],
    /// It must answer in words, although there are tools.
    pub words_only: bool,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// The business's model, instead of the installation's.
    pub model: Option<&'a str>,
    /// Tokens of the answer, at most.
    pub tokens_most: u32,
}

/// The chat models of the installation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ai {
    first: Endpoint,
    fallback: Option<Endpoint>,
    breaker: Arc<Mutex<Breaker>>,
    patience: Duration,
}

#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    passed_over_until: Option<Instant>,
}

impl Ai {
    /// One that is asked first, and one that is asked where that fails.
    pub fn new(first: Endpoint, fallback: Option<Endpoint>) -> Self {
        Self { first, fallback, breaker: Arc::default(), patience: TIMEOUT }
    }

    /// The same, which waits for a call no longer than that, within reason.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience: patience.max(TIMEOUT_LEAST), ..self }
    }

    /// The one that is asked first.
    pub fn first(&self) -> &Endpoint {
        &self.first
    }

    /// The one that is asked where that fails.
    pub fn fallback(&self) -> Option<&Endpoint> {
        self.fallback.as_ref()
    }

    /// Asks, and asks elsewhere where that fails.
    ///
    /// Cancellation: the call under way is cut off.
    ///
    /// # Errors
    /// The first failure, where nobody answers.
    pub async fn complete(&self, ask: Ask<'_>) -> Result<Completion, AiError> {
        let Some(fallback) = &self.fallback else { return self.ask_first(ask, self.within(TIMEOUT)).await };
        if self.is_passed_over() {
            if let Ok(completion) = ask_at(fallback, Ask { model: None, ..ask }, self.within(TIMEOUT)).await {
                return Ok(completion);
            }
            return self.ask_first(ask, self.within(TIMEOUT_WITH_FALLBACK)).await;
        }
        let failure = match self.ask_first(ask, self.within(TIMEOUT_WITH_FALLBACK)).await {
            Ok(completion) => return Ok(completion),
            // Another one would be told the same broken call.
            Err(error) if error.is_failed_tool_call() => return Err(error),
            Err(error) => error,
        };
        metrics::counter!("switchboard_ai_fallbacks_total").increment(1);
        tracing::warn!(error = %failure, "the AI provider failed: the fallback is asked");
        ask_at(fallback, Ask { model: None, ..ask }, self.within(TIMEOUT)).await.map_err(|error| {
            tracing::warn!(%error, "the fallback failed, too");
            failure
        })
    }

    async fn ask_first(&self, ask: Ask<'_>, timeout: Duration) -> Result<Completion, AiError> {
        let asked = match ask_at(&self.first, ask, timeout).await {
            Err(error) if ask.model.is_some() && error.is_refusal() && !error.is_failed_tool_call() => {
                tracing::warn!(model = ask.model, %error, "a business's model is refused: the installation's is asked");
                ask_at(&self.first, Ask { model: None, ..ask }, timeout).await
            }
            asked => asked,
        };
        // A business's own model and the one that sees say nothing about the one that everybody asks.
        if ask.model.is_none() && !has_pictures(ask.messages) {
            self.note(asked.as_ref().err());
        }
        asked
    }

    fn within(&self, most: Duration) -> Duration {
        most.min(self.patience)
    }

    fn is_passed_over(&self) -> bool {
        self.lock().passed_over_until.is_some_and(|until| until > Instant::now())
    }

    fn note(&self, failure: Option<&AiError>) {
        let mut breaker = self.lock();
        // What is wrong with one request says nothing about the next.
        breaker.failures = match failure {
            None => 0,
            Some(error) if error.is_refusal() => breaker.failures,
            Some(_) => breaker.failures + 1,
        };
        breaker.passed_over_until = (breaker.failures >= FAILURES_MOST).then(|| Instant::now() + PASSED_OVER);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().expect("no code panics while it holds this lock")
    }
}

/// One provider: with the pictures by the model that looks at them, else without.
async fn ask_at(endpoint: &Endpoint, ask: Ask<'_>, timeout: Duration) -> Result<Completion, AiError> {
    let chat_model = ask.model.unwrap_or(&endpoint.chat_model);
    let request = |model, messages| Request {
        model,
        messages,
        tools: ask.tools,
        tool_choice: (ask.words_only && !ask.tools.is_empty()).then_some("none"),
        temperature: ask.temperature,
        max_completion_tokens: ask.tokens_most,
    };
    if !has_pictures(ask.messages) {
        return endpoint.provider.complete(&request(chat_model, ask.messages), timeout).await;
    }
    if let Some(vision_model) = &endpoint.vision_model {
        match endpoint.provider.complete(&request(vision_model, ask.messages), timeout).await {
            Err(error) if error.is_refusal() && !error.is_failed_tool_call() => {
                tracing::warn!(model = vision_model, %error, "a picture is refused: answering without it");
                metrics::counter!("switchboard_media_failures_total", "reason" => "refused_picture").increment(1);
            }
            completed => return completed,
        }
    }
    let blind = without_pictures(ask.messages);
    endpoint.provider.complete(&request(chat_model, &blind), timeout).await
}

fn has_pictures(messages: &[ChatMessage]) -> bool {
    messages.iter().any(|message| matches!(message, ChatMessage::User { content: UserContent::Parts(_) }))
}

fn without_pictures(messages: &[ChatMessage]) -> Vec<ChatMessage> {
    let words = |part: &ContentPart| match part {
        ContentPart::Text { text } => text.clone(),
        ContentPart::ImageUrl { .. } => UNSEEN.to_owned(),
    };
    let blind = |message: &ChatMessage| match message {
        ChatMessage::User { content: UserContent::Parts(parts) } => {
            ChatMessage::user(parts.iter().map(words).collect::<Vec<_>>().join("\n"))
        }
        ChatMessage::User { content: UserContent::Words(_) }
        | ChatMessage::System { .. }
        | ChatMessage::Assistant { .. }
        | ChatMessage::Tool { .. } => message.clone(),
    };
    messages.iter().map(blind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ai() -> Ai {
        shared::install_tls_provider();
        let provider = Provider::new(crate::http::client().expect("a client"), "http://127.0.0.1:1", None);
        Ai::new(Endpoint { provider, chat_model: "m".to_owned(), vision_model: None }, None)
    }

    #[test]
    fn a_provider_is_passed_over_after_three_failures_in_a_row() {
        let (ai, failure) = (ai(), AiError::Unreachable("timed out"));
        let refusal = AiError::Status { status: 400, code: String::new(), retry_after: None };
        for error in [Some(&failure), Some(&failure), None, Some(&failure), Some(&refusal), Some(&failure)] {
            ai.note(error);
            assert!(!ai.is_passed_over());
        }
        ai.note(Some(&failure));
        assert!(ai.is_passed_over());
        ai.note(None);
        assert!(!ai.is_passed_over());
    }

    #[test]
    fn a_call_takes_no_longer_than_customers_are_made_to_wait_but_long_enough_for_a_slow_model() {
        let seconds = |patience, most| ai().with_patience(Duration::from_secs(patience)).within(most).as_secs();
        assert_eq!([seconds(120, TIMEOUT), seconds(120, TIMEOUT_WITH_FALLBACK)], [60, 25]);
        assert_eq!([seconds(20, TIMEOUT), seconds(20, TIMEOUT_WITH_FALLBACK)], [20, 20]);
        assert_eq!([seconds(0, TIMEOUT), seconds(0, TIMEOUT_WITH_FALLBACK)], [10, 10]);
    }

    #[test]
    fn without_its_picture_a_message_keeps_its_words() {
        let picture = super::super::Picture { mime_type: "image/png".to_owned(), bytes: bytes::Bytes::new() };
        let parts = vec![ContentPart::Text { text: "look".to_owned() }, ContentPart::ImageUrl { image_url: picture }];
        let messages = [ChatMessage::assistant("hi"), ChatMessage::User { content: UserContent::Parts(parts) }];
        assert!(has_pictures(&messages));
        let blind = without_pictures(&messages);
        assert_eq!(blind, [ChatMessage::assistant("hi"), ChatMessage::user(format!("look\n{UNSEEN}"))]);
    }
}
