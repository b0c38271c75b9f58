//! A customer who asks to be forgotten.
//!
//! In one transaction every conversation of theirs *closes*, and everything else is *erased*: transcript, dead letters,
//! account events, aliases. A closed conversation points at itself, and its epoch is counted up, so that whoever has it in
//! hand commits, records and settles nothing more. It never opens again: what lands there is told so, and its customer
//! begins another conversation.
//!
//! A turn or an intake that was under way may still write elsewhere. A turn looks afterwards whether the conversation was
//! closed, and erases what it wrote; should it die in between, the closed conversation is looked after again and again
//! until it expires. So is what intake filed meanwhile, as far as it had reached us before the conversation was closed.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use shared::ids::SessionId;
use worker::store::{Forgetting, Forgotten, Result};

use super::{
    SqliteStore,
    closed::{Remains, close_names, is_closed, leave_a_shell},
    erasure::{erase_events, erase_letters},
    identities::{aliases_of, drop_aliases_of},
    row::{Done, Row, Table},
    stored::{Link, chain},
    transcript::erase_messages,
};

#[async_trait]
impl Forgetting for SqliteStore {
    async fn forget(&self, session: &SessionId) -> Result<Forgotten> {
        let session = session.clone();
        let forgotten = self.database.write(move |connection, now| forget(connection, &session, now)).await?;
        if forgotten.conversations > 0 {
            self.database.clear_log().await;
        }
        Ok(forgotten)
    }

    async fn forgotten_to_look_after(&self, most: i64) -> Result<Vec<SessionId>> {
        let due = "look_after_at <= ?1 ORDER BY look_after_at LIMIT ?2";
        let found = self.database.read(move |connection, now| {
            Table::Conversations.ids(connection, due, params![now.as_millisecond(), most])
        });
        Ok(found.await?.into_iter().map(SessionId::from_stored).collect())
    }
}

/// Erases one customer, by one of their conversations.
pub(super) fn forget(connection: &Connection, session: &SessionId, now: Timestamp) -> Done<Forgotten> {
    let mut forgotten = Forgotten::default();
    for session in family(connection, session, now)? {
        forgotten.add(forget_one(connection, &session, now)?);
    }
    if forgotten.conversations > 0 {
        tracing::info!(%session, ?forgotten, "a customer was forgotten");
    }
    Ok(forgotten)
}

/// Every conversation that is one with this one, or is to be.
pub(super) fn family(connection: &Connection, session: &SessionId, now: Timestamp) -> Done<Vec<SessionId>> {
    let onwards = chain(connection, session, Link::pointer, now)?.unwrap_or_default();
    let last = onwards.last().map_or(session, |last| &last.session);
    let (mut family, mut next) = (vec![last.clone()], 0);
    while let Some(target) = family.get(next) {
        let theirs = "merged_into = ?1 OR merge_into = ?1";
        let found = Table::Conversations.ids(connection, theirs, params![target.expose()])?;
        for found in found.into_iter().map(SessionId::from_stored) {
            family.extend((!family.contains(&found)).then_some(found));
        }
        next += 1;
    }
    // Wishes in a circle have no end to begin at.
    family.extend((!family.contains(session)).then(|| session.clone()));
    Ok(family)
}

fn forget_one(connection: &Connection, session: &SessionId, now: Timestamp) -> Done<Forgotten> {
    let found: Option<Row> = Table::Conversations.get(connection, session.expose())?;
    let aliases = aliases_of(connection, session)?;
    let Remains { unanswered, mut whose } = match &found {
        Some(row) => Remains::of(connection, session, row)?,
        None => Remains::default(),
    };
    aliases.iter().for_each(|alias| whose.add_id(alias));
    if let Some(row) = &found {
        close_names(connection, row, &aliases, now)?;
        leave_a_shell(connection, session, row, &whose, now)?;
    }
    Ok(Forgotten {
        conversations: found.is_some_and(|row| !is_closed(&row)).into(),
        messages: erase_messages(connection, session, &unanswered, now)?,
        dead_letters: erase_letters(connection, &whose, now)?,
        events: erase_events(connection, &whose, now)?,
        identities: drop_aliases_of(connection, session)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::{schema::migrate, stored::Stored};

    #[test]
    fn what_nobody_can_read_is_forgotten_and_what_is_left_of_it_can_be_read() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate(&mut connection).expect("it has tables");
        let (session, now) = (SessionId::from_stored("acme:16505551234"), Timestamp::UNIX_EPOCH);
        let unreadable = json!({
            "_id": 1, "business_id": 7, "subdomain": "a:b", "epoch": "many", "customer": "swordfish",
            "windows": { "106": "swordfish" }, "mailbox": [{ "phone_number_id": "107" }, "swordfish", 3], "answered": 5,
        });
        Table::Conversations.put(&connection, session.expose(), &unreadable).expect("it is written");
        Stored::get(&connection, &session).expect_err("it cannot be read");
        for conversations in [1, 0] {
            let forgotten = forget(&connection, &session, now).expect("it can be forgotten");
            assert_eq!(forgotten, Forgotten { conversations, ..Forgotten::default() });
            let shell = Stored::get(&connection, &session).expect("it can be read").expect("it is there");
            assert_eq!((shell.state.merged_into, shell.forgotten_at), (Some(session.clone()), Some(now)));
            assert_eq!((shell.state.epoch, shell.numbers.len(), shell.named), (1, 2, false));
        }
    }

    #[test]
    fn a_closed_conversation_is_looked_after_again_when_it_is_twice_as_old() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate(&mut connection).expect("it has tables");
        let (session, closed) = (SessionId::from_stored("acme:16505551234"), Timestamp::UNIX_EPOCH);
        let open = json!({ "_id": session, "business_id": "b1", "epoch": 3 });
        Table::Conversations.put(&connection, session.expose(), &open).expect("it is written");
        for (age, wait) in [(0, 10), (11, 11), (3_600, 3_600), (1_000_000, 86_400)] {
            let now = closed + jiff::SignedDuration::from_secs(age);
            forget(&connection, &session, now).expect("it can be forgotten");
            let shell = Stored::get(&connection, &session).expect("it can be read").expect("it is there");
            let look_after_at = now + jiff::SignedDuration::from_secs(wait);
            assert_eq!((shell.forgotten_at, shell.look_after_at), (Some(closed), Some(look_after_at)));
            assert_eq!(shell.state.epoch, 4, "counted up once");
        }
    }
}
