//! The Graph API without faults: golden answers, and everything that it refuses.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::{
    Meta, MetaOptions, Seed,
    journal::{Credential, Decision},
    meta::App,
};

use crate::setup::{ANA, SECRET, client, meta, send, text};

#[tokio::test]
async fn a_text_is_answered_as_meta_answers_it_and_recorded() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let mut body = text("Hello");
    body["context"] = json!({"message_id": "wamid.QUOTED"});
    let (status, answer) = send(&meta, "1001", "token-of-acme", &body).await;
    let wamid = answer["messages"][0]["id"].as_str().expect("an id").to_owned();
    assert!(wamid.starts_with("wamid."), "{wamid}");
    let contacts = json!([{"input": format!("+{ANA}"), "wa_id": ANA}]);
    let golden = json!({"messaging_product": "whatsapp", "contacts": contacts, "messages": [{"id": wamid}]});
    assert_eq!((status, answer), (200, golden));

    let sent = meta.journal().sends().pop().expect("recorded");
    assert_eq!((sent.customer(), sent.text(), sent.decision), (ANA, Some("Hello"), Decision::Accepted));
    assert_eq!(sent.wamid.as_deref(), Some(wamid.as_str()));
    assert_eq!(sent.opaque.as_deref(), Some("v1:acme:r1:0:1"));
    assert_eq!(sent.context_id.as_deref(), Some("wamid.QUOTED"));
    assert_eq!(sent.credential, Credential::Of("acme".to_owned()));
    assert_eq!(meta.journal().texts_for("1001", ANA), ["Hello"]);
}

#[tokio::test]
async fn a_customer_without_a_number_is_reached_by_user_id() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let user = "DE.13491208655302741918";
    let body = json!({"messaging_product": "whatsapp", "recipient": user, "type": "text", "text": {"body": "Hello"}});
    let (status, answer) = send(&meta, "1001", "token-of-acme", &body).await;
    assert_eq!((status, &answer["contacts"]), (200, &json!([{"input": user, "user_id": user}])));
    assert_eq!(meta.journal().texts_for("1001", user), ["Hello"]);
}

#[tokio::test]
async fn read_receipts_succeed_for_any_message_and_show_the_typing() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let mut body = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.NEVER_SEEN"});
    assert_eq!(send(&meta, "1001", "token-of-acme", &body).await, (200, json!({"success": true})));
    body["typing_indicator"] = json!({"type": "text"});
    assert_eq!(send(&meta, "1001", "token-of-acme", &body).await.0, 200);
    let typing: Vec<_> = meta.journal().reads().iter().map(|read| read.typing).collect();
    assert_eq!(typing, [false, true]);
    assert!(meta.journal().sends().is_empty(), "a receipt is no message");
}

