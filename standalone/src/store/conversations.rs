//! Conversations: each operation is the state machine's, applied to the stored document in one transaction.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde_json::Value;
use shared::{
    ids::{MessageId, PhoneNumberId, SessionId, Subdomain},
    trace::TraceParent,
};
use worker::{
    conversation::{
        BusinessId, Claim, CommitOutcome, Conversation, Landed, Landing, LeaseKey, Memory, Outbox, Postponement,
        QuietTime, Renewed, Resend, Settled, state::State,
    },
    store::{DueBusinesses, Inspection, Leasing, Mailboxes, Replies, Result, StoreError, Waits},
};

use super::{
    SqliteStore,
    row::{Done, Row, Table, time},
    stored::Stored,
    transcript,
};

const CONVERSATIONS: Table = Table::Conversations;

impl SqliteStore {
    /// Changes a conversation. None: there is none.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        session: &SessionId,
        operation: impl FnOnce(&mut State, Timestamp) -> T + Send + 'static,
    ) -> Result<Option<T>> {
        let session = session.clone();
        self.database.write(move |connection, now| change(connection, &session, now, operation)).await
    }

    /// Changes every conversation that a condition means, and says on how many that had an effect.
    async fn change_all(
        &self,
        condition: &'static str,
        parameter: String,
        operation: impl Fn(&mut State, Timestamp) -> bool + Send + 'static,
    ) -> Result<u64> {
        self.database
            .write(move |connection, now| {
                let mut count = 0;
                for id in CONVERSATIONS.ids(connection, condition, params![parameter])? {
                    let changed = change(connection, &SessionId::from_stored(id), now, &operation)?;
                    count += u64::from(changed == Some(true));
                }
                Ok(count)
            })
            .await
    }

    /// A document that cannot be read is due no more, until somebody mended it or its customer writes again.
    async fn set_aside(&self, session: &SessionId) -> Result<()> {
        tracing::error!(%session, "a conversation cannot be read: it is set aside as it is");
        let id = session.expose().to_owned();
        self.database
            .write(move |connection, now| {
                let Some(mut row) = CONVERSATIONS.get::<Row>(connection, &id)? else { return Ok(()) };
                row.remove("due_at");
                row.remove("lease");
                row.insert("set_aside_at".to_owned(), Value::from(time(now)));
                CONVERSATIONS.put(connection, &id, &row)
            })
            .await
    }
}

/// Reads the document, applies an operation, and writes it where that changed something.
pub(super) fn change<T>(
    connection: &Connection,
    session: &SessionId,
    now: Timestamp,
    operation: impl FnOnce(&mut State, Timestamp) -> T,
) -> Done<Option<T>> {
    let Some(before) = Stored::get(connection, session)? else { return Ok(None) };
    let mut state = before.state.clone();
    let answer = operation(&mut state, now);
    if state != before.state {
        Stored { state, ..before }.put(connection)?;
    }
    Ok(Some(answer))
}

/// A landing, as the writing thread takes it.
struct OwnedLanding {
    session: SessionId,
    business_id: BusinessId,
    subdomain: Option<Subdomain>,
    customer: worker::conversation::Customer,
    item: worker::conversation::MailboxItem,
    quiet: QuietTime,
    looked_up: bool,
}

impl OwnedLanding {
    fn of(landing: &Landing<'_>) -> Self {
        Self {
            session: landing.session.clone(),
            business_id: landing.business_id.clone(),
            subdomain: landing.subdomain.cloned(),
            customer: landing.customer.clone(),
            item: landing.item.clone(),
            quiet: landing.quiet,
            looked_up: landing.looked_up,
        }
    }

    fn as_given(&self) -> Landing<'_> {
        Landing {
            session: &self.session,
            business_id: &self.business_id,
            subdomain: self.subdomain.as_ref(),
            customer: &self.customer,
            item: &self.item,
            quiet: self.quiet,
            looked_up: self.looked_up,
        }
    }

    /// The first one begins the conversation.
    fn land(&self, connection: &Connection, now: Timestamp) -> Done<Landed> {
        let landing = self.as_given();
        match change(connection, &self.session, now, |state, now| state.land(now, &landing))? {
            Some(landed) => Ok(landed),
            None => {
                let mut state = State::begun_by(&landing);
                let landed = state.land(now, &landing);
                Stored::from(state).put(connection)?;
                Ok(landed)
            }
        }
    }
}

#[async_trait]
impl Mailboxes for SqliteStore {
    async fn land(&self, landing: &Landing<'_>) -> Result<Landed> {
        let landing = OwnedLanding::of(landing);
        self.database.write(move |connection, now| landing.land(connection, now)).await
    }

