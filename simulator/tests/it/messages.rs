//! Messages of every type as Meta takes and refuses them.

use serde_json::{Value, json};
use simulator::{
    Meta, MetaOptions,
    files::{pdf_saying, silent_mp3, silent_voice_note, stereo_voice_note, tiny_jpeg, tiny_png},
};

use crate::setup::{ANA, meta, send};

/// Sends a message of this type; gives the code of the refusal, or none, and what it says.
async fn try_to_send(meta: &Meta, kind: &str, particulars: &Value) -> (Option<i64>, String) {
    let body = json!({"messaging_product": "whatsapp", "to": format!("+{ANA}"), "type": kind, kind: particulars});
    let (_, answer) = send(meta, "1001", "token-of-acme", &body).await;
    let error = &answer["error"];
    let said = [&error["message"], &error["error_data"]["details"]].map(|text| text.as_str().unwrap_or_default());
    (error["code"].as_i64(), said.join(" "))
}

/// Sends a message with this change and sees it refused with this code and a word about that field.
async fn refused(meta: &Meta, kind: &str, good: &Value, at: &str, bad: Value, code: i64, field: &str) {
    let mut particulars = good.clone();
    let (parent, key) = at.rsplit_once('/').expect("a pointer");
    let parent = particulars.pointer_mut(parent).expect("a place");
    match (parent, bad) {
        (Value::Object(fields), Value::Null) => drop(fields.remove(key)),
        (parent, bad) => parent[key] = bad,
    }
    let (found, said) = try_to_send(meta, kind, &particulars).await;
    assert_eq!(found, Some(code), "{at}: {particulars}");
    assert!(said.contains(field), "{at}: {said}");
}

fn buttons() -> Value {
    let button = |id: &str, title: &str| json!({"type": "reply", "reply": {"id": id, "title": title}});
    json!({
        "type": "button", "header": {"type": "text", "text": "h".repeat(60)}, "body": {"text": "b".repeat(1_024)},
        "footer": {"text": "f".repeat(60)},
        "action": {"buttons": [button(&"i".repeat(256), &"t".repeat(20)), button("2", "Two"), button("3", "Three")]},
    })
}

fn list() -> Value {
    let row = |n: usize| json!({"id": format!("{n:0200}"), "title": format!("{n:024}"), "description": "d".repeat(72)});
    let rows = |from: usize, to: usize| (from..to).map(row).collect::<Vec<_>>();
    json!({"type": "list", "body": {"text": "Pick"}, "action": {"button": "b".repeat(20), "sections": [
        {"title": "s".repeat(24), "rows": rows(0, 6)}, {"title": "T", "rows": rows(6, 10)},
    ]}})
}

#[tokio::test]
async fn messages_at_their_limits_are_taken_and_read() {
    let (meta, acme) = meta(MetaOptions::default()).await;
    let file = |mime_type: &str, bytes: Vec<u8>| meta.store_media(&acme, mime_type, bytes).id;
    let link = json!({"type": "cta_url", "body": {"text": "See"}, "action": {
        "name": "cta_url", "parameters": {"display_text": "Open", "url": "https://example.com"},
    }});
    let (png, jpeg, pdf) = (tiny_png(), tiny_jpeg(), pdf_saying("Hours"));
    let note = file("audio/ogg", silent_voice_note());
    let named = file("audio/ogg; codecs=opus", b"OggS!".to_vec());
    let cases = [
        ("interactive", buttons(), Some("b".repeat(1_024))),
        ("interactive", list(), Some("Pick".to_owned())),
        ("interactive", link, Some("See".to_owned())),
        ("location", json!({"latitude": -90, "longitude": 180.0, "name": "Here", "address": "1 Way"}), None),
        ("reaction", json!({"message_id": "wamid.X", "emoji": ""}), None),
        ("image", json!({"id": file("image/png", png), "caption": "c".repeat(1_024)}), Some("c".repeat(1_024))),
        ("image", json!({"id": file("image/jpeg", jpeg)}), None),
        ("image", json!({"link": "https://example.com/a.png"}), None),
        ("document", json!({"id": file("application/pdf", pdf), "filename": "a.pdf"}), None),
        ("audio", json!({"id": note, "voice": true}), None),
        ("audio", json!({"id": named, "voice": true}), None),
        ("audio", json!({"id": file("audio/mpeg", silent_mp3())}), None),
        ("contacts", json!([{"name": {"formatted_name": "Ana"}}]), None),
        ("template", json!({"name": "hello_world", "language": {"code": "en_US"}}), None),
    ];
    for (kind, particulars, _) in &cases {
        let (code, said) = try_to_send(&meta, kind, particulars).await;
        assert_eq!(code, None, "{kind}: {said}");
    }
    let received = meta.journal().messages_for("1001", ANA);
    let read: Vec<_> = received.iter().map(|send| (&*send.message_type, send.words().map(str::to_owned))).collect();
    assert_eq!(read, cases.map(|(kind, _, words)| (kind, words)));
    assert!(meta.journal().texts_for("1001", ANA).is_empty());
}

