//! Customers who want to hear no more, and those who want to hear again.
//!
//! A wish is carried out with the messages up to it, and what was written after it waits for the next turn, which knows of
//! it. It is confirmed once: while a customer wants silence another STOP says nothing new, nor does a START while they do
//! not. What they write in between is settled without a reply, and not remembered.

use super::{Effect, Machine, Remember, Wish};
use crate::conversation::{Consent, MailboxItem};

impl Machine {
    /// What the reply confirms.
    pub fn wish(&self) -> Option<Consent> {
        self.wish
    }

    pub(super) fn is_opted_out(&self) -> bool {
        self.conversation.opted_out_at.is_some()
    }

    /// Finds the first wish that changes something. Where the run goes on after it, or begins before a wish to hear
    /// again, the run becomes shorter, and has to be prepared anew.
    pub(super) fn heed(&mut self, wishes: &[Wish]) -> Option<Effect> {
        let changing = if self.is_opted_out() { Consent::Given } else { Consent::Withdrawn };
        let is_one = |item: &MailboxItem| wishes.iter().any(|wish| wish.consent == changing && wish.message == item.id);
        self.wish = None;
        let at = self.run.iter().position(is_one)?;
        let length = match changing {
            Consent::Withdrawn => at + 1,
            // What was said in silence is settled in silence first.
            Consent::Given => at.max(1),
        };
        if length < self.run.len() {
            self.run.truncate(length);
            let number = self.run.first()?.phone_number_id.clone();
            return Some(Effect::Prepare { number, items: self.run.clone() });
        }
        self.wish = Some(changing);
        None
    }

    /// Whether nothing is said to these messages because their customer wants to hear nothing.
    pub(super) fn wants_silence(&self) -> bool {
        self.is_opted_out() && self.wish.is_none()
    }

    /// What stays of messages that get no reply.
    pub(super) fn without_reply(&self) -> Remember {
        match self.wish {
            Some(wish) => Remember::Wish(wish),
            None if self.is_opted_out() => Remember::Nothing,
            None => Remember::Heard,
        }
    }
}
