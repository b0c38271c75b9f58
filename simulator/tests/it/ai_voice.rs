//! Recordings that become text, and texts that become recordings, as a worker meets them.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::{
    Ai, AiOptions,
    ai::{AiCall, AiFault, ChatReply, SpeechReply, Transcript, silent_mp3, stereo_voice_note},
    journal::Credential,
};

use crate::setup::{SOON, client, give_up};

async fn ai() -> Ai {
    Ai::start(AiOptions::default()).await.expect("a free port")
}

/// Asks for the words of a recording, with these fields beside it.
async fn transcribe(ai: &Ai, recording: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    let file =
        "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.ogg\"\r\nContent-Type: audio/ogg\r\n";
    let form = format!("{}{file}\r\n{recording}\r\n--B--\r\n", fields.collect::<String>());
    let request = client().post(format!("{}/audio/transcriptions", ai.url()));
    let request = request.header("content-type", "multipart/form-data; boundary=B").body(form);
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

async fn speak(ai: &Ai, path: &str, text: &str) -> reqwest::Response {
    let request = client().post(format!("{}/v1/text-to-speech/{path}", ai.speech_url())).header("xi-api-key", "key");
    request.json(&json!({"text": text, "model_id": "eleven_flash_v2_5"})).send().await.expect("an answer")
}

#[tokio::test]
async fn how_sure_the_model_is_shows_in_the_verbose_answer_alone() {
    let ai = ai().await;
    ai.on_transcription(|_| Transcript::unsure("Guten Tag").in_language("German").into());
    let (_, plain) = transcribe(&ai, &"x".repeat(3_000), &[]).await;
    assert_eq!(plain, json!({"text": "Guten Tag", "x_groq": {"id": "req_0"}}));
    let (_, verbose) = transcribe(&ai, &"x".repeat(3_000), &[("response_format", "verbose_json")]).await;
    let expected = json!({
        "task": "transcribe", "language": "German", "duration": 1.5, "text": "Guten Tag", "x_groq": {"id": "req_1"},
        "segments": [{
            "id": 0, "seek": 0, "start": 0.0, "end": 1.5, "text": "Guten Tag", "tokens": [], "temperature": 0.0,
            "avg_logprob": -1.4, "compression_ratio": 1.2, "no_speech_prob": 0.3,
        }],
    });
    assert_eq!(verbose, expected);
    assert_eq!(ai.journal().ai_answers().pop().expect("recorded").text.as_deref(), Some("Guten Tag"));
}

#[tokio::test]
async fn silence_certainty_and_nonsense_are_one_line_each() {
    let ai = ai().await;
    let verbose = [("response_format", "verbose_json")];
    for (reply, text, no_speech_prob) in [
        (Transcript::silence().into(), "Thank you.", Some(0.96)),
        (Transcript::of("Hello").with_no_speech_prob(0.5).with_avg_logprob(-0.7).into(), "Hello", Some(0.5)),
        (ChatReply::text("Hello"), "Hello", Some(0.01)),
        (Transcript::of("").into(), "", None),
    ] {
        ai.on_transcription(move |_| reply.clone());
        let (_, answer) = transcribe(&ai, "OggS!", &verbose).await;
        let told = answer["segments"].get(0).and_then(|segment| segment["no_speech_prob"].as_f64());
        assert_eq!((answer["text"].as_str(), told), (Some(text), no_speech_prob));
    }
    ai.on_transcription(|_| ChatReply::Json(json!({"text": ["odd"]})));
    assert_eq!(transcribe(&ai, "OggS!", &verbose).await, (200, json!({"text": ["odd"]})));
}

#[tokio::test]
async fn a_responder_sees_the_whole_form() {
    let ai = ai().await;
    ai.on_transcription_request(|request| {
        let (language, prompt) = (request.language().unwrap_or("none"), request.prompt().unwrap_or("none"));
        ChatReply::text(format!("{} {language} {prompt} {}", request.model, request.bytes.len()))
    });
    let fields = [("model", "whisper-large-v3"), ("language", "de"), ("prompt", "Acme")];
    assert_eq!(transcribe(&ai, "OggS!", &fields).await.1["text"], "whisper-large-v3 de Acme 5");
    assert_eq!(transcribe(&ai, "OggS", &[]).await.1["text"], " none none 4");
}

#[tokio::test]
async fn each_text_gets_a_voice_note_of_its_own_and_the_journal_knows_it() {
    let ai = ai().await;
    let mut files = Vec::new();
    for text in ["Hello", "Hello"] {
        let response = speak(&ai, "voice-1/stream?output_format=opus_48000_32", text).await;
        assert_eq!(response.headers()["content-type"], "audio/ogg");
        files.push(response.bytes().await.expect("a file"));
    }
    assert!(files[0] != files[1] && files.iter().all(|file| file.starts_with(b"OggS")));
    let asked = ai.journal().ai_requests().pop().expect("recorded");
    let body = json!({
        "text": "Hello", "model_id": "eleven_flash_v2_5", "voice_id": "voice-1", "output_format": "opus_48000_32",
    });
    assert_eq!(
        (asked.endpoint.as_str(), asked.model.as_deref(), &asked.body),
        ("speech", Some("eleven_flash_v2_5"), &body)
    );
    let speeches = ai.journal().speeches();
    assert_eq!((speeches[1].request, speeches[1].bytes), (asked.request, files[1].len()));
    assert_ne!(speeches[0].sha256, speeches[1].sha256);
}

#[tokio::test]
async fn whoever_asks_for_no_opus_gets_none() {
    let ai = ai().await;
    let response = speak(&ai, "voice-1?output_format=mp3_44100_128", "Hello").await;
    assert_eq!(response.headers()["content-type"], "audio/mpeg");
    assert_eq!(response.bytes().await.expect("a file"), silent_mp3());
}

#[tokio::test]
async fn a_script_decides_what_is_heard() {
    let ai = ai().await;
    ai.on_speech(|request| match request.voice_id.as_str() {
        "stereo" => SpeechReply::ogg(stereo_voice_note()),
        "late" => SpeechReply::ogg(request.voice_note()).after(Duration::from_millis(30)),
        "busy" => SpeechReply::Status { code: 429, retry_after: Some(Duration::from_millis(500)), body: String::new() },
        "own" => SpeechReply::Status { code: 402, retry_after: None, body: "pay".to_owned() },
        "drop" => SpeechReply::Drop,
        _ => SpeechReply::status(404),
    });
    assert_eq!(speak(&ai, "stereo", "Hello").await.bytes().await.expect("a file"), stereo_voice_note());
    assert!(speak(&ai, "late", "Hello").await.bytes().await.expect("a file").starts_with(b"OggS"));
    let busy = speak(&ai, "busy", "Hello").await;
    assert_eq!((busy.status().as_u16(), &busy.headers()["retry-after"]), (429, &"0.5".parse().expect("a value")));
    assert_eq!(busy.json::<Value>().await.expect("JSON")["detail"]["status"], "too_many_concurrent_requests");
    assert_eq!(speak(&ai, "own", "Hello").await.text().await.expect("a body"), "pay");
    let unknown: Value = speak(&ai, "nobody", "Hello").await.json().await.expect("JSON");
    assert_eq!(unknown["detail"]["status"], "voice_not_found");
    let dropped = client().post(format!("{}/v1/text-to-speech/drop", ai.speech_url())).json(&json!({"text": "Hello"}));
    dropped.send().await.expect_err("the connection is cut");
    assert_eq!(ai.journal().speeches().len(), 2, "an error is no recording");
    ai.faults().next(AiCall::Speech, AiFault::Garbage);
    assert_eq!(speak(&ai, "stereo", "Hello").await.headers()["content-type"], "application/json");
    ai.add_key("elevenlabs", &SecretString::from("other"));
    assert_eq!(speak(&ai, "stereo", "Hello").await.status(), 401);
    assert_eq!(ai.journal().ai_requests().pop().expect("recorded").credential, Credential::Unknown);
}

#[tokio::test]
async fn a_text_that_nobody_waits_to_hear_is_recorded_as_such() {
    let ai = ai().await;
    ai.on_speech(|_| SpeechReply::Hang);
    let request = client().post(format!("{}/v1/text-to-speech/v", ai.speech_url())).json(&json!({"text": "Hello"}));
    give_up(request, ai.journal(), |journal| !journal.ai_requests().is_empty()).await;
    let answer = ai.journal().wait_for(|journal| journal.ai_answers().pop(), SOON).await.expect("recorded");
    assert!(answer.abandoned && ai.journal().speeches().is_empty());
}

#[tokio::test]
async fn every_voice_is_there_until_some_are_named() {
    let ai = Ai::start(AiOptions::default()).await.expect("a free port");
    let ask = async |id: &str| {
        let request = client().get(format!("{}/v1/voices/{id}", ai.speech_url())).header("xi-api-key", "any");
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.expect("JSON"))
    };
    assert_eq!(ask("lina").await.1["voice_id"], "lina");
    ai.serve_voices(["omar"]);
    let (status, answer) = ask("lina").await;
    assert_eq!((status, &answer["detail"]["status"]), (404, &serde_json::json!("voice_not_found")));
    assert_eq!(ask("omar").await.0, 200);
}
