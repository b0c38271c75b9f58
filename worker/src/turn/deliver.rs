//! From a committed reply to a settled conversation.
//!
//! Before each request the database says `sending`; after it, what became of it. So a crash at any line leaves
//! either "certainly not sent" or "in doubt", and doubt is settled by evidence, not by guessing.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use shared::ids::{MessageId, PhoneNumberId};

use super::{
    Outcome, Turn,
    answer::{Run, age, real_id},
};
use crate::{
    business::{Business, Lookup},
    conversation::{Outbox, Part, PartState},
    store::{Outbound, Postponement, ReplayPolicy, StoreError},
    whatsapp::{Callback, ErrorClass, Recipient, Scope, SendError, Text},
};

/// A throttle lasts at least this long; full jitter alone could try again at once.
const THROTTLE_FLOOR: Duration = Duration::from_secs(1);

/// How long statuses that do not flow are waited for; then the message is sent again all the same.
const SILENCE_MOST: SignedDuration = SignedDuration::from_mins(3);
/// How often it is looked at whether they do.
const SILENCE_CHECK: Duration = Duration::from_millis(600);
/// Evidence of the later tries is waited for this long at most.
const PATIENCE_MOST: Duration = Duration::from_secs(600);

/// A send that cannot go on, and the part that it stopped at.
enum Stopped {
    Lost,
    At(usize, SendError),
}

