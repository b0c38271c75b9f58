//! A chat call: its messages with pictures and tools, and the answer, whatever shape the provider gave it.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

use super::{AiError, Provider, counted, exchange};

/// One message of a chat request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum ChatMessage {
    /// The business's instructions.
    System {
        /// What they are.
        content: String,
    },
    /// The customer.
    User {
        /// What they said and showed.
        content: UserContent,
    },
    /// The companion.
    Assistant {
        /// What it said, if anything.
        content: Option<String>,
        /// What it wanted done.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall>,
    },
    /// What came of a tool.
    Tool {
        /// Which call.
        tool_call_id: String,
        /// What came of it.
        content: String,
    },
}

impl ChatMessage {
    /// Words of the customer.
    pub fn user(words: impl Into<String>) -> Self {
        Self::User { content: UserContent::Words(words.into()) }
    }

    /// Words of the companion.
    pub fn assistant(words: impl Into<String>) -> Self {
        Self::Assistant { content: Some(words.into()), tool_calls: Vec::new() }
    }
}

/// What a customer said, alone or with pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum UserContent {
    /// Words.
    Words(String),
    /// Words and pictures, in the customer's order.
    Parts(Vec<ContentPart>),
}

/// Words or a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentPart {
    /// Words.
    Text {
        /// Which.
        text: String,
    },
    /// A picture, inside the request.
    ImageUrl {
        /// The picture as a data URL.
        image_url: Picture,
    },
}

/// A picture that the customer sent.
#[derive(Clone, PartialEq)]
pub struct Picture {
    /// Such as `image/jpeg`.
    pub mime_type: String,
    /// The file.
    pub bytes: Bytes,
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}, {} bytes)", self.mime_type, self.bytes.len())
    }
}

impl Serialize for Picture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let url = format!("data:{};base64,{}", self.mime_type, STANDARD.encode(&self.bytes));
        json!({ "url": url }).serialize(serializer)
    }
}

/// A tool that the model may call. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ToolSpec {
    /// As it travels: every conversation that waits for a model holds it, and as a [`Value`] it would be ten times as
    /// large.
    json: Arc<RawValue>,
}

impl ToolSpec {
    /// A tool, when and what for it is called, and a JSON schema of its arguments.
    pub fn new(name: &str, description: &str, parameters: Value) -> Self {
        let function = json!({ "name": name, "description": description, "parameters": parameters });
        let json = to_raw_value(&json!({ "type": "function", "function": function })).expect("plain data");
        Self { json: Arc::from(json) }
    }
}

impl Serialize for ToolSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.as_ref().serialize(serializer)
    }
}

/// A call that the model wants made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The provider's, or made up where it gave none.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// JSON text, if the model did well.
    pub arguments: String,
}

impl Serialize for ToolCall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let function = json!({ "name": self.name, "arguments": self.arguments });
        json!({ "id": self.id, "type": "function", "function": function }).serialize(serializer)
    }
}

/// A usable answer: words, calls, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Blank only where there are calls.
    pub text: String,
    /// What the model wants done.
    pub tool_calls: Vec<ToolCall>,
    /// The model that was asked.
    pub model: String,
    /// Tokens of the prompt, 0 where the provider does not say.
    pub tokens_in: u64,
    /// Tokens of the answer, 0 where the provider does not say.
    pub tokens_out: u64,
}

impl Completion {
    /// What a provider answered with HTTP 2xx, when it was asked for this model.
    ///
    /// # Errors
    /// [`AiError::Useless`]: there are neither words nor calls in it.
    pub fn from_answer(body: &[u8], model: &str) -> Result<Self, AiError> {
        read(&serde_json::from_slice(body).map_err(|_| AiError::Useless("no JSON"))?, model)
    }
}

/// A chat request as it travels.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    pub(super) model: &'a str,
    pub(super) messages: &'a [ChatMessage],
    #[serde(skip_serializing_if = "<[ToolSpec]>::is_empty")]
    pub(super) tools: &'a [ToolSpec],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f64>,
    /// OpenAI's and Groq's word for it; those that do not know it leave the length to the model.
    pub(super) max_completion_tokens: u32,
}

impl Provider {
    /// One chat call.
    pub(super) async fn complete(&self, request: &Request<'_>, timeout: Duration) -> Result<Completion, AiError> {
        let asked = async {
            let bytes = exchange(self.post("chat/completions").json(request), timeout).await?;
            Completion::from_answer(&bytes, request.model)
        };
        let completion = counted("chat", asked).await?;
        metrics::counter!("switchboard_ai_tokens_total", "direction" => "in").increment(completion.tokens_in);
        metrics::counter!("switchboard_ai_tokens_total", "direction" => "out").increment(completion.tokens_out);
        Ok(completion)
    }
}

