//! The ways out of a turn: settled, buried, postponed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::ids::MessageId;

use super::{Burial, Effect, Ending, Machine, Remember, ids};
use crate::{
    conversation::{MailboxItem, Outbox, PartState, ReplyKind, WINDOW, later, next_run},
    store::{Postponement, ReplayPolicy},
};

/// Meta redelivers for seven days; a message that says to be older than this when it arrives has a wrong clock.
const REDELIVERY_MOST: SignedDuration = SignedDuration::from_hours(8 * 24);

impl Machine {
    /// Every part is with Meta: transcript, then the end of the turn.
    pub(super) fn finish(&mut self, outbox: Outbox) -> Effect {
        let memory = match outbox.kind {
            ReplyKind::Answer | ReplyKind::Apology => {
                let said = outbox.parts.iter().map(|part| part.body.as_str()).collect::<Vec<_>>().join("\n\n");
                Remember::HeardAndSaid { kind: outbox.kind, said, aftermath: Box::new(outbox.aftermath.clone()) }
            }
            // It was remembered when it was said first.
            ReplyKind::Resend => Remember::Nothing,
        };
        self.ending = Some(Ending { number: outbox.phone_number_id.clone(), messages: outbox.answers.clone(), memory });
        Effect::Record { items: self.run.clone(), buried: false, sent: Some(outbox) }
    }

    pub(super) fn settle_without_reply(&mut self) -> Effect {
        self.settle_with(self.without_reply())
    }

    /// For a customer who wants to hear nothing, which was not known when the turn began.
    pub(super) fn settle_in_silence(&mut self) -> Effect {
        self.settle_with(Remember::Nothing)
    }

    fn settle_with(&mut self, memory: Remember) -> Effect {
        let Some(first) = self.run.first() else { return Effect::Release };
        let number = first.phone_number_id.clone();
        self.ending = Some(Ending { number, messages: ids(&self.run), memory });
        Effect::Record { items: self.run.clone(), buried: false, sent: None }
    }

    pub(super) fn bury_poison(&mut self, outbox: Option<Outbox>) -> Effect {
        let items = match &outbox {
            Some(outbox) => outbox.answered_in(&self.conversation.mailbox),
            None => next_run(&self.conversation.mailbox, 1).to_vec(),
        };
        let detail = "its worker died with it, several times in a row".to_owned();
        self.bury(items, Burial { reason: "poison", detail, replay: ReplayPolicy::ByHand }, outbox)
    }

    /// Dead letters first, then the transcript, then out of the mailbox: whatever is cut short is done again.
    pub(super) fn bury(&mut self, items: Vec<MailboxItem>, burial: Burial, sent: Option<Outbox>) -> Effect {
        let number = items.first().map(|item| &item.phone_number_id);
        // A reply whose messages are gone must go, too, or its conversation would be due for ever.
        let number = number.or(sent.as_ref().map(|outbox| &outbox.phone_number_id));
        let Some(number) = number.cloned() else { return Effect::Release };
        self.ending = Some(Ending { number, messages: ids(&items), memory: Remember::Nothing });
        self.run.clone_from(&items);
        self.outbox = sent.filter(|outbox| outbox.parts.iter().any(|part| part.state == PartState::Sent));
        Effect::File { items, burial }
    }

    /// What was filed is its letter's, so it is not answered from the mailbox, too. The rest is the next turn's, and so is a
    /// reply of which nothing was tried. None: nothing was filed, or the reply has been begun, and is finished.
    ///
    /// All at once, for what is settled is no longer known to have been cut off. A burial is of one number.
    pub(super) fn leave_to_letters(&mut self, filed: &[MessageId]) -> Option<Effect> {
        if self.outbox.as_ref().is_some_and(|outbox| !outbox.is_untouched()) {
            return None;
        }
        let mailbox = &self.conversation.mailbox;
        let number = mailbox.iter().find(|item| filed.contains(&item.id))?.phone_number_id.clone();
        let is_left = |item: &&MailboxItem| item.phone_number_id == number && filed.contains(&item.id);
        let items: Vec<_> = mailbox.iter().filter(is_left).cloned().collect();
        self.ending = Some(Ending { number, messages: ids(&items), memory: Remember::Nothing });
        (self.run, self.outbox) = (items, None);
        Some(self.filed())
    }

    pub(super) fn filed(&mut self) -> Effect {
        Effect::Record { items: self.run.clone(), buried: true, sent: self.outbox.take() }
    }

    pub(super) fn recorded(&mut self) -> Effect {
        // It stays: where it cannot be settled either, these are the messages that are buried.
        match self.ending.clone() {
            Some(Ending { number, messages, memory }) => Effect::Settle { number, messages, memory },
            None => Effect::Release,
        }
    }

    pub(super) fn later(&self, reason: &'static str, detail: String, delay: Duration) -> Postponement {
        Postponement { delay, reason, detail, for_evidence: false, ai: None, not_sent: None, token: None }
    }

    /// Whether the number may not write to the customer any more: the window that these messages opened is over, and so is
    /// the last one that the customer opened since.
    pub(super) fn waited_too_long(&self) -> bool {
        let written = self.run.iter().filter(|item| item.resend_of.is_none());
        let opened = written.map(|item| later(window_opened_at(item), WINDOW)).max();
        let last = self.number().and_then(|number| self.conversation.windows.get(&number).copied());
        opened.max(last).is_some_and(|end| self.now() > end)
    }
}

/// When a message opened its customer's service window: when it was written, by Meta's clock, even where it comes
/// late because we were away. A time that no redelivery can explain is not believed; then the arrival counts.
fn window_opened_at(item: &MailboxItem) -> Timestamp {
    let late = item.received_at.duration_since(item.timestamp);
    if late.is_negative() || late > REDELIVERY_MOST { item.received_at } else { item.timestamp }
}
