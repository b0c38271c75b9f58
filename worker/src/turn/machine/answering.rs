//! From the mailbox to a committed reply.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Allowance, Burial, Effect, Machine, Reply, Service, Step, Token, Trouble, TroubleKind, ids};
use crate::{
    account::PAUSED,
    business::Unserved,
    conversation::{Aftermath, MINUTE, Outbox, ReplyKind, bucket_wait, earlier, later, next_run},
    store::{CommitOutcome, ReplayPolicy},
    turn::in_earnest,
};

/// Messages that one reply answers at most.
const RUN_MOST: usize = 50;
/// Times that a reply is thought over again because of newer messages.
const REGENERATIONS_MOST: u32 = 2;
const AI_RETRY_FIRST: Duration = Duration::from_millis(500);
const AI_RETRY_MOST: Duration = Duration::from_secs(20);
/// Once the customer knows, there is less of a hurry.
const AI_RETRY_TOLD: Duration = Duration::from_secs(60);

impl Machine {
    pub(super) fn answer(&mut self) -> Effect {
        self.run = next_run(&self.conversation.mailbox, self.run_most()).to_vec();
        match self.run.first() {
            Some(first) => Effect::Prepare { number: first.phone_number_id.clone(), items: self.run.clone() },
            // An evidence that came late, or a message that was taken back.
            None => Effect::Release,
        }
    }

    /// Who was cut off once still answers everything at once. After a second death in the middle, one message at a time
    /// finds the one that kills.
    fn run_most(&self) -> usize {
        if self.conversation.takeovers > 1 { 1 } else { RUN_MOST }
    }

    pub(super) fn answer_prepared(&mut self, service: Service, wants_answer: bool) -> Effect {
        let (token, allowance) = match service {
            Service::Served { token, allowance, .. } => (Ok(token), allowance),
            Service::Paused { why, left } => (Err((why, left)), Allowance::default()),
            Service::Unserved(why) => return self.bury_unserved(why, None),
        };
        let is_resend = self.run.first().is_some_and(|item| item.resend_of.is_some());
        // What a customer wants to hear is heeded whatever the limits say, and so is the wish for a person. What is sent
        // once more may be the very word that there is a limit.
        let is_bound = self.wish.is_none() && !is_resend;
        let is_limited = is_bound && !self.asks_for_person && self.limited_until().is_some();
        if !wants_answer || self.is_handed_over() || self.wants_silence() || is_limited {
            return self.settle_without_reply();
        }
        if self.waited_too_long() {
            // Nobody can be told any more, but it counts.
            if self.wish.is_some() {
                return self.settle_without_reply();
            }
            let burial = Burial {
                reason: "window_closed",
                detail: "it waited for more than 24 hours".to_owned(),
                replay: ReplayPolicy::ByHand,
            };
            return self.bury(self.run.clone(), burial, None);
        }
        let token = match token {
            Ok(token) => token,
            Err((why, left)) => return self.wait_for_account(why, left),
        };
        if token.problem.is_some() {
            return self.wait_for_token(&token);
        }
        self.token = Some(token);
        // Before the AI is paid: the reply could not go out.
        if let Some(wait) = self.bucket_wait() {
            return self.pace(wait, None);
        }
        if is_resend {
            return self.compose(ReplyKind::Resend);
        }
        match self.limit(&allowance).max(self.limited_until()) {
            Some(until) if is_bound => self.excuse(until),
            Some(_) | None => self.compose(ReplyKind::Answer),
        }
    }

    /// The customer is told once; then it is quiet until the limit is over.
    fn excuse(&mut self, until: Timestamp) -> Effect {
        self.composing = ReplyKind::Answer;
        // What comes meanwhile is not taken into it.
        self.regenerations = REGENERATIONS_MOST;
        Effect::Excuse(until)
    }

    /// Until when a limit of the business leaves this customer without an answer.
    fn limit(&self, allowance: &Allowance) -> Option<Timestamp> {
        let most = allowance.messages_per_minute.unwrap_or(u64::MAX);
        let too_many = self.conversation.minute.filter(|minute| u64::from(minute.messages) > most);
        let minute_ends = too_many.map(|minute| later(minute.began_at, MINUTE)).filter(|end| *end > self.now());
        minute_ends.max(allowance.day_is_over_for.map(|left| later(self.now(), left)))
    }

    /// Until when it is quiet, where the customer was told so.
    fn limited_until(&self) -> Option<Timestamp> {
        self.conversation.limited_until.filter(|until| *until > self.now())
    }

    fn compose(&mut self, kind: ReplyKind) -> Effect {
        self.composing = kind;
        Effect::Compose(kind)
    }

    pub(super) fn composed(&mut self, reply: Reply) -> Effect {
        let Some(first) = self.run.first() else { return Effect::Release };
        self.outbox = Some(Outbox {
            reply_id: reply.id,
            kind: self.composing,
            phone_number_id: first.phone_number_id.clone(),
            answers: ids(&self.run),
            parts: reply.parts,
            aftermath: Aftermath { consent: self.wish, ..reply.aftermath },
            // Only who performs the turn has one.
            trace: None,
        });
        self.ask_for(Step::Commit)
    }

    pub(super) fn commit(&mut self) -> Effect {
        let Some(outbox) = self.outbox.clone() else { return Effect::Release };
        let seen = self.takes_more_in().then(|| ids(&self.conversation.mailbox));
        Effect::Commit { outbox, seen }
    }

