//! One message to Meta.

use std::time::Instant;

use shared::ids::MessageId;

use super::{Turn, machine::Sending};
use crate::{
    store::StoreError,
    whatsapp::{Callback, ErrorClass, Outgoing, Recipient, Scope, SendError},
};

impl Turn<'_> {
    /// One request, if the lease outlasts it.
    pub(super) async fn send(&self, sending: &Sending) -> Result<Result<MessageId, SendError>, StoreError> {
        let token = self.business.as_ref().and_then(|business| business.token.as_ref().ok());
        let (Some(token), Some(to)) = (token, self.recipient()) else {
            return Ok(Err(SendError::NotConnected("there is no token or no recipient".to_owned())));
        };
        if !self.hold.outlasts(self.turns.graph.send_timeout()).await? {
            return Ok(Err(SendError::NotConnected("the lease would not have outlasted it".to_owned())));
        }
        if self.try_began.elapsed() > self.machine.rules().try_most() {
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
        let sent = self.turns.graph.send(token, &message).await;
        metrics::histogram!("switchboard_send_seconds").record(started.elapsed().as_secs_f64());
        metrics::counter!("switchboard_sends_total", "outcome" => outcome(&sent)).increment(1);
        if sent.as_ref().is_err_and(SendError::is_ambiguous) {
            metrics::counter!("switchboard_sends_in_doubt_total", "resolved" => "open").increment(1);
        }
        if sent.as_ref().is_err_and(is_too_fast) {
            self.turns.pace.throttled(&sending.from, Instant::now());
        }
        Ok(sent)
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
