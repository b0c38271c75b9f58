//! Into the mailbox.

use std::time::Duration;

use jiff::Timestamp;
use shared::ids::{SessionId, Subdomain};

use super::{LastLand, State, Verdict, Waiting};
use crate::conversation::{
    BusinessId, Customer, Landed, Landing, MAILBOX_WITH_CONTENT, MINUTE, MailboxItem, Minute, QuietTime, Resend, due,
    later, resend_id, whole_millis, window_end,
};

impl State {
    /// A conversation as it begins with this message, which has yet to land.
    pub fn begun_by(landing: &Landing<'_>) -> Self {
        Self::begun(landing.session, landing.business_id, landing.subdomain)
    }

    /// A conversation in which nothing has happened yet.
    pub fn begun(session: &SessionId, business_id: &BusinessId, subdomain: Option<&Subdomain>) -> Self {
        Self {
            id: session.clone(),
            business_id: business_id.clone(),
            subdomain: subdomain.cloned(),
            customer: Customer::default(),
            mailbox: Vec::new(),
            answered: Vec::new(),
            answered_floor: None,
            first_landed_at: None,
            last_landed_at: None,
            due_at: None,
            retry_at: None,
            attempts: 0,
            last_error: None,
            epoch: 0,
            lease: None,
            takeovers: 0,
            ai_failing_since: None,
            apologised_at: None,
            outbox: None,
            last_reply: None,
            memory: Vec::new(),
            summary: None,
            facts: Vec::new(),
            handed_over_until: None,
            opted_out_at: None,
            minute: None,
            limited_until: None,
            notices: Vec::new(),
            windows: std::collections::BTreeMap::new(),
            buckets: std::collections::BTreeMap::new(),
            waits_for: None,
            last_land: None,
            set_aside_at: None,
            merged_into: None,
        }
    }

    /// Puts a message into the mailbox, unless it is known.
    pub fn land(&mut self, now: Timestamp, landing: &Landing<'_>) -> Landed {
        let (verdict, landed) = self.judge(landing);
        // What takes nothing in changes nothing the second time: a body that comes again may hold a thousand of these.
        let at = self.last_land.as_ref().filter(|_| landed.is_some()).map_or(now, |last| last.at);
        self.last_land = Some(LastLand { verdict, at });
        if self.subdomain.is_none() {
            self.subdomain = landing.subdomain.cloned();
        }
        let item = landing.item;
        if let Some(landed) = landed {
            self.keep_earliest(item);
            return landed;
        }
        let due_at = self.take_in(now, item.clone(), landing.quiet);
        self.count(now, item);
        self.customer.learn(landing.customer);
        let window_end = whole_millis(window_end(item.timestamp));
        let window = self.windows.entry(item.phone_number_id.clone()).or_insert(window_end);
        *window = window_end.max(*window);
        let is_limited = self.limited_until.is_some_and(|until| until > now);
        let is_silent = self.is_handed_over(now) || self.opted_out_at.is_some() || is_limited;
        let first = self.first_landed_at == Some(now) && !is_silent;
        Landed::New { due_in: until(due_at, now), first }
    }

    /// By when it was written: what waited for us, and lands all at once, is no flood.
    fn count(&mut self, now: Timestamp, item: &MailboxItem) {
        if later(whole_millis(item.timestamp), MINUTE) <= now {
            return;
        }
        match &mut self.minute {
            Some(minute) if later(minute.began_at, MINUTE) > now => minute.messages = minute.messages.saturating_add(1),
            Some(_) | None => self.minute = Some(Minute { began_at: now, messages: 1 }),
        }
    }

    /// Two deliveries of one body may land interleaved: what waits keeps the earliest arrival, so that the body's order
    /// does not depend on which of them a message came from.
    fn keep_earliest(&mut self, copy: &MailboxItem) {
        let received_at = whole_millis(copy.received_at);
        let same = |known: &MailboxItem| known.id == copy.id && known.phone_number_id == copy.phone_number_id;
        for Waiting { item: known, .. } in self.mailbox.iter_mut().filter(|waiting| same(&waiting.item)) {
            if known.received_at > received_at {
                known.received_at = received_at;
                known.index = copy.index;
            }
        }
    }

    /// The case that a landing is, and its answer, unless the message is to be taken in.
    fn judge(&self, landing: &Landing<'_>) -> (Verdict, Option<Landed>) {
        let item = landing.item;
        let waits = self
            .mailbox
            .iter()
            .any(|Waiting { item: known, .. }| known.id == item.id && known.phone_number_id == item.phone_number_id);
        let was_answered =
            self.answered.iter().any(|known| known.id == item.id && known.phone_number_id == item.phone_number_id);
        let beyond_memory = self.answered_floor.is_some_and(|floor| floor >= whole_millis(item.timestamp));
        if waits || was_answered {
            (Verdict::Duplicate, Some(Landed::Duplicate))
        } else if beyond_memory && !landing.looked_up {
            (Verdict::AskTranscript, Some(Landed::AskTranscript))
        } else if let Some(target) = &self.merged_into {
            (Verdict::Moved, Some(Landed::Moved(target.clone())))
        } else if self.mailbox.len() >= MAILBOX_WITH_CONTENT && item.message.is_some() {
            (Verdict::NoRoom, Some(Landed::NoRoomForContent))
        } else {
            (Verdict::New, None)
        }
    }

    /// Puts a part of the last reply into the mailbox, to be sent once more. Says when it is due, from now. None:
    /// that part was sent once more already, something else was said since or is under way, a person has the
    /// conversation, or the customer wants to hear no more.
    pub fn land_resend(&mut self, now: Timestamp, resend: &Resend<'_>) -> Option<Duration> {
        let id = resend_id(resend.wamid)?;
        let is_silent = self.is_handed_over(now) || self.opted_out_at.is_some();
        if self.outbox.is_some() || self.merged_into.is_some() || is_silent {
            return None;
        }
        let last_reply = self.last_reply.as_mut().filter(|last_reply| last_reply.id == resend.reply_id)?;
        if !last_reply.resent.insert(resend.part) {
            return None;
        }
        let item = MailboxItem {
            id,
            phone_number_id: resend.number.clone(),
            timestamp: resend.failed_at,
            received_at: now,
            index: u32::try_from(resend.part).unwrap_or(u32::MAX),
            message: Some(resend.body.to_owned()),
            resend_of: Some(resend.wamid.clone()),
            trace: resend.trace,
        };
        let due_at = self.take_in(now, item, resend.quiet);
        Some(until(due_at, now))
    }

    fn take_in(&mut self, now: Timestamp, mut item: MailboxItem, quiet: QuietTime) -> Timestamp {
        item.timestamp = whole_millis(item.timestamp);
        item.received_at = whole_millis(item.received_at);
        self.mailbox.push(Waiting { item, landed_at: now });
        let first = *self.first_landed_at.get_or_insert(now);
        self.last_landed_at = Some(now);
        let due_at = due(self.retry_at, first, now, quiet);
        self.due_at = Some(due_at);
        due_at
    }
}

impl Customer {
    /// What is known grows, and the newest counts.
    fn learn(&mut self, told: &Self) {
        self.wa_id = told.wa_id.clone().or(self.wa_id.take());
        self.user_id = told.user_id.clone().or(self.user_id.take());
        self.name = told.name.clone().or(self.name.take());
        self.language = told.language.clone().or(self.language.take());
    }
}

fn until(due_at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(due_at.duration_since(now)).unwrap_or_default()
}
