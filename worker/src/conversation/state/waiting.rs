//! Conversations that wait: until a time, for evidence, or for another token.

use jiff::Timestamp;

use super::{LastError, State, WaitsFor};
use crate::conversation::{BusinessId, LeaseKey, PartState, Postponement, earlier, later};

impl State {
    /// Gives the lease back and lets the conversation wait. False: not mine any more.
    pub fn postpone(&mut self, now: Timestamp, lease: &LeaseKey, postponement: &Postponement) -> bool {
        if self.held(lease).is_none() {
            return false;
        }
        let Postponement { delay, reason, detail, for_evidence, ai, not_sent, token } = postponement;
        // Evidence that came during the turn leaves nothing to wait for.
        let over = *for_evidence && !self.has_part_in_doubt();
        let retry_at = if over { now } else { later(now, *delay) };
        if !for_evidence {
            let same_reason = self.last_error.as_ref().is_some_and(|last| last.reason == *reason);
            // Attempts at something else say nothing about this.
            self.attempts = if same_reason { self.attempts + 1 } else { 1 };
            // A process that is alive to say why it waits was not killed by these messages; but waiting for evidence
            // is what follows a death, and must not wipe out its trace.
            self.takeovers = 0;
        }
        (self.retry_at, self.due_at) = (Some(retry_at), Some(retry_at));
        self.last_error = Some(LastError { reason: (*reason).to_owned(), detail: detail.clone(), at: now });
        self.ai_failing_since = ai.map(|after| self.ai_failing_since.unwrap_or(earlier(now, after)));
        self.waits_for = token.clone().map(|token| WaitsFor { token });
        let part = not_sent.and_then(|n| self.part(n));
        if let Some(part) = part.filter(|part| part.state != PartState::Sent) {
            // The try that was begun last, and none before it.
            part.not_sent += u32::from(part.state == PartState::Sending);
            part.state = PartState::Waiting;
        }
        self.lease = None;
        true
    }

    fn has_part_in_doubt(&self) -> bool {
        let mut parts = self.outbox.iter().flat_map(|outbox| &outbox.parts);
        parts.any(|part| part.state == PartState::Sending)
    }

    /// Makes the conversation due, where it waits at this business for another token than the `current` one, by
    /// their fingerprints, and nobody has it. False: it is left as it is.
    pub fn release_waiting(&mut self, now: Timestamp, business: &BusinessId, current: &str) -> bool {
        let waits = self.waits_for.as_ref().is_some_and(|waits_for| waits_for.token != current);
        // One that has nothing to do was set aside.
        if self.business_id != *business || !waits || self.due_at.is_none() || self.is_held(now) {
            return false;
        }
        (self.due_at, self.retry_at, self.waits_for) = (Some(now), None, None);
        true
    }
}
