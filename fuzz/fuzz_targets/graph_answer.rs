//! Answers of the Graph API: to a send, about a file, about a token.
//!
//! A send ends in a message id or in an error whose class follows from Meta's code; only an answer of 2xx without an
//! id, and what Meta leaves open, may have sent something. No error repeats what may be a token or a number. The
//! access token goes to Meta's hosts only, whatever URL is answered.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use switchboard_fuzz::Answer;
use worker::whatsapp::{ErrorClass, GraphError, MediaError, MediaPlace, Scope, SendError, TokenInfo, classify, sent};

const GRAPH: &str = "https://graph.facebook.com/v25.0";
const FILE_MOST: usize = 1_000_000;

fuzz_target!(|data: &[u8]| {
    let Some(answer) = Answer::read(data) else { return };
    match sent(answer.status, answer.body, answer.retry_after) {
        Ok(id) => {
            assert!(answer.is_success());
            assert!((1..=512).contains(&id.expose().len()));
        }
        Err(error @ SendError::NoAnswer(_)) => assert!(answer.is_success() && error.is_ambiguous()),
        Err(SendError::NotConnected(_)) => panic!("there is an answer"),
        Err(SendError::Answered(error)) => {
            assert!(!answer.is_success());
            check(&error, &answer);
        }
    }
    if let Ok(place) = MediaPlace::read(answer.body, GRAPH, FILE_MOST) {
        check_place(&place);
    }
    if let Ok(data) = serde_json::from_slice::<Value>(answer.body) {
        let info = TokenInfo::read(data.get("data").unwrap_or(&data));
        assert!(info.problem.is_none_or(|problem| is_harmless(&problem)));
        assert!(info.expires_at.is_none_or(|at| at.as_second() > 0));
    }
    let refused = MediaPlace::read(answer.body, GRAPH, 0);
    assert!(refused.is_ok_and(|place| place.size.is_none_or(|size| size == 0)) || is_final(answer.body));
});

/// Whether what is answered about a file of no bytes is an error that says why.
fn is_final(body: &[u8]) -> bool {
    matches!(
        MediaPlace::read(body, GRAPH, 0),
        Err(MediaError::TooLarge { most: 0 } | MediaError::ForeignHost(_) | MediaError::Unreachable(_))
    )
}

fn check(error: &GraphError, answer: &Answer<'_>) {
    let body: Value = serde_json::from_slice(answer.body).unwrap_or(Value::Null);
    let told = body.get("error").filter(|error| error.is_object());
    let code = told.and_then(|error| error.get("code")).and_then(Value::as_i64);
    match code.and_then(classify) {
        Some(class) => assert_eq!(error.class, class, "the code decides"),
        None if answer.status == 429 => assert_eq!(error.class, ErrorClass::Throttled(Scope::App)),
        None if told.is_none() => assert_eq!(error.class, ErrorClass::Ambiguous, "a stranger's answer proves nothing"),
        None => assert!(!matches!(error.class, ErrorClass::Throttled(_) | ErrorClass::WindowClosed)),
    }
    assert_eq!((error.status, error.retry_after), (answer.status, answer.retry_after));
    assert!(is_harmless(&error.detail), "{:?}", error.detail);
}

/// No word of a token's length, and no number of a telephone's.
fn is_harmless(detail: &str) -> bool {
    let is_short = |word: &str| word.chars().count() <= 20 && word.chars().filter(char::is_ascii_digit).count() <= 6;
    detail.split_whitespace().count() <= 40 && detail.split_whitespace().all(is_short) && !detail.contains('\n')
}

fn check_place(place: &MediaPlace) {
    assert!(place.size.is_none_or(|size| size <= FILE_MOST));
    assert!(place.mime_type.as_ref().is_none_or(|mime| !mime.is_empty() && !mime.contains(';')));
    // Taken from the text of the URL, and not from the parser that the worker goes by.
    let text = place.url.as_str();
    let behind = text.strip_prefix("https://").expect("by TLS");
    let authority = behind.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let is_metas = ["fbsbx.com", "fbcdn.net", "graph.facebook.com"]
        .iter()
        .any(|meta| host == *meta || host.strip_suffix(meta).is_some_and(|rest| rest.ends_with('.')));
    assert!(is_metas, "the token would go to {host:?}");
}
