//! The end of a turn, and what is remembered of it.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use shared::ids::{MessageId, PhoneNumberId};

use super::{Answered, LastReply, State, Waiting};
use crate::conversation::{
    ANSWERED_AGE, ANSWERED_KEPT, ANSWERED_MOST, Aftermath, FACTS_MOST, Fact, FactChange, LeaseKey, MEMORY_TURNS,
    MailboxItem, Memory, MemoryTurn, QuietTime, Remembered, ReplyKind, Settled, due, earlier, later, remembered,
    whole_millis,
};

impl State {
    /// Ends a turn: the messages leave the mailbox and count as answered, the reply leaves the outbox, the memory
    /// grows, the lease goes. With messages left, says when they are due. None: not mine any more.
    pub fn settle(
        &mut self,
        now: Timestamp,
        lease: &LeaseKey,
        number: &PhoneNumberId,
        messages: &[MessageId],
        memory: &Memory,
        quiet: QuietTime,
    ) -> Option<Settled> {
        self.held(lease)?;
        self.lease = None;
        (self.attempts, self.takeovers) = (0, 0);
        (self.retry_at, self.ai_failing_since) = (None, None);
        (self.last_error, self.waits_for) = (None, None);
        match memory.reply {
            Some(ReplyKind::Apology) => self.apologised_at = Some(now),
            Some(ReplyKind::Answer) => self.apologised_at = None,
            // The same words once more neither answer nor apologise.
            Some(ReplyKind::Resend) | None => {}
        }
        if let Some(outbox) = self.outbox.take() {
            self.last_reply = match outbox.kind {
                ReplyKind::Answer | ReplyKind::Apology => {
                    Some(LastReply { id: outbox.reply_id, resent: BTreeSet::new() })
                }
                // A part that was sent once more is not sent a third time.
                ReplyKind::Resend => None,
            };
        }
        self.apply(now, &memory.aftermath);
        self.remember(now, &memory.turns);
        self.take_out(now, number, messages);
        self.due_at = self.due_by_the_rule(quiet);
        let due_in = |due_at: Timestamp| Duration::try_from(due_at.duration_since(now)).unwrap_or_default();
        Some(Settled { due_in: self.due_at.map(due_in) })
    }

    /// What the reply that is settled changes.
    fn apply(&mut self, now: Timestamp, aftermath: &Aftermath) {
        if let Some(summary) = &aftermath.summary {
            self.summary = Some(remembered(&summary.text).to_owned());
            self.memory.retain(|line| line.at > whole_millis(summary.until));
        }
        let is_named = |fact: &Fact| aftermath.facts.iter().any(|change| change.id() == fact.id);
        self.facts.retain(|fact| !is_named(fact));
        self.facts.extend(aftermath.facts.iter().filter_map(|change| match change {
            FactChange::Learned { id, text } => {
                Some(Fact { id: id.clone(), text: remembered(text).to_owned(), at: now })
            }
            FactChange::Dropped { .. } => None,
        }));
        self.facts.drain(..self.facts.len().saturating_sub(FACTS_MOST));
        if let Some(length) = aftermath.hand_over {
            self.handed_over_until = self.handed_over_until.max(Some(later(now, length)));
        }
        self.heed(now, aftermath.consent);
        self.limited_until = self.limited_until.max(aftermath.limited_until.map(whole_millis));
        if let Some(announcement) = &aftermath.announcement {
            self.announce(now, announcement);
        }
        if let Some(language) = &aftermath.language {
            self.customer.language = Some(language.clone());
        }
    }

    /// Adds lines to the memory, which keeps the last ones.
    pub(super) fn remember(&mut self, now: Timestamp, turns: &[MemoryTurn]) {
        let lines = turns.iter().map(|turn| Remembered {
            speaker: turn.speaker,
            text: remembered(&turn.text).to_owned(),
            at: now,
        });
        self.memory.extend(lines);
        self.memory.drain(..self.memory.len().saturating_sub(MEMORY_TURNS));
    }

    /// Moves messages out of the mailbox into `answered`.
    fn take_out(&mut self, now: Timestamp, number: &PhoneNumberId, messages: &[MessageId]) {
        let is_one = |item: &MailboxItem| item.phone_number_id == *number && messages.contains(&item.id);
        let taken = self.mailbox.extract_if(.., |waiting| is_one(&waiting.item));
        self.answered.extend(taken.map(|Waiting { item, .. }| Answered {
            id: item.id,
            phone_number_id: item.phone_number_id,
            timestamp: item.timestamp,
        }));
        self.fit_to_mailbox(now);
    }

    /// Bounds `answered`, and makes the times of landing those of the mailbox.
    pub(super) fn fit_to_mailbox(&mut self, now: Timestamp) {
        self.forget_old_ids(now);
        self.first_landed_at = self.mailbox.iter().map(|waiting| waiting.landed_at).min();
        self.last_landed_at = self.mailbox.iter().map(|waiting| waiting.landed_at).max();
    }

    /// When what is left in the mailbox is due, by the rule.
    pub(super) fn due_by_the_rule(&self, quiet: QuietTime) -> Option<Timestamp> {
        let waiting_since = self.first_landed_at.zip(self.last_landed_at);
        waiting_since.map(|(first, last)| due(self.retry_at, first, last, quiet))
    }

    /// Beyond those that are always kept, an id stays only while it is young, and never are there more than so many.
    /// The newest time among those that go is the floor: a message at or before it may have been answered.
    fn forget_old_ids(&mut self, now: Timestamp) {
        let young = earlier(now, ANSWERED_AGE);
        let beyond = self.answered.len().saturating_sub(ANSWERED_KEPT);
        let old = self.answered.extract_if(..beyond, |known| known.timestamp < young);
        let newest_old = old.map(|known| known.timestamp).max();
        let excess = self.answered.len().saturating_sub(ANSWERED_MOST);
        let newest_excess = self.answered.drain(..excess).map(|known| known.timestamp).max();
        self.answered_floor = self.answered_floor.max(newest_old).max(newest_excess);
    }
}
