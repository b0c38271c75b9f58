//! Two conversations that turn out to be one customer's become one, in one transaction.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use serde_json::Value;
use shared::ids::SessionId;
use worker::{
    conversation::{QuietTime, state::State},
    store::{MergeRequest, MergeRequested, MergeStep, Merges, Result, StoreError},
};

use super::{
    SqliteStore, forgetting,
    row::{Done, Row, Table},
    stored::{Link, Stored, Wish, chain, link},
};

/// A merge that has to wait is tried again after an eighth of its age, within these bounds.
const RETRY_FIRST: SignedDuration = SignedDuration::from_secs(2);
const RETRY_MOST: SignedDuration = SignedDuration::from_secs(60);

#[async_trait]
impl Merges for SqliteStore {
    async fn request_merge(&self, request: &MergeRequest<'_>) -> Result<MergeRequested> {
        let wanted = Wanted::from(request);
        self.database.write(move |connection, now| wanted.record(connection, now)).await
    }

    async fn merges_under_way(&self, most: i64) -> Result<Vec<SessionId>> {
        let due = "merge_into IS NOT NULL AND merge_try_at <= ?1 ORDER BY merge_try_at LIMIT ?2";
        let found = self.database.read(move |connection, now| {
            Table::Conversations.ids(connection, due, params![now.as_millisecond(), most])
        });
        Ok(found.await?.into_iter().map(SessionId::from_stored).collect())
    }

    async fn merge(&self, from: &SessionId, quiet: QuietTime) -> Result<MergeStep> {
        let session = from.clone();
        let merged = self.database.write(move |connection, now| merge(connection, &session, quiet, now)).await;
        if merged.as_ref().is_ok_and(|step| *step == MergeStep::Waits)
            || merged.as_ref().is_err_and(StoreError::is_permanent)
        {
            let session = from.clone();
            self.database.write(move |connection, now| put_off(connection, &session, now)).await?;
        }
        merged
    }
}

/// A request, as the writing thread takes it.
struct Wanted {
    business: worker::conversation::BusinessId,
    subdomain: Option<shared::ids::Subdomain>,
    from: SessionId,
    into: SessionId,
    phone: Option<shared::ids::WaId>,
    user_id: shared::ids::UserId,
}

impl From<&MergeRequest<'_>> for Wanted {
    fn from(request: &MergeRequest<'_>) -> Self {
        Self {
            business: request.business_id.clone(),
            subdomain: request.subdomain.cloned(),
            from: request.from.clone(),
            into: request.into.clone(),
            phone: request.phone.cloned(),
            user_id: request.user_id.clone(),
        }
    }
}

impl Wanted {
    fn record(&self, connection: &Connection, now: Timestamp) -> Done<MergeRequested> {
        let (from, into) = (end_of(connection, &self.from, now)?, end_of(connection, &self.into, now)?);
        if from == into {
            return Ok(MergeRequested::Done);
        }
        let goes_on = match Stored::get(connection, &into)? {
            Some(stored) => stored,
            // Its first message may be on its way.
            None => {
                let mut stored = self.begun(&into);
                stored.state.customer.user_id = Some(self.user_id.clone());
                stored.put(connection)?;
                stored
            }
        };
        if goes_on.forgotten_at.is_some() {
            return Ok(MergeRequested::Forgotten);
        }
        let customer = &goes_on.state.customer;
        let is_other = customer.wa_id.as_ref().zip(self.phone.as_ref()).is_some_and(|(known, phone)| known != phone)
            || customer.user_id.as_ref().is_some_and(|known| *known != self.user_id)
            || goes_on.state.business_id != self.business;
        if is_other {
            return Ok(MergeRequested::OtherCustomer);
        }
        self.wish(connection, &from, into, now)
    }

    fn wish(&self, connection: &Connection, from: &SessionId, into: SessionId, now: Timestamp) -> Done<MergeRequested> {
        let mut ends = Stored::get(connection, from)?.unwrap_or_else(|| self.begun(from));
        let state = &mut ends.state;
        if ends.forgotten_at.is_some() {
            return Ok(MergeRequested::Forgotten);
        }
        let is_other = state.customer.user_id.as_ref().is_some_and(|known| *known != self.user_id);
        if state.business_id != self.business || is_other {
            return Ok(MergeRequested::OtherCustomer);
        }
        if state.subdomain.is_none() {
            state.subdomain.clone_from(&self.subdomain);
        }
        // Should the number go to somebody else before the merge is done, there is still whom to answer.
        state.customer.user_id = Some(self.user_id.clone());
        ends.merge.get_or_insert(Wish { into, requested_at: now, try_at: now });
        ends.put(connection)?;
        Ok(MergeRequested::Recorded)
    }

