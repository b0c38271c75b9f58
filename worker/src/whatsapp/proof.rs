//! `appsecret_proof`: the sign that whoever has a token also has the secret of the app that issued it.
//!
//! A stolen token is of no use at an app that demands the sign (Meta, "Secure Graph API Calls"). It is the HMAC of the
//! token, travels in the query, and is wrong with any other app's secret. So a request has one where the issuer is known:
//! with one app it is taken for the issuer, with several Meta is asked, once for each token. None of that costs a
//! message: where Meta does not say in time a request goes without, and one whose proof Meta refuses goes once more
//! without, as do those behind it for an hour.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use moka::{Expiry, future::Cache};
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;
use tokio::time::Instant;

use super::{
    calls::{counted, word},
    client::Graph,
    error::GraphError,
};
use crate::{
    business::token_id,
    http::{body, retry_after},
    settings::{MetaApp, MetaApps},
};

const PARAMETER: &str = "appsecret_proof";
const MOST_CACHED: u64 = 100_000;
/// The secret may be an old one, and Meta may have the new one meanwhile.
const REFUSED_FOR: Duration = Duration::from_secs(3_600);
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// A message waits this long for Meta's word on its token.
const ASKING_MOST: Duration = Duration::from_secs(3);
const ANSWER_BYTES_MOST: usize = 64 * 1024;

/// Who can prove what. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Proofs {
    apps: Arc<MetaApps>,
    /// By the id of the token.
    issuers: Cache<String, Issuer>,
}

/// Where a token comes from, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Issuer {
    /// The app of this id, whose secret is here.
    Ours(String),
    /// An app whose secret is not here.
    Foreign,
    /// Meta did not say.
    Unknown,
    /// An app of ours, one should think, but Meta takes no proof for it.
    Refused,
}

struct ByIssuer;

impl ByIssuer {
    fn keep(issuer: &Issuer) -> Option<Duration> {
        match issuer {
            Issuer::Ours(_) | Issuer::Foreign => None,
            Issuer::Unknown => Some(UNKNOWN_FOR),
            Issuer::Refused => Some(REFUSED_FOR),
        }
    }
}

impl Expiry<String, Issuer> for ByIssuer {
    fn expire_after_create(&self, _: &String, issuer: &Issuer, _: std::time::Instant) -> Option<Duration> {
        Self::keep(issuer)
    }

    fn expire_after_update(
        &self,
        _: &String,
        issuer: &Issuer,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Self::keep(issuer)
    }
}

/// What Graph answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    /// None where it is larger than it may be.
    pub(super) bytes: Option<Bytes>,
}

/// As what a request is counted, and how long its answer may be.
#[derive(Debug, Clone, Copy)]
struct Reading {
    call: &'static str,
    most: usize,
}

impl Answer {
    /// Makes a request, which is counted as a `call`, to the end of its answer.
    ///
    /// # Errors
    /// No answer came.
    pub(super) async fn read(call: &'static str, request: RequestBuilder, most: usize) -> reqwest::Result<Self> {
        let reading = async {
            let response = request.send().await?;
            let (status, retry_after) = (response.status(), retry_after(response.headers()));
            Ok(Self { status, retry_after, bytes: body(response, most).await? })
        };
        counted(call, reading, |answer| if answer.status.is_success() { "ok" } else { word(answer.error().class) })
            .await
    }

    /// The same without a secret that a server repeats where it refuses it: no error may hold it.
    pub(super) fn without(self, secret: &SecretString) -> Self {
        let secret = secret.expose_secret();
        if self.status.is_success() || secret.is_empty() {
            return self;
        }
        let clean = |bytes: Bytes| match std::str::from_utf8(&bytes) {
            Ok(text) if text.contains(secret) => Bytes::from(text.replace(secret, "…")),
            Ok(_) | Err(_) => bytes,
        };
        Self { bytes: self.bytes.map(clean), ..self }
    }

    /// The answer as JSON, `null` where it is none.
    pub(super) fn json(&self) -> Value {
        self.bytes.as_ref().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or(Value::Null)
    }

    /// The answer as an error.
    pub(super) fn error(&self) -> GraphError {
        GraphError::from_answer(self.status.as_u16(), self.bytes.as_deref().unwrap_or_default(), self.retry_after)
    }

    fn is_about_proof(&self) -> bool {
        !self.status.is_success() && self.error().is_about_proof
    }
}

