//! Tokens at Meta: the exchange for one that lasts longer, and what Meta knows of one.
//!
//! Both take secrets as parameters. The exchange is a POST whose form carries them; only what Meta offers as GET alone, or a
//! server that takes no form, has a token in its URL, which is never logged. An exchange may be repeated: the token that
//! was given keeps working.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    client::{Graph, SendError, not_answered},
    proof::Answer,
};
use crate::settings::MetaApp;

/// Of one request.
const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MOST: usize = 64 * 1024;

/// Until when a token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until then.
    Until(Timestamp),
    /// For ever, unless it is revoked.
    Endless,
    /// The answer did not say.
    Unsaid,
}

/// What an exchange brought.
#[derive(Debug, Clone)]
pub struct Exchanged {
    /// The new token.
    pub token: SecretString,
    /// Until when it is good.
    pub lifetime: Lifetime,
}

/// Where a token comes from.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The app that issued it.
    pub app_id: String,
    /// Until when it is good.
    pub lifetime: Lifetime,
}

impl Graph {
    /// Exchanges a token, which must still be valid, for one of 60 days (Meta, "Refresh the access token"). Meta writes it
    /// as a query, which proxies and servers log; a form is tried first. The secret itself stands where elsewhere a proof
    /// of it does.
    ///
    /// Cancellation: the new token may exist all the same. Nobody knows it, and the old one keeps working.
    ///
    /// # Errors
    /// Meta refuses, or did not answer.
    pub async fn exchange_token(&self, app: &MetaApp, token: &SecretString) -> Result<Exchanged, SendError> {
        let form = [
            ("grant_type", "fb_exchange_token"),
            ("client_id", app.id.as_str()),
            ("client_secret", app.secret.expose_secret()),
            ("set_token_expires_in_60_days", "true"),
            ("fb_exchange_token", token.expose_secret()),
        ];
        let asked_at = Timestamp::now();
        let url = format!("{}/oauth/access_token", self.base_url);
        let ask = async |request: RequestBuilder| {
            let answer =
                Answer::read("token", request.timeout(TIMEOUT), ANSWER_BYTES_MOST).await.map_err(not_answered)?;
            Ok::<_, SendError>(answer.without(&app.secret).without(token))
        };
        let mut answer = ask(self.client.post(&url).form(&form)).await?;
        if takes_no_form(&answer) {
            answer = ask(self.client.get(&url).query(&form)).await?;
        }
        if !answer.status.is_success() {
            return Err(answer.error().into());
        }
        let answer = answer.json();
        let token = answer.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| SendError::NoAnswer("it was 2xx, without a token".to_owned()))?;
        let lifetime = match answer.get("expires_in").and_then(Value::as_i64) {
            Some(seconds) if seconds > 0 => until(asked_at.checked_add(SignedDuration::from_secs(seconds))),
            Some(_) | None => Lifetime::Unsaid,
        };
        Ok(Exchanged { token: SecretString::from(token), lifetime })
    }

    /// Which app issued a token, which vouches for itself, and how long it is good.
    ///
    /// # Errors
    /// Meta does not take the token, or did not answer.
    pub async fn issuer_of(&self, token: &SecretString) -> Result<Issued, SendError> {
        let url = format!("{}/debug_token", self.base_url);
        let request = || self.client.get(&url).query(&[("input_token", token.expose_secret())]);
        let answer = self.call("token", token, TIMEOUT, ANSWER_BYTES_MOST, request).await.map_err(not_answered)?;
        if !answer.status.is_success() {
            return Err(answer.error().into());
        }
        let answer = answer.json();
        let of = |name| answer.get("data").and_then(|data| data.get(name));
        let app_id = of("app_id").and_then(|id| Some(id.as_str()?.to_owned()));
        Ok(Issued {
            app_id: app_id.ok_or_else(|| SendError::NoAnswer("it was 2xx, without an app id".to_owned()))?,
            lifetime: match of("expires_at").and_then(Value::as_i64) {
                None => Lifetime::Unsaid,
                Some(0) => Lifetime::Endless,
                Some(seconds) => until(Timestamp::from_second(seconds)),
            },
        })
    }
}

/// Whether an answer says that there is nothing at this address for a form, by its status or in Graph's words.
fn takes_no_form(answer: &Answer) -> bool {
    const UNSUPPORTED: &str = "Unsupported post request";
    let error = answer.json();
    let message = error.pointer("/error/message").and_then(Value::as_str);
    matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
        || (!answer.status.is_success() && message.is_some_and(|message| message.starts_with(UNSUPPORTED)))
}

/// What lies beyond the years of a timestamp is no end.
fn until(end: Result<Timestamp, jiff::Error>) -> Lifetime {
    end.map_or(Lifetime::Endless, Lifetime::Until)
}
