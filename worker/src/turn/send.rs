//! One message to Meta.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use shared::{ids::MessageId, trace::STEP};
use tracing::{Instrument, field::Empty, info_span};

use super::{Turn, machine::Sending};
use crate::{
    account::{Cause, Mark, Pause, StandingChange},
    business::Lookup,
    store::StoreError,
    whatsapp::{Callback, ErrorClass, Outgoing, Recipient, Scope, SendError},
};

/// The account is blocked for a policy, or locked (Meta, "Error codes").
const REFUSALS: [i64; 2] = [368, 131_031];
/// How long nothing is sent after such a refusal.
const REFUSED_FOR: SignedDuration = SignedDuration::from_mins(10);

impl Turn<'_> {
    /// One request, if the lease outlasts it.
    pub(super) async fn send(&self, sending: &Sending) -> Result<Result<MessageId, SendError>, StoreError> {
        let token = self.business.as_ref().and_then(|business| business.token.as_ref().ok());
        let (Some(token), Some(to)) = (token, self.recipient()) else {
            return Ok(Err(SendError::NotConnected("there is no token or no recipient".to_owned())));
        };
        if let Some(pause) = self.paused().await {
            return Ok(Err(SendError::NotConnected(format!("the account may not send: {}", pause.cause.name()))));
        }
        if !self.hold.outlasts(self.turns.graph.send_timeout()).await? {
            return Ok(Err(SendError::NotConnected("the lease would not have outlasted it".to_owned())));
        }
        let leave_by = self.try_began + self.machine.rules().try_most();
        if Instant::now() > leave_by {
            return Ok(Err(SendError::NotConnected("the try began too long ago".to_owned())));
        }
        let callback = Callback {
            session: self.machine.conversation().id.clone(),
            reply_id: sending.reply_id.clone(),
            part: sending.part,
            attempt: sending.attempt,
        };
        let message = Outgoing {
            from: &sending.from,
            to: &to,
            body: &sending.body,
            form: &sending.form,
            quotes: sending.quotes.as_ref(),
            callback: &callback,
        };
        let started = Instant::now();
        let span = info_span!(
            target: STEP, "graph", otel.kind = "client", otel.name = "POST messages", part = sending.part,
            attempt = sending.attempt, outcome = Empty,
        );
        let sent = self.turns.graph.send(token, &message, leave_by).instrument(span.clone()).await;
        span.record("outcome", outcome(&sent));
        metrics::histogram!("switchboard_send_seconds").record(started.elapsed().as_secs_f64());
        metrics::counter!("switchboard_sends_total", "outcome" => outcome(&sent)).increment(1);
        if sent.as_ref().is_err_and(SendError::is_ambiguous) {
            metrics::counter!("switchboard_sends_in_doubt_total", "resolved" => "open").increment(1);
        }
        if sent.as_ref().is_err_and(is_too_fast) {
            self.turns.pace.throttled(&sending.from, Instant::now());
        }
        if let Err(error) = self.heed_refusal(&sent).await {
            // What became of the request is known, and must not be lost over this.
            tracing::warn!(%error, "that an account may not send could not be written");
        }
        Ok(sent)
    }

    /// What has come to keep the account from sending since the turn began, as far as it can be learned.
    async fn paused(&self) -> Option<Pause> {
        match self.turns.registry.lookup(&self.machine.number()?).await {
            Ok(Lookup::Served(business)) => business.paused(Timestamp::now()).cloned(),
            Ok(Lookup::Unserved(_)) | Err(_) => None,
        }
    }

    /// Meta says of the account that it may not send: its other conversations need not find that out one by one, after
    /// the AI was paid. Nobody may ever tell that it is over, so it is tried again.
    async fn heed_refusal(&self, sent: &Result<MessageId, SendError>) -> Result<(), StoreError> {
        let Err(SendError::Answered(error)) = sent else { return Ok(()) };
        let waba_id = self.business.as_ref().and_then(|business| business.waba_id.as_ref());
        let (Some(waba_id), true) = (waba_id, REFUSALS.contains(&error.code)) else { return Ok(()) };
        let now = Timestamp::now();
        let until = now.saturating_add(REFUSED_FOR).ok();
        let mark = Mark { at: now, stops: true, until, why: format!("Graph error {}", error.code) };
        tracing::error!(
            account = waba_id.expose(),
            code = error.code,
            "Meta does not let an account send: its messages wait"
        );
        self.turns.store.change_standing(waba_id, &[StandingChange { cause: Cause::Refusal, mark }]).await?;
        let businesses = self.turns.store.businesses_of_account(waba_id.expose()).await?;
        self.turns.registry.drop_cached(&businesses).await;
        Ok(())
    }

    /// The phone number where it is known, else the user id.
    fn recipient(&self) -> Option<Recipient> {
        let customer = &self.machine.conversation().customer;
        let phone = customer.wa_id.clone().map(Recipient::Phone);
        phone.or_else(|| customer.user_id.clone().map(Recipient::User))
    }
}

/// Whether a slower number would have got through.
fn is_too_fast(error: &SendError) -> bool {
    let SendError::Answered(error) = error else { return false };
    match error.class {
        ErrorClass::Throttled(Scope::App | Scope::Account | Scope::Number) => true,
        // One customer's bucket says nothing about the others.
        ErrorClass::Throttled(Scope::Pair) => false,
        ErrorClass::Ambiguous | ErrorClass::Credentials | ErrorClass::Account => false,
        ErrorClass::WindowClosed | ErrorClass::Permanent => false,
    }
}

/// A closed word for metrics.
fn outcome(sent: &Result<MessageId, SendError>) -> &'static str {
    match sent {
        Ok(_) => "accepted",
        Err(SendError::NotConnected(_)) => "unreachable",
        Err(SendError::NoAnswer(_)) => "unknown",
        Err(SendError::Answered(error)) => match error.class {
            ErrorClass::Throttled(_) => "throttled",
            ErrorClass::Ambiguous => "unknown",
            ErrorClass::Credentials => "credentials",
            ErrorClass::Account => "account",
            ErrorClass::WindowClosed => "window_closed",
            ErrorClass::Permanent => "refused",
        },
    }
}