impl Proofs {
    pub(super) fn new(apps: MetaApps) -> Self {
        let issuers = Cache::builder().max_capacity(MOST_CACHED).expire_after(ByIssuer).build();
        Self { apps: Arc::new(apps), issuers }
    }

    /// The app that a token is of where nobody need be asked: it is an app's own, or there is only one app.
    fn evident(&self, token: &SecretString) -> Option<&MetaApp> {
        let text = token.expose_secret();
        let own = text.split_once('|').and_then(|(id, _)| self.apps.get(id));
        own.filter(|app| app.token().expose_secret() == text).or_else(|| self.apps.only())
    }

    async fn refused(&self, token: &SecretString) {
        let id = token_id(Some(token));
        tracing::warn!(
            token = id,
            "Meta does not take the appsecret_proof of a token, which is sent without from now on: another app issued \
             the token, or WHATSAPP_APP_SECRET is not this app's secret any more"
        );
        metrics::counter!("switchboard_proofs_refused_total").increment(1);
        self.issuers.insert(id, Issuer::Refused).await;
    }
}

impl Graph {
    /// A request with a token, to the end of an answer of at most that many bytes, counted as a `call`. It carries a proof where one is known,
    /// and is made a second time where Meta refuses the proof, which it does before anything else is done. `request`
    /// makes it, without the token; all of it together takes no longer than `within`.
    ///
    /// # Errors
    /// No answer came.
    pub(super) async fn call(
        &self,
        call: &'static str,
        token: &SecretString,
        within: Duration,
        most: usize,
        request: impl Fn() -> RequestBuilder,
    ) -> reqwest::Result<Answer> {
        let deadline = Instant::now() + within;
        let proof = self.proof(token).await;
        self.exchange(Reading { call, most }, token, proof, deadline, deadline, request).await
    }

    /// The same for what must leave soon or not at all: nobody is asked for a proof that is not known yet (see
    /// [`Self::learn_issuer`]), and after `leave_by` it is not made a second time.
    ///
    /// # Errors
    /// No answer came.
    pub(super) async fn call_promptly(
        &self,
        call: &'static str,
        token: &SecretString,
        within: Duration,
        leave_by: Instant,
        most: usize,
        request: impl Fn() -> RequestBuilder,
    ) -> reqwest::Result<Answer> {
        let proof = match self.proofs.issuers.get(&token_id(Some(token))).await {
            Some(issuer) => self.proof_as(&issuer, token),
            None => self.proofs.evident(token).map(|app| proof_of(&app.secret, token)),
        };
        let deadline = Instant::now() + within;
        self.exchange(Reading { call, most }, token, proof, deadline, leave_by, request).await
    }

    /// Finds out which app issued a token, before there is something to send with it. Takes three seconds at most, and no
    /// time where it is known.
    pub async fn learn_issuer(&self, token: &SecretString) {
        drop(self.proof(token).await);
    }

