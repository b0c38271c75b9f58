//! The way of a request: record, let in, go wrong where a rule says so, do, record the answer.
//!
//! The work runs in a task of its own: a client that gives up does not undo what Meta has begun.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json, Router,
    body::Body,
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use serde_json::Value;
use sha2::Sha256;

use super::{
    Attempt, Call, Fault, Refusal, State,
    call::{Request, Target},
    tokens::HAS_EXPIRED,
};
use crate::{
    journal::{Credential, Event, GraphAnswer, GraphRequest},
    serving::HangUp,
};

/// Meta's largest upload is a document of 100 MB.
const MAX_BODY_BYTES: usize = 101 * 1024 * 1024;

/// What the stand-in did.
#[derive(Debug)]
pub(super) enum Answer {
    Json(Value),
    File { mime_type: String, bytes: bytes::Bytes },
    Refused(Refusal),
    NonJson(u16),
    Redirect(String),
    HangUp,
}

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new().fallback(move |request: axum::extract::Request| handle(state.clone(), request))
}

async fn handle(state: Arc<State>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let number = state.options.journal.number();
    let request = Request::read(number, parts, body);
    let work = state.tasks.spawn(state.stop.clone().run_until_cancelled_owned(answer(state.clone(), request)));
    // Stopped, or a rule panicked: either way nobody answers.
    work.await.ok().flatten().unwrap_or_else(HangUp::response)
}

async fn answer(state: Arc<State>, request: Request) -> Response {
    let number = request.number;
    let answer = state.decide(request).await;
    let trace =
        hex::encode(state.options.seed.bytes("trace", &number.to_string())).chars().take(24).collect::<String>();
    let (http, code) = match &answer {
        Answer::Json(_) | Answer::File { .. } => (Some(200), None),
        Answer::Refused(refusal) => (Some(refusal.http), Some(refusal.code)),
        Answer::NonJson(status) => (Some(*status), None),
        Answer::Redirect(_) => (Some(302), None),
        Answer::HangUp => (None, None),
    };
    state.options.journal.record(Event::GraphAnswer(GraphAnswer { request: number, http, code }));
    let mut response = match answer {
        Answer::Json(body) => Json(body).into_response(),
        Answer::File { mime_type, bytes } => ([("content-type", mime_type)], Body::from(bytes)).into_response(),
        Answer::Refused(refusal) => refusal.response(&trace),
        Answer::NonJson(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, [("content-type", "text/html")], "<html><body>Sorry, something went wrong.</body></html>")
                .into_response()
        }
        Answer::Redirect(url) => (StatusCode::FOUND, [("location", url)]).into_response(),
        Answer::HangUp => return HangUp::response(),
    };
    if let Ok(trace) = HeaderValue::from_str(&trace) {
        response.headers_mut().insert("x-fb-trace-id", trace);
    }
    response
}

impl State {
    async fn decide(self: &Arc<Self>, request: Request) -> Answer {
        let credential = self.credential(&request);
        let proof = self.proof(&request);
        self.options.journal.record(Event::GraphRequest(GraphRequest {
            request: request.number,
            method: request.parts.method.to_string(),
            path: request.path(),
            credential: credential.clone(),
            proof,
        }));
        let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        if let Err(refusal) = self.let_in(&request, &credential, proof) {
            self.record_refused_send(&request, &credential, &body, &refusal);
            return Answer::Refused(refusal);
        }
        let fault = self.faults.choose(&mut self.attempt(&request, &body));
        if let Some(Fault::Delay(delay)) = fault {
            tokio::time::sleep(delay).await;
        }
        let answer = self.perform(&request, &credential, body, fault.as_ref()).await;
        if let Some(Fault::AcceptThenDelay(delay)) = fault {
            tokio::time::sleep(delay).await;
        }
        let is_done = matches!(answer, Answer::Json(_) | Answer::File { .. });
        if is_done && matches!(fault, Some(Fault::AcceptThenDrop)) { Answer::HangUp } else { answer }
    }

    async fn perform(
        self: &Arc<Self>,
        request: &Request,
        who: &Credential,
        body: Value,
        fault: Option<&Fault>,
    ) -> Answer {
        if let Target::Messages(id) = &request.target {
            return self.messages(request.number, id, who, body, fault);
        }
        if let Some(instead) = fault.and_then(Fault::instead) {
            return instead;
        }
        let done = match &request.target {
            Target::Upload(id) => self.upload(id, request, who).await,
            Target::Node(id) => self.node(id, request, who),
            Target::Delete(id) => self.delete_media(id, who),
            Target::Download(id) => self.download(id, who),
            Target::ExchangeToken => self.exchange_token(request),
            Target::DebugToken => self.debug_token(request),
            Target::Numbers(id) => Ok(self.numbers(id)),
            Target::Subscriptions(id) => Ok(self.subscriptions(id)),
            Target::Subscribe(id) => Ok(self.subscribe(id)),
            Target::Messages(_) | Target::Unknown => Err(unsupported(&request.path())),
        };
        done.unwrap_or_else(Answer::Refused)
    }