#[tokio::test]
async fn buttons_beyond_a_limit_are_refused_by_their_field() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let good = buttons();
    let first = "/action/buttons/0/reply";
    let four = vec![good["action"]["buttons"][1].clone(); 4];
    for (at, bad, code, field) in [
        ("/type".to_owned(), Value::Null, 100, "interactive['type']"),
        ("/body/text".to_owned(), json!("b".repeat(1_025)), 131_009, "interactive['body']['text']"),
        ("/body/text".to_owned(), json!(""), 131_009, "interactive['body']['text']"),
        ("/body".to_owned(), Value::Null, 100, "interactive['body']['text']"),
        ("/header/text".to_owned(), json!("h".repeat(61)), 131_009, "interactive['header']['text']"),
        ("/header/type".to_owned(), json!("song"), 131_009, "interactive['header']['type']"),
        ("/footer/text".to_owned(), json!("f".repeat(61)), 131_009, "interactive['footer']['text']"),
        ("/action".to_owned(), Value::Null, 100, "interactive['action']"),
        ("/action/buttons".to_owned(), json!([]), 131_009, "['buttons'] must have 1 to 3 items"),
        ("/action/buttons".to_owned(), json!(four), 131_009, "['buttons'] must have 1 to 3 items"),
        (format!("{first}/title"), json!("t".repeat(21)), 131_009, "['buttons'][0]['reply']['title']"),
        (format!("{first}/title"), json!(" "), 131_009, "['buttons'][0]['reply']['title']"),
        (format!("{first}/title"), json!("Two"), 131_009, "['buttons'][1]['reply']['title'] must be unique"),
        (format!("{first}/title"), json!("👍".repeat(11)), 131_009, "['buttons'][0]['reply']['title']"),
        (format!("{first}/id"), json!("i".repeat(257)), 131_009, "['buttons'][0]['reply']['id']"),
        (format!("{first}/id"), json!("2"), 131_009, "['buttons'][1]['reply']['id'] must be unique"),
        (format!("{first}/id"), Value::Null, 100, "['buttons'][0]['reply']['id']"),
        ("/action/buttons/0/type".to_owned(), json!("url"), 131_009, "['buttons'][0]['type']"),
    ] {
        refused(&meta, "interactive", &good, &at, bad, code, field).await;
    }
}

