//! What an error of the Graph API means for a send.
//!
//! One table for errors that come with the answer and for those of `failed` statuses. Branches on `error.code`:
//! HTTP statuses and subcodes vary (Meta, "Error codes", 2026). The one question that matters most is whether
//! the message can have gone out: only what certainly was refused may be repeated without evidence.

use std::time::Duration;

use serde_json::Value;

/// "Invalid parameter", …
const PARAMETER: i64 = 100;
/// … and the one that tells of the token and not of the message (Meta, "Secure Graph API Calls").
const PROOF: &str = "appsecret_proof";

/// What a throttle covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All calls of the Meta app.
    App,
    /// The WhatsApp Business Account.
    Account,
    /// The business's number.
    Number,
    /// The number towards this one customer.
    Pair,
}

/// What follows from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Refused for now; certainly not sent.
    Throttled(Scope),
    /// Trouble at Meta; it may have been sent all the same.
    Ambiguous,
    /// The token or its permissions; not sent. The business waits for a good token.
    Credentials,
    /// The account or the number; not sent. The business waits for its owner.
    Account,
    /// More than 24 hours since the customer's last message; not sent.
    WindowClosed,
    /// This message can never be sent.
    Permanent,
}

/// An error of the Graph API, without anything that could identify a person or leak a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Graph error {code} (HTTP {status}): {detail}")]
pub struct GraphError {
    /// What follows.
    pub class: ErrorClass,
    /// `error.code`, or 0 where the answer had none.
    pub code: i64,
    /// The HTTP status.
    pub status: u16,
    /// Meta's words, redacted and cut.
    pub detail: String,
    /// What the server asked for.
    pub retry_after: Option<Duration>,
    /// Whether it is the request's `appsecret_proof` that is wrong or missing.
    pub(super) is_about_proof: bool,
}

/// The class of an error code; none for one that is not in Meta's list.
pub fn classify(code: i64) -> Option<ErrorClass> {
    use ErrorClass::{Account, Ambiguous, Credentials, Permanent, Throttled, WindowClosed};
    Some(match code {
        4 | 17 | 613 => Throttled(Scope::App),
        80_007 => Throttled(Scope::Account),
        130_429 | 131_208 | 134_101 => Throttled(Scope::Number),
        131_056 => Throttled(Scope::Pair),

        1 | 2 | 131_000 | 131_016 | 131_057 | 133_004 | 2_494_100 => Ambiguous,

        0 | 3 | 10 | 104 | 190 | 200..=299 | 131_005 => Credentials,

        33 | 368 | 803 | 131_031 | 131_037 | 131_042 | 131_044 | 131_045 | 134_011 | 136_024 | 136_025 => Account,
        133_000 | 133_005 | 133_006 | 133_008 | 133_009 | 133_010 | 133_015 | 133_016 => Account,

        131_047 => WindowClosed,

        100 | 130_403 | 130_472 | 130_497 | 135_000 | 137_000 | 134_100 | 134_102 => Permanent,
        131_008 | 131_009 | 131_020 | 131_021 | 131_026 | 131_030 | 131_041 | 131_048..=131_053 | 131_055 => Permanent,
        131_060 | 131_062..=131_064 | 131_201..=131_215 => Permanent,
        132_000..=132_999 | 138_000..=138_023 | 139_000..=139_999 | 147_001..=147_005 => Permanent,
        _ => return None,
    })
}

