//! Every fault, as the client and as the journal see it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use simulator::{
    Journal, Meta, MetaOptions, Seed,
    journal::Decision,
    meta::{Call, Chances, Fault, Refusal, StatusPlan, Where},
};

use crate::setup::{ANA, SOON, client, give_up, meta, receiver, send, text};

fn request(meta: &Meta) -> reqwest::RequestBuilder {
    let request = client().post(format!("{}/1001/messages", meta.graph_url()));
    request.bearer_auth("token-of-acme").json(&text("Hello"))
}

async fn post(meta: &Meta) -> reqwest::Result<reqwest::Response> {
    request(meta).send().await
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
    post(&meta).await.expect_err("the connection is cut");
    assert!(meta.journal().accepted().is_empty());
    assert_eq!(meta.journal().sends().pop().expect("recorded").decision, Decision::Dropped);
}

#[tokio::test]
async fn a_refusal_has_metas_shape_and_its_retry_after() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let refusal = Refusal::code(131_056).http(429).details("Too many").retry_after(Duration::from_secs(4));
    meta.faults().next(Where::any(), Fault::Refuse(refusal));
    let response = post(&meta).await.expect("an answer");
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
    let response = post(&meta).await.expect("an answer");
    assert_eq!(response.status(), 502);
    assert!(response.text().await.expect("a body").starts_with("<html>"));
    assert!(meta.journal().accepted().is_empty());
}

