//! Meta's errors: one shape, and for each code the HTTP status and the words of Meta's table ("Error codes", 2026).
//!
//! The HTTP status of a code is no promise of Meta's, so every part can be overridden.

use std::time::Duration;

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// An error that the Graph API answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub http: u16,
    /// Meta's code, which tells what is wrong.
    pub code: i64,
    /// The message, without the code in front of it.
    pub message: String,
    /// `error_data.details`.
    pub details: Option<String>,
    /// `error_subcode`.
    pub subcode: Option<i64>,
    /// A `Retry-After` header, in whole seconds.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// The error of this code, as Meta's table has it.
    pub fn code(code: i64) -> Self {
        let (http, message) = of_table(code);
        Self { http, code, message: message.to_owned(), details: None, subcode: None, retry_after: None }
    }

    /// The same error with another HTTP status.
    #[must_use]
    pub fn http(self, http: u16) -> Self {
        Self { http, ..self }
    }

    /// The same error with particulars.
    #[must_use]
    pub fn details(self, details: impl Into<String>) -> Self {
        Self { details: Some(details.into()), ..self }
    }

    /// The same error with another message.
    #[must_use]
    pub fn message(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// The same error with a subcode.
    #[must_use]
    pub fn subcode(self, subcode: i64) -> Self {
        Self { subcode: Some(subcode), ..self }
    }

    /// The same error with a `Retry-After` header.
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        Self { retry_after: Some(delay), ..self }
    }

    /// The element of `errors[]` of a failed status.
    pub fn status_error(&self) -> Value {
        let details = self.details.as_deref().unwrap_or(&self.message);
        json!({
            "code": self.code, "title": self.message, "message": self.message, "error_data": {"details": details},
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        })
    }

    pub(super) fn response(&self, trace: &str) -> Response {
        // Codes of the platform have their message bare, those of WhatsApp with the code in front.
        let about_proof = self.message.contains("appsecret_proof");
        let bare = matches!(self.code, 0 | 2 | 4 | 104 | 190 | 80007 | 803) || self.subcode == Some(33) || about_proof;
        let message = if bare { self.message.clone() } else { format!("(#{}) {}", self.code, self.message) };
        let kind = if about_proof { "GraphMethodException" } else { "OAuthException" };
        let mut error = json!({"message": message, "type": kind, "code": self.code, "fbtrace_id": trace});
        if let Some(fields) = error.as_object_mut() {
            if let Some(details) = &self.details {
                fields.insert("error_data".to_owned(), json!({"messaging_product": "whatsapp", "details": details}));
            }
            if let Some(subcode) = self.subcode {
                fields.insert("error_subcode".to_owned(), json!(subcode));
            }
            if matches!(self.code, 2 | 4 | 80007) {
                fields.insert("is_transient".to_owned(), json!(true));
            }
        }
        let status = StatusCode::from_u16(self.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(json!({"error": error}))).into_response();
        if let Some(delay) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, delay.as_secs().into());
        }
        response
    }
}

fn of_table(code: i64) -> (u16, &'static str) {
    match code {
        0 => (401, "Authentication Error"),
        1 => (400, "An unknown error has occurred."),
        2 => (503, "Service temporarily unavailable"),
        3 => (500, "Application does not have the capability to make this API call."),
        4 => (429, "Application request limit reached"),
        10 => (403, "Application does not have permission for this action"),
        33 => (400, "The business phone number has been deleted"),
        100 => (400, "Invalid parameter"),
        104 => (401, "An access token is required to request this resource"),
        190 => (401, "Invalid OAuth access token"),
        200..=299 => (403, "Permissions error"),
        368 => (403, "Temporarily blocked for policies violations"),
        613 => (422, "Calls to this api have exceeded the rate limit."),
        803 => (404, "Some of the aliases you requested do not exist"),
        80007 => (429, "Business request limit reached for WhatsApp Business Account"),
        130_403 => (400, "Business has blocked this user"),
        130_429 => (400, "Rate limit hit"),
        130_472 => (400, "User's number is part of an experiment"),
        130_497 => (403, "Business account is restricted from messaging users in this country"),
        131_000 => (500, "Something went wrong"),
        131_005 => (403, "Access denied"),
        131_008 => (400, "Required parameter is missing"),
        131_009 => (400, "Parameter value is not valid"),
        131_016 => (500, "Service unavailable"),
        131_021 => (400, "Recipient cannot be sender"),
        131_026 => (400, "Message undeliverable"),
        131_030 => (400, "Recipient phone number not in allowed list"),
        131_031 => (403, "Business Account locked"),
        131_037 => (400, "Display name approval required"),
        131_042 => (400, "Business eligibility payment issue"),
        131_045 => (500, "Incorrect certificate"),
        131_047 => (400, "Re-engagement message"),
        131_048 => (400, "Spam rate limit hit"),
        131_049 => (400, "Meta chose not to deliver"),
        131_050 => (400, "User has stopped marketing messages"),
        131_051 => (400, "Unsupported message type"),
        131_052 => (400, "Media download error"),
        131_053 => (400, "Media upload error"),
        131_056 => (400, "(Business Account, Consumer Account) pair rate limit hit"),
        131_057 => (500, "Account in maintenance mode"),
        131_062 => (400, "Business-scoped user id recipients are not supported for this message"),
        132_001 => (404, "Template does not exist"),
        133_010 => (400, "Phone number not registered"),
        135_000 => (400, "Generic user error"),
        _ => (400, "Something went wrong"),
    }
}