    async fn land_resend(&self, resend: &Resend<'_>) -> Result<Option<Duration>> {
        let Resend { session, number, reply_id, part, wamid, body, failed_at, quiet, trace } = *resend;
        let (session, number, reply_id) = (session.clone(), number.clone(), reply_id.to_owned());
        let (wamid, body) = (wamid.clone(), body.to_owned());
        let resent = self.change(resend.session, move |state, now| {
            let (session, number, reply_id, wamid, body) =
                (&session, &number, reply_id.as_str(), &wamid, body.as_str());
            state.land_resend(now, &Resend { session, number, reply_id, part, wamid, body, failed_at, quiet, trace })
        });
        Ok(resent.await?.flatten())
    }
}

#[async_trait]
impl Leasing for SqliteStore {
    async fn claim(&self, session: &SessionId, worker: &str, nonce: i64, lease: Duration) -> Result<Option<Claim>> {
        let claimed = self.database.write({
            let (session, worker) = (session.clone(), worker.to_owned());
            move |connection, now| {
                // What is not due need not be read, nor be readable.
                if !is_due(connection, &session, now)? {
                    return Ok(None);
                }
                Ok(change(connection, &session, now, |state, now| state.claim(now, &worker, nonce, lease))?.flatten())
            }
        });
        match claimed.await {
            Err(error @ StoreError::Corrupt { .. }) => {
                self.set_aside(session).await?;
                Err(error)
            }
            claimed => claimed,
        }
    }

    async fn reread(&self, lease: &LeaseKey) -> Result<Option<Conversation>> {
        let lease = lease.clone();
        self.database
            .read(move |connection, _| {
                let stored = Stored::get(connection, &lease.session)?;
                Ok(stored.and_then(|stored| stored.state.reread(&lease)))
            })
            .await
    }

    async fn renew(&self, leases: &[LeaseKey], lease: Duration) -> Result<Vec<Renewed>> {
        let keys = leases.to_vec();
        self.database
            .write(move |connection, now| {
                let mut renewed = Vec::with_capacity(keys.len());
                for key in &keys {
                    let one = change(connection, &key.session, now, |state, now| state.renew(now, key, lease))?;
                    renewed.extend(one.flatten());
                }
                Ok(renewed)
            })
            .await
    }

    async fn release(&self, lease: &LeaseKey) -> Result<bool> {
        let key = lease.clone();
        Ok(self.change(&lease.session, move |state, _| state.release(&key)).await?.unwrap_or(false))
    }

    async fn release_all(&self, worker: &str) -> Result<u64> {
        let worker = worker.to_owned();
        self.change_all("lease_worker = ?1", worker.clone(), move |state, _| state.release_all(&worker)).await
    }

    async fn due(&self, businesses: usize, each: i64) -> Result<DueBusinesses> {
        self.database.read(move |connection, now| due(connection, businesses, each, now.as_millisecond())).await
    }

    async fn count_due(&self, ends: &[Duration]) -> Result<Vec<u64>> {
        let ends: Vec<i64> = ends.iter().map(|end| i64::try_from(end.as_millis()).unwrap_or(i64::MAX)).collect();
        self.database.read(move |connection, now| count_due(connection, &ends, now.as_millisecond())).await
    }
}

/// As far as the columns tell, which is what the scan goes by as well.
fn is_due(connection: &Connection, session: &SessionId, now: Timestamp) -> Done<bool> {
    let due =
        "SELECT 1 FROM conversations WHERE id = ?1 AND due_at <= ?2 AND (lease_until IS NULL OR lease_until <= ?2)";
    Ok(connection.prepare_cached(due)?.exists(params![session.expose(), now.as_millisecond()])?)
}

/// Each business's first few, the longest due first; where there are more businesses than asked for, any of them.
fn due(connection: &Connection, businesses: usize, each: i64, now: i64) -> Done<DueBusinesses> {
    let mut chosen = connection
        .prepare_cached("SELECT DISTINCT subdomain FROM conversations WHERE due_at <= ?1 ORDER BY random() LIMIT ?2")?;
    let most = i64::try_from(businesses).unwrap_or(i64::MAX);
    let subdomains: Vec<Option<String>> =
        chosen.query_map(params![now, most], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let free =
        "subdomain IS ?1 AND due_at <= ?2 AND (lease_until IS NULL OR lease_until <= ?2) ORDER BY due_at LIMIT ?3";
    let mut found = Vec::with_capacity(subdomains.len());
    for subdomain in subdomains {
        let sessions = CONVERSATIONS.ids(connection, free, params![subdomain, now, each])?;
        let subdomain = subdomain.and_then(|text| Subdomain::parse(&text).ok());
        found.push((subdomain, sessions.into_iter().map(SessionId::from_stored).collect()));
    }
    Ok(found)
}

fn count_due(connection: &Connection, ends: &[i64], now: i64) -> Done<Vec<u64>> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM conversations WHERE due_at <= ?1 AND due_at > ?2")?;
    let mut begin = now;
    let mut counts = Vec::with_capacity(ends.len() + 1);
    for end in ends.iter().map(|end| now.saturating_sub(*end)).chain([i64::MIN]) {
        let count: i64 = statement.query_row(params![begin, end], |row| row.get(0))?;
        counts.push(u64::try_from(count).unwrap_or(0));
        begin = end;
    }
    Ok(counts)
}