#[tokio::test]
async fn a_client_that_gives_up_does_not_undo_the_message() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let late = Duration::from_secs(3);
    for (fault, arrived) in [(Fault::AcceptThenDelay(late), 1), (Fault::Delay(late), 2)] {
        meta.faults().next(Where::any(), fault);
        give_up(request(&meta), meta.journal(), |journal| journal.graph_requests().len() == arrived).await;
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

/// A text whose try names itself.
fn try_of(opaque: &str) -> Value {
    let mut body = text("Hello");
    body["biz_opaque_callback_data"] = json!(opaque);
    body
}

/// What becomes of these tries under a seed: the error code of each, or none where it was accepted.
async fn fates(seed: u64, tries: impl IntoIterator<Item = u32>) -> BTreeMap<u32, Option<i64>> {
    let (meta, _) = meta(MetaOptions::default()).await;
    let chances = Chances { pair_throttled: 0.3, something_wrong: 0.3, ..Chances::default() };
    meta.faults().chances(Seed(seed), Where::any(), chances);
    let mut fates = BTreeMap::new();
    for n in tries {
        let (_, answer) = send(&meta, "1001", "token-of-acme", &try_of(&format!("v1:acme:r{n}:0:1"))).await;
        fates.insert(n, answer["error"]["code"].as_i64());
    }
    fates
}

#[tokio::test]
async fn the_same_try_meets_the_same_fate_in_whatever_order_they_come() {
    let fates_of_one = fates(7, 0..40).await;
    assert_eq!(fates_of_one, fates(7, (0..40).rev()).await);
    assert_ne!(fates_of_one, fates(8, 0..40).await);
    for fate in [None, Some(131_056), Some(131_000)] {
        assert!(fates_of_one.values().any(|other| *other == fate), "{fate:?} happens");
    }
}

#[tokio::test]
async fn the_next_try_of_the_same_message_draws_anew_and_so_does_a_request_without_a_name() {
    let (meta, _) = meta(MetaOptions::default()).await;
    meta.faults().chances(Seed(7), Where::any(), Chances { unavailable: 0.5, ..Chances::default() });
    let mut unnamed = text("Hello");
    unnamed.as_object_mut().expect("an object").remove("biz_opaque_callback_data");
    let (mut of_tries, mut of_unnamed) = (Vec::new(), Vec::new());
    for n in 1..=40 {
        of_tries.push(send(&meta, "1001", "token-of-acme", &try_of(&format!("v1:acme:r:0:{n}"))).await.0);
        of_unnamed.push(send(&meta, "1001", "token-of-acme", &unnamed).await.0);
    }
    for statuses in [of_tries, of_unnamed] {
        assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    }
}

#[tokio::test]
async fn every_chance_is_the_fault_that_it_says() {
    let none = Chances::default();
    let waits = Duration::from_secs(3)..=Duration::from_secs(3);
    let told = Chances { with_retry_after: 1.0, retry_after: waits, ..Chances::default() };
    let refusals = [
        (Chances { number_throttled: 1.0, ..told.clone() }, 400, Some(130_429), Some("3")),
        (Chances { number_throttled: 1.0, ..none.clone() }, 400, Some(130_429), None),
        (Chances { pair_throttled: 1.0, ..none.clone() }, 400, Some(131_056), None),
        (Chances { app_throttled: 1.0, ..told.clone() }, 429, Some(4), Some("3")),
        (Chances { account_throttled: 1.0, ..none.clone() }, 429, Some(80_007), None),
        (Chances { something_wrong: 1.0, ..told.clone() }, 500, Some(131_000), None),
        (Chances { unavailable: 1.0, ..none.clone() }, 503, Some(131_016), None),
        (Chances { bad_gateway: 1.0, ..none.clone() }, 502, None, None),
        (Chances { gateway_unavailable: 1.0, ..none.clone() }, 503, None, None),
    ];
    let (meta, _) = meta(MetaOptions::default()).await;
    let chance = |chances: Chances| {
        meta.faults().clear();
        meta.faults().chances(Seed(1), Where::any(), chances);
    };
    for (chances, status, code, wait) in refusals {
        chance(chances.clone());
        let response = post(&meta).await.expect("an answer");
        assert_eq!(response.status(), status, "{chances:?}");
        let header = response.headers().get("retry-after").map(|value| value.to_str().expect("ASCII").to_owned());
        assert_eq!(header.as_deref(), wait, "{chances:?}");
        let sent = meta.journal().sends().pop().expect("recorded");
        assert_eq!((sent.decision, sent.code), (Decision::Refused, code), "{chances:?}");
        let body = response.text().await.expect("a body");
        assert_eq!(serde_json::from_str::<Value>(&body).is_ok(), code.is_some(), "{body}");
    }
    for (chances, decision) in [
        (Chances { dropped: 1.0, ..none.clone() }, Decision::Dropped),
        (Chances { answer_lost: 1.0, ..none.clone() }, Decision::AcceptedNoReply),
    ] {
        chance(chances);
        post(&meta).await.expect_err("the connection is cut");
        assert_eq!(meta.journal().sends().pop().expect("recorded").decision, decision);
    }
    let late = Duration::from_millis(100)..=Duration::from_millis(120);
    for (chances, fault) in [
        (Chances { answer_late: 1.0, lateness: late.clone(), ..none.clone() }, "accept_then_delay"),
        (Chances { delayed: 1.0, delay: late, ..none.clone() }, "delay"),
    ] {
        chance(chances);
        let began = Instant::now();
        assert_eq!(post(&meta).await.expect("an answer").status(), 200);
        assert!(began.elapsed() >= Duration::from_millis(100));
        assert_eq!(meta.journal().accepted().pop().expect("accepted").fault.as_deref(), Some(fault));
    }
    chance(none);
    assert_eq!(post(&meta).await.expect("an answer").status(), 200);
    assert_eq!(meta.journal().accepted().pop().expect("accepted").fault, None);
}

#[tokio::test]
#[should_panic(expected = "sum up to 1.0 at most")]
async fn chances_that_cannot_be_meant_are_refused() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let chances = Chances { dropped: 0.6, answer_lost: 0.6, ..Chances::default() };
    meta.faults().chances(Seed(1), Where::any(), chances);
}