impl Turn<'_> {
    /// Goes on with a reply that an earlier turn committed.
    pub(super) async fn resume(&mut self, outbox: Outbox) -> Result<Outcome, StoreError> {
        let run = self.read_run(outbox.answered_in(&self.conversation.mailbox)).await?;
        if let Some(wait) = self.evidence_is_awaited(&outbox) {
            let detail = "the last try of a part may have reached Meta".to_owned();
            return self
                .postpone(Postponement {
                    delay: wait,
                    reason: "in_doubt",
                    detail,
                    for_evidence: true,
                    ai: false,
                    not_sent: None,
                })
                .await;
        }
        if outbox.parts.iter().all(|part| part.state == PartState::Sent) {
            return self.finish(&outbox, &run).await;
        }
        let business = match self.business_of(&outbox.phone_number_id).await? {
            Ok(business) => business,
            Err(why) if outbox.parts.iter().all(|part| part.state == PartState::Waiting) => {
                return self.bury_unserved(&run, why).await;
            }
            // What may be with the customer already must not be answered again by itself.
            Err(why) => {
                return self.bury(&run.items, why.reason(), "its reply was under way", ReplayPolicy::ByHand).await;
            }
        };
        if self.waited_too_long(&run) {
            let detail = "its reply could not be sent within 24 hours";
            return self.bury(&run.items, "window_closed", detail, ReplayPolicy::ByHand).await;
        }
        if let Err(error) = &business.token {
            return self.wait_for_credentials(error.to_string()).await;
        }
        self.deliver(&business, outbox, &run, false).await
    }

    /// How long to wait for evidence of a part that is in doubt.
    fn evidence_is_awaited(&self, outbox: &Outbox) -> Option<Duration> {
        let in_doubt = outbox.parts.iter().find(|part| part.state == PartState::Sending)?;
        let patience = SignedDuration::try_from(self.patience(in_doubt.tries)).unwrap_or(SignedDuration::MAX);
        let waited = self.conversation.claimed_at.duration_since(in_doubt.last_try_at?);
        if waited < patience {
            return Some(Duration::try_from(patience - waited).unwrap_or_default());
        }
        // Silence counts only while statuses flow: they may wait in RabbitMQ, for a worker or for MongoDB.
        let heard_out = self.statuses_were_drained(Duration::try_from(waited - patience).unwrap_or_default());
        let longest = patience.saturating_add(SILENCE_MOST);
        (!heard_out && waited < longest).then_some(SILENCE_CHECK)
    }

    /// Whether no status waited any more at some time in the last `window` before this turn.
    fn statuses_were_drained(&self, window: Duration) -> bool {
        let since = self.started.checked_sub(window);
        let last = self.turns.statuses.last();
        matches!((last, since), (Some(last), Some(since)) if last >= since)
    }

    /// How long evidence of a try is waited for: longer after each, because each may have reached the customer.
    fn patience(&self, tries: u32) -> Duration {
        let first = self.turns.settings.send_evidence;
        first.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1).min(20))).min(PATIENCE_MOST.max(first))
    }

    /// Sends what is not sent yet. `begun`: the first part's first try was written with the commit.
    pub(super) async fn deliver(
        &self,
        business: &Arc<Business>,
        mut outbox: Outbox,
        run: &Run,
        begun: bool,
    ) -> Result<Outcome, StoreError> {
        let mut business = Arc::clone(business);
        let mut begun = begun;
        loop {
            match self.send_parts(&business, &mut outbox, run, begun).await? {
                Ok(()) => return self.finish(&outbox, run).await,
                Err(Stopped::Lost) => return Ok(Outcome::Lost),
                Err(Stopped::At(part, SendError::Answered(error))) if error.class == ErrorClass::Credentials => {
                    // The token may have been replaced since it was cached: look once, and only once.
                    match self.newer_token(&business, &outbox.phone_number_id).await? {
                        Some(newer) => {
                            (business, begun) = (newer, false);
                            if let Some(part) = outbox.parts.get_mut(part) {
                                part.state = PartState::Waiting;
                            }
                        }
                        None => return self.stop(&outbox, part, &SendError::Answered(error), run).await,
                    }
                }
                Err(Stopped::At(part, error)) => return self.stop(&outbox, part, &error, run).await,
            }
        }
    }

    /// The business again, where its token is another one than the refused.
    async fn newer_token(
        &self,
        refused: &Business,
        number: &PhoneNumberId,
    ) -> Result<Option<Arc<Business>>, StoreError> {
        let lookup = self.turns.registry.lookup_fresh(number).await?;
        let Lookup::Served(fresh) = lookup else { return Ok(None) };
        let other = match (&fresh.token, &refused.token) {
            (Ok(fresh), Ok(refused)) => fresh.expose_secret() != refused.expose_secret(),
            (Ok(_), Err(_)) => true,
            (Err(_), _) => false,
        };
        Ok((other && fresh.id == self.conversation.business_id).then_some(fresh))
    }

    async fn send_parts(
        &self,
        business: &Business,
        outbox: &mut Outbox,
        run: &Run,
        mut begun: bool,
    ) -> Result<Result<(), Stopped>, StoreError> {
        let lease = self.hold.key();
        for index in 0..outbox.parts.len() {
            let Some(part) = outbox.parts.get(index).cloned() else { break };
            if part.state == PartState::Sent {
                begun = false;
                continue;
            }
            if !begun {
                if part.state == PartState::Sending {
                    tracing::warn!(session = %self.conversation.id, part = index, "no evidence of a send in doubt: sending again");
                    metrics::counter!("switchboard_sends_in_doubt_total", "resolved" => "resend").increment(1);
                }
                if !self.turns.store.begin_try(lease, &outbox.reply_id, index, part.tries).await? {
                    return Ok(Err(Stopped::Lost));
                }
            }
            let attempt = part.tries + 1;
            let sent = self.send(business, outbox, &part, index, attempt, run).await?;
            let part = outbox.parts.get_mut(index);
            if let Some(part) = part {
                part.tries = attempt;
                part.state = if sent.is_ok() { PartState::Sent } else { PartState::Sending };
                part.wamid = sent.as_ref().ok().cloned();
            }
            let wamid = match sent {
                Ok(wamid) => wamid,
                Err(error) => return Ok(Err(Stopped::At(index, error))),
            };
            // The last part's record is one with `settle`.
            begun = index + 1 < outbox.parts.len();
            if begun && !self.turns.store.part_sent(lease, &outbox.reply_id, index, &wamid).await? {
                return Ok(Err(Stopped::Lost));
            }
        }
        Ok(Ok(()))
    }

    /// One request, if the lease outlasts it.
    async fn send(
        &self,
        business: &Business,
        outbox: &Outbox,
        part: &Part,
        index: usize,
        attempt: u32,
        run: &Run,
    ) -> Result<Result<MessageId, SendError>, StoreError> {
        let (Ok(token), Some(to)) = (&business.token, self.recipient()) else {
            return Ok(Err(SendError::NotConnected("there is no token or no recipient".to_owned())));
        };
        if !self.hold.outlasts(self.turns.graph.send_timeout()).await? {
            return Ok(Err(SendError::NotConnected("the lease would not have outlasted it".to_owned())));
        }
        let callback =
            Callback { session: self.conversation.id.clone(), reply_id: outbox.reply_id.clone(), part: index, attempt };
        // An answer to several messages quotes the last of them, so that it is clear what it covers.
        let quoted = (index == 0 && run.items.len() > 1).then(|| run.items.last()).flatten();
        let quoted = quoted.and_then(|item| real_id(&item.id));
        let text = Text {
            from: &outbox.phone_number_id,
            to: &to,
            body: &part.body,
            quotes: quoted.as_ref(),
            callback: &callback,
        };
        let started = std::time::Instant::now();
        let sent = self.turns.graph.send_text(token, &text).await;
        metrics::histogram!("switchboard_send_seconds").record(started.elapsed().as_secs_f64());
        metrics::counter!("switchboard_sends_total", "outcome" => outcome(&sent)).increment(1);
        Ok(sent)
    }

    /// The phone number where it is known, else the user id.
    fn recipient(&self) -> Option<Recipient> {
        let customer = &self.conversation.customer;
        let phone = customer.wa_id.clone().map(Recipient::Phone);
        phone.or_else(|| customer.user_id.clone().map(Recipient::User))
    }

    /// Every part is with Meta: transcript, then the end of the turn.
    async fn finish(&self, outbox: &Outbox, run: &Run) -> Result<Outcome, StoreError> {
        self.record_run(run).await?;
        self.record_sent(outbox).await?;
        if let Some(first) = run.items.first() {
            metrics::histogram!("switchboard_answer_seconds").record(age(first.received_at, Timestamp::now()));
        }
        tracing::info!(session = %self.conversation.id, answered = outbox.answers.len(), parts = outbox.parts.len(), "answered");
        let memory = self.memory_of(run, outbox);
        self.settle(&outbox.phone_number_id, &outbox.answers, &memory).await
    }

    /// The transcript of what is with Meta.
    async fn record_sent(&self, outbox: &Outbox) -> Result<(), StoreError> {
        for part in &outbox.parts {
            let Some(wamid) = &part.wamid else { continue };
            let outbound = Outbound {
                session: &self.conversation.id,
                business_id: &self.conversation.business_id,
                number: &outbox.phone_number_id,
                wamid,
                reply_id: Some(&outbox.reply_id),
                body: &part.body,
            };
            self.turns.store.record_outbound(&outbound).await?;
        }
        Ok(())
    }

    /// What follows from a failed send.
    async fn stop(&self, outbox: &Outbox, part: usize, error: &SendError, run: &Run) -> Result<Outcome, StoreError> {
        let detail = error.to_string();
        let wait = |delay, reason, not_sent: bool| Postponement {
            delay,
            reason,
            detail: detail.clone(),
            for_evidence: !not_sent,
            ai: false,
            not_sent: not_sent.then_some(part),
        };
        let class = match error {
            SendError::NoAnswer(_) => ErrorClass::Ambiguous,
            SendError::NotConnected(_) => return self.postpone(wait(self.backoff(None), "unreachable", true)).await,
            SendError::Answered(error) => error.class,
        };
        let asked = if let SendError::Answered(error) = error { error.retry_after } else { None };
        match class {
            ErrorClass::Ambiguous => {
                metrics::counter!("switchboard_sends_in_doubt_total", "resolved" => "open").increment(1);
                let tries = outbox.parts.get(part).map_or(1, |part| part.tries);
                self.postpone(wait(self.patience(tries), "in_doubt", false)).await
            }
            ErrorClass::Throttled(scope) => {
                let delay = self.throttled(scope, asked);
                self.postpone(wait(delay, "throttled", true)).await
            }
            ErrorClass::Credentials => {
                tracing::error!(session = %self.conversation.id, %error, "Meta refused the business's token; its messages wait");
                let delay = Duration::from_secs(20) + self.backoff(asked).min(Duration::from_secs(40));
                self.postpone(wait(delay, "credentials", true)).await
            }
            ErrorClass::Account => {
                tracing::error!(session = %self.conversation.id, %error, "Meta refused the business's account; its messages wait");
                self.postpone(wait(Duration::from_secs(30) + self.backoff(asked), "account", true)).await
            }
            ErrorClass::WindowClosed => {
                self.record_sent(outbox).await?;
                self.bury(&run.items, "window_closed", &detail, ReplayPolicy::ByHand).await
            }
            ErrorClass::Permanent => {
                self.record_sent(outbox).await?;
                self.bury(&run.items, "refused", &detail, ReplayPolicy::ByHand).await
            }
        }
    }

    /// What the server asks for wins; towards one customer Meta advises 4^n seconds, elsewhere delays double.
    fn throttled(&self, scope: Scope, asked: Option<Duration>) -> Duration {
        if let Some(asked) = asked {
            return self.backoff(Some(asked));
        }
        let attempts = self.conversation.attempts.min(4);
        let floor = match scope {
            Scope::Pair => Duration::from_secs(4_u64.saturating_pow(attempts)),
            Scope::App | Scope::Account | Scope::Number => THROTTLE_FLOOR * 2_u32.saturating_pow(attempts),
        };
        floor + shared::retry::full_jitter(0, floor / 4, floor)
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
