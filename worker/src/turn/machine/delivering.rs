//! From a committed reply to the last part that Meta has, or to the reason why not.

use std::time::Duration;

use jiff::SignedDuration;
use shared::ids::MessageId;

use super::{Accepted, Burial, Effect, Machine, Repeat, Sending, Service, Step, Token};
use crate::{
    business::InDoubt,
    conversation::{BUCKET_REFILL, Outbox, Part, PartForm, PartState},
    store::ReplayPolicy,
    turn::{RETRY_FIRST, RETRY_MOST, in_earnest},
    whatsapp::{ErrorClass, Scope, SendError},
};

/// A throttle lasts at least this long; full jitter alone could try again at once.
const THROTTLE_FLOOR: Duration = Duration::from_secs(1);
/// How long statuses that do not flow are waited for.
const SILENCE_MOST: SignedDuration = SignedDuration::from_mins(3);
/// How often it is looked at whether they do.
const SILENCE_CHECK: Duration = Duration::from_millis(600);
/// Evidence of the later tries is waited for this long at most.
const PATIENCE_MOST: Duration = Duration::from_secs(600);
/// A refused token is tried again this late: whoever replaces it releases the conversation at once.
const TOKEN_RETRY: Duration = Duration::from_secs(60);

impl Machine {
    /// Goes on with a reply that an earlier turn committed.
    pub(super) fn resume(&mut self, outbox: Outbox) -> Effect {
        self.run = outbox.answered_in(&self.conversation.mailbox);
        let doubt = outbox.parts.iter().find(|part| part.state == PartState::Sending).cloned();
        self.composing = outbox.kind;
        self.outbox = Some(outbox);
        let Some(doubt) = doubt else { return self.prepare_outbox() };
        let (waited, patience) = self.waited_for(&doubt);
        if waited < patience {
            return self.wait_for_evidence(Duration::try_from(patience - waited).unwrap_or_default());
        }
        // Silence counts only while statuses flow: they may wait in RabbitMQ, for a worker or for MongoDB.
        Effect::Listen { within: Duration::try_from(waited - patience).unwrap_or_default() }
    }

    pub(super) fn heard(&mut self, drained: bool) -> Effect {
        let outbox = self.outbox.as_ref();
        let doubt = outbox.and_then(|outbox| outbox.parts.iter().find(|part| part.state == PartState::Sending));
        let Some(doubt) = doubt.cloned() else { return self.prepare_outbox() };
        let (waited, patience) = self.waited_for(&doubt);
        if !drained && waited < patience.saturating_add(SILENCE_MOST) {
            return self.wait_for_evidence(SILENCE_CHECK);
        }
        self.unheard = !drained;
        self.prepare_outbox()
    }

    fn prepare_outbox(&self) -> Effect {
        match &self.outbox {
            Some(outbox) => Effect::Prepare { number: outbox.phone_number_id.clone(), items: self.run.clone() },
            None => Effect::Release,
        }
    }

    /// How long ago the last try of a part began, and how long its evidence is waited for: longer after each try that
    /// may have reached the customer.
    fn waited_for(&self, part: &Part) -> (SignedDuration, SignedDuration) {
        let first = self.rules.send_evidence;
        let in_doubt = part.tries.saturating_sub(part.not_sent);
        let doubled = first.saturating_mul(2_u32.saturating_pow(in_doubt.saturating_sub(1).min(20)));
        let patience = SignedDuration::try_from(doubled.min(PATIENCE_MOST.max(first))).unwrap_or(SignedDuration::MAX);
        let since = part.last_try_at.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        (self.now().duration_since(since), patience)
    }

    fn wait_for_evidence(&self, delay: Duration) -> Effect {
        let detail = "the last try of a part may have reached Meta".to_owned();
        let mut postponement = self.later("in_doubt", detail, delay);
        postponement.for_evidence = true;
        Effect::Postpone(postponement)
    }