#[tokio::test]
async fn what_meta_refuses_is_refused_and_recorded() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = text("Hello");
        change(&mut body);
        body
    };
    let remove = |key: &'static str| with(&move |body| drop(body.as_object_mut().expect("an object").remove(key)));
    let cases = [
        (remove("messaging_product"), 100),
        (remove("to"), 100),
        (remove("text"), 131_008),
        (with(&|body| body["to"] = json!("ana")), 131_009),
        (with(&|body| body["to"] = json!("")), 100),
        (with(&|body| body["text"]["body"] = json!("")), 100),
        (with(&|body| body["text"]["body"] = json!("👍".repeat(2_049))), 100),
        (with(&|body| body["type"] = json!("telepathy")), 100),
        (with(&|body| body["biz_opaque_callback_data"] = json!("x".repeat(513))), 100),
        (json!({"messaging_product": "whatsapp", "recipient": "4915112345678", "text": {"body": "x"}}), 131_009),
        (json!("no object"), 100),
    ];
    for (body, code) in &cases {
        let (status, answer) = send(&meta, "1001", "token-of-acme", body).await;
        assert_eq!((status, answer["error"]["code"].as_i64()), (400, Some(*code)), "{body}: {answer}");
        assert_eq!(meta.journal().sends().pop().expect("recorded").code, Some(*code));
    }
    assert!(meta.journal().accepted().is_empty());
    let longest = with(&|body| body["text"]["body"] = json!("👍".repeat(2_048)));
    assert_eq!(send(&meta, "1001", "token-of-acme", &longest).await.0, 200, "4,096 units fit");
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_the_journal_knows_whose_it_was() {
    let (meta, acme) = meta(MetaOptions::default()).await;
    let refused = |number: &'static str, token: &'static str| {
        let meta = &meta;
        async move {
            let (status, answer) = send(meta, number, token, &text("Hello")).await;
            let sent = meta.journal().sends().pop().expect("recorded");
            assert_eq!(sent.decision, Decision::Refused);
            (status, answer["error"]["code"].as_i64().expect("a code"), sent.credential.clone())
        }
    };
    assert_eq!(refused("1001", "nonsense").await, (401, 190, Credential::Unknown));
    assert_eq!(refused("1001", "token-of-bolt").await, (401, 190, Credential::Of("bolt".to_owned())));
    assert_eq!(refused("9999", "token-of-acme").await, (400, 100, Credential::Of("acme".to_owned())));
    meta.revoke(&acme.token);
    assert_eq!(refused("1001", "token-of-acme").await, (401, 190, Credential::Unknown));
    meta.grant("acme", &SecretString::from("fresh"));
    assert_eq!(send(&meta, "1001", "fresh", &text("Hello")).await.0, 200);

    let bare = client().post(format!("{}/1001/messages", meta.graph_url())).json(&text("Hello"));
    assert_eq!(bare.send().await.expect("an answer").status(), 401);
    assert_eq!(meta.journal().sends().pop().expect("recorded").credential, Credential::Missing);
    let lines: Vec<_> = meta.journal().entries().iter().map(|entry| serde_json::to_string(&**entry)).collect();
    assert!(
        lines.iter().flatten().all(|line| !line.contains("token-of-") && !line.contains("fresh")),
        "no token is recorded"
    );
}

#[tokio::test]
async fn an_open_meta_takes_any_number_and_any_token() {
    let (meta, _) = meta(MetaOptions { open: true, ..MetaOptions::default() }).await;
    assert_eq!(send(&meta, "7777", "whatever", &text("Hello")).await.0, 200);
}

#[tokio::test]
async fn a_proof_must_fit_the_token() {
    let (meta, _) = meta(MetaOptions::default().with_app_secret(SECRET)).await;
    meta.grant("acme", &SecretString::from("EAAtest"));
    let proven = |proof: &'static str| {
        let url = format!("{}/1001/messages?appsecret_proof={proof}", meta.graph_url());
        async move {
            let request = client().post(url).bearer_auth("EAAtest").json(&text("Hello"));
            request.send().await.expect("an answer").status().as_u16()
        }
    };
    // The vector was computed elsewhere, for this secret and this token.
    assert_eq!(proven("545c00459922319a6658d712eb8b84a1afb328fa4d94f9f8c70dca9a8b3566e2").await, 200);
    assert_eq!(proven("545c00459922319a6658d712eb8b84a1afb328fa4d94f9f8c70dca9a8b3566e3").await, 400);
    let proofs: Vec<_> = meta.journal().graph_requests().iter().map(|request| request.proof).collect();
    assert_eq!(proofs, [Some(true), Some(false)]);
}

#[tokio::test]
async fn a_proof_is_missed_where_it_is_required_and_nowhere_else() {
    let (meta, _) = meta(MetaOptions::default().with_app_secret(SECRET)).await;
    meta.grant("acme", &SecretString::from("EAAtest"));
    let answered = |query: &'static str| {
        let request = client().post(format!("{}/1001/messages{query}", meta.graph_url())).bearer_auth("EAAtest");
        async move {
            let answer = request.json(&text("Hello")).send().await.expect("an answer");
            (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
        }
    };
    assert_eq!(answered("").await.0, 200);
    meta.require_proofs(true);
    let (status, body) = answered("").await;
    let message = "API calls from the server require an appsecret_proof argument";
    assert_eq!((status, &body["error"]["message"], &body["error"]["code"]), (400, &json!(message), &json!(100)));
    assert_eq!(body["error"]["type"], "GraphMethodException");
    let (status, body) = answered("?appsecret_proof=00").await;
    let message = "Invalid appsecret_proof provided in the API argument";
    assert_eq!((status, &body["error"]["message"]), (400, &json!(message)));
    let right = "?appsecret_proof=545c00459922319a6658d712eb8b84a1afb328fa4d94f9f8c70dca9a8b3566e2";
    assert_eq!(answered(right).await.0, 200);
    meta.require_proofs(false);
    assert_eq!(answered("").await.0, 200);
}