    /// The request as the rules for faults see it.
    fn attempt(&self, request: &Request, body: &Value) -> Attempt {
        let text = |key| body.get(key).and_then(Value::as_str);
        let call = match &request.target {
            Target::Messages(_) if text("status") == Some("read") => Call::Read,
            Target::Messages(_) => Call::Send,
            Target::Node(id) if self.registry.business(id).is_some() => Call::Other,
            Target::Node(_) => Call::MediaUrl,
            Target::Upload(_) => Call::Upload,
            Target::Download(_) => Call::Download,
            Target::Delete(_) => Call::DeleteMedia,
            Target::ExchangeToken | Target::DebugToken => Call::Token,
            Target::Numbers(_) | Target::Subscriptions(_) | Target::Subscribe(_) | Target::Unknown => Call::Other,
        };
        let recipient = text("to").map(|to| to.trim_start_matches('+')).or(text("recipient"));
        Attempt {
            call,
            phone_number_id: self.number_of(&request.target).unwrap_or_default(),
            recipient: recipient.unwrap_or_default().to_owned(),
            nth: 0,
            body: body.clone(),
        }
    }

    /// The number that the URL names, or that the file in it belongs to.
    fn number_of(&self, target: &Target) -> Option<String> {
        let of_file = || self.media.get(target.media_id()?).map(|media| media.phone_number_id);
        target.phone_number_id().map(str::to_owned).or_else(of_file)
    }

    fn credential(&self, request: &Request) -> Credential {
        match (&request.token, &request.target) {
            // An app token, `id|secret`, belongs to the app.
            (Some(token), Target::DebugToken) if self.app_of_token(token).is_some() => Credential::Of("app".to_owned()),
            // The exchange is authorised by the app secret and the old token in the query.
            (None, Target::ExchangeToken) => self.registry.credential(request.query("fb_exchange_token")),
            (token, _) => self.registry.credential(token.as_deref()),
        }
    }

    /// Whether the request may touch what its URL names.
    fn let_in(&self, request: &Request, credential: &Credential, proof: Option<bool>) -> Result<(), Refusal> {
        if self.options.open {
            return Ok(());
        }
        if proof == Some(false) {
            return Err(Refusal::code(100).message("Invalid appsecret_proof provided in the API argument"));
        }
        let business =
            request.target.phone_number_id().map(|id| self.registry.business(id).ok_or_else(|| unsupported(id)));
        let owner = business.transpose()?.map(|business| business.name);
        match credential {
            Credential::Missing => {
                Err(Refusal::code(190).message("An access token is required to request this resource."))
            }
            Credential::Unknown => Err(Refusal::code(190)),
            Credential::Of(name) if owner.as_ref().is_some_and(|owner| owner != name) => {
                Err(Refusal::code(190).details("The token belongs to another business."))
            }
            Credential::Of(_) if self.misses_proof(request, proof) => {
                Err(Refusal::code(100).message("API calls from the server require an appsecret_proof argument"))
            }
            Credential::Of(name) => self.allowed(request, name),
        }
    }

    /// Whether a proof is demanded that is not there. The exchange of a token has the secret itself.
    fn misses_proof(&self, request: &Request, proof: Option<bool>) -> bool {
        let needs = !matches!(request.target, Target::Download(_) | Target::ExchangeToken);
        needs && proof.is_none() && self.proof_required.load(Ordering::Relaxed)
    }

    /// Whether the token still counts, and is one for this.
    fn allowed(&self, request: &Request, owner: &str) -> Result<(), Refusal> {
        if let Some(id) = request.target.waba_id()
            && !self.registry.of_account(id).iter().any(|business| business.name == owner)
        {
            return Err(unsupported(id));
        }
        let Some(grant) = request.token.as_deref().and_then(|token| self.registry.grant_of(token)) else {
            return Ok(());
        };
        if grant.has_expired() {
            return Err(Refusal::code(190).subcode(463).message(HAS_EXPIRED));
        }
        match request.target.scope() {
            Some(scope) if !grant.scopes.iter().any(|granted| granted == scope) => {
                Err(Refusal::code(200).message(format!("Requires {scope} permission to manage the object")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether `appsecret_proof` was made with the secret of the app whose token it is; none without a proof or an app.
    fn proof(&self, request: &Request) -> Option<bool> {
        let (proof, token) = (request.query("appsecret_proof")?, request.token.as_deref()?);
        let owner = self.registry.grant_of(token).and_then(|grant| self.registry.business_named(&grant.owner));
        let app = self.app_of_token(token).or_else(|| self.app(owner.as_ref()))?;
        let mut mac = Hmac::<Sha256>::new_from_slice(app.secret.expose_secret().as_bytes()).ok()?;
        mac.update(token.as_bytes());
        Some(hex::decode(proof).is_ok_and(|proof| mac.verify_slice(&proof).is_ok()))
    }
}

/// What Graph says of an object that is not there, or not for this token.
pub(super) fn unsupported(id: &str) -> Refusal {
    let message = format!(
        "Unsupported request. Object with ID '{id}' does not exist, cannot be loaded due to missing permissions, or \
         does not support this operation."
    );
    Refusal::code(100).subcode(33).message(message)
}
