//! The AI as a worker meets it.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::{
    Ai, AiOptions,
    ai::{ChatReply, ChatRequest},
    journal::Credential,
};

use crate::setup::{SOON, client};

async fn ai() -> Ai {
    Ai::start(AiOptions::default()).await.expect("a free port")
}

fn hello() -> Value {
    json!({"model": "m", "messages": [
        {"role": "system", "content": "You sell bicycles."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": "data:"}}]},
    ]})
}

async fn chat(ai: &Ai, body: &Value) -> reqwest::Result<reqwest::Response> {
    client().post(format!("{}/chat/completions", ai.url())).bearer_auth("key").json(body).send().await
}

#[tokio::test]
async fn without_a_script_it_repeats_what_was_said() {
    let ai = ai().await;
    let answer: Value = chat(&ai, &hello()).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["choices"][0]["message"], json!({"role": "assistant", "content": "You said: Hello"}));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["object"], "chat.completion");
    assert!(answer["usage"]["total_tokens"].as_u64() > Some(0));
    assert!(answer["x_groq"]["id"].is_string() && answer["service_tier"] == "on_demand");
    let (asked, answered) =
        (ai.journal().chats().pop().expect("recorded"), ai.journal().ai_answers().pop().expect("recorded"));
    assert_eq!((asked.model.as_deref(), &asked.credential), (Some("m"), &Credential::Unknown));
    assert_eq!(asked.body, hello());
    assert_eq!(
        (answered.request, answered.http, answered.text.as_deref()),
        (asked.request, Some(200), Some("You said: Hello"))
    );
}

#[tokio::test]
async fn a_script_decides_by_the_request() {
    let ai = ai().await;
    ai.on_chat(|request: &ChatRequest| {
        if request.follows_tool() {
            return ChatReply::text(format!("{}, {}", request.system(), request.texts("tool").concat()));
        }
        assert!(request.offers_tool("remember"));
        ChatReply::tool("remember", json!({"fact": "rides"}))
    });
    let mut body = hello();
    body["tools"] = json!([{"type": "function", "function": {"name": "remember"}}]);
    let answer: Value = chat(&ai, &body).await.expect("an answer").json().await.expect("JSON");
    let call = &answer["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "remember", "arguments": r#"{"fact":"rides"}"#}));
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    let result = json!({"role": "tool", "tool_call_id": call["id"], "content": "done"});
    body["messages"].as_array_mut().expect("a list").push(result);
    let answer: Value = chat(&ai, &body).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], "You sell bicycles., done");
}

#[tokio::test]
async fn everything_can_go_wrong() {
    let ai = ai().await;
    let limited = ChatReply::Status { code: 429, retry_after: Some(Duration::from_millis(7_660)), body: String::new() };
    ai.on_chat(move |_| limited.clone());
    let response = chat(&ai, &hello()).await.expect("an answer");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"7.66".parse().expect("a value"))
    );
    assert_eq!(response.json::<Value>().await.expect("JSON")["error"]["code"], "rate_limit_exceeded");
    ai.on_chat(|_| ChatReply::Garbage);
    assert!(chat(&ai, &hello()).await.expect("an answer").json::<Value>().await.is_err());
    ai.on_chat(|_| ChatReply::Empty);
    let answer: Value = chat(&ai, &hello()).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
    ai.on_chat(|_| ChatReply::Drop);
    chat(&ai, &hello()).await.expect_err("the connection is cut");
    ai.on_chat(|_| ChatReply::text("late").after(Duration::from_millis(30)));
    assert!(chat(&ai, &hello()).await.expect("an answer").text().await.expect("a body").contains("late"));
    assert!(ai.journal().ai_answers().pop().expect("recorded").elapsed_ms >= 30);
    assert_eq!(chat(&ai, &json!({"model": "m", "messages": []})).await.expect("an answer").status(), 400);
}

#[tokio::test]
async fn a_client_that_stops_waiting_is_recorded() {
    let ai = ai().await;
    ai.on_chat(|_| ChatReply::Hang);
    let request = client().post(format!("{}/chat/completions", ai.url())).json(&hello());
    request.timeout(Duration::from_millis(100)).send().await.expect_err("no answer");
    let answer = ai.journal().wait_for(|journal| journal.ai_answers().pop(), SOON).await.expect("recorded");
    assert!(answer.abandoned && answer.http.is_none());
}

#[tokio::test]
async fn keys_are_named_and_strangers_refused_once_one_is_known() {
    let ai = ai().await;
    ai.add_key("groq", &SecretString::from("key"));
    assert_eq!(chat(&ai, &hello()).await.expect("an answer").status(), 200);
    let stranger = client().post(format!("{}/chat/completions", ai.url())).bearer_auth("other").json(&hello());
    assert_eq!(stranger.send().await.expect("an answer").status(), 401);
    let credentials: Vec<_> = ai.journal().chats().into_iter().map(|chat| chat.fact.credential).collect();
    assert_eq!(credentials, [Credential::Of("groq".to_owned()), Credential::Unknown]);
}

#[tokio::test]
async fn a_recording_becomes_text_and_text_becomes_a_voice_note() {
    let ai = ai().await;
    ai.on_transcription(|file| ChatReply::text(format!("{} bytes", file.len())));
    let form = "--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--B\r\n\
                Content-Disposition: form-data; name=\"file\"; filename=\"a.ogg\"\r\nContent-Type: audio/ogg\r\n\r\nOggS!\r\n--B--\r\n";
    let request = client().post(format!("{}/audio/transcriptions", ai.url()));
    let request = request.header("content-type", "multipart/form-data; boundary=B").body(form);
    let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["text"], "5 bytes");
    let asked = ai.journal().ai_requests().pop().expect("recorded");
    assert_eq!((asked.endpoint.as_str(), asked.model.as_deref()), ("transcription", Some("whisper")));
    assert_eq!(asked.body["file"], json!({"name": "a.ogg", "type": "audio/ogg", "bytes": 5}));

    let request = client().post(format!("{}/v1/text-to-speech/voice-1?output_format=opus_48000_32", ai.speech_url()));
    let spoken = request.header("xi-api-key", "key").json(&json!({"text": "Hello"})).send().await.expect("an answer");
    assert_eq!(spoken.headers()["content-type"], "audio/ogg");
    assert!(spoken.bytes().await.expect("a file").starts_with(b"OggS"));
    let models: Value =
        client().get(format!("{}/models", ai.url())).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(models["object"], "list");
}