    fn begun(&self, session: &SessionId) -> Stored {
        Stored::from(State::begun(session, &self.business, self.subdomain.as_ref()))
    }
}

/// Where a conversation went on; itself, if it did not.
fn end_of(connection: &Connection, session: &SessionId, now: Timestamp) -> Done<SessionId> {
    let links = chain(connection, session, Link::tombstone, now)?;
    let last = links.and_then(|mut links| links.pop()).map(|last| last.session);
    Ok(last.unwrap_or_else(|| session.clone()))
}

fn merge(connection: &Connection, from: &SessionId, quiet: QuietTime, now: Timestamp) -> Done<MergeStep> {
    let Some(source) = link(connection, from, now)? else { return Ok(MergeStep::Nothing) };
    let Some(wish) = &source.wish else { return Ok(MergeStep::Nothing) };
    let onwards = chain(connection, wish, Link::pointer, now)?;
    let leads_on = onwards.is_some_and(|links| !links.is_empty() && links.iter().all(|link| link.session != *from));
    // Wishes that meet, or lead nowhere, are not granted.
    if !leads_on {
        tracing::warn!(session = %from, into = %wish, "a merge would lead in a circle, or nowhere: left undone");
        if let Some(mut stored) = Stored::get(connection, from)? {
            stored.merge = None;
            stored.put(connection)?;
        }
        return Ok(MergeStep::Finished);
    }
    let Some(holder) = chain(connection, wish, Link::tombstone, now)?.and_then(|mut links| links.pop()) else {
        return Ok(MergeStep::Waits);
    };
    if holder.is_forgotten {
        // The customer asked to be forgotten while a conversation of theirs was on its way.
        forgetting::forget(connection, from, now)?;
        return Ok(MergeStep::Finished);
    }
    if source.is_busy || holder.is_busy {
        return Ok(MergeStep::Waits);
    }
    unite(connection, from, &holder.session, quiet, now)?;
    Ok(MergeStep::Finished)
}

/// The content of the one goes into the other, and so does everything that names it; only a pointer is left.
fn unite(connection: &Connection, from: &SessionId, holder: &SessionId, quiet: QuietTime, now: Timestamp) -> Done<()> {
    let (Some(mut source), Some(mut into)) = (Stored::get(connection, from)?, Stored::get(connection, holder)?) else {
        return Ok(());
    };
    source.state.close_for_merge(holder);
    let mut tombstone = Stored::from(State::begun(from, &source.state.business_id, source.state.subdomain.as_ref()));
    tombstone.state.epoch = source.state.epoch;
    tombstone.state.merged_into = Some(holder.clone());
    tombstone.merged_at = Some(now);
    for taken in source.merged_from.iter().chain([from]) {
        if !into.merged_from.contains(taken) {
            into.merged_from.push(taken.clone());
        }
    }
    tombstone.merged_from = source.merged_from;
    into.state.take_over(now, source.state, quiet);
    into.put(connection)?;
    tombstone.put(connection)?;
    for table in [Table::Identities, Table::Messages, Table::DeadLetters] {
        table.set_text(connection, "conversation", holder.expose(), "conversation = ?1", from.expose())?;
    }
    // So that tombstones never make a long way.
    Table::Conversations.set_text(connection, "merged_into", holder.expose(), "merged_into = ?1", from.expose())?;
    tracing::info!(session = %from, into = %holder, "two conversations of one customer are one");
    Ok(())
}

/// Not to be tried again at once. The rest of the document need not be readable.
fn put_off(connection: &Connection, from: &SessionId, now: Timestamp) -> Done<()> {
    let Some(mut row) = Table::Conversations.get::<Row>(connection, from.expose())? else { return Ok(()) };
    let Some(wish) = row.get("merge").cloned() else { return Ok(()) };
    let Ok(mut wish) = serde_json::from_value::<Wish>(wish) else { return Ok(()) };
    let age = now.duration_since(wish.requested_at);
    wish.try_at = now.saturating_add((age / 8).clamp(RETRY_FIRST, RETRY_MOST)).unwrap_or(now);
    row.insert("merge".to_owned(), serde_json::to_value(wish).unwrap_or(Value::Null));
    Table::Conversations.put(connection, from.expose(), &row)
}
