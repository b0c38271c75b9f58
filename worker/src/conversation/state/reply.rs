//! A reply from its commitment until each of its parts is with Meta.

use jiff::Timestamp;
use shared::ids::{MessageId, PhoneNumberId};

use super::{OutboxRecord, PartRecord, State, Try};
use crate::conversation::{BUCKET_REFILL, CommitOutcome, Consent, LeaseKey, Outbox, PartForm, PartState, later};

impl State {
    /// Writes the reply and marks its first part as being sent, unless the mailbox holds messages to the reply's
    /// number that are not among the `seen`: they came since, and should be taken into the reply. Without `seen`,
    /// they are left for the next turn. What is to be sent once more counts, for it was said before this reply. To a
    /// customer who wants to hear no more nothing is committed but that they will hear again.
    pub fn commit_reply(
        &mut self,
        now: Timestamp,
        lease: &LeaseKey,
        outbox: &Outbox,
        seen: Option<&[MessageId]>,
    ) -> CommitOutcome {
        if self.held(lease).is_none() {
            return CommitOutcome::Fenced;
        }
        match &self.outbox {
            Some(theirs) if theirs.reply_id == outbox.reply_id => return CommitOutcome::Committed,
            Some(_) => return CommitOutcome::Fenced,
            None => {}
        }
        if self.is_handed_over(now) {
            return CommitOutcome::HandedOver;
        }
        let consent = outbox.aftermath.consent;
        if self.opted_out_at.is_some() && consent != Some(Consent::Given) {
            return CommitOutcome::OptedOut;
        }
        if seen.is_some_and(|seen| self.has_unseen(&outbox.phone_number_id, seen)) {
            return CommitOutcome::NewerMessages;
        }
        self.outbox = Some(committed(outbox));
        self.heed(now, consent);
        self.begin(now, 0);
        CommitOutcome::Committed
    }

    /// What the customer wants to hear from now on.
    pub(super) fn heed(&mut self, now: Timestamp, consent: Option<Consent>) {
        match consent {
            Some(Consent::Withdrawn) => self.opted_out_at = self.opted_out_at.or(Some(now)),
            Some(Consent::Given) => self.opted_out_at = None,
            None => {}
        }
    }

    fn has_unseen(&self, number: &PhoneNumberId, seen: &[MessageId]) -> bool {
        let mut waiting = self.mailbox.iter().map(|waiting| &waiting.item);
        waiting.any(|item| item.phone_number_id == *number && !seen.contains(&item.id))
    }

    /// Begins the next try of a part that was not sent, or of whose last try nothing was heard. False: not mine,
    /// or no longer so; then it must not be sent. `as_text`: its form was refused, and it goes as plain text from now on.
    pub fn begin_try(
        &mut self,
        now: Timestamp,
        lease: &LeaseKey,
        reply_id: &str,
        part: usize,
        tries_so_far: u32,
        as_text: bool,
    ) -> bool {
        let mine = self.held(lease).is_some() && self.is_under_way(reply_id);
        let as_believed = |part: &&mut PartRecord| {
            part.state != PartState::Sent && usize::try_from(tries_so_far).is_ok_and(|tries| part.tries.len() == tries)
        };
        let Some(begun) = self.part(part).filter(as_believed).filter(|_| mine) else { return false };
        if as_text {
            begun.form = PartForm::Text;
        }
        self.start(now, part);
        true
    }

    /// Records that a part was accepted, and begins the next one. False: not mine any more.
    pub fn part_sent(
        &mut self,
        now: Timestamp,
        lease: &LeaseKey,
        reply_id: &str,
        part: usize,
        wamid: &MessageId,
    ) -> bool {
        if self.held(lease).is_none() || !self.is_under_way(reply_id) {
            return false;
        }
        if let Some(part) = self.part(part) {
            (part.state, part.wamid) = (PartState::Sent, Some(wamid.clone()));
        }
        self.begin(now, part + 1);
        true
    }

    /// Records evidence that a part reached Meta, whoever has the lease. Where nobody has it the conversation is due
    /// at once. False: nothing waits for this evidence.
    pub fn evidence(
        &mut self,
        now: Timestamp,
        number: &PhoneNumberId,
        reply_id: &str,
        part: usize,
        wamid: &MessageId,
    ) -> bool {
        let held = self.is_held(now);
        let ours = self.outbox.as_mut().filter(|ours| ours.reply_id == reply_id && ours.phone_number_id == *number);
        let part = ours.and_then(|outbox| outbox.parts.get_mut(part));
        let Some(part) = part.filter(|part| part.state != PartState::Sent) else { return false };
        (part.state, part.wamid) = (PartState::Sent, Some(wamid.clone()));
        if !held {
            (self.due_at, self.retry_at) = (Some(now), None);
        }
        true
    }

    fn is_under_way(&self, reply_id: &str) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| outbox.reply_id == reply_id)
    }

    pub(super) fn part(&mut self, n: usize) -> Option<&mut PartRecord> {
        self.outbox.as_mut().and_then(|outbox| outbox.parts.get_mut(n))
    }

    /// Begins a part, if there is one that waits.
    fn begin(&mut self, now: Timestamp, n: usize) {
        if self.part(n).is_some_and(|part| part.state == PartState::Waiting) {
            self.start(now, n);
        }
    }

    /// Begins a try, which takes one message from the number's bucket. What is full again need not be remembered.
    fn start(&mut self, now: Timestamp, n: usize) {
        let Some(outbox) = &mut self.outbox else { return };
        let Some(part) = outbox.parts.get_mut(n) else { return };
        let number = u32::try_from(part.tries.len()).unwrap_or(u32::MAX).saturating_add(1);
        part.state = PartState::Sending;
        part.tries.push(Try { n: number, at: now });
        self.buckets.retain(|_, full_at| *full_at > now);
        let full_at = self.buckets.entry(outbox.phone_number_id.clone()).or_insert(now);
        *full_at = later(*full_at, BUCKET_REFILL);
    }
}

/// The reply as it is stored: nothing of it is sent yet.
fn committed(outbox: &Outbox) -> OutboxRecord {
    let parts = outbox.parts.iter().enumerate().map(|(n, part)| PartRecord {
        n,
        body: part.body.clone(),
        form: part.form.clone(),
        state: PartState::Waiting,
        wamid: None,
        tries: Vec::new(),
        not_sent: 0,
    });
    OutboxRecord {
        reply_id: outbox.reply_id.clone(),
        kind: outbox.kind,
        phone_number_id: outbox.phone_number_id.clone(),
        answers: outbox.answers.clone(),
        parts: parts.collect(),
        aftermath: outbox.aftermath.clone(),
        trace: outbox.trace,
    }
}