impl GraphError {
    /// An error answer. `body` need not be Meta's: proxies answer too.
    pub fn from_answer(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let Some(error) = body.get("error").filter(|error| error.is_object()) else {
            // Only a throttle is certain to have refused; any other stranger may have passed the message on.
            let class = if status == 429 { ErrorClass::Throttled(Scope::App) } else { ErrorClass::Ambiguous };
            let detail = "the answer is not Graph's".to_owned();
            return Self { class, code: 0, status, detail, retry_after, is_about_proof: false };
        };
        let code = error.get("code").and_then(Value::as_i64);
        let message = error.get("message").and_then(Value::as_str);
        let is_about_proof = code == Some(PARAMETER) && message.is_some_and(|message| message.contains(PROOF));
        let transient = error.get("is_transient").and_then(Value::as_bool) == Some(true);
        // A proof that is wrong or missing has the code of any parameter, but the message has no part in it.
        let of_code = if is_about_proof { Some(ErrorClass::Credentials) } else { code.and_then(classify) };
        let class = of_code.unwrap_or(match status {
            429 => ErrorClass::Throttled(Scope::App),
            401 | 403 => ErrorClass::Credentials,
            400..500 if !transient => ErrorClass::Permanent,
            _ => ErrorClass::Ambiguous,
        });
        let details = error.get("error_data").and_then(|data| data.get("details")).and_then(Value::as_str);
        let text = details.or(message).unwrap_or("no message");
        Self { class, code: code.unwrap_or(0), status, detail: redact(text), retry_after, is_about_proof }
    }
}

