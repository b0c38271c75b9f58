//! What a conversation held, added to what another one holds.

use jiff::Timestamp;

use super::{State, Waiting};
use crate::conversation::{FACTS_MOST, MEMORY_TURN_BYTES, MEMORY_TURNS, MailboxItem, QuietTime, remembered};

/// Half of a summary, so that two of them make one. A sign has four bytes at most.
const SUMMARY_SIGNS: usize = MEMORY_TURN_BYTES / 4;

impl State {
    /// Closes a conversation for a merge: it goes on in `into`. Whoever had it in hand writes nothing more; that was a try.
    pub fn close_for_merge(&mut self, into: &shared::ids::SessionId) {
        self.merged_into = Some(into.clone());
        self.epoch += 1;
        self.attempts = self.attempts.max(u32::from(self.lease.take().is_some()));
        (self.due_at, self.retry_at, self.waits_for) = (None, None, None);
    }

    /// Takes in what another conversation of the same customer held. Of each list the two together, within its bounds; of
    /// each time the one that promises more; of each counter the larger. What this one waits for stays its own, for its
    /// next turn finds out whether that still holds.
    pub fn take_over(&mut self, now: Timestamp, from: Self, quiet: QuietTime) {
        self.take_over_messages(now, &from);
        self.take_over_memory(&from);
        // Not the number: the message that asked for the merge tells it, and it may have gone to somebody else since.
        let (mine, theirs) = (&mut self.customer, from.customer);
        mine.user_id = mine.user_id.take().or(theirs.user_id);
        mine.name = mine.name.take().or(theirs.name);
        mine.language = mine.language.take().or(theirs.language);
        self.attempts = self.attempts.max(from.attempts);
        self.takeovers = self.takeovers.max(from.takeovers);
        self.last_error = self.last_error.take().or(from.last_error);
        self.ai_failing_since = [self.ai_failing_since, from.ai_failing_since].into_iter().flatten().min();
        self.apologised_at = self.apologised_at.max(from.apologised_at);
        self.handed_over_until = self.handed_over_until.max(from.handed_over_until);
        self.opted_out_at = self.opted_out_at.max(from.opted_out_at);
        self.limited_until = self.limited_until.max(from.limited_until);
        self.notices.splice(0..0, from.notices);
        self.bound_notices();
        for (mine, theirs) in [(&mut self.windows, from.windows), (&mut self.buckets, from.buckets)] {
            for (number, time) in theirs {
                let known = mine.entry(number).or_insert(time);
                *known = time.max(*known);
            }
        }
        self.fit_to_mailbox(now);
        self.due_at = self.due_by_the_rule(quiet);
    }

    /// What waits in either, once, unless either has answered it.
    fn take_over_messages(&mut self, now: Timestamp, from: &Self) {
        let same =
            |one: &MailboxItem, other: &MailboxItem| one.id == other.id && one.phone_number_id == other.phone_number_id;
        let waits = |item: &MailboxItem| self.mailbox.iter().any(|known| same(&known.item, item));
        let theirs: Vec<Waiting> = from.mailbox.iter().filter(|waiting| !waits(&waiting.item)).cloned().collect();
        self.mailbox.extend(theirs);
        self.answered.splice(0..0, from.answered.iter().cloned());
        let answered = &self.answered;
        self.mailbox.retain(|Waiting { item, .. }| {
            !answered.iter().any(|known| known.id == item.id && known.phone_number_id == item.phone_number_id)
        });
        // What the number's former owner wrote is known to the transcript only.
        let former = from.id.has_former_owner().then_some(now);
        self.answered_floor = self.answered_floor.max(from.answered_floor).max(former);
    }

    fn take_over_memory(&mut self, from: &Self) {
        let mut lines = [from.memory.clone(), std::mem::take(&mut self.memory)].concat();
        // Stable: lines of one turn have one time, and stay in their order.
        lines.sort_by_key(|line| line.at);
        lines.drain(..lines.len().saturating_sub(MEMORY_TURNS));
        self.memory = lines;
        self.summary = match (&from.summary, self.summary.take()) {
            (Some(theirs), Some(mine)) => {
                let both: String = format!("{theirs}\n{mine}").chars().take(SUMMARY_SIGNS).collect();
                Some(remembered(&both).to_owned())
            }
            (theirs, mine) => mine.or_else(|| theirs.clone()),
        };
        self.facts.splice(0..0, from.facts.iter().cloned());
        self.facts.drain(..self.facts.len().saturating_sub(FACTS_MOST));
    }
}
