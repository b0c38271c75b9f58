//! One customer of one business as an operator knows them: what is stored of them, and its end.
//!
//! `identities` decides whose a number is. What merely bears the number, such as the conversation of a former owner,
//! is another customer's, and is left alone.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use shared::ids::{SessionId, Subdomain, UserId};
use worker::store::{Alias, BusinessRecord, CustomerKey, Customers, Forgotten, Holding, Result, StoredCustomer};

use super::{
    SqliteStore,
    closed::{close_ids, ids_of, is_fresh, is_named, numbers_of},
    erasure::{AMONG, events, letters, list},
    forgetting::{family, forget},
    identities::{alias_of, aliases_of, key},
    row::{Done, Row, Table, count, text, time_in},
    stored::link,
};

const CONVERSATIONS: Table = Table::Conversations;

/// What holds something of customers, and the field with the time.
pub(super) const HOLDING: &[(Table, &str)] = &[
    (Table::Conversations, "last_land.at"),
    (Table::Messages, "timestamp"),
    (Table::Identities, "created_at"),
    (Table::DeadLetters, "buried_at"),
    (Table::AccountEvents, "recorded_at"),
];

const OF_SESSIONS: &str = "conversation IN (SELECT value FROM json_each(?1))";

#[async_trait]
impl Customers for SqliteStore {
    async fn find_customer(&self, business: &BusinessRecord, key: &CustomerKey) -> Result<StoredCustomer> {
        let (found, key) = (StoredCustomer::new(business), key.clone());
        self.database.read(move |connection, now| Search { connection, now, found }.go(&key)).await
    }

    async fn holdings(&self, customer: &StoredCustomer) -> Result<Vec<Holding>> {
        let customer = customer.clone();
        self.database
            .read(move |connection, _| {
                HOLDING.iter().map(|(table, time)| holding(connection, *table, time, &customer)).collect()
            })
            .await
    }

    async fn forget_customer(&self, customer: &StoredCustomer) -> Result<Forgotten> {
        let customer = customer.clone();
        let forgotten = self.database.write(move |connection, now| forget_all(connection, &customer, now)).await?;
        // Also where nothing was left: it may repeat one that ended before this.
        self.database.clear_log().await;
        Ok(forgotten)
    }
}

/// A customer as far as they are found.
struct Search<'a> {
    connection: &'a Connection,
    now: Timestamp,
    found: StoredCustomer,
}

impl Search<'_> {
    fn go(mut self, key: &CustomerKey) -> Done<StoredCustomer> {
        match key {
            CustomerKey::Phone(phone) => self.found.whose.add_id(phone.expose()),
            CustomerKey::User(user_id) => self.found.whose.add_id(user_id.expose()),
            CustomerKey::Session(session) => {
                // One that is not there tells by its name alone whose it would be.
                let subdomain = self.found.subdomain.as_ref().map(Subdomain::expose);
                let is_ours = session.expose().split_once(':').map(|(subdomain, _)| subdomain) == subdomain;
                if is_ours || CONVERSATIONS.has(self.connection, session.expose())? {
                    self.enter(session)?;
                }
            }
        }
        if let CustomerKey::Phone(phone) = key
            && let Some(other) = phone.other_form()
            && self.alias(phone.expose())?.is_none()
        {
            self.found.whose.add_id(other.expose());
        }
        let mut followed = BTreeSet::new();
        while let Some(id) = self.found.whose.ids.difference(&followed).next().cloned() {
            self.follow(&id)?;
            followed.insert(id);
        }
        Ok(self.found)
    }

    /// Adds the conversations to which a number or a user id leads, or led before it was forgotten.
    fn follow(&mut self, id: &str) -> Done<()> {
        if let Some(alias) = self.alias(id)? {
            alias.user_id.iter().for_each(|user_id| self.found.whose.add_id(user_id.expose()));
            self.enter(&alias.session)?;
        }
        let name = SessionId::new(self.found.subdomain.as_ref(), id);
        // What begins with the name and a tilde lies between that and what begins with the next character.
        let closed = "(id = ?1 OR (id > ?1 || '~' AND id < ?1 || char(unicode('~') + 1))) \
                      AND business_id = ?2 AND forgotten_at IS NOT NULL";
        let named = params![name.expose(), self.found.business.0];
        for session in CONVERSATIONS.ids(self.connection, closed, named)? {
            self.enter(&SessionId::from_stored(session))?;
        }
        Ok(())
    }

    /// Adds a conversation, those that are one with it, and everything that leads to them.
    fn enter(&mut self, session: &SessionId) -> Done<()> {
        if self.found.whose.sessions.contains(session.expose()) {
            return Ok(());
        }
        let mut entered = Vec::new();
        for session in family(self.connection, session, self.now)? {
            let stored: Row = CONVERSATIONS.get(self.connection, session.expose())?.unwrap_or_default();
            if text(&stored, "business_id").is_some_and(|owner| owner != self.found.business.0) {
                continue;
            }
            self.found.whose.sessions.insert(session.expose().to_owned());
            entered.push((session, stored));
        }
        entered.iter().try_for_each(|(session, stored)| self.add(session, stored))
    }

    fn add(&mut self, session: &SessionId, stored: &Row) -> Done<()> {
        for alias in aliases_of(self.connection, session)? {
            self.found.whose.add_id(&alias);
        }
        self.found.whose.numbers.extend(numbers_of(stored));
        let mut ids = ids_of(stored);
        ids.extend(is_named(stored).then(|| session.customer().to_owned()));
        for id in ids {
            if self.is_theirs(&id)? {
                self.found.whose.add_id(&id);
            }
        }
        self.found.forgotten_at = self.found.forgotten_at.max(time_in(stored, "forgotten_at"));
        Ok(())
    }

    /// Whether an id that one of their conversations has is not somebody else's by now.
    fn is_theirs(&self, id: &str) -> Done<bool> {
        let whose = &self.found.whose;
        Ok(self.alias(id)?.is_none_or(|alias| {
            let is_known = |user_id: &UserId| whose.ids.contains(user_id.expose());
            whose.sessions.contains(alias.session.expose()) || alias.user_id.as_ref().is_some_and(is_known)
        }))
    }

    fn alias(&self, id: &str) -> Done<Option<Alias>> {
        alias_of(self.connection, &key(&self.found.business, id))
    }
}

