//! Conversations: what people change, notices for the businesses, and a look at what is stored.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params, params_from_iter};
use shared::ids::SessionId;
use worker::{
    conversation::{Aftermath, Beginning, CustomerIdChange, NoticeTaken, state::State},
    store::{ConversationFilter, Inspection, ListedConversations, Notices, People, Result},
};

use super::{
    SqliteStore,
    conversations::change,
    row::{Done, Row, Table, time},
    stored::{Link, Stored, chain},
};

const CONVERSATIONS: Table = Table::Conversations;

#[async_trait]
impl People for SqliteStore {
    async fn begin(&self, beginning: &Beginning<'_>) -> Result<()> {
        let mut state = State::begun(beginning.session, beginning.business_id, beginning.subdomain);
        state.customer = beginning.customer.clone();
        self.database
            .write(move |connection, _| match CONVERSATIONS.get::<Row>(connection, state.id.expose())? {
                Some(_) => Ok(()),
                None => Stored::from(state).put(connection),
            })
            .await
    }

    async fn hand_over(&self, session: &SessionId, length: Duration, said: Option<&str>) -> Result<bool> {
        let said = said.map(str::to_owned);
        self.change_open(session, move |state, now| state.hand_over(now, length, said.as_deref())).await
    }

    async fn resume(&self, session: &SessionId) -> Result<bool> {
        self.change_open(session, State::resume).await
    }

    async fn replace_customer_id(&self, session: &SessionId, change_of_id: &CustomerIdChange) -> Result<()> {
        let (session, change_of_id) = (session.clone(), change_of_id.clone());
        self.database
            .write(move |connection, now| {
                let mut sessions = vec![session.clone()];
                let links = chain(connection, &session, Link::pointer, now)?.unwrap_or_default();
                sessions.extend(links.into_iter().map(|link| link.session).filter(|next| *next != session));
                for session in sessions {
                    change(connection, &session, now, |state, _| state.replace_customer_id(&change_of_id))?;
                }
                Ok(())
            })
            .await
    }
}

impl SqliteStore {
    /// Changes a conversation, or the one in which it went on. False: there is none.
    async fn change_open(
        &self,
        session: &SessionId,
        operation: impl FnOnce(&mut State, Timestamp) -> bool + Send + 'static,
    ) -> Result<bool> {
        let session = session.clone();
        self.database
            .write(move |connection, now| {
                let links = chain(connection, &session, Link::tombstone, now)?;
                let Some(last) = links.and_then(|mut links| links.pop()) else { return Ok(false) };
                Ok(change(connection, &last.session, now, operation)?.unwrap_or(false))
            })
            .await
    }
}

#[async_trait]
impl Notices for SqliteStore {
    async fn notices_due(&self, businesses: usize, each: i64) -> Result<Vec<SessionId>> {
        self.database.read(move |connection, now| notices_due(connection, businesses, each, now.as_millisecond())).await
    }

    async fn take_notice(&self, session: &SessionId, length: Duration) -> Result<Option<NoticeTaken>> {
        Ok(self.change(session, move |state, now| state.take_notice(now, length)).await?.flatten())
    }

    async fn end_notice(&self, session: &SessionId, id: &str) -> Result<bool> {
        let id = id.to_owned();
        Ok(self.change(session, move |state, _| state.end_notice(&id)).await?.unwrap_or(false))
    }

    async fn postpone_notice(&self, session: &SessionId, id: &str, tries: u32, delay: Duration) -> Result<bool> {
        let id = id.to_owned();
        let postponed = self.change(session, move |state, now| state.postpone_notice(now, &id, tries, delay)).await?;
        Ok(postponed.unwrap_or(false))
    }
}

/// Each business's first few; where there are more businesses than asked for, any of them.
fn notices_due(connection: &Connection, businesses: usize, each: i64, now: i64) -> Done<Vec<SessionId>> {
    const DUE: &str = "has_notices AND merged_into IS NULL AND EXISTS (SELECT 1 FROM json_each(document, '$.notices') \
                       WHERE CAST(round(unixepoch(value ->> '$.try_at', 'subsec') * 1000) AS INTEGER) <= ?1)";
    let sql = format!("SELECT DISTINCT business_id FROM conversations WHERE {DUE} ORDER BY random() LIMIT ?2");
    let mut chosen = connection.prepare_cached(&sql)?;
    let most = i64::try_from(businesses).unwrap_or(i64::MAX);
    let owners: Vec<String> =
        chosen.query_map(params![now, most], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut found = Vec::new();
    for owner in owners {
        let theirs = format!("{DUE} AND business_id = ?2 LIMIT ?3");
        found.extend(CONVERSATIONS.ids(connection, &theirs, params![now, owner, each])?);
    }
    Ok(found.into_iter().map(SessionId::from_stored).collect())
}

#[async_trait]
impl Inspection for SqliteStore {
    async fn state(&self, session: &SessionId) -> Result<Option<State>> {
        let session = session.clone();
        let found = self.database.read(move |connection, _| Stored::get(connection, &session)).await?;
        Ok(found.map(|stored| stored.state))
    }

    async fn list_conversations(&self, filter: &ConversationFilter, most: i64) -> Result<ListedConversations> {
        let filter = filter.clone();
        self.database.read(move |connection, now| list(connection, &filter, most, &time(now))).await
    }
}

fn list(connection: &Connection, filter: &ConversationFilter, most: i64, now: &str) -> Done<ListedConversations> {
    let (mut condition, mut given) = ("merged_into IS NULL".to_owned(), Vec::new());
    for (field, wanted) in [("handed_over_until", filter.handed_over), ("retry_at", filter.waiting)] {
        if wanted {
            given.push(now);
            // Times in a conversation have as many digits as they need, so they do not sort as texts.
            let n = given.len();
            condition += &format!(" AND unixepoch(document ->> '$.{field}', 'subsec') > unixepoch(?{n}, 'subsec')");
        }
    }
    if let Some(businesses) = &filter.businesses {
        let first = given.len() + 1;
        given.extend(businesses.iter().map(|id| id.0.as_str()));
        let places: Vec<String> = (first..=given.len()).map(|n| format!("?{n}")).collect();
        condition += &format!(" AND business_id IN ({})", places.join(", "));
    }
    condition += &format!(" ORDER BY unixepoch(document ->> '$.last_land.at', 'subsec') DESC, id LIMIT {most}");
    let mut listed = ListedConversations::default();
    for (_, row) in CONVERSATIONS.find::<Row>(connection, &condition, params_from_iter(given))? {
        match serde_json::from_value::<Stored>(row.into()) {
            Ok(Stored { state, .. }) => listed.conversations.push(without_words(state)),
            Err(_) => listed.unreadable += 1,
        }
    }
    Ok(listed)
}

/// What it takes to tell how a conversation stands.
fn without_words(mut state: State) -> State {
    (state.memory, state.summary) = (Vec::new(), None);
    (state.facts, state.answered) = (Vec::new(), Vec::new());
    state.mailbox.iter_mut().for_each(|waiting| waiting.item.message = None);
    if let Some(outbox) = &mut state.outbox {
        outbox.aftermath = Aftermath::default();
    }
    state
}
