//! What people change about a conversation.

use std::time::Duration;

use jiff::Timestamp;

use super::State;
use crate::conversation::{CustomerIdChange, MemoryTurn, Speaker, later};

impl State {
    /// A person has the conversation for that time from now. A turn under way cannot commit a reply any more. False:
    /// it went on elsewhere.
    pub fn hand_over(&mut self, now: Timestamp, length: Duration, said: Option<&str>) -> bool {
        if self.merged_into.is_some() {
            return false;
        }
        self.handed_over_until = self.handed_over_until.max(Some(later(now, length)));
        let line = said.map(|text| MemoryTurn { speaker: Speaker::Person, text: text.to_owned() });
        self.remember(now, line.as_slice());
        true
    }

    /// The companion has the conversation again, and whatever waits is due at once, unless somebody has it in hand.
    /// False: it went on elsewhere.
    pub fn resume(&mut self, now: Timestamp) -> bool {
        if self.merged_into.is_some() {
            return false;
        }
        self.handed_over_until = None;
        if !self.mailbox.is_empty() && !self.is_held(now) {
            (self.due_at, self.retry_at, self.waits_for) = (Some(now), None, None);
        }
        true
    }

    /// The customer of a conversation has another id now, or none that is known. Nothing changes where the old one
    /// is not on record, or where no id would be left to answer to.
    pub fn replace_customer_id(&mut self, change: &CustomerIdChange) {
        match change {
            CustomerIdChange::Phone { old, new } => {
                let one_is_left = new.is_some() || self.customer.user_id.is_some();
                if self.customer.wa_id.as_ref() == Some(old) && one_is_left {
                    self.customer.wa_id.clone_from(new);
                }
            }
            CustomerIdChange::User { old, new } => {
                if self.customer.user_id.as_ref() == Some(old) {
                    self.customer.user_id = Some(new.clone());
                }
            }
        }
    }
}