fn forget_all(connection: &Connection, customer: &StoredCustomer, now: Timestamp) -> Done<Forgotten> {
    // First what is known goes where it is not lost: each conversation that ends takes some of it along.
    let names = close_ids(connection, customer, now)?;
    let mut forgotten = Forgotten::default();
    for session in customer.sessions() {
        forgotten.add(forget(connection, &session, now)?);
    }
    for name in names.iter().filter(|name| !customer.whose.sessions.contains(name.expose())) {
        // One that is open and not among the customer's conversations is somebody else's.
        if link(connection, name, now)?.is_none_or(|link| link.is_forgotten) {
            forgotten.add(forget(connection, name, now)?);
        }
    }
    Ok(forgotten)
}

fn holding(connection: &Connection, table: Table, time: &str, customer: &StoredCustomer) -> Done<Holding> {
    let at = format!("CAST(round(unixepoch(document ->> '$.{time}', 'subsec') * 1000) AS INTEGER)");
    let sql = format!("SELECT count(*), min({at}), max({at}) FROM {} WHERE {AMONG}", table.name());
    let held = list(&held(connection, table, customer)?);
    let of_millis = |millis: Option<i64>| millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    Ok(connection.prepare_cached(&sql)?.query_row(params![held], |row| {
        Ok(Holding {
            collection: table.name(),
            documents: count(row, 0)?,
            oldest: of_millis(row.get(1)?),
            newest: of_millis(row.get(2)?),
        })
    })?)
}

/// The ids of what a table holds of a customer.
pub(super) fn held(connection: &Connection, table: Table, customer: &StoredCustomer) -> Done<Vec<String>> {
    let sessions = list(&customer.whose.sessions);
    match table {
        Table::Conversations => {
            let found: Vec<(String, Row)> = CONVERSATIONS.find(connection, AMONG, params![sessions])?;
            // Where only a name is left it holds nothing.
            Ok(found.into_iter().filter(|(_, row)| is_fresh(row)).map(|(id, _)| id).collect())
        }
        Table::Messages => table.ids(connection, OF_SESSIONS, params![sessions]),
        Table::Identities => {
            let aliases: Vec<String> = customer.whose.ids.iter().map(|id| key(&customer.business, id)).collect();
            let theirs = format!("{OF_SESSIONS} OR id IN (SELECT value FROM json_each(?2))");
            table.ids(connection, &theirs, params![sessions, list(&aliases)])
        }
        Table::DeadLetters => {
            let filed = format!("{AMONG} AND json_type(document, '$.body') IS NOT NULL");
            table.ids(connection, &filed, params![list(&letters(connection, &customer.whose)?)])
        }
        Table::AccountEvents => events(connection, &customer.whose),
        Table::Businesses | Table::AccountStanding | Table::Knowledge | Table::Usage | Table::Analytics => {
            Ok(Vec::new())
        }
    }
}
