//! Files on their way: up, found, down, from another host, and everything that goes wrong with them.

use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::{
    Ai, AiOptions, Host, Meta, MetaOptions,
    files::{silent_voice_note, tiny_png},
    host::HostReply,
    journal::Credential,
    meta::{Call, Fault, Refusal, Where},
};

use crate::setup::{ANA, client, give_up, meta, send};

/// Uploads a file as acme; gives the id, or the code of the refusal.
async fn upload(meta: &Meta, product: &str, mime_type: &str, file: &[u8]) -> Result<String, i64> {
    let head = format!(
        "--B\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\n{product}\r\n--B\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nContent-Type: {mime_type}\r\n\r\n"
    );
    let form = [head.as_bytes(), file, b"\r\n--B--\r\n"].concat();
    let request = client().post(format!("{}/1001/media", meta.graph_url())).bearer_auth("token-of-acme");
    let request = request.header("content-type", "multipart/form-data; boundary=B").body(form);
    let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    answer["id"].as_str().map(str::to_owned).ok_or_else(|| answer["error"]["code"].as_i64().expect("a code"))
}

/// The URL of a file, and what else Meta says of it.
async fn find(meta: &Meta, id: &str) -> (u16, Value) {
    let request = client().get(format!("{}/{id}", meta.graph_url())).bearer_auth("token-of-acme");
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

async fn download(url: &str, token: Option<&str>) -> u16 {
    let request = token.map_or_else(|| client().get(url), |token| client().get(url).bearer_auth(token));
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn what_was_uploaded_is_told_with_its_fingerprint() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let note = silent_voice_note();
    let id = upload(&meta, "whatsapp", "audio/ogg; codecs=opus", &note).await.expect("taken");
    let (_, found) = find(&meta, &id).await;
    let uploaded = meta.journal().uploads().pop().expect("recorded");
    assert_eq!((&uploaded.media_id, uploaded.bytes, uploaded.phone_number_id.as_str()), (&id, note.len(), "1001"));
    assert_eq!((&found["sha256"], &found["id"]), (&json!(uploaded.sha256), &json!(id)));
    assert_eq!(
        (&found["file_size"], &found["mime_type"]),
        (&json!(note.len().to_string()), &json!("audio/ogg; codecs=opus"))
    );
    assert_eq!(uploaded.credential, Credential::Of("acme".to_owned()));
}

#[tokio::test]
async fn what_a_voice_message_says_is_known_from_the_file() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let ai = Ai::start(AiOptions::default().with_journal(meta.journal())).await.expect("a free port");
    let speech = format!("{}/v1/text-to-speech/voice-1?output_format=opus_48000_32", ai.speech_url());
    let mut ids = Vec::new();
    for words in ["Yes, in blue.", "No."] {
        let spoken = client().post(&speech).json(&json!({"text": words})).send().await.expect("an answer");
        let note = spoken.bytes().await.expect("a file");
        ids.push(upload(&meta, "whatsapp", "audio/ogg", &note).await.expect("taken"));
    }
    ids.push(upload(&meta, "whatsapp", "audio/ogg", &silent_voice_note()).await.expect("taken"));
    for id in &ids {
        let voice = json!({"id": id, "voice": true});
        let body = json!({"messaging_product": "whatsapp", "to": format!("+{ANA}"), "type": "audio", "audio": voice});
        assert_eq!(send(&meta, "1001", "token-of-acme", &body).await.0, 200);
    }
    let said: Vec<_> =
        meta.journal().messages_for("1001", ANA).iter().map(|send| meta.journal().spoken(send)).collect();
    assert_eq!(said, [Some("Yes, in blue.".to_owned()), Some("No.".to_owned()), None]);
}

#[tokio::test]
async fn uploads_that_meta_does_not_take_are_refused() {
    let (meta, _) = meta(MetaOptions::default()).await;
    assert_eq!(upload(&meta, "whatsapp", "audio/wav", b"RIFF").await, Err(100));
    assert_eq!(upload(&meta, "telegram", "image/png", &tiny_png()).await, Err(100));
    assert_eq!(upload(&meta, "whatsapp", "image/png", b"").await, Err(131_053));
    assert_eq!(upload(&meta, "whatsapp", "image/webp", &[0; 500 * 1024 + 1]).await, Err(131_053));
    assert!(upload(&meta, "whatsapp", "image/webp", &[0; 500 * 1024]).await.is_ok());
    assert_eq!(meta.journal().uploads().len(), 1, "what was refused is no upload");
}

#[tokio::test]
async fn a_download_needs_the_bearer_and_expires_on_demand() {
    let (meta, acme) = meta(MetaOptions::default()).await;
    let media = meta.store_media(&acme, "image/png", tiny_png());
    let url = find(&meta, &media.id).await.1["url"].as_str().expect("a URL").to_owned();
    assert_eq!(download(&url, None).await, 401);
    meta.faults().expire_downloads(2);
    let mut seen = Vec::new();
    for _ in 0..3 {
        assert_eq!(find(&meta, &media.id).await.0, 200, "the id is still good");
        seen.push(download(&url, Some("token-of-acme")).await);
    }
    assert_eq!(seen, [404, 404, 200]);
}

