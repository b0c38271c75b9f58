//! Tokens: the exchange for a longer-lived one, and what Meta says about a token.
//!
//! As at Meta the old token keeps working after an exchange, until its own end; only a valid one can be exchanged, and only
//! by the app that issued it.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::{App, Refusal, State, call::Request, registry::Grant, routes::Answer};

/// What managing an account takes.
pub(super) const MANAGEMENT: &str = "whatsapp_business_management";
/// What sending takes.
pub(super) const MESSAGING: &str = "whatsapp_business_messaging";
/// What a whole token may do.
pub(super) const SCOPES: [&str; 2] = [MANAGEMENT, MESSAGING];

pub(super) const HAS_EXPIRED: &str = "Error validating access token: Session has expired.";
/// 60 days, as in Meta's sample.
pub(super) const LIFETIME: Duration = Duration::from_secs(5_183_944);

impl State {
    pub(super) fn exchange_token(&self, request: &Request) -> Result<Answer, Refusal> {
        if request.query("grant_type") != Some("fb_exchange_token") {
            return Err(Refusal::code(100).message("Missing or unknown grant_type"));
        }
        let named = request.query("client_id").and_then(|id| self.options.apps.iter().find(|app| app.id == id));
        let secret = request.query("client_secret").unwrap_or_default();
        if !self.options.open && !self.options.apps.is_empty() && !named.is_some_and(|app| is_secret_of(app, secret)) {
            return Err(Refusal::code(1).message("Error validating client secret."));
        }
        let old = request.query("fb_exchange_token").unwrap_or_default();
        let grant = self.known(old).ok_or_else(|| Refusal::code(190).http(400))?;
        if grant.has_expired() {
            return Err(Refusal::code(190).subcode(463).message(HAS_EXPIRED));
        }
        let owner = grant.owner;
        let issuer = self.app(self.registry.business_named(&owner).as_ref());
        if !self.options.open && issuer.zip(named).is_some_and(|(issuer, named)| issuer.id != named.id) {
            let message = "Error validating access token: The access token does not belong to this application.";
            return Err(Refusal::code(190).http(400).message(message));
        }
        let random = hex::encode(self.options.seed.bytes("token", &request.number.to_string()));
        let token = SecretString::from(format!("EAAsim{random}"));
        let lifetime = *self.token_lifetime.read().expect("no code panics while it holds this lock");
        self.registry.grant(&owner, &token, lifetime.map(end_of));
        let mut answer = json!({"access_token": token.expose_secret(), "token_type": "bearer"});
        if let (Some(lifetime), Value::Object(fields)) = (lifetime, &mut answer) {
            fields.insert("expires_in".to_owned(), json!(lifetime.as_secs()));
        }
        Ok(Answer::Json(answer))
    }

    pub(super) fn debug_token(&self, request: &Request) -> Result<Answer, Refusal> {
        let token = request
            .query("input_token")
            .ok_or_else(|| Refusal::code(100).message("The parameter input_token is required."))?;
        let Some(grant) = self.known(token) else {
            let error = json!({"code": 190, "message": "Invalid OAuth access token"});
            return Ok(Answer::Json(json!({"data": {"is_valid": false, "error": error, "scopes": []}})));
        };
        let business = self.registry.business_named(&grant.owner);
        let scopes = &grant.scopes;
        let target = business.as_ref().map_or(Value::Null, |business| json!([business.waba_id]));
        let mut answer = json!({"data": {
            "app_id": self.app(business.as_ref()).map_or("0", |app| &app.id),
            "type": "SYSTEM_USER",
            "application": "Simulator",
            "data_access_expires_at": 0,
            "expires_at": grant.expires_at.unwrap_or(0),
            "is_valid": !grant.has_expired(),
            "scopes": scopes,
            "granular_scopes": scopes.iter().map(|scope| json!({"scope": scope, "target_ids": target})).collect::<Vec<_>>(),
            "user_id": "100000000000001",
        }});
        if let Some(data) = answer.pointer_mut("/data").and_then(Value::as_object_mut).filter(|_| grant.has_expired()) {
            data.insert("error".to_owned(), json!({"code": 190, "subcode": 463, "message": HAS_EXPIRED}));
        }
        Ok(Answer::Json(answer))
    }

    /// What a token is good for; in open mode any is good.
    fn known(&self, token: &str) -> Option<Grant> {
        let anybody = self.options.open.then(|| Grant::whole("anybody", None));
        self.registry.grant_of(token).or(anybody)
    }

    /// The app whose `app_id|app_secret` this is.
    pub(super) fn app_of_token(&self, token: &str) -> Option<&App> {
        let (id, secret) = token.split_once('|')?;
        self.options.apps.iter().find(|app| app.id == id && is_secret_of(app, secret))
    }
}

/// When a token ends that was given just now.
pub(super) fn end_of(lifetime: Duration) -> i64 {
    jiff::Timestamp::now().as_second().saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX))
}

fn is_secret_of(app: &App, secret: &str) -> bool {
    app.secret.expose_secret().as_bytes().ct_eq(secret.as_bytes()).into()
}