/// Cuts to one short line, and masks what may be a token (Meta repeats a malformed one), a phone number or an id.
fn redact(text: &str) -> String {
    const WORD_MOST: usize = 20;
    const DIGITS_MOST: usize = 6;
    /// With which Meta's access tokens begin.
    const TOKEN: &str = "EAA";
    let masked = text.split_whitespace().take(40).map(|word| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let is_telling = word.chars().count() > WORD_MOST || digits > DIGITS_MOST || word.contains(TOKEN);
        if is_telling { "…" } else { word }
    });
    masked.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{
        ErrorClass::{Account, Ambiguous, Credentials, Permanent, Throttled, WindowClosed},
        *,
    };

    /// Meta's list of 2026 (with the HTTP status it used to name): one row a code, and what a sender does about it.
    const TABLE: &[(i64, u16, ErrorClass)] = &[
        (0, 401, Credentials),
        (1, 400, Ambiguous),
        (2, 503, Ambiguous),
        (3, 500, Credentials),
        (4, 429, Throttled(Scope::App)),
        (10, 403, Credentials),
        (17, 429, Throttled(Scope::App)),
        (33, 400, Account),
        (100, 400, Permanent),
        (104, 401, Credentials),
        (190, 401, Credentials),
        (200, 403, Credentials),
        (230, 403, Credentials),
        (299, 403, Credentials),
        (368, 403, Account),
        (613, 422, Throttled(Scope::App)),
        (803, 404, Account),
        (80_007, 429, Throttled(Scope::Account)),
        (130_403, 400, Permanent),
        (130_429, 400, Throttled(Scope::Number)),
        (130_472, 400, Permanent),
        (130_497, 403, Permanent),
        (131_000, 500, Ambiguous),
        (131_005, 403, Credentials),
        (131_008, 400, Permanent),
        (131_009, 400, Permanent),
        (131_016, 500, Ambiguous),
        (131_020, 400, Permanent),
        (131_021, 400, Permanent),
        (131_026, 400, Permanent),
        (131_030, 400, Permanent),
        (131_031, 403, Account),
        (131_037, 400, Account),
        (131_041, 400, Permanent),
        (131_042, 400, Account),
        (131_044, 400, Account),
        (131_045, 500, Account),
        (131_047, 400, WindowClosed),
        (131_048, 400, Permanent),
        (131_049, 400, Permanent),
        (131_050, 400, Permanent),
        (131_051, 400, Permanent),
        (131_052, 400, Permanent),
        (131_053, 400, Permanent),
        (131_055, 400, Permanent),
        (131_056, 400, Throttled(Scope::Pair)),
        (131_057, 500, Ambiguous),
        (131_060, 400, Permanent),
        (131_062, 400, Permanent),
        (131_063, 400, Permanent),
        (131_064, 400, Permanent),
        (131_201, 400, Permanent),
        (131_207, 403, Permanent),
        (131_208, 429, Throttled(Scope::Number)),
        (131_215, 400, Permanent),
        (132_000, 400, Permanent),
        (132_001, 404, Permanent),
        (132_005, 400, Permanent),
        (132_007, 400, Permanent),
        (132_008, 400, Permanent),
        (132_012, 400, Permanent),
        (132_015, 400, Permanent),
        (132_016, 400, Permanent),
        (132_018, 400, Permanent),
        (132_068, 400, Permanent),
        (132_069, 400, Permanent),
        (133_000, 500, Account),
        (133_004, 503, Ambiguous),
        (133_005, 400, Account),
        (133_006, 400, Account),
        (133_008, 400, Account),
        (133_009, 400, Account),
        (133_010, 400, Account),
        (133_015, 400, Account),
        (133_016, 400, Account),
        (134_011, 400, Account),
        (134_100, 400, Permanent),
        (134_101, 400, Throttled(Scope::Number)),
        (134_102, 500, Permanent),
        (135_000, 400, Permanent),
        (136_024, 400, Account),
        (136_025, 400, Account),
        (137_000, 400, Permanent),
        (138_000, 400, Permanent),
        (138_023, 400, Permanent),
        (139_000, 400, Permanent),
        (139_103, 400, Permanent),
        (147_001, 400, Permanent),
        (2_494_100, 400, Ambiguous),
    ];

    #[test]
    fn every_listed_code_has_its_class_whatever_the_http_status() {
        for (code, status, class) in TABLE {
            let body = format!(r#"{{"error":{{"message":"m","type":"OAuthException","code":{code}}}}}"#);
            for status in [*status, 400, 500] {
                assert_eq!(GraphError::from_answer(status, body.as_bytes(), None).class, *class, "{code} {status}");
            }
        }
    }

    #[test]
    fn an_unlisted_code_is_judged_by_its_status_and_by_what_meta_says_of_it() {
        let class = |status, body: &str| GraphError::from_answer(status, body.as_bytes(), None).class;
        assert_eq!(class(400, r#"{"error":{"code":999999}}"#), Permanent);
        assert_eq!(class(400, r#"{"error":{"code":999999,"is_transient":true}}"#), Ambiguous);
        assert_eq!(class(429, r#"{"error":{"code":999999}}"#), Throttled(Scope::App));
        assert_eq!(class(403, r#"{"error":{"code":999999}}"#), Credentials);
        assert_eq!(class(500, r#"{"error":{"message":"no code"}}"#), Ambiguous);
        assert_eq!(class(400, r#"{"error":{"code":"131047"}}"#), Permanent);
    }

    #[test]
    fn a_proof_that_meta_refuses_or_misses_tells_of_the_token_and_not_of_the_message() {
        for message in [
            "Invalid appsecret_proof provided in the API argument",
            "API calls from the server require an appsecret_proof argument",
        ] {
            let body = format!(r#"{{"error":{{"message":"{message}","type":"GraphMethodException","code":100}}}}"#);
            let error = GraphError::from_answer(400, body.as_bytes(), None);
            assert!(error.is_about_proof && error.class == Credentials, "{error}");
        }
        let other = GraphError::from_answer(400, br#"{"error":{"message":"Invalid parameter","code":100}}"#, None);
        assert!(!other.is_about_proof && other.class == Permanent);
    }

    #[test]
    fn an_answer_that_is_not_graphs_leaves_the_outcome_open() {
        for body in ["", "<html>Bad gateway</html>", "{}", r#"{"error":"text"}"#] {
            assert_eq!(GraphError::from_answer(502, body.as_bytes(), None).class, Ambiguous, "{body}");
            assert_eq!(GraphError::from_answer(403, body.as_bytes(), None).class, Ambiguous, "{body}");
            assert_eq!(GraphError::from_answer(429, body.as_bytes(), None).class, Throttled(Scope::App), "{body}");
        }
    }

    #[test]
    fn details_keep_neither_tokens_nor_numbers() {
        let body =
            br#"{"error":{"code":190,"message":"Malformed access token EAAGm0PX4ZCpsBAKZCZBsecret for +16505551234"}}"#;
        let error = GraphError::from_answer(401, body, None);
        assert_eq!(error.to_string(), "Graph error 190 (HTTP 401): Malformed access token … for …");
        let short = br#"{"error":{"code":190,"message":"Malformed access token 'EAAshort'"}}"#;
        let error = GraphError::from_answer(401, short, None);
        assert_eq!(error.to_string(), "Graph error 190 (HTTP 401): Malformed access token …");
    }
}