    async fn exchange(
        &self,
        Reading { call, most }: Reading,
        token: &SecretString,
        proof: Option<SecretString>,
        deadline: Instant,
        leave_by: Instant,
        request: impl Fn() -> RequestBuilder,
    ) -> reqwest::Result<Answer> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let with_token = || request().bearer_auth(token.expose_secret()).timeout(left());
        let Some(proof) = proof else {
            let answer = Answer::read(call, with_token(), most).await?.without(token);
            if answer.is_about_proof() {
                // It is demanded. What Meta did not tell, or did not take, it may by now.
                self.forget_unproven(token).await;
            }
            return Ok(answer);
        };
        let proven = with_token().query(&[(PARAMETER, proof.expose_secret())]);
        let answer = Answer::read(call, proven, most).await?.without(token).without(&proof);
        if !answer.is_about_proof() {
            return Ok(answer);
        }
        self.proofs.refused(token).await;
        if Instant::now() >= leave_by.min(deadline) {
            return Ok(answer);
        }
        Ok(Answer::read(call, with_token(), most).await?.without(token))
    }

    /// The proof for a token, if it is one of an app of ours as far as anybody knows.
    async fn proof(&self, token: &SecretString) -> Option<SecretString> {
        let proofs = &self.proofs;
        if proofs.apps.is_empty() {
            return None;
        }
        let finding = async {
            match proofs.evident(token) {
                Some(app) => Issuer::Ours(app.id.clone()),
                None => tokio::time::timeout(ASKING_MOST, self.issuer(token)).await.unwrap_or(Issuer::Unknown),
            }
        };
        let issuer = proofs.issuers.get_with(token_id(Some(token)), finding).await;
        self.proof_as(&issuer, token)
    }

    fn proof_as(&self, issuer: &Issuer, token: &SecretString) -> Option<SecretString> {
        match issuer {
            Issuer::Ours(id) => self.proofs.apps.get(id).map(|app| proof_of(&app.secret, token)),
            Issuer::Foreign | Issuer::Unknown | Issuer::Refused => None,
        }
    }

    /// Asks Meta. Each app's proof is tried, because an app that demands one answers to no request without.
    async fn issuer(&self, token: &SecretString) -> Issuer {
        for app in self.proofs.apps.as_slice() {
            let proof = proof_of(&app.secret, token);
            let query = [("input_token", token.expose_secret()), (PARAMETER, proof.expose_secret())];
            let request = self.client.get(format!("{}/debug_token", self.base_url)).query(&query);
            let request = request.bearer_auth(token.expose_secret()).timeout(ASKING_MOST);
            let Ok(answer) = Answer::read("token", request, ANSWER_BYTES_MOST).await else { return Issuer::Unknown };
            if answer.is_about_proof() {
                continue;
            }
            return match answer.json().pointer("/data/app_id").and_then(Value::as_str) {
                Some(id) if self.proofs.apps.get(id).is_some() => Issuer::Ours(id.to_owned()),
                Some(_) => Issuer::Foreign,
                None => Issuer::Unknown,
            };
        }
        Issuer::Foreign
    }

    async fn forget_unproven(&self, token: &SecretString) {
        let id = token_id(Some(token));
        if matches!(self.proofs.issuers.get(&id).await, Some(Issuer::Unknown | Issuer::Refused)) {
            self.proofs.issuers.invalidate(&id).await;
        }
    }
}

/// HMAC-SHA256 of the token under the app's secret, in hexadecimal digits.
fn proof_of(secret: &SecretString, token: &SecretString) -> SecretString {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes());
    let mut mac = mac.expect("HMAC takes a key of any length");
    mac.update(token.expose_secret().as_bytes());
    SecretString::from(hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_what_another_implementation_makes_of_it() {
        let proof = proof_of(&SecretString::from("test-app-secret"), &SecretString::from("EAAtest"));
        // printf EAAtest | openssl dgst -sha256 -hmac test-app-secret
        let expected = "545c00459922319a6658d712eb8b84a1afb328fa4d94f9f8c70dca9a8b3566e2";
        assert_eq!(proof.expose_secret(), expected);
        assert!(!format!("{proof:?}").contains(expected));
    }

    #[test]
    fn a_secret_that_a_server_repeats_is_in_no_error() {
        let told = |status, body: &'static str| {
            let bytes = Some(Bytes::from_static(body.as_bytes()));
            Answer { status, retry_after: None, bytes }.without(&SecretString::from("planted-7"))
        };
        let refused = told(StatusCode::BAD_REQUEST, r#"{"error":{"code":100,"message":"no planted-7 here"}}"#);
        assert_eq!(refused.error().to_string(), "Graph error 100 (HTTP 400): no … here");
        let taken = told(StatusCode::OK, r#"{"messages":[{"id":"planted-7"}]}"#);
        assert_eq!(taken.json()["messages"][0]["id"], "planted-7", "an answer is what it is");
    }

    #[test]
    fn of_several_apps_only_an_apps_own_token_tells_whose_it_is() {
        let app = |id: &str, secret: &str| MetaApp { id: id.to_owned(), secret: SecretString::from(secret) };
        let issuer = |apps: &[MetaApp], token: &str| {
            let proofs = Proofs::new(MetaApps::new(apps.iter().cloned()));
            proofs.evident(&SecretString::from(token)).map(|app| app.id.clone())
        };
        let (one, two) = (app("1", "one"), app("2", "two"));
        assert_eq!(issuer(std::slice::from_ref(&one), "EAAtoken").as_deref(), Some("1"));
        assert_eq!(issuer(&[one.clone(), two.clone()], "2|two").as_deref(), Some("2"));
        for token in ["EAAtoken", "2|one", "3|two"] {
            assert_eq!(issuer(&[one.clone(), two.clone()], token), None, "{token}");
        }
    }
}