#[tokio::test]
async fn a_schedule_is_met_entry_by_entry_by_what_fits_and_then_used_up() {
    let (meta, _) = meta(MetaOptions::default()).await;
    let refuse = |code| Some(Fault::Refuse(Refusal::code(code)));
    meta.faults().schedule(Where::any().from("1001"), [refuse(131_056), None, refuse(131_000)]);
    let mut codes = Vec::new();
    for (number, token) in [
        ("1001", "token-of-acme"),
        ("2002", "token-of-bolt"),
        ("1001", "token-of-acme"),
        ("1001", "token-of-acme"),
        ("1001", "token-of-acme"),
    ] {
        codes.push(send(&meta, number, token, &text("Hello")).await.1["error"]["code"].as_i64());
    }
    assert_eq!(codes, [Some(131_056), None, None, Some(131_000), None]);
}

fn late_messages(journal: &Journal) -> Vec<String> {
    let marks = journal.marks().into_iter().filter(|mark| mark.name == "statuses_late");
    marks.map(|mark| mark.fields["wamid"].as_str().expect("an id").to_owned()).collect()
}

async fn a_meta_with_late_statuses(url: &str, late: f64, lateness: Duration) -> Meta {
    let statuses = StatusPlan { late, lateness: lateness..=lateness, ..StatusPlan::default() };
    let options = MetaOptions { statuses, ..MetaOptions::default().with_webhook_url(url) };
    meta(options).await.0
}

#[tokio::test]
async fn late_statuses_come_later_than_their_plan_says_and_the_journal_knows() {
    let (url, mut received) = receiver(&[]).await;
    let late = Duration::from_millis(300);
    let meta = a_meta_with_late_statuses(&url, 1.0, late).await;
    let (_, answer) = send(&meta, "1001", "token-of-acme", &text("Hello")).await;
    let accepted = meta.journal().accepted().pop().expect("accepted");
    for expected in ["sent", "delivered"] {
        let body = received.recv().await.expect("a status").json();
        assert_eq!(body["entry"][0]["changes"][0]["value"]["statuses"][0]["status"], expected);
    }
    let first = meta.journal().webhook_posts().first().expect("posted").mono_ns;
    assert!(u128::from(first - accepted.mono_ns) >= late.as_nanos());
    assert_eq!(json!(late_messages(meta.journal())), json!([answer["messages"][0]["id"]]));
    assert_eq!(meta.journal().marks()[0].fields["by_ms"], 300);
}

#[tokio::test]
async fn the_seed_decides_whose_statuses_are_late() {
    let (url, mut received) = receiver(&[]).await;
    let meta = a_meta_with_late_statuses(&url, 0.5, Duration::from_secs(3_600)).await;
    let mut opaque_of = BTreeMap::new();
    for n in 0..40 {
        let opaque = format!("v1:acme:r{n}:0:1");
        let (_, answer) = send(&meta, "1001", "token-of-acme", &try_of(&opaque)).await;
        opaque_of.insert(answer["messages"][0]["id"].as_str().expect("an id").to_owned(), opaque);
    }
    let late = late_messages(meta.journal());
    assert!((1..40).contains(&late.len()), "{}", late.len());
    for _ in 0..2 * (40 - late.len()) {
        let body = received.recv().await.expect("a status").json();
        let id = body["entry"][0]["changes"][0]["value"]["statuses"][0]["id"].as_str().expect("an id").to_owned();
        assert!(!late.contains(&id), "those on time come, and no others");
    }
    let again = a_meta_with_late_statuses(&url, 0.5, Duration::from_secs(3_600)).await;
    for opaque in opaque_of.values().rev() {
        send(&again, "1001", "token-of-acme", &try_of(opaque)).await;
    }
    let sends = again.journal().accepted();
    let opaque_again =
        |id: &String| sends.iter().find(|send| send.wamid.as_ref() == Some(id)).and_then(|s| s.opaque.clone());
    let mut late: Vec<_> = late.iter().map(|id| opaque_of.get(id).cloned()).collect();
    let mut late_again: Vec<_> = late_messages(again.journal()).iter().map(opaque_again).collect();
    late.sort();
    late_again.sort();
    assert_eq!(late, late_again);
}