    /// Whether what the customer writes now would be taken into the reply that is being composed. It could be only
    /// where the run is not full, and nothing else stands behind it.
    pub fn takes_more_in(&self) -> bool {
        let has_room = self.wish.is_none()
            && self.run.len() == self.conversation.mailbox.len()
            && self.run.len() < self.run_most();
        match self.composing {
            ReplyKind::Answer => has_room && self.regenerations < REGENERATIONS_MOST,
            ReplyKind::Apology | ReplyKind::Resend => false,
        }
    }

    /// The customer wrote more, and the reply is thought over again with it.
    pub(super) fn overtaken(&mut self) -> Effect {
        self.outbox = None;
        self.regenerations += 1;
        Effect::Gather
    }

    pub(super) fn committed(&mut self, outcome: CommitOutcome) -> Effect {
        match outcome {
            CommitOutcome::Committed => match self.held_back.take() {
                // The reply is paid for, and waits where every other reply waits.
                Some(wait) => self.pace(wait, Some(0)),
                None => self.send(0),
            },
            CommitOutcome::Fenced => Effect::End(crate::turn::Outcome::Lost),
            CommitOutcome::HandedOver => {
                self.outbox = None;
                self.settle_without_reply()
            }
            CommitOutcome::OptedOut => {
                self.outbox = None;
                self.settle_in_silence()
            }
            CommitOutcome::NewerMessages => self.overtaken(),
        }
    }

    /// Tries again until the give-up time, then apologises once: a customer is never left in silence.
    pub(super) fn ai_trouble(&mut self, trouble: &Trouble) -> Effect {
        match (trouble.kind, self.token.clone()) {
            (TroubleKind::Token, Some(token)) => {
                return self.wait_for_token(&Token { problem: Some(trouble.detail.clone()), ..token });
            }
            (TroubleKind::Graph, _) => {
                let delay = self.backoff(trouble.retry_after);
                return Effect::Postpone(self.later("unreachable", trouble.detail.clone(), delay));
            }
            (TroubleKind::Token | TroubleKind::Ai, _) => {}
        }
        let now = later(self.now(), trouble.after);
        // It fails since it was asked, and not since it gave up.
        let since = self.conversation.ai_failing_since.unwrap_or(earlier(now, trouble.took));
        let give_up = SignedDuration::try_from(self.rules.ai_give_up).unwrap_or(SignedDuration::MAX);
        // Who was told already is not told again: the message waits for an answer. Who asks for a person is handed over by
        // another apology.
        let told = self.conversation.apologised_at.is_some();
        if (!told || self.asks_for_person) && self.has_no_patience(trouble.after, trouble.took) {
            return self.compose(ReplyKind::Apology);
        }
        let most = if told { AI_RETRY_TOLD } else { AI_RETRY_MOST };
        let own = (self.rules.jitter)(self.conversation.attempts, AI_RETRY_FIRST, most);
        // Not past the apology, whatever the provider asks for.
        let left = match told {
            true => AI_RETRY_TOLD,
            false => Duration::try_from(give_up - now.duration_since(since)).unwrap_or_default(),
        };
        let delay = in_earnest(trouble.retry_after).unwrap_or(own).min(left);
        let mut postponement = self.later("ai", trouble.detail.clone(), delay);
        postponement.ai = Some(trouble.took);
        Effect::Postpone(postponement)
    }

    /// Whether trouble with these messages has lasted as long as a customer is made to wait, that long after the turn
    /// began, when what fails now was tried for so long.
    pub fn has_no_patience(&self, after: Duration, took: Duration) -> bool {
        let give_up = SignedDuration::try_from(self.rules.ai_give_up).unwrap_or(SignedDuration::MAX);
        let now = later(self.now(), after);
        let since = self.conversation.ai_failing_since.unwrap_or(earlier(now, took));
        self.conversation.apologised_at.is_some() || now.duration_since(since) >= give_up
    }

    pub(super) fn is_handed_over(&self) -> bool {
        self.conversation.handed_over_until.is_some_and(|until| until > self.now())
    }

    pub(super) fn bury_unserved(&mut self, why: Unserved, unsent: Option<Outbox>) -> Effect {
        let burial = Burial { reason: why.reason(), detail: why.detail().to_owned(), replay: why.replay() };
        self.bury(self.run.clone(), burial, unsent)
    }

    /// How long the customer's bucket at Meta needs until one more message fits.
    pub(super) fn bucket_wait(&self) -> Option<Duration> {
        let number = &self.run.first()?.phone_number_id;
        bucket_wait(self.conversation.buckets.get(number).copied(), self.now())
    }

    /// Until the account may send again. Whoever sees that it may releases the conversation; that it is looked at in
    /// between is for what has waited too long.
    pub(super) fn wait_for_account(&self, why: String, left: Option<Duration>) -> Effect {
        let delay = left.map_or(self.token_retry(), |left| left.min(self.token_retry()));
        let mut postponement = self.later("paused", why, delay);
        postponement.token = Some(PAUSED.to_owned());
        Effect::Postpone(postponement)
    }

    pub(super) fn wait_for_token(&mut self, token: &Token) -> Effect {
        let detail = token.problem.clone().unwrap_or_default();
        let mut postponement = self.later("credentials", detail, self.token_retry());
        postponement.token = Some(token.id.clone());
        Effect::Postpone(postponement)
    }
}
