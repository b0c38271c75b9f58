//! Every fault, as the client and as the journal see it.

use std::time::Duration;

use serde_json::json;
use simulator::{
    MetaOptions,
    journal::Decision,
    meta::{Call, Fault, Refusal, Where},
};

use crate::setup::{ANA, SOON, client, meta, receiver, send, text};

async fn post(meta: &simulator::Meta, timeout: Duration) -> reqwest::Result<reqwest::Response> {
    let request = client().post(format!("{}/1001/messages", meta.graph_url()));
    request.bearer_auth("token-of-acme").timeout(timeout).json(&text("Hello")).send().await
}

#[tokio::test]
async fn an_answer_lost_after_acceptance_breaks_the_connection_but_the_customer_has_the_message() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let client = client();
    let post = || {
        let request = client.post(format!("{}/1001/messages", meta.graph_url())).bearer_auth("token-of-acme");
        request.json(&text("Hello")).send()
    };
    // Once before, so that the connection is a pooled one, where a client is tempted to repeat by itself.
    assert_eq!(post().await.expect("no fault yet").bytes().await.map(|body| body.is_empty()).ok(), Some(false));
    meta.faults().next(Where::any().from("1001").to(ANA), Fault::AcceptThenDrop);
    let error = post().await.expect_err("the connection is cut");
    assert!(error.is_request() && !error.is_connect() && !error.is_timeout(), "{error:?}");
    let sent = meta.journal().accepted().pop().expect("accepted");
    assert_eq!((sent.decision, sent.fault.as_deref()), (Decision::AcceptedNoReply, Some("accept_then_drop")));
    assert!(sent.wamid.is_some());
    assert_eq!(meta.journal().graph_answers().pop().expect("recorded").http, None);
    assert_eq!(post().await.expect("one fault only").status(), 200);
    assert_eq!(meta.journal().accepted().len(), 3);
}

#[tokio::test]
async fn a_request_dropped_before_acceptance_never_reaches_the_customer() {
    let (meta, _) = meta(MetaOptions::default()).await;
    meta.faults().next(Where::any(), Fault::DropBeforeAccept);
    post(&meta, SOON).await.expect_err("the connection is cut");
    assert!(meta.journal().accepted().is_empty());
    assert_eq!(meta.journal().sends().pop().expect("recorded").decision, Decision::Dropped);
}

#[tokio::test]
async fn a_refusal_has_metas_shape_and_its_retry_after() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let refusal = Refusal::code(131_056).http(429).details("Too many").retry_after(Duration::from_secs(4));
    meta.faults().next(Where::any(), Fault::Refuse(refusal));
    let response = post(&meta, SOON).await.expect("an answer");
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"4".parse().expect("a value")));
    let body: serde_json::Value = response.json().await.expect("JSON");
    let error = &body["error"];
    assert_eq!((&error["code"], &error["type"]), (&json!(131_056), &json!("OAuthException")));
    assert_eq!(error["message"], "(#131056) (Business Account, Consumer Account) pair rate limit hit");
    assert_eq!(error["error_data"], json!({"messaging_product": "whatsapp", "details": "Too many"}));
    assert!(error["fbtrace_id"].is_string());
    assert_eq!(meta.journal().sends().pop().expect("recorded").code, Some(131_056));
}

#[tokio::test]
async fn an_answer_may_be_no_json() {
    let (meta, _) = meta(MetaOptions::default()).await;
    meta.faults().next(Where::any(), Fault::NonJson(502));
    let response = post(&meta, SOON).await.expect("an answer");
    assert_eq!(response.status(), 502);
    assert!(response.text().await.expect("a body").starts_with("<html>"));
    assert!(meta.journal().accepted().is_empty());
}

#[tokio::test]
async fn a_client_that_gives_up_does_not_undo_the_message() {
    let (meta, _) = meta(MetaOptions::default()).await;
    for fault in [Fault::AcceptThenDelay(Duration::from_secs(1)), Fault::Delay(Duration::from_secs(1))] {
        meta.faults().next(Where::any(), fault);
        let error = post(&meta, Duration::from_millis(100)).await.expect_err("too late");
        assert!(error.is_timeout(), "{error:?}");
    }
    meta.journal().wait_until(|journal| journal.accepted().len() == 2, SOON).await.expect("both are accepted");
}

#[tokio::test]
async fn rules_choose_by_count_by_kind_and_by_closure() {
    let (meta, _) = meta(MetaOptions::default()).await;
    meta.faults().always(Where::any().nth(2), Fault::Refuse(Refusal::code(131_000)));
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.X"});
    meta.faults().always(Where::call(Call::Read), Fault::Refuse(Refusal::code(2)));
    meta.faults().rule(|attempt| (attempt.recipient == "49999").then(|| Fault::Refuse(Refusal::code(131_026))));
    let mut codes = Vec::new();
    let other = {
        let mut body = text("x");
        body["to"] = json!("+49999");
        body
    };
    for body in [&text("1"), &read, &text("2"), &other, &text("4")] {
        codes.push(send(&meta, "1001", "token-of-acme", body).await.1["error"]["code"].as_i64());
    }
    assert_eq!(codes, [None, Some(2), Some(131_000), Some(131_026), None]);
    meta.faults().clear();
    assert_eq!(send(&meta, "1001", "token-of-acme", &read).await.0, 200);
}

#[tokio::test]
async fn a_message_may_fail_later_by_status() {
    let (url, mut received) = receiver(&[]).await;
    let (meta, _) = meta(MetaOptions::default().with_webhook_url(url)).await;
    meta.faults().next(Where::any(), Fault::FailLater(Refusal::code(131_047)));
    assert_eq!(send(&meta, "1001", "token-of-acme", &text("Hello")).await.0, 200);
    let body = received.recv().await.expect("a status").json();
    let status = &body["entry"][0]["changes"][0]["value"]["statuses"][0];
    assert_eq!((&status["status"], &status["errors"][0]["code"]), (&json!("failed"), &json!(131_047)));
    assert_eq!(status["errors"][0]["title"], "Re-engagement message");
}