#[tokio::test]
async fn a_rule_tells_the_ways_of_a_file_apart_or_takes_them_all() {
    let (meta, acme) = meta(MetaOptions::default()).await;
    let media = meta.store_media(&acme, "image/png", tiny_png());
    let url = find(&meta, &media.id).await.1["url"].as_str().expect("a URL").to_owned();
    let outcome = || async {
        let uploaded = upload(&meta, "whatsapp", "image/png", &tiny_png()).await.is_ok();
        (uploaded, find(&meta, &media.id).await.0 == 200, download(&url, Some("token-of-acme")).await == 200)
    };
    for (call, expected) in [
        (Call::Upload, (false, true, true)),
        (Call::MediaUrl, (true, false, true)),
        (Call::Download, (true, true, false)),
        (Call::DeleteMedia, (true, true, true)),
        (Call::Media, (false, false, false)),
        (Call::Send, (true, true, true)),
    ] {
        meta.faults().clear();
        meta.faults().always(Where::call(call).from("1001"), Fault::Refuse(Refusal::code(131_000)));
        assert_eq!(outcome().await, expected, "{call:?}");
    }
    meta.faults().clear();
    meta.faults().always(Where::call(Call::Media).from("2002"), Fault::Refuse(Refusal::code(131_000)));
    assert_eq!(outcome().await, (true, true, true), "the files of another number");
}

#[tokio::test]
async fn files_can_be_served_from_a_host_that_sees_every_header_but_no_secret() {
    let (meta, acme) = meta(MetaOptions::default()).await;
    let host = Host::start(meta.journal()).await.expect("a free port");
    host.add_key("acme", &acme.token);
    host.on_request(|_| HostReply::file("image/png", tiny_png()));
    meta.serve_media_from(format!("{}/files/", host.url()));
    let media = meta.store_media(&acme, "image/png", tiny_png());
    let url = find(&meta, &media.id).await.1["url"].as_str().expect("a URL").to_owned();
    assert_eq!(url, format!("{}/files/{}", host.url(), media.id));
    let file = client().get(&url).send().await.expect("an answer");
    assert_eq!(file.headers()["content-type"], "image/png");
    assert_eq!(file.bytes().await.expect("bytes"), tiny_png());
    assert_eq!(download(&url, Some("token-of-acme")).await, 200);
    let seen = host.requests();
    assert_eq!(seen[0].credential, Credential::Missing);
    assert_eq!(seen[1].credential, Credential::Of("acme".to_owned()), "a leak shows");
    assert!(!format!("{seen:?}").contains("token-of-acme"));
}

#[tokio::test]
async fn a_host_records_what_came_and_answers_as_it_is_told() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let host = Host::start(meta.journal()).await.expect("a free port");
    let other = Host::start(meta.journal()).await.expect("a free port");
    host.add_key("acme", &SecretString::from("s3cret"));
    host.on_request(|request| match request.path.as_str() {
        "/stock" => HostReply::json(&json!({"left": request.body["product"]})),
        "/moved" => HostReply::redirect("http://127.0.0.1:1/"),
        "/cut" => HostReply::Drop,
        _ => HostReply::status(503).with_header("retry-after", "2").after(std::time::Duration::from_millis(5)),
    });
    let stock = client().post(format!("{}/stock?key=s3cret", host.url())).header("x-key", "key s3cret");
    let answer: Value = stock.json(&json!({"product": 7})).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer, json!({"left": 7}));
    let busy = client().post(format!("{}/busy", host.url())).basic_auth("a", Some("b")).body(vec![0xff, 0xfe]);
    let busy = busy.send().await.expect("an answer");
    assert_eq!((busy.status().as_u16(), &busy.headers()["retry-after"]), (503, &"2".parse().expect("a value")));
    client().get(format!("{}/cut", host.url())).send().await.expect_err("the connection is cut");
    assert_eq!(download(&format!("{}/any", other.url()), None).await, 404);

    let seen = host.requests();
    let ways: Vec<_> = seen.iter().map(|request| (request.method.as_str(), request.path.as_str())).collect();
    assert_eq!(ways, [("POST", "/stock"), ("POST", "/busy"), ("GET", "/cut")]);
    assert_eq!(
        (seen[0].query.as_deref(), seen[0].header("x-key")),
        (Some("key=<secret of acme>"), Some("key <secret of acme>"))
    );
    assert_eq!((&seen[0].body, &seen[0].credential), (&json!({"product": 7}), &Credential::Missing));
    assert_eq!((&seen[1].body["bytes"], &seen[1].credential), (&json!(2), &Credential::Unknown));
    assert_eq!((seen[1].header("authorization"), &seen[2].body), (None, &Value::Null));
    host.on_request(|_| HostReply::Hang);
    give_up(client().get(host.url()), meta.journal(), |_| host.requests().len() == 4).await;
}

#[tokio::test]
async fn a_file_may_be_said_to_lie_anywhere_and_its_download_to_lead_away() {
    let (meta, acme) = meta(MetaOptions::default()).await;
    let media = meta.store_media(&acme, "image/png", tiny_png());
    let elsewhere = json!({"url": "http://10.0.0.8/file", "file_size": "62914560"});
    meta.faults().next(Where::call(Call::MediaUrl), Fault::Answer(elsewhere.clone()));
    assert_eq!(find(&meta, &media.id).await, (200, elsewhere));
    let url = find(&meta, &media.id).await.1["url"].as_str().expect("a URL").to_owned();
    meta.faults().next(Where::call(Call::Download), Fault::Redirect("http://10.0.0.8/file".to_owned()));
    let staying = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let led = staying.get(&url).bearer_auth("token-of-acme").send().await.expect("an answer");
    assert_eq!(
        (led.status().as_u16(), &led.headers()["location"]),
        (302, &"http://10.0.0.8/file".parse().expect("a value"))
    );
}
