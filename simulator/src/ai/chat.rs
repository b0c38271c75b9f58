//! A chat: what was asked, what may be answered, and the bytes of the answer with Groq's additions.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Image, Transcript};
use crate::{Seed, journal::Credential};

/// A chat request as a responder sees it.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// The how manieth request to this stand-in, from 0.
    pub number: u64,
    /// The model that was asked for.
    pub model: String,
    /// Whose key came with it.
    pub credential: Credential,
    /// The whole body.
    pub body: Value,
}

impl ChatRequest {
    /// The messages, as they came.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.body.get("messages").and_then(Value::as_array).into_iter().flatten()
    }

    /// The words of all messages of a role, in order; of content in parts, the texts.
    pub fn texts(&self, role: &str) -> Vec<String> {
        let theirs = self.messages().filter(|message| message.get("role").and_then(Value::as_str) == Some(role));
        theirs.map(|message| words(message.get("content").unwrap_or(&Value::Null))).collect()
    }

    /// The system prompt: all system messages.
    pub fn system(&self) -> String {
        self.texts("system").join("\n")
    }

    /// What the customer said last.
    pub fn last_user(&self) -> String {
        self.texts("user").pop().unwrap_or_default()
    }

    /// Whether a tool of this name is offered.
    pub fn offers_tool(&self, name: &str) -> bool {
        self.tool_names().iter().any(|offered| offered == name)
    }

    /// The names of the tools that are offered, in order.
    pub fn tool_names(&self) -> Vec<String> {
        let tools = self.body.get("tools").and_then(Value::as_array).into_iter().flatten();
        let names = tools.filter_map(|tool| tool.pointer("/function/name").and_then(Value::as_str));
        names.map(str::to_owned).collect()
    }

    /// What the tools gave back, in order: the contents of all `tool` messages.
    pub fn tool_results(&self) -> Vec<String> {
        self.texts("tool")
    }

    /// The pictures of all messages, in order, as far as they come in data URLs of base64.
    pub fn images(&self) -> Vec<Image> {
        let parts = self.messages().filter_map(|message| message.get("content")?.as_array()).flatten();
        let urls = parts.filter_map(|part| part.pointer("/image_url/url").and_then(Value::as_str));
        urls.filter_map(Image::read).collect()
    }

    /// Whether the last message is a tool's result.
    pub fn follows_tool(&self) -> bool {
        self.messages().next_back().and_then(|last| last.get("role")).and_then(Value::as_str) == Some("tool")
    }
}

fn words(content: &Value) -> String {
    let parts = content.as_array().into_iter().flatten();
    let texts = parts.filter_map(|part| part.get("text").and_then(Value::as_str));
    content.as_str().map_or_else(|| texts.collect::<Vec<_>>().join("\n"), str::to_owned)
}

/// A tool that the model wants called.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The function's name.
    pub name: String,
    /// Its arguments, which go over the wire as a string of JSON. A string goes as it is, see [`ToolCall::raw`].
    pub arguments: Value,
}

impl ToolCall {
    /// A call with these arguments.
    pub fn new(name: impl Into<String>, arguments: Value) -> Self {
        Self { name: name.into(), arguments }
    }

    /// A call whose arguments are exactly this text, which need not be JSON: models write such things.
    pub fn raw(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, Value::String(text.into()))
    }

    fn arguments_on_the_wire(&self) -> String {
        self.arguments.as_str().map_or_else(|| self.arguments.to_string(), str::to_owned)
    }
}

/// What a responder wants to happen.
#[derive(Debug, Clone, PartialEq)]
pub enum ChatReply {
    /// An answer.
    Text(String),
    /// An answer that wants tools called, with or without words.
    ToolCalls {
        /// The words.
        text: Option<String>,
        /// The calls.
        calls: Vec<ToolCall>,
    },
    /// What was heard in a recording, and how surely; to a chat, the words of it.
    Transcript(Transcript),
    /// 200 with exactly this body.
    Json(Value),
    /// An error.
    Status {
        /// The HTTP status.
        code: u16,
        /// A `Retry-After` header, in seconds, fractions as Groq writes them.
        retry_after: Option<Duration>,
        /// The body; an empty one becomes the provider's usual error object.
        body: String,
    },
    /// Something else, later.
    Delay(Duration, Box<ChatReply>),
    /// No answer, until the client gives up.
    Hang,
    /// The connection is cut.
    Drop,
    /// 200 with a body that is no JSON.
    Garbage,
    /// 200 with an answer without words.
    Empty,
}

impl ChatReply {
    /// An answer.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The provider's usual error with this HTTP status.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None, body: String::new() }
    }

    /// The same reply, later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::Delay(delay, Box::new(self))
    }

    /// A call of one tool.
    pub fn tool(name: impl Into<String>, arguments: Value) -> Self {
        Self::tools([ToolCall::new(name, arguments)])
    }

    /// Calls of several tools at once.
    pub fn tools(calls: impl IntoIterator<Item = ToolCall>) -> Self {
        Self::ToolCalls { text: None, calls: calls.into_iter().collect() }
    }
}

/// The answer where the test has no opinion.
pub(super) fn echo(request: &ChatRequest) -> ChatReply {
    ChatReply::Text(format!("You said: {}", request.last_user()))
}

/// The body of a chat's answer, with what Groq adds to OpenAI's.
pub(super) fn completion(seed: Seed, request: &ChatRequest, text: Option<&str>, calls: &[ToolCall]) -> Value {
    let id = |label, n: usize| {
        let bytes = seed.bytes(label, &format!("{}/{n}", request.number));
        hex::encode(bytes).chars().take(24).collect::<String>()
    };
    let mut message = json!({"role": "assistant", "content": text});
    if let (false, Some(fields)) = (calls.is_empty(), message.as_object_mut()) {
        let calls = calls.iter().enumerate().map(|(n, call)| {
            let function = json!({"name": call.name, "arguments": call.arguments_on_the_wire()});
            json!({"id": format!("call_{}", id("tool", n)), "type": "function", "function": function})
        });
        fields.insert("tool_calls".to_owned(), calls.collect());
    }
    // Four bytes a token is what one reckons with; exactness does not matter, determinism does.
    let (prompt, answer) = (request.body.to_string().len() / 4, text.map_or(8, |text| text.len() / 4 + 1));
    json!({
        "id": format!("chatcmpl-{}", id("chat", 0)),
        "object": "chat.completion",
        "created": jiff::Timestamp::now().as_second(),
        "model": request.model,
        "choices": [{
            "index": 0, "message": message, "logprobs": null,
            "finish_reason": if calls.is_empty() { "stop" } else { "tool_calls" },
        }],
        "usage": {
            "queue_time": 0.01, "prompt_tokens": prompt, "prompt_time": 0.01, "completion_tokens": answer,
            "completion_time": 0.05, "total_tokens": prompt + answer, "total_time": 0.06,
        },
        "usage_breakdown": null,
        "system_fingerprint": "fp_simulator",
        "x_groq": {"id": format!("req_{}", id("groq", 0))},
        "service_tier": "on_demand",
    })
}