#[async_trait]
impl Replies for SqliteStore {
    async fn commit_reply(
        &self,
        lease: &LeaseKey,
        outbox: &Outbox,
        seen: Option<&[MessageId]>,
    ) -> Result<CommitOutcome> {
        let (key, outbox, seen) = (lease.clone(), outbox.clone(), seen.map(<[MessageId]>::to_vec));
        let committed =
            self.change(&lease.session, move |state, now| state.commit_reply(now, &key, &outbox, seen.as_deref()));
        Ok(committed.await?.unwrap_or(CommitOutcome::Fenced))
    }

    async fn begin_try(
        &self,
        lease: &LeaseKey,
        reply_id: &str,
        part: usize,
        tries_so_far: u32,
        as_text: bool,
    ) -> Result<bool> {
        let (key, reply_id) = (lease.clone(), reply_id.to_owned());
        let begun = self.change(&lease.session, move |state, now| {
            state.begin_try(now, &key, &reply_id, part, tries_so_far, as_text)
        });
        Ok(begun.await?.unwrap_or(false))
    }

    async fn part_sent(&self, lease: &LeaseKey, reply_id: &str, part: usize, wamid: &MessageId) -> Result<bool> {
        let (key, reply_id, wamid) = (lease.clone(), reply_id.to_owned(), wamid.clone());
        let sent = self.change(&lease.session, move |state, now| state.part_sent(now, &key, &reply_id, part, &wamid));
        Ok(sent.await?.unwrap_or(false))
    }

    async fn settle(
        &self,
        lease: &LeaseKey,
        number: &PhoneNumberId,
        messages: &[MessageId],
        memory: &Memory,
        quiet: QuietTime,
    ) -> Result<Option<Settled>> {
        let (key, number, messages, memory) = (lease.clone(), number.clone(), messages.to_vec(), memory.clone());
        self.database
            .write(move |connection, now| {
                let settling = |state: &mut State, now| state.settle(now, &key, &number, &messages, &memory, quiet);
                let settled = change(connection, &key.session, now, settling)?.flatten();
                if settled.is_none() {
                    // What this turn recorded of a customer who was forgotten meanwhile.
                    transcript::erase_if_forgotten(connection, &key.session, now)?;
                }
                Ok(settled)
            })
            .await
    }

    async fn evidence(
        &self,
        session: &SessionId,
        number: &PhoneNumberId,
        reply_id: &str,
        part: usize,
        wamid: &MessageId,
    ) -> Result<bool> {
        let (number, reply_id, wamid) = (number.clone(), reply_id.to_owned(), wamid.clone());
        let proved = self.change(session, move |state, now| state.evidence(now, &number, &reply_id, part, &wamid));
        Ok(proved.await?.unwrap_or(false))
    }

    async fn is_under_way(&self, session: &SessionId, reply_id: &str) -> Result<bool> {
        let state = self.state(session).await?;
        Ok(state.and_then(|state| state.outbox).is_some_and(|outbox| outbox.reply_id == reply_id))
    }

    async fn trace_of_reply(&self, session: &SessionId, reply_id: &str) -> Result<Option<TraceParent>> {
        let outbox = self.state(session).await?.and_then(|state| state.outbox);
        Ok(outbox.filter(|outbox| outbox.reply_id == reply_id).and_then(|outbox| outbox.trace))
    }
}

#[async_trait]
impl Waits for SqliteStore {
    async fn postpone(&self, lease: &LeaseKey, postponement: &Postponement) -> Result<bool> {
        let (key, postponement) = (lease.clone(), postponement.clone());
        let postponed = self.change(&lease.session, move |state, now| state.postpone(now, &key, &postponement));
        Ok(postponed.await?.unwrap_or(false))
    }

    async fn release_waiting(&self, business: &BusinessId, current: &str) -> Result<u64> {
        let (theirs, current) = (business.clone(), current.to_owned());
        let releasing = move |state: &mut State, now| state.release_waiting(now, &theirs, &current);
        self.change_all("business_id = ?1 AND waits_for IS NOT NULL", business.0.clone(), releasing).await
    }

    async fn businesses_waiting(&self) -> Result<Vec<BusinessId>> {
        self.database
            .read(|connection, _| {
                let mut statement = connection
                    .prepare_cached("SELECT DISTINCT business_id FROM conversations WHERE waits_for IS NOT NULL")?;
                let found = statement.query_map([], |row| Ok(BusinessId(row.get(0)?)))?;
                Ok(found.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }
}
