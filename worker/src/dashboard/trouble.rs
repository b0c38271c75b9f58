//! What a browser is told where it does not get what it asked for: plainly, and nothing of anybody's.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::html;

use super::layout;
use crate::store::StoreError;

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A form that is not ours, or too old.
    Forged,
    /// The browser did not keep a cookie.
    NoCookie,
    /// Nobody is signed in.
    NotSignedIn,
    /// Too many wrong secrets.
    TooOften(Duration),
    /// There is no such thing; says which.
    NotFound(String),
    /// What was asked for makes no sense; says why.
    Wrong(String),
    /// It cannot be done as things stand; says why.
    Conflict(String),
    /// A form that is none.
    NoForm,
    /// A form that is too large.
    TooLarge,
    /// Neither a look nor a form.
    Method,
    /// Too many requests at once.
    Busy,
    /// No answer in time.
    Slow,
    /// The database did not do it.
    Store(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Trouble {
    fn words(&self) -> (StatusCode, &'static str, String) {
        let say = |status, title, text: &str| (status, title, text.to_owned());
        match self {
            Self::Forged => say(
                StatusCode::FORBIDDEN,
                "Nothing was done",
                "This form does not come from a page of this dashboard, or its session has ended. Open the page anew, \
                 and try again. Where this is said each time, the proxy in front does not pass the Host on.",
            ),
            Self::NoCookie => say(
                StatusCode::FORBIDDEN,
                "The browser kept no cookie",
                "Nobody can be signed in without one. Browsers keep this cookie by HTTPS alone: serve the dashboard by \
                 HTTPS, behind a proxy that passes the Host on, or open it on the machine itself as \
                 http://127.0.0.1:8100/ (by an SSH tunnel, perhaps). If you are there already, allow cookies for it.",
            ),
            Self::NotSignedIn => {
                say(StatusCode::UNAUTHORIZED, "You are not signed in", "Nothing was done. Sign in and try again.")
            }
            Self::TooOften(wait) => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many wrong secrets",
                format!("Try again in {} seconds.", whole_seconds(*wait)),
            ),
            Self::NotFound(what) => (StatusCode::NOT_FOUND, "There is no such page", what.clone()),
            Self::Wrong(why) => (StatusCode::BAD_REQUEST, "That makes no sense here", why.clone()),
            Self::Conflict(why) => (StatusCode::CONFLICT, "Nothing was done", why.clone()),
            Self::NoForm => {
                say(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Nothing was done", "That is no form of a browser.")
            }
            Self::TooLarge => say(StatusCode::PAYLOAD_TOO_LARGE, "Nothing was done", "The form is too large."),
            Self::Method => {
                say(StatusCode::METHOD_NOT_ALLOWED, "Nothing was done", "Pages are looked at, and forms are sent.")
            }
            Self::Slow => say(
                StatusCode::SERVICE_UNAVAILABLE,
                "That took too long",
                "The database does not answer, or has very much to do. What was to be changed may be changed: look first.",
            ),
            Self::Busy => {
                say(StatusCode::SERVICE_UNAVAILABLE, "Too much at once", "Wait a moment, and load the page again.")
            }
            Self::Store(error) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The database did not answer",
                format!("{error}. Load the page again; where something was to be done, look first whether it was."),
            ),
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        if let Self::Store(error) = &self {
            tracing::warn!(%error, "a page of the dashboard cannot be shown");
        }
        let (status, title, text) = self.words();
        let page = layout::alone(
            title,
            &html! {
                h1 { (title) }
                p { (text) }
                p { a .button href="/" { "To the overview" } }
            },
        );
        let mut response = (status, page).into_response();
        if let Self::TooOften(wait) = &self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(*wait)));
        }
        response
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs_f64().ceil().clamp(1.0, 3_600.0) as u64
}
