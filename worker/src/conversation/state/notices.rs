//! Notices that wait to be delivered to the business.

use std::time::Duration;

use jiff::Timestamp;

use super::State;
use crate::conversation::{Announcement, NOTICES_MOST, Notice, NoticeTaken, later};

impl State {
    /// One more notice, due at once. Of too many the oldest goes.
    pub(super) fn announce(&mut self, now: Timestamp, announcement: &Announcement) {
        let Announcement { id, reason } = announcement.clone();
        self.notices.retain(|notice| notice.id != id);
        self.notices.push(Notice { id, reason, at: now, tries: 0, try_at: now });
        self.bound_notices();
    }

    pub(super) fn bound_notices(&mut self) {
        self.notices.drain(..self.notices.len().saturating_sub(NOTICES_MOST));
    }

    /// Takes the first notice that is due: nobody else delivers it for that time. None: none is due, or the
    /// conversation went on elsewhere.
    pub fn take_notice(&mut self, now: Timestamp, length: Duration) -> Option<NoticeTaken> {
        if self.merged_into.is_some() {
            return None;
        }
        let notice = self.notices.iter_mut().find(|notice| notice.try_at <= now)?;
        notice.tries += 1;
        notice.try_at = later(now, length);
        let notice = notice.clone();
        Some(NoticeTaken {
            session: self.id.clone(),
            business_id: self.business_id.clone(),
            customer: self.customer.clone(),
            until: self.handed_over_until.filter(|until| *until > now),
            notice,
            taken_at: now,
        })
    }

    /// A notice was delivered, or is given up. False: it was not there any more.
    pub fn end_notice(&mut self, id: &str) -> bool {
        let before = self.notices.len();
        if self.merged_into.is_none() {
            self.notices.retain(|notice| notice.id != id);
        }
        self.notices.len() < before
    }

    /// A delivery failed: the notice waits, unless somebody else has begun the next one since. False: it is left as it
    /// is.
    pub fn postpone_notice(&mut self, now: Timestamp, id: &str, tries: u32, delay: Duration) -> bool {
        let is_open = self.merged_into.is_none();
        let notice = self.notices.iter_mut().find(|notice| notice.id == id && notice.tries == tries);
        let Some(notice) = notice.filter(|_| is_open) else { return false };
        notice.try_at = later(now, delay);
        true
    }
}
