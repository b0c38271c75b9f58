//! Who works on a conversation, and when it is somebody's turn.

use std::time::Duration;

use jiff::Timestamp;

use super::{Lease, State};
use crate::conversation::{Claim, LeaseKey, Renewed, later};

impl State {
    /// Whether it is somebody's turn and nobody has the lease.
    pub fn due(&self, now: Timestamp) -> bool {
        self.due_at.is_some_and(|due_at| due_at <= now) && !self.is_held(now)
    }

    /// Takes the lease, if it is due and nobody has it. A lease that ran out tells of a process that died with the
    /// conversation in hand.
    pub fn claim(&mut self, now: Timestamp, worker: &str, nonce: i64, length: Duration) -> Option<Claim> {
        if !self.due(now) {
            return None;
        }
        self.epoch += 1;
        let taken_over = self.lease.is_some();
        self.takeovers += u32::from(taken_over);
        let (worker, epoch) = (worker.to_owned(), self.epoch);
        let lease = Lease { worker, epoch, nonce, taken_at: now, until: later(now, length), taken_over };
        let claim = Claim {
            lease: LeaseKey { session: self.id.clone(), holder: lease.holder() },
            conversation: self.as_seen_by(&lease),
            taken_over,
        };
        self.lease = Some(lease);
        Some(claim)
    }

    /// Prolongs a lease. None: it is not that holder's any more.
    pub fn renew(&mut self, now: Timestamp, lease: &LeaseKey, length: Duration) -> Option<Renewed> {
        self.held(lease)?;
        self.lease.as_mut()?.until = later(now, length);
        Some(Renewed { lease: lease.clone(), mailbox: self.mailbox.len() })
    }

    /// Gives the lease back as it is. False: not mine any more.
    pub fn release(&mut self, lease: &LeaseKey) -> bool {
        let mine = self.held(lease).is_some();
        if mine {
            self.lease = None;
        }
        mine
    }

    /// Gives back the lease of a worker that stops, whose turn was cut off: that was a try. False: it had none here.
    pub fn release_all(&mut self, worker: &str) -> bool {
        let had_one = self.lease.take_if(|lease| lease.worker == worker).is_some();
        if had_one {
            self.attempts = self.attempts.max(1);
        }
        had_one
    }

    /// Whether somebody has the conversation in hand.
    pub(super) fn is_held(&self, now: Timestamp) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.until > now)
    }
}