#[tokio::test]
async fn lists_beyond_a_limit_are_refused_by_their_field() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let good = list();
    let (row, sections) = ("/action/sections/0/rows/0", "/action/sections");
    let mut eleven = good["action"]["sections"].clone();
    eleven[1]["rows"].as_array_mut().expect("a list").push(json!({"id": "new", "title": "New"}));
    for (at, bad, code, field) in [
        ("/action/button".to_owned(), json!("b".repeat(21)), 131_009, "interactive['action']['button']"),
        ("/action/button".to_owned(), Value::Null, 100, "interactive['action']['button']"),
        (
            "/header".to_owned(),
            json!({"type": "image", "image": {"id": "1"}}),
            131_009,
            "interactive['header']['type']",
        ),
        (sections.to_owned(), json!([]), 131_009, "['sections'] must have 1 to 10 items"),
        (sections.to_owned(), eleven, 131_009, "['sections'] must have at most 10 rows in all"),
        (format!("{sections}/0/title"), json!("s".repeat(25)), 131_009, "['sections'][0]['title']"),
        (format!("{sections}/0/title"), Value::Null, 100, "['sections'][0]['title']"),
        (format!("{sections}/1/rows"), json!([]), 131_009, "['sections'][1]['rows'] must have 1 to 10 items"),
        (format!("{row}/title"), json!("t".repeat(25)), 131_009, "['rows'][0]['title']"),
        (format!("{row}/description"), json!("d".repeat(73)), 131_009, "['rows'][0]['description']"),
        (format!("{row}/id"), json!("i".repeat(201)), 131_009, "['rows'][0]['id']"),
        (format!("{row}/id"), json!(format!("{:0200}", 9)), 131_009, "['sections'][1]['rows'][3]['id'] must be unique"),
    ] {
        refused(&meta, "interactive", &good, &at, bad, code, field).await;
    }
    let untitled = json!([{"rows": [{"id": "1", "title": "One"}]}]);
    let alone = json!({"type": "list", "body": {"text": "Pick"}, "action": {"button": "Open", "sections": untitled}});
    assert_eq!(try_to_send(&meta, "interactive", &alone).await.0, None, "one section needs no title");
}

#[tokio::test]
async fn places_and_reactions_must_be_whole() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let place = json!({"latitude": 1.5, "longitude": 2, "name": "Here"});
    for (at, bad, code, field) in [
        ("/latitude", json!(90.1), 131_009, "location['latitude']"),
        ("/latitude", json!("1.5"), 131_009, "location['latitude']"),
        ("/longitude", json!(-180.1), 131_009, "location['longitude']"),
        ("/longitude", Value::Null, 100, "location['longitude']"),
        ("/name", json!(7), 131_009, "location['name']"),
    ] {
        refused(&meta, "location", &place, at, bad, code, field).await;
    }
    let reaction = json!({"message_id": "wamid.X", "emoji": "👍"});
    refused(&meta, "reaction", &reaction, "/message_id", json!(""), 100, "reaction['message_id']").await;
    refused(&meta, "reaction", &reaction, "/emoji", Value::Null, 100, "reaction['emoji']").await;
}

#[tokio::test]
async fn a_file_must_be_there_be_the_numbers_own_and_be_what_it_is_called() {
    let (meta, acme) = meta(MetaOptions::default()).await;
    let bolt = simulator::Business::new("bolt", "2002");
    let file = |mime_type: &str, bytes: Vec<u8>| meta.store_media(&acme, mime_type, bytes).id;
    let (foreign, picture) = (meta.store_media(&bolt, "image/png", tiny_png()).id, file("image/png", tiny_png()));
    let image = json!({"id": picture, "caption": "Blue"});
    for (at, bad, code, field) in [
        ("/id", json!("1"), 100, "image['id']"),
        ("/id", json!(1), 100, "image['id']"),
        ("/id", json!(foreign), 100, "image['id']"),
        ("/id", Value::Null, 100, "image['id']"),
        ("/id", json!(file("audio/ogg", silent_voice_note())), 131_053, "image['id']"),
        ("/caption", json!("c".repeat(1_025)), 131_009, "image['caption']"),
        ("/voice", json!(true), 100, "\"voice\" on param \"image\""),
    ] {
        refused(&meta, "image", &image, at, bad, code, field).await;
    }
    let link = json!({"link": "ftp://example.com/a.png"});
    assert_eq!(try_to_send(&meta, "image", &link).await.0, Some(131_009));
    let voice = json!({"id": file("audio/ogg", silent_voice_note()), "voice": true});
    for (at, bad, code, field) in [
        ("/id", json!(file("audio/mpeg", silent_mp3())), 131_009, "audio['voice']"),
        ("/id", json!(file("audio/ogg", b"OggS!".to_vec())), 131_009, "audio['voice']"),
        ("/id", json!(file("audio/ogg; codecs=opus", stereo_voice_note())), 131_053, "audio['voice']"),
        ("/voice", json!("true"), 131_009, "audio['voice']"),
        ("/caption", json!("Hello"), 100, "\"caption\" on param \"audio\""),
    ] {
        refused(&meta, "audio", &voice, at, bad, code, field).await;
    }
    assert!(meta.journal().accepted().is_empty());
}