#[tokio::test]
async fn a_file_goes_up_is_found_fetched_and_deleted_by_its_owner_alone() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let form = "--B\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--B\r\n\
                Content-Disposition: form-data; name=\"file\"; filename=\"a.ogg\"\r\nContent-Type: audio/ogg\r\n\r\nOggS!\r\n--B--\r\n";
    let upload = client().post(format!("{}/1001/media", meta.graph_url())).bearer_auth("token-of-acme");
    let upload = upload.header("content-type", "multipart/form-data; boundary=B").body(form);
    let answer: Value = upload.send().await.expect("an answer").json().await.expect("JSON");
    let id = answer["id"].as_str().expect("an id").to_owned();
    assert_eq!(meta.media(&id).expect("stored").bytes, "OggS!");

    let get = |url: String, token: &'static str| async move {
        client().get(url).bearer_auth(token).send().await.expect("an answer")
    };
    let node = format!("{}/{id}", meta.graph_url());
    assert_eq!(get(node.clone(), "token-of-bolt").await.status(), 400);
    assert_eq!(get(format!("{node}?phone_number_id=2002"), "token-of-acme").await.status(), 400);
    let found: Value = get(format!("{node}?phone_number_id=1001"), "token-of-acme").await.json().await.expect("JSON");
    assert_eq!((&found["mime_type"], &found["file_size"]), (&json!("audio/ogg"), &json!("5")));
    let url = found["url"].as_str().expect("a URL").to_owned();
    assert_eq!(get(url.clone(), "token-of-bolt").await.status(), 404);
    let file = get(url, "token-of-acme").await;
    assert_eq!(file.headers()["content-type"], "audio/ogg");
    assert_eq!(file.bytes().await.expect("bytes"), "OggS!");
    let deleted = client().delete(node.clone()).bearer_auth("token-of-acme").send().await.expect("an answer");
    assert_eq!(deleted.status(), 200);
    assert_eq!(get(node, "token-of-acme").await.status(), 400);
}

#[tokio::test]
async fn a_token_is_exchanged_and_both_work() {
    let (meta, _) = meta(MetaOptions::default().with_app_secret(SECRET)).await;
    let exchange = |old: &'static str, secret: &'static str| {
        let url = format!("{}/oauth/access_token", meta.graph_url());
        let app = "1000000000000001";
        let query = [
            ("grant_type", "fb_exchange_token"),
            ("client_id", app),
            ("client_secret", secret),
            ("fb_exchange_token", old),
        ];
        async move { client().get(url).query(&query).send().await.expect("an answer") }
    };
    assert_eq!(exchange("token-of-acme", "wrong").await.status(), 400);
    let revoked = exchange("never-given", SECRET).await;
    assert!(revoked.status().is_client_error());
    let answer: Value = exchange("token-of-acme", SECRET).await.json().await.expect("JSON");
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("bearer"), &json!(5_183_944)));
    let fresh = answer["access_token"].as_str().expect("a token");
    assert_eq!(send(&meta, "1001", fresh, &text("new")).await.0, 200);
    assert_eq!(send(&meta, "1001", "token-of-acme", &text("old")).await.0, 200);
    assert_eq!(send(&meta, "2002", fresh, &text("other")).await.0, 401, "it is still acme's");

    let debug = |input: String, bearer: String| {
        let url = format!("{}/debug_token", meta.graph_url());
        async move {
            let request = client().get(url).query(&[("input_token", input)]).bearer_auth(bearer);
            request.send().await.expect("an answer").json::<Value>().await.expect("JSON")
        }
    };
    let known = debug(fresh.to_owned(), format!("1000000000000001|{SECRET}")).await;
    assert_eq!(known["data"]["app_id"], "1000000000000001");
    assert_eq!(known["data"]["is_valid"], true);
    assert!(known["data"]["expires_at"].as_i64().expect("a time") > 1_700_000_000);
    let unknown = debug("nonsense".to_owned(), "token-of-acme".to_owned()).await;
    assert_eq!(unknown["data"]["is_valid"], false);
}

