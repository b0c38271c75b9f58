//! What Meta tells of an account, its numbers and a token, to who asks before anything goes wrong.

use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::{Business, Meta, MetaOptions};

use crate::setup::{SECRET, client, meta, send, text};

async fn ask(meta: &Meta, path: &str, token: &str) -> (u16, Value) {
    let request = client().get(format!("{}/{path}", meta.graph_url())).bearer_auth(token);
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

fn code(answer: &Value) -> (i64, i64) {
    let number = |field: &str| answer["error"][field].as_i64().unwrap_or_default();
    (number("code"), number("error_subcode"))
}

#[tokio::test]
async fn an_account_lists_its_numbers_and_only_to_its_own_token() {
    let (meta, acme) = meta(MetaOptions::default()).await;
    meta.register(Business::new("acme", "1002").with_waba_id(&acme.waba_id));
    let (status, answer) = ask(&meta, "waba-acme/phone_numbers?fields=id,display_phone_number", "token-of-acme").await;
    assert_eq!(status, 200);
    let ids: Vec<_> = answer["data"].as_array().expect("a list").iter().map(|number| &number["id"]).collect();
    assert_eq!(ids, ["1001", "1002"]);
    assert_eq!(answer["data"][0]["display_phone_number"], "15551001");
    let (status, answer) = ask(&meta, "waba-acme/phone_numbers", "token-of-bolt").await;
    assert_eq!((status, code(&answer)), (400, (100, 33)));
    let (status, answer) = ask(&meta, "waba-nobody/phone_numbers", "token-of-acme").await;
    assert_eq!((status, code(&answer)), (400, (100, 33)));
    let (_, account) = ask(&meta, "waba-acme", "token-of-acme").await;
    assert_eq!(account, json!({"id": "waba-acme", "name": "acme"}), "an account is no number");
}

#[tokio::test]
async fn a_subscription_is_told_taken_away_and_asked_for() {
    let (meta, _) = meta(MetaOptions::default().with_app_secret(SECRET)).await;
    let apps = async || ask(&meta, "waba-acme/subscribed_apps", "token-of-acme").await.1;
    assert_eq!(apps().await["data"][0]["whatsapp_business_api_data"]["id"], "1000000000000001");
    meta.unsubscribe("waba-acme");
    assert_eq!(apps().await, json!({"data": []}));
    let url = format!("{}/waba-acme/subscribed_apps", meta.graph_url());
    let asked = client().post(url).bearer_auth("token-of-acme").send().await.expect("an answer");
    assert_eq!(asked.json::<Value>().await.expect("JSON"), json!({"success": true}));
    assert_eq!(apps().await["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_token_that_ran_out_is_refused_and_its_inspection_says_why() {
    let (meta, acme) = meta(MetaOptions::default().with_app_secret(SECRET)).await;
    let app = format!("1000000000000001|{SECRET}");
    let at = jiff::Timestamp::now().as_second();
    meta.expire(&acme.token, jiff::Timestamp::from_second(at + 3_600).expect("a time"));
    let inspected = async || ask(&meta, "debug_token?input_token=token-of-acme", &app).await.1["data"].clone();
    assert_eq!((&inspected().await["is_valid"], &inspected().await["expires_at"]), (&json!(true), &json!(at + 3_600)));
    meta.expire(&acme.token, jiff::Timestamp::from_second(at - 60).expect("a time"));
    let data = inspected().await;
    assert_eq!((&data["is_valid"], &data["error"]["subcode"]), (&json!(false), &json!(463)));
    let (status, answer) = send(&meta, "1001", "token-of-acme", &text("Hello")).await;
    assert_eq!((status, code(&answer)), (401, (190, 463)));
}

#[tokio::test]
async fn a_token_may_do_only_what_its_scopes_say() {
    let (meta, acme) = meta(MetaOptions::default()).await;
    meta.limit(&acme.token, &["whatsapp_business_management"]);
    let (status, answer) = send(&meta, "1001", "token-of-acme", &text("Hello")).await;
    assert_eq!((status, code(&answer).0), (403, 200));
    assert_eq!(ask(&meta, "waba-acme/phone_numbers", "token-of-acme").await.0, 200);
    meta.limit(&acme.token, &["whatsapp_business_messaging"]);
    assert_eq!(send(&meta, "1001", "token-of-acme", &text("Hello")).await.0, 200);
    assert_eq!(code(&ask(&meta, "waba-acme/subscribed_apps", "token-of-acme").await.1).0, 200);
    let (_, answer) = ask(&meta, "debug_token?input_token=token-of-acme", "token-of-acme").await;
    assert_eq!(answer["data"]["scopes"], json!(["whatsapp_business_messaging"]), "a token may ask about itself");
    meta.grant("acme", &SecretString::from("another"));
    assert_eq!(ask(&meta, "waba-acme/subscribed_apps", "another").await.0, 200);
}