fn read(body: &Value, model: &str) -> Result<Completion, AiError> {
    let message = body.pointer("/choices/0/message").ok_or(AiError::Useless("no choice"))?;
    let text = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        // Some providers send a list of pieces.
        Some(Value::Array(pieces)) => {
            pieces.iter().filter_map(|piece| piece.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    };
    // A model that will not answer says so in a field of its own (OpenAI, "Structured Outputs").
    let refusal = || message.get("refusal").and_then(Value::as_str).unwrap_or_default().to_owned();
    let text = if text.trim().is_empty() { refusal() } else { text };
    let text = without_thinking(&text).trim().to_owned();
    let calls = message.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let tool_calls: Vec<ToolCall> = calls.iter().enumerate().filter_map(|(n, call)| read_call(n, call)).collect();
    if text.is_empty() && tool_calls.is_empty() {
        return Err(AiError::Useless("blank"));
    }
    let tokens = |name: &str| body.pointer(&format!("/usage/{name}")).and_then(Value::as_u64).unwrap_or(0);
    let (tokens_in, tokens_out) = (tokens("prompt_tokens"), tokens("completion_tokens"));
    Ok(Completion { text, tool_calls, model: model.to_owned(), tokens_in, tokens_out })
}

/// Some providers leave the id out, or send the arguments as an object.
fn read_call(n: usize, call: &Value) -> Option<ToolCall> {
    let function = call.get("function")?;
    let name = function.get("name").and_then(Value::as_str).filter(|name| !name.is_empty())?;
    let arguments = match function.get("arguments") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "{}".to_owned(),
        Some(object) => object.to_string(),
    };
    let id = call.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
    Some(ToolCall { id: id.map_or_else(|| format!("call_{n}"), str::to_owned), name: name.to_owned(), arguments })
}

/// Reasoning models that think aloud do so between these marks, some of them more than once. Where the prompt's template
/// holds the first mark, the answer has the second one only.
fn without_thinking(text: &str) -> String {
    const BEGIN: &str = "<think>";
    const END: &str = "</think>";
    let (mut said, mut rest) = (String::new(), text);
    while let Some((thought, after)) = rest.split_once(END) {
        match thought.split_once(BEGIN) {
            Some((before, _)) => said.push_str(before),
            None => said.clear(),
        }
        rest = after;
    }
    said.push_str(rest.split_once(BEGIN).map_or(rest, |(before, _)| before));
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(body: &Value) -> String {
        read(body, "m").expect("read").text
    }

    #[test]
    fn answers_of_many_providers_are_read() {
        let plain = json!({"choices":[{"message":{"role":"assistant","content":" Hi! "},"finish_reason":"eos"}],
            "usage":{"prompt_tokens":7,"completion_tokens":3},"service_tier":"on_demand","x_groq":{"id":1},"created":1.5});
        let expected = Completion {
            text: "Hi!".to_owned(),
            tool_calls: Vec::new(),
            model: "m".to_owned(),
            tokens_in: 7,
            tokens_out: 3,
        };
        assert_eq!(read(&plain, "m").expect("read"), expected);
        let pieces =
            json!({"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]});
        assert_eq!(text_of(&pieces), "ab");
        let thinking = json!({"choices":[{"message":{"content":"<think>hm</think>\nYes."}}]});
        assert_eq!(text_of(&thinking), "Yes.");
        let twice = json!({"choices":[{"message":{"content":"<think>hm</think>\n<think>so</think>\nYes."}}]});
        assert_eq!(text_of(&twice), "Yes.");
        let unopened = json!({"choices":[{"message":{"content":"The rules say …\n</think>\n\nYes."}}]});
        assert_eq!(text_of(&unopened), "Yes.");
        let between = json!({"choices":[{"message":{"content":"We are <think>hm</think>open."}}]});
        assert_eq!(text_of(&between), "We are open.");
        let refusal = json!({"choices":[{"message":{"content":null,"refusal":"I cannot help with that."}}]});
        assert_eq!(text_of(&refusal), "I cannot help with that.");
    }

    #[test]
    fn tool_calls_are_read_however_they_are_written() {
        let calls = json!({"choices":[{"message":{"content":null,"tool_calls":[
            {"id":"a","type":"function","function":{"name":"remember","arguments":"{\"fact\":\"x\"}"}},
            {"function":{"name":"remember","arguments":{"fact":"y"}}},
            {"id":"","function":{"name":"remember"}},
            {"id":"d","function":{}},
            7,
        ]}}]});
        let read = read(&calls, "m").expect("read").tool_calls;
        let told: Vec<_> = read.iter().map(|call| (call.id.as_str(), call.arguments.as_str())).collect();
        assert_eq!(told, [("a", r#"{"fact":"x"}"#), ("call_1", r#"{"fact":"y"}"#), ("call_2", "{}")]);
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
            json!({"choices":[{"message":{"content":"","tool_calls":[]}}]}),
        ] {
            assert!(matches!(read(&useless, "m"), Err(AiError::Useless(_))), "{useless}");
        }
    }

    #[test]
    fn a_request_is_what_the_api_takes_and_a_picture_prints_none_of_itself() {
        let picture = Picture { mime_type: "image/png".to_owned(), bytes: Bytes::from_static(b"png") };
        let parts =
            vec![ContentPart::Text { text: "look".to_owned() }, ContentPart::ImageUrl { image_url: picture.clone() }];
        let call = ToolCall { id: "a".to_owned(), name: "t".to_owned(), arguments: "{}".to_owned() };
        let messages = [
            ChatMessage::System { content: "s".to_owned() },
            ChatMessage::User { content: UserContent::Parts(parts) },
            ChatMessage::Assistant { content: None, tool_calls: vec![call] },
            ChatMessage::Tool { tool_call_id: "a".to_owned(), content: "done".to_owned() },
        ];
        let sent = serde_json::to_value(messages).expect("plain data");
        assert_eq!(
            sent,
            json!([
                {"role": "system", "content": "s"},
                {"role": "user", "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
                ]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "t", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "a", "content": "done"},
            ])
        );
        assert_eq!(format!("{picture:?}"), "Picture(image/png, 3 bytes)");
    }
}