    pub(super) fn resume_prepared(&mut self, outbox: Outbox, service: Service) -> Effect {
        if outbox.parts.iter().all(|part| part.state == PartState::Sent) {
            return self.finish(outbox);
        }
        let untouched = outbox.is_untouched();
        // A person took over while it waited. The rest of what the customer has a part of is sent.
        if untouched && self.is_handed_over() && !self.run.is_empty() {
            return self.settle_without_reply();
        }
        let served = match service {
            Service::Served { token, in_doubt, .. } => Ok((token, in_doubt)),
            Service::Paused { why, left } => Err((why, left)),
            Service::Unserved(why) if untouched => return self.bury_unserved(why, Some(outbox)),
            // What may be with the customer already must not be answered again by itself.
            Service::Unserved(why) => {
                let detail = "its reply was under way".to_owned();
                let burial = Burial { reason: why.reason(), detail, replay: ReplayPolicy::ByHand };
                return self.bury(self.run.clone(), burial, Some(outbox));
            }
        };
        if self.waited_too_long() {
            let detail = "its reply could not be sent within 24 hours".to_owned();
            let burial = Burial { reason: "window_closed", detail, replay: ReplayPolicy::ByHand };
            return self.bury(self.run.clone(), burial, Some(outbox));
        }
        let (token, in_doubt) = match served {
            Ok(served) => served,
            // As it is: what is in doubt stays so until something may be sent again.
            Err((why, left)) => return self.wait_for_account(why, left),
        };
        if self.unheard && in_doubt == InDoubt::Dead {
            let detail = "no status told whether its reply was sent, and inDoubt is `dead`".to_owned();
            let burial = Burial { reason: "in_doubt", detail, replay: ReplayPolicy::ByHand };
            return self.bury(self.run.clone(), burial, Some(outbox));
        }
        self.outbox = Some(outbox);
        if token.problem.is_some() {
            return self.wait_for_token(&token);
        }
        self.token = Some(token);
        self.go_on()
    }

    /// Goes on with the first part that is not sent.
    fn go_on(&mut self) -> Effect {
        let parts = self.outbox.as_ref().map(|outbox| outbox.parts.as_slice()).unwrap_or_default();
        match parts.iter().position(|part| part.state != PartState::Sent) {
            Some(part) => self.ask_for(Step::Begin(part)),
            None => match self.outbox.take() {
                Some(outbox) => self.finish(outbox),
                None => Effect::Release,
            },
        }
    }

    /// Limits are asked before `sending` is written: afterwards nothing may hold the request up.
    pub(super) fn ask_for(&mut self, step: Step) -> Effect {
        self.asked_for = step;
        match self.bucket_wait() {
            Some(wait) => self.permitted(Some(wait)),
            None => Effect::Permit,
        }
    }

    pub(super) fn permitted(&mut self, wait: Option<Duration>) -> Effect {
        match (self.asked_for.clone(), wait) {
            (Step::Commit, wait) => {
                self.held_back = wait;
                self.commit()
            }
            (Step::Begin(part), None) => self.begin_try(part),
            (Step::Begin(part), Some(wait)) => {
                // A try that was refused is known not to have been sent, though the database does not know it yet.
                let part_of = |outbox: &Outbox| outbox.parts.get(part).map(|part| part.state);
                let waits = self.outbox.as_ref().and_then(part_of) == Some(PartState::Waiting);
                self.pace(wait, waits.then_some(part))
            }
            (Step::Record { part, wamid }, wait) => self.record_part(part, wamid, wait.is_none()),
            (Step::Next, _) => Effect::Release,
        }
    }

    pub(super) fn pace(&self, wait: Duration, not_sent: Option<usize>) -> Effect {
        let detail = "the number, or the customer, has had as many messages as Meta allows".to_owned();
        let mut postponement = self.later("paced", detail, wait);
        postponement.not_sent = not_sent;
        Effect::Postpone(postponement)
    }

    fn begin_try(&mut self, part: usize) -> Effect {
        let Some(outbox) = &self.outbox else { return Effect::Release };
        let (reply_id, begun) = (outbox.reply_id.clone(), outbox.parts.get(part));
        let repeats = begun.is_some_and(|part| part.state == PartState::Sending);
        let because = if self.unheard { Repeat::Policy } else { Repeat::Silence };
        let tries = begun.map_or(0, |part| part.tries);
        let as_text = self.as_text.take_if(|refused| *refused == part).is_some();
        Effect::BeginTry { reply_id, part, tries, repeats: repeats.then_some(because), as_text }
    }