/// Exchanges a token by a form, as that app.
async fn exchange_by_form(meta: &Meta, app: (&str, &str), token: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "fb_exchange_token"),
        ("client_id", app.0),
        ("client_secret", app.1),
        ("set_token_expires_in_60_days", "true"),
        ("fb_exchange_token", token),
    ];
    let url = format!("{}/oauth/access_token", meta.graph_url());
    let answer = client().post(url).form(&form).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

async fn inspect(meta: &Meta, token: &str) -> Value {
    let url = format!("{}/debug_token?input_token={token}", meta.graph_url());
    let answer = client().get(url).bearer_auth(token).send().await.expect("an answer");
    answer.json::<Value>().await.expect("JSON")["data"].clone()
}

#[tokio::test]
async fn an_exchange_by_form_lasts_as_long_as_is_set_and_the_old_token_until_its_own_end() {
    let (meta, _) = meta(MetaOptions::default().with_app_secret(SECRET)).await;
    let app = ("1000000000000001", SECRET);
    let old = SecretString::from("short-lived");
    meta.grant_for("acme", &old, Duration::from_secs(3600));
    let (status, answer) = exchange_by_form(&meta, app, "short-lived").await;
    assert_eq!((status, &answer["expires_in"]), (200, &json!(5_183_944)));
    for token in ["short-lived", answer["access_token"].as_str().expect("a token")] {
        assert_eq!(send(&meta, "1001", token, &text("hello")).await.0, 200, "{token}");
    }
    meta.exchange_for(None);
    let (_, answer) = exchange_by_form(&meta, app, "short-lived").await;
    assert!(answer.get("expires_in").is_none(), "{answer}");
    let endless = answer["access_token"].as_str().expect("a token");
    assert_eq!((&inspect(&meta, endless).await["expires_at"], endless.len() > 10), (&json!(0), true));
    meta.grant_for("acme", &old, Duration::ZERO);
    assert_eq!(send(&meta, "1001", "short-lived", &text("hello")).await.0, 401, "it has ended");
    assert_eq!(exchange_by_form(&meta, app, "short-lived").await.0, 401, "and is not exchanged any more");
}

#[tokio::test]
async fn only_the_app_that_issued_a_token_exchanges_it() {
    let app = |id: &str, secret: &str| App { id: id.to_owned(), secret: SecretString::from(secret) };
    let options = MetaOptions { apps: vec![app("1", "one"), app("2", "two")], ..MetaOptions::default() };
    let (meta, _) = meta(options).await;
    meta.register(simulator::Business::new("own-app", "3003").with_app_id("2"));
    assert_eq!(exchange_by_form(&meta, ("1", "one"), "token-of-own-app").await.0, 400);
    assert_eq!(exchange_by_form(&meta, ("2", "one"), "token-of-own-app").await.0, 400);
    let (status, answer) = exchange_by_form(&meta, ("2", "two"), "token-of-own-app").await;
    assert_eq!(status, 200);
    let fresh = answer["access_token"].as_str().expect("a token");
    assert_eq!(inspect(&meta, fresh).await["app_id"], "2", "a token vouches for itself");
}

#[tokio::test]
async fn each_business_belongs_to_its_app() {
    let app = |id: &str, secret: &str| App { id: id.to_owned(), secret: SecretString::from(secret) };
    let options = MetaOptions { apps: vec![app("1", "one"), app("2", "two")], ..MetaOptions::default() };
    let (meta, _) = meta(options).await;
    meta.register(simulator::Business::new("own-app", "3003").with_app_id("2"));
    for (token, expected) in [("token-of-acme", "1"), ("token-of-own-app", "2")] {
        let request =
            client().get(format!("{}/debug_token?input_token={token}", meta.graph_url())).bearer_auth("2|two");
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(answer["data"]["app_id"], expected);
    }
}

#[tokio::test]
async fn a_number_tells_its_name() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let request = client().get(format!("{}/1001", meta.graph_url())).bearer_auth("token-of-acme");
    let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer, json!({"id": "1001", "display_phone_number": "15551001", "verified_name": "acme"}));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_ids() {
    let run = |seed| async move {
        let (meta, _) = meta(MetaOptions { seed: Seed(seed), ..MetaOptions::default() }).await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(send(&meta, "1001", "token-of-acme", &text("Hello")).await.1["messages"][0]["id"].clone());
        }
        ids
    };
    let first = run(7).await;
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await);
    assert_ne!(first[0], first[1], "nothing is deduplicated");
}
