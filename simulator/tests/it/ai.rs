//! The AI as a worker meets it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::{
    Ai, AiOptions,
    ai::{ChatReply, ChatRequest, Image, ToolCall, Transcript},
    files::tiny_png,
    journal::Credential,
};

use crate::setup::{SOON, client, give_up};

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
async fn a_script_says_exactly_what_it_wants_however_odd() {
    let ai = ai().await;
    let odd = json!({"choices": [{"message": {"content": "odd"}}, 7]});
    let same = odd.clone();
    ai.on_chat(move |_| ChatReply::Json(same.clone()));
    assert_eq!(chat(&ai, &hello()).await.expect("an answer").json::<Value>().await.expect("JSON"), odd);
    assert_eq!(ai.journal().ai_answers().pop().expect("recorded").text.as_deref(), Some("odd"));
    ai.on_chat(|_| ChatReply::Json(json!([])));
    assert_eq!(chat(&ai, &hello()).await.expect("an answer").text().await.expect("a body"), "[]");
    assert_eq!(ai.journal().ai_answers().pop().expect("recorded").text, None);
    ai.on_chat(|_| {
        let calls = [ToolCall::raw("remember", "{\"fact\": "), ToolCall::new("hand_over", json!({}))];
        ChatReply::tools(calls)
    });
    let answer: Value = chat(&ai, &hello()).await.expect("an answer").json().await.expect("JSON");
    let calls = &answer["choices"][0]["message"]["tool_calls"];
    assert_eq!(calls[0]["function"], json!({"name": "remember", "arguments": "{\"fact\": "}));
    assert_eq!(calls[1]["function"], json!({"name": "hand_over", "arguments": "{}"}));
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    ai.on_chat(|_| Transcript::of("Hello").into());
    let answer: Value = chat(&ai, &hello()).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
}

#[tokio::test]
async fn a_responder_sees_the_pictures_and_the_journal_their_fingerprints() {
    let ai = ai().await;
    let url = format!("data:image/png;base64,{}", STANDARD.encode(tiny_png()));
    ai.on_chat(|request| {
        assert_eq!(request.images(), [Image { mime_type: "image/png".to_owned(), bytes: tiny_png() }]);
        assert_eq!(
            (request.tool_names(), request.tool_results()),
            (vec!["remember".to_owned()], vec!["done".to_owned()])
        );
        ChatReply::text("One grey pixel.")
    });
    let body = json!({
        "model": "m", "tools": [{"type": "function", "function": {"name": "remember"}}], "messages": [
            {"role": "tool", "tool_call_id": "1", "content": "done"},
            {"role": "user", "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ]},
        ],
    });
    let answer: Value = chat(&ai, &body).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], "One grey pixel.");
    let asked = ai.journal().chats().pop().expect("recorded");
    let content = &asked.body["messages"][1]["content"];
    let shown = content[1]["image_url"]["url"].as_str().expect("a URL");
    assert!(shown.starts_with("data:image/png;base64,<sha256 "), "{shown}");
    assert!(shown.ends_with(&format!(", {} bytes>", tiny_png().len())), "{shown}");
    assert_eq!(content[2]["image_url"]["url"], "https://example.com/a.png");
}

#[tokio::test]
async fn models_that_are_not_served_are_refused_where_a_test_wants_that() {
    let ai = ai().await;
    let models = || async {
        let response = client().get(format!("{}/models", ai.url())).send().await.expect("an answer");
        let list: Value = response.json().await.expect("JSON");
        let ids = list["data"].as_array().expect("a list").iter().filter_map(|model| model["id"].as_str());
        ids.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(models().await.contains(&"openai/gpt-oss-120b".to_owned()));
    ai.serve_models(["n"]);
    assert_eq!(models().await, ["n"]);
    assert_eq!(chat(&ai, &hello()).await.expect("an answer").status(), 200);
    ai.refuse_unknown_models(true);
    let refused = chat(&ai, &hello()).await.expect("an answer");
    assert_eq!(refused.status(), 404);
    assert_eq!(refused.json::<Value>().await.expect("JSON")["error"]["code"], "model_not_found");
    ai.serve_models(["m", "n"]);
    assert_eq!(chat(&ai, &hello()).await.expect("an answer").status(), 200);
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
    give_up(request, ai.journal(), |journal| !journal.chats().is_empty()).await;
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