    pub(super) fn begun(&mut self) -> Effect {
        match self.asked_for {
            Step::Begin(part) => self.send(part),
            Step::Commit | Step::Record { .. } | Step::Next => Effect::Release,
        }
    }

    pub(super) fn send(&mut self, part: usize) -> Effect {
        self.asked_for = Step::Begin(part);
        let now = self.now();
        let Some(outbox) = &mut self.outbox else { return Effect::Release };
        let (reply_id, from) = (outbox.reply_id.clone(), outbox.phone_number_id.clone());
        let Some(sending) = outbox.parts.get_mut(part) else { return Effect::Release };
        sending.state = PartState::Sending;
        sending.tries += 1;
        // As the database reckons it.
        let full_at = self.conversation.buckets.entry(from.clone()).or_insert(now);
        *full_at = (*full_at)
            .max(now)
            .saturating_add(SignedDuration::try_from(BUCKET_REFILL).unwrap_or_default())
            .unwrap_or(now);
        let quotes = self.quotes.clone().filter(|_| part == 0);
        let (body, form) = (sending.body.clone(), sending.form.clone());
        Effect::Send(Sending { reply_id, from, part, attempt: sending.tries, body, form, quotes })
    }

    /// The part that the last request was for.
    fn part_under_way(&self) -> usize {
        match self.asked_for {
            Step::Begin(part) | Step::Record { part, .. } => part,
            Step::Commit | Step::Next => 0,
        }
    }

    pub(super) fn sent(&mut self, wamid: MessageId) -> Effect {
        let part = self.part_under_way();
        let Some(outbox) = &mut self.outbox else { return Effect::Release };
        let (reply_id, number) = (outbox.reply_id.clone(), outbox.phone_number_id.clone());
        self.accepted.push(Accepted { reply_id, number, part, wamid: wamid.clone() });
        if let Some(sent) = outbox.parts.get_mut(part) {
            sent.state = PartState::Sent;
            sent.wamid = Some(wamid.clone());
        }
        // What is left may lie before this one where evidence overtook us.
        if outbox.parts.iter().all(|part| part.state == PartState::Sent) {
            // The last part's record is one with `settle`.
            return match self.outbox.take() {
                Some(outbox) => self.finish(outbox),
                None => Effect::Release,
            };
        }
        self.ask_for(Step::Record { part, wamid })
    }

    fn record_part(&mut self, part: usize, wamid: MessageId, permitted: bool) -> Effect {
        let Some(outbox) = &self.outbox else { return Effect::Release };
        let next_waits = outbox.parts.get(part + 1).is_some_and(|next| next.state == PartState::Waiting);
        let begin_next = permitted && next_waits;
        self.asked_for = if begin_next { Step::Begin(part + 1) } else { Step::Next };
        Effect::RecordPart { reply_id: outbox.reply_id.clone(), part, wamid, begin_next }
    }

    pub(super) fn part_recorded(&mut self) -> Effect {
        match self.asked_for {
            Step::Begin(next) => self.send(next),
            // Not permitted yet, or in doubt: asked for again, by a write of its own.
            Step::Next | Step::Commit | Step::Record { .. } => self.go_on(),
        }
    }

