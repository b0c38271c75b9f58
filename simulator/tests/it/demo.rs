//! The demo companion over HTTP, as a worker asks a model: chat with tools, a recording, a text to be spoken.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use simulator::{Ai, AiOptions, demo, files::silent_voice_note};

use crate::setup::client;

async fn ai() -> Ai {
    let ai = Ai::start(AiOptions::default()).await.expect("a free port");
    demo::install(&ai);
    ai
}

async fn message(ai: &Ai, body: &Value) -> Value {
    let request = client().post(format!("{}/chat/completions", ai.url())).bearer_auth("key").json(body);
    let mut answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    answer["choices"][0]["message"].take()
}

#[tokio::test]
async fn a_fact_is_noted_by_a_tool_and_confirmed_in_words() {
    let ai = ai().await;
    let mut body = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "You write for Taza Azul on WhatsApp.\nWrite in this language: Spanish."},
            {"role": "user", "content": "Me llamo Ana"},
        ],
        "tools": [{"type": "function", "function": {"name": "remember", "parameters": {"type": "object"}}}],
    });
    let asked = message(&ai, &body).await;
    let call = &asked["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "remember", "arguments": r#"{"fact":"se llama Ana"}"#}));
    let result = json!({"role": "tool", "tool_call_id": call["id"], "content": "Done."});
    let messages = body["messages"].as_array_mut().expect("a list");
    messages.extend([asked, result]);
    let answered = message(&ai, &body).await;
    let words = answered["content"].as_str().expect("words");
    assert!(
        words.starts_with("Soy la demo incluida, no una IA") && words.contains("He apuntado «se llama Ana»"),
        "{words}"
    );
    assert!(answered.get("tool_calls").is_none());
}

#[tokio::test]
async fn a_recording_is_not_heard_and_a_text_sounds() {
    let ai = ai().await;
    let file = Part::bytes(silent_voice_note()).file_name("voice.ogg");
    let form = Form::new().text("model", "m").text("response_format", "verbose_json").text("language", "es");
    let request = client().post(format!("{}/audio/transcriptions", ai.url())).multipart(form.part("file", file));
    let heard: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(heard["text"], "[The customer sent a voice message of 1 s, which nobody here can hear.]");
    assert_eq!(heard["language"], "es");
    let request = client().post(format!("{}/v1/text-to-speech/kim?output_format=opus_48000_32", ai.speech_url()));
    let spoken = request.json(&json!({"text": "Hello there"})).send().await.expect("an answer");
    let spoken = spoken.bytes().await.expect("a recording");
    assert!(spoken.starts_with(b"OggS") && spoken.len() > 1_000, "{}", spoken.len());
}
