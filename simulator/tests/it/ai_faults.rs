//! Every fault of the AI, as the client and as the journal see it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use simulator::{
    Ai, AiOptions, Seed,
    ai::{AiCall, AiChances, AiFault, ChatReply},
};

use crate::setup::{SOON, client, give_up};

async fn ai() -> Ai {
    Ai::start(AiOptions::default()).await.expect("a free port")
}

fn saying(words: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": words}]})
}

fn request(ai: &Ai, words: &str) -> reqwest::RequestBuilder {
    client().post(format!("{}/chat/completions", ai.url())).bearer_auth("key").json(&saying(words))
}

async fn chat(ai: &Ai, words: &str) -> reqwest::Result<reqwest::Response> {
    request(ai, words).send().await
}

/// The HTTP status of one chat.
async fn status(ai: &Ai, words: &str) -> u16 {
    chat(ai, words).await.expect("an answer").status().as_u16()
}

/// What the journal says was answered last: the HTTP status, whether there were words, and whether the client left.
fn recorded(ai: &Ai) -> (Option<u16>, bool, bool) {
    let answer = ai.journal().ai_answers().pop().expect("recorded");
    (answer.http, answer.text.is_some(), answer.abandoned)
}

#[tokio::test]
async fn every_chance_is_the_fault_that_it_says() {
    let ai = ai().await;
    let none = AiChances::default();
    let chance = |chances: AiChances| {
        ai.faults().clear();
        ai.faults().chances(Seed(1), AiCall::Chat, chances);
    };
    let waits = Duration::from_millis(1_250)..=Duration::from_millis(1_250);
    for (chances, code, wait) in [
        (AiChances { throttled: 1.0, with_retry_after: 1.0, retry_after: waits, ..none.clone() }, 429, Some("1.25")),
        (AiChances { throttled: 1.0, ..none.clone() }, 429, None),
        (AiChances { failed: 1.0, ..none.clone() }, 500, None),
        (AiChances { unavailable: 1.0, ..none.clone() }, 503, None),
    ] {
        chance(chances);
        let response = chat(&ai, "Hello").await.expect("an answer");
        assert_eq!(response.status(), code);
        let header = response.headers().get("retry-after").map(|value| value.to_str().expect("ASCII").to_owned());
        assert_eq!(header.as_deref(), wait);
        assert!(response.json::<Value>().await.expect("JSON")["error"]["message"].is_string());
        assert_eq!(recorded(&ai), (Some(code), false, false));
    }

    chance(AiChances { dropped: 1.0, ..none.clone() });
    chat(&ai, "Hello").await.expect_err("the connection is cut");
    assert_eq!(recorded(&ai), (None, false, false));

    chance(AiChances { garbage: 1.0, ..none.clone() });
    let response = chat(&ai, "Hello").await.expect("an answer");
    assert_eq!(response.status(), 200);
    response.json::<Value>().await.expect_err("no JSON");
    assert_eq!(recorded(&ai), (Some(200), false, false));

    chance(AiChances { empty: 1.0, ..none.clone() });
    let answer: Value = chat(&ai, "Hello").await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(recorded(&ai), (Some(200), false, false));

    let slowness = Duration::from_millis(100)..=Duration::from_millis(120);
    chance(AiChances { slow: 1.0, slowness, ..none.clone() });
    let began = Instant::now();
    assert!(chat(&ai, "Hello").await.expect("an answer").text().await.expect("a body").contains("You said"));
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!(recorded(&ai), (Some(200), true, false));

    chance(AiChances { hanging: 1.0, ..none });
    let before = ai.journal().chats().len();
    give_up(request(&ai, "Hello"), ai.journal(), |journal| journal.chats().len() > before).await;
    let left = |journal: &simulator::Journal| journal.ai_answers().iter().any(|answer| answer.abandoned);
    ai.journal().wait_until(left, SOON).await.expect("recorded");
    assert_eq!(recorded(&ai), (None, false, true));
}

/// What meets a chat that is repeated so often, and how it ends for other chats in between.
async fn fates(seed: u64, words: &str, times: usize, in_between: &[&str]) -> Vec<u16> {
    let ai = ai().await;
    let chances = AiChances { failed: 0.25, unavailable: 0.25, ..AiChances::default() };
    ai.faults().chances(Seed(seed), AiCall::Chat, chances);
    let mut fates = Vec::new();
    for _ in 0..times {
        for other in in_between {
            status(&ai, other).await;
        }
        fates.push(status(&ai, words).await);
    }
    fates
}

#[tokio::test]
async fn each_try_of_a_chat_draws_anew_and_other_chats_change_nothing() {
    let alone = fates(7, "Hello", 40, &[]).await;
    assert_eq!(alone, fates(7, "Hello", 40, &["Good morning", "Good night"]).await);
    assert_ne!(alone, fates(8, "Hello", 40, &[]).await);
    assert_ne!(alone, fates(7, "Good morning", 40, &[]).await);
    for code in [200, 500, 503] {
        assert!(alone.contains(&code), "{code} happens");
    }
}

#[tokio::test]
async fn faults_come_before_the_responder_and_end_with_clear() {
    let ai = ai().await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    ai.on_chat(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        ChatReply::text("Hi")
    });
    ai.faults().next(AiCall::Chat, AiFault::Status(500));
    ai.faults().schedule(AiCall::Chat, [None, Some(AiFault::Throttled { retry_after: None })]);
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(status(&ai, "Hello").await);
    }
    assert_eq!((codes, asked.load(Ordering::Relaxed)), (vec![500, 200, 429, 200], 2));
    ai.faults().rule(|attempt| (attempt.repetition == 6).then_some(AiFault::Status(503)));
    ai.faults().always(AiCall::Chat, AiFault::Empty);
    assert_eq!((status(&ai, "Hello").await, recorded(&ai).1), (200, false));
    assert_eq!(status(&ai, "Hello").await, 503);
    ai.faults().clear();
    assert_eq!((status(&ai, "Hello").await, recorded(&ai).1), (200, true));
}

#[tokio::test]
async fn voice_goes_wrong_as_chats_do_and_the_list_of_models_never() {
    let ai = ai().await;
    let transcribe = || {
        let form = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.ogg\"\r\n\r\nOggS!\r\n--B--\r\n";
        let request = client().post(format!("{}/audio/transcriptions", ai.url()));
        request.header("content-type", "multipart/form-data; boundary=B").body(form).send()
    };
    let speak = || {
        let request = client().post(format!("{}/v1/text-to-speech/voice-1", ai.speech_url()));
        request.json(&json!({"text": "Hello"})).send()
    };
    for call in [AiCall::Transcription, AiCall::Speech] {
        ai.faults().schedule(call, [Some(AiFault::Status(503)), Some(AiFault::Empty)]);
    }
    ai.faults().always(AiCall::Chat, AiFault::Status(500));
    assert_eq!(transcribe().await.expect("an answer").status(), 503);
    assert_eq!(speak().await.expect("an answer").status(), 503);
    assert_eq!(transcribe().await.expect("an answer").json::<Value>().await.expect("JSON")["text"], "");
    assert!(speak().await.expect("an answer").bytes().await.expect("a body").is_empty());
    assert!(speak().await.expect("an answer").bytes().await.expect("a body").starts_with(b"OggS"));
    assert_eq!(client().get(format!("{}/models", ai.url())).send().await.expect("an answer").status(), 200);
}