    /// What follows from a send that did not yield a message id.
    pub(super) fn not_sent(&mut self, error: &SendError) -> Effect {
        let part = self.part_under_way();
        let detail = error.to_string();
        let (class, asked) = match error {
            SendError::NotConnected(_) => {
                return self.not_sent_until("unreachable", detail, self.backoff(None), part);
            }
            SendError::NoAnswer(_) => (ErrorClass::Ambiguous, None),
            SendError::Answered(error) => (error.class, error.retry_after),
        };
        match class {
            ErrorClass::Ambiguous => {
                let doubt = self.outbox.as_ref().and_then(|outbox| outbox.parts.get(part));
                let patience = doubt.map(|part| self.waited_for(part).1).unwrap_or_default();
                let mut postponement = self.later("in_doubt", detail, Duration::try_from(patience).unwrap_or_default());
                postponement.for_evidence = true;
                Effect::Postpone(postponement)
            }
            ErrorClass::Throttled(scope) => {
                self.not_sent_until("throttled", detail, self.throttled(scope, asked), part)
            }
            ErrorClass::Credentials if !self.token_renewed => {
                // The token may have been replaced since it was cached: look once, and only once.
                self.token_renewed = true;
                if let Some(refused) = &mut self.token {
                    refused.problem = Some(detail);
                }
                Effect::FreshToken
            }
            ErrorClass::Credentials => self.refused_token("credentials", detail, part),
            ErrorClass::Account => self.refused_token("account", detail, part),
            ErrorClass::Permanent if self.goes_as_text(part) => self.ask_for(Step::Begin(part)),
            ErrorClass::WindowClosed | ErrorClass::Permanent => {
                let reason = if class == ErrorClass::WindowClosed { "window_closed" } else { "refused" };
                let outbox = self.outbox.take();
                self.bury(self.run.clone(), Burial { reason, detail, replay: ReplayPolicy::ByHand }, outbox)
            }
        }
    }

    /// A voice note, a list or a place that Meta refuses for good may still be said in words, once.
    fn goes_as_text(&mut self, part: usize) -> bool {
        let refused = self.outbox.as_mut().and_then(|outbox| outbox.parts.get_mut(part));
        let Some(refused) = refused.filter(|part| !part.form.is_text()) else { return false };
        refused.form = PartForm::Text;
        refused.state = PartState::Waiting;
        self.as_text = Some(part);
        true
    }

    pub(super) fn fresh_token(&mut self, token: Option<Token>) -> Effect {
        let part = self.part_under_way();
        let Some(token) = token else {
            let problem = self.token.as_ref().and_then(|token| token.problem.clone());
            return self.refused_token("credentials", problem.unwrap_or_default(), part);
        };
        self.token = Some(token);
        // The refused try stays counted; nothing of it went out.
        if let Some(refused) = self.outbox.as_mut().and_then(|outbox| outbox.parts.get_mut(part)) {
            refused.state = PartState::Waiting;
            refused.not_sent += 1;
        }
        self.ask_for(Step::Begin(part))
    }

    fn refused_token(&mut self, reason: &'static str, detail: String, part: usize) -> Effect {
        let mut postponement = self.later(reason, detail, self.token_retry());
        postponement.not_sent = Some(part);
        postponement.token = self.token.as_ref().map(|token| token.id.clone());
        Effect::Postpone(postponement)
    }

    /// A permission may have come back without a new token, so it is tried again, ever more seldom.
    pub(super) fn token_retry(&self) -> Duration {
        TOKEN_RETRY + self.backoff(None)
    }

    fn not_sent_until(&self, reason: &'static str, detail: String, delay: Duration, part: usize) -> Effect {
        let mut postponement = self.later(reason, detail, delay);
        postponement.not_sent = Some(part);
        Effect::Postpone(postponement)
    }

    /// What the server asks for wins; towards one customer Meta advises 4^n seconds, elsewhere delays double.
    fn throttled(&self, scope: Scope, asked: Option<Duration>) -> Duration {
        if in_earnest(asked).is_some() {
            return self.backoff(asked);
        }
        let attempts = self.conversation.attempts.min(4);
        let floor = match scope {
            Scope::Pair => Duration::from_secs(4_u64.saturating_pow(attempts)),
            Scope::App | Scope::Account | Scope::Number => THROTTLE_FLOOR * 2_u32.saturating_pow(attempts),
        };
        floor + (self.rules.jitter)(0, floor / 4, floor)
    }

    /// A growing, jittered delay after the failures so far; what a server asked for wins within bounds.
    pub(super) fn backoff(&self, asked: Option<Duration>) -> Duration {
        let own = (self.rules.jitter)(self.conversation.attempts, RETRY_FIRST, RETRY_MOST);
        in_earnest(asked).map_or(own, |asked| asked.min(RETRY_MOST))
    }
}
