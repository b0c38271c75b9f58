//! The leases that this worker holds, and their renewal.
//!
//! Only leases of turns that really run are renewed. A holder reckons its lease from *before* the request that
//! took or prolonged it was sent, so that it never believes in a lease longer than the database does.
//!
//! A turn hears here that its customer wrote more: at once where this process landed the message, else with the next
//! renewal, which tells how many messages wait.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use shared::ids::{MessageId, SessionId};
use tokio_util::sync::CancellationToken;

use super::news::News;
use crate::{
    conversation::{Holder, LeaseKey, MailboxItem},
    store::{Store, StoreError, in_time},
};

/// The leases of one worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Leases {
    store: Arc<dyn Store>,
    worker_id: Arc<str>,
    length: Duration,
    held: Arc<Mutex<HashMap<SessionId, Held>>>,
}

#[derive(Debug)]
struct Held {
    holder: Holder,
    valid_until: Instant,
    /// A guarded write has succeeded, and with it the claim is durable.
    is_durable: bool,
    lost: CancellationToken,
    news: News,
}

/// The right to work on a conversation, for as long as this value lives and the renewals succeed.
#[derive(Debug)]
pub struct Hold {
    key: LeaseKey,
    leases: Leases,
    lost: CancellationToken,
}

impl Leases {
    /// `worker_id` must be new at every start of the process.
    pub fn new(store: Arc<dyn Store>, worker_id: &str, length: Duration) -> Self {
        Self { store, worker_id: worker_id.into(), length, held: Arc::default() }
    }

    /// Who this worker is in a lease.
    pub fn worker_id(&self) -> &str {
        &self.worker_id
    }

    /// Begins to renew a lease that was taken by a request sent at `asked_at`, which read that mailbox.
    pub fn hold(&self, key: LeaseKey, asked_at: Instant, mailbox: &[MailboxItem]) -> Hold {
        let (lost, news) = (CancellationToken::new(), News::new(ids(mailbox)));
        let held = Held {
            holder: key.holder.clone(),
            valid_until: asked_at + self.length,
            is_durable: false,
            lost: lost.clone(),
            news,
        };
        self.lock().insert(key.session.clone(), held);
        Hold { key, leases: self.clone(), lost }
    }

    /// A message landed in a conversation. A turn that has it in hand, and has not read it, hears of it.
    pub fn landed(&self, session: &SessionId, message: &MessageId) {
        if let Some(held) = self.lock().get_mut(session) {
            held.news.has_landed(message);
        }
    }

    /// Renews what is held, three times a lease, until `stop`. Must outlive the turns.
    pub async fn renew_until(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.length / 3);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let keys: Vec<LeaseKey> = self
                .lock()
                .iter()
                .map(|(session, held)| LeaseKey { session: session.clone(), holder: held.holder.clone() })
                .collect();
            // A renewal that hangs, or panics, must not keep the next one from being tried.
            let renewing = AssertUnwindSafe(tokio::time::timeout(self.length / 3, self.renew(&keys)));
            match renewing.catch_unwind().await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!(%error, leases = keys.len(), "leases could not be renewed"),
                Ok(Err(_)) => tracing::warn!(leases = keys.len(), "renewing leases took too long"),
                Err(_) => tracing::error!(leases = keys.len(), "renewing leases panicked"),
            }
        }
    }

    async fn renew(&self, keys: &[LeaseKey]) -> Result<(), StoreError> {
        let asked_at = Instant::now();
        let renewed = self.store.renew(keys, self.length).await?;
        let renewed: HashMap<_, _> = renewed.into_iter().map(|renewed| (renewed.lease, renewed.mailbox)).collect();
        let mut held = self.lock();
        for key in keys {
            let Some(mine) = held.get_mut(&key.session).filter(|mine| mine.holder == key.holder) else { continue };
            if let Some(mailbox) = renewed.get(key) {
                mine.valid_until = asked_at + self.length;
                mine.is_durable = true;
                mine.news.has_counted(*mailbox);
            } else {
                tracing::warn!(session = %key.session, "a lease was lost");
                metrics::counter!("switchboard_leases_lost_total").increment(1);
                mine.lost.cancel();
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Held>> {
        self.held.lock().expect("no code panics while it holds this lock")
    }
}

impl Hold {
    /// For guarded operations.
    pub fn key(&self) -> &LeaseKey {
        &self.key
    }

    /// A write that names the lease has succeeded.
    pub fn has_written(&self) {
        self.with_mine(|held| held.is_durable = true);
    }

    /// Makes sure that the claim is durable, before something is written, or asked of somebody, that names no lease: what a
    /// claim has read may have been lost with it. Costs a renewal where nothing was written under it yet.
    ///
    /// # Errors
    /// The lease is somebody else's, or it cannot be known.
    pub async fn make_durable(&self) -> Result<(), StoreError> {
        if self.with_mine(|held| held.is_durable) == Some(true) {
            return Ok(());
        }
        in_time(self.leases.renew(std::slice::from_ref(&self.key))).await?;
        match self.with_mine(|held| held.is_durable) {
            Some(true) => Ok(()),
            Some(false) | None => Err(StoreError::LeaseLost),
        }
    }

    /// The lease is about to be given back: it is not renewed any more, and a renewal that does not find it means nothing.
    pub fn let_go(&self) {
        let mut held = self.leases.lock();
        if held.get(&self.key.session).is_some_and(|held| held.holder == self.key.holder) {
            held.remove(&self.key.session);
        }
    }

    /// Resolves when the lease is somebody else's.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// The mailbox is about to be read: whatever is heard of from here on may not be in it.
    pub fn about_to_read(&self) {
        self.with_news(News::begin_to_read);
    }

    /// The mailbox was read.
    pub fn has_read(&self, mailbox: &[MailboxItem]) {
        self.with_news(|news| news.has_read(ids(mailbox)));
    }

    /// Resolves when the customer has written more since the mailbox was read last.
    pub async fn more(&self) {
        let listening = self.with_news(|news| news.listen());
        let Some(mut more) = listening else { return std::future::pending().await };
        if more.wait_for(|is_news| *is_news).await.is_err() {
            // Nobody is left who would tell.
            std::future::pending::<()>().await;
        }
    }

    fn with_news<T>(&self, ask: impl FnOnce(&mut News) -> T) -> Option<T> {
        self.with_mine(|held| ask(&mut held.news))
    }

    /// Nothing, where a later turn has taken its place.
    fn with_mine<T>(&self, ask: impl FnOnce(&mut Held) -> T) -> Option<T> {
        let mut held = self.leases.lock();
        held.get_mut(&self.key.session).filter(|held| held.holder == self.key.holder).map(ask)
    }

    /// Whether the lease lasts that long from now; renews it where it does not.
    ///
    /// # Errors
    /// The renewal failed: the lease must be taken for lost.
    pub async fn outlasts(&self, length: Duration) -> Result<bool, StoreError> {
        if self.remaining() > length {
            return Ok(true);
        }
        in_time(self.leases.renew(std::slice::from_ref(&self.key))).await?;
        Ok(!self.lost.is_cancelled() && self.remaining() > length)
    }

    fn remaining(&self) -> Duration {
        let valid_until = self.with_mine(|held| held.valid_until);
        valid_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.let_go();
    }
}

fn ids(mailbox: &[MailboxItem]) -> impl Iterator<Item = MessageId> {
    mailbox.iter().map(|item| item.id.clone())
}
