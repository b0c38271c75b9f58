//! Which conversation a customer's phone number or user id leads to.
//!
//! One row an alias, `id` = `{business _id}:{alias}`, so that a renamed subdomain keeps its sessions and no alias ever
//! crosses from one business to another.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use shared::ids::{SessionId, UserId};
use worker::{
    conversation::BusinessId,
    store::{Alias, Aliases, Result},
};

use super::{
    SqliteStore,
    row::{Done, Table, time},
};

const IDENTITIES: Table = Table::Identities;

#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "_id")]
    id: String,
    conversation: SessionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moved_at: Option<String>,
}

impl From<Identity> for Alias {
    fn from(identity: Identity) -> Self {
        Self { session: identity.conversation, user_id: identity.user_id }
    }
}

#[async_trait]
impl Aliases for SqliteStore {
    async fn alias(&self, business: &BusinessId, alias: &str) -> Result<Option<Alias>> {
        let key = key(business, alias);
        self.database.read(move |connection, _| alias_of(connection, &key)).await
    }

    async fn claim_alias(
        &self,
        business: &BusinessId,
        alias: &str,
        session: &SessionId,
        user_id: Option<&UserId>,
    ) -> Result<Alias> {
        let (id, conversation, user_id) = (key(business, alias), session.clone(), user_id.cloned());
        self.database
            .write(move |connection, now| {
                if let Some(found) = alias_of(connection, &id)? {
                    return Ok(found);
                }
                let created_at = Some(time(now));
                let identity = Identity { id, conversation, user_id, created_at, moved_at: None };
                IDENTITIES.put(connection, &identity.id, &identity)?;
                Ok(identity.into())
            })
            .await
    }

    async fn is_taken(&self, session: &SessionId, business: &BusinessId, alias: &str) -> Result<bool> {
        let (session, key) = (session.expose().to_owned(), key(business, alias));
        self.database
            .read(move |connection, _| {
                let others =
                    IDENTITIES.ids(connection, "conversation = ?1 AND id <> ?2 LIMIT 1", params![session, key])?;
                Ok(!others.is_empty() || Table::Conversations.has(connection, &session)?)
            })
            .await
    }

    async fn drop_alias(&self, business: &BusinessId, alias: &str, session: &SessionId) -> Result<()> {
        let (key, session) = (key(business, alias), session.expose().to_owned());
        self.database
            .write(move |connection, _| {
                IDENTITIES.delete(connection, "id = ?1 AND conversation = ?2", params![key, session]).map(drop)
            })
            .await
    }

    async fn link_alias(
        &self,
        business: &BusinessId,
        alias: &str,
        session: &SessionId,
        user_id: &UserId,
    ) -> Result<bool> {
        let (key, session, user_id) = (key(business, alias), session.clone(), user_id.clone());
        self.database
            .write(move |connection, _| {
                let Some(mut identity) = IDENTITIES.get::<Identity>(connection, &key)? else { return Ok(false) };
                let is_other = identity.user_id.as_ref().is_some_and(|known| *known != user_id);
                if identity.conversation != session || is_other {
                    return Ok(false);
                }
                identity.user_id = Some(user_id);
                IDENTITIES.put(connection, &key, &identity)?;
                Ok(true)
            })
            .await
    }

    async fn move_alias(
        &self,
        business: &BusinessId,
        alias: &str,
        session: &SessionId,
        user_id: Option<&UserId>,
    ) -> Result<Option<Alias>> {
        let (id, conversation, user_id) = (key(business, alias), session.clone(), user_id.cloned());
        self.database.write(move |connection, now| move_to(connection, id, conversation, user_id, now)).await
    }
}

fn move_to(
    connection: &Connection,
    id: String,
    conversation: SessionId,
    user_id: Option<UserId>,
    now: Timestamp,
) -> Done<Option<Alias>> {
    let before: Option<Identity> = IDENTITIES.get(connection, &id)?;
    let created_at = before.as_ref().and_then(|before| before.created_at.clone());
    let moved = Identity { id, conversation, user_id, created_at, moved_at: Some(time(now)) };
    IDENTITIES.put(connection, &moved.id, &moved)?;
    Ok(before.map(Alias::from))
}

/// What an alias leads to, by its key.
pub(super) fn alias_of(connection: &Connection, key: &str) -> Done<Option<Alias>> {
    Ok(IDENTITIES.get::<Identity>(connection, key)?.map(Alias::from))
}

/// The numbers and user ids that lead to a session.
pub(super) fn aliases_of(connection: &Connection, session: &SessionId) -> Done<Vec<String>> {
    let keys = IDENTITIES.ids(connection, "conversation = ?1", params![session.expose()])?;
    // Neither numbers nor user ids have a colon.
    Ok(keys.iter().filter_map(|key| key.rsplit_once(':')).map(|(_, alias)| alias.to_owned()).collect())
}

/// Forgets every alias that leads to a session, and says how many there were.
pub(super) fn drop_aliases_of(connection: &Connection, session: &SessionId) -> Done<u64> {
    IDENTITIES.delete(connection, "conversation = ?1", params![session.expose()])
}

pub(super) fn key(business: &BusinessId, alias: &str) -> String {
    format!("{}:{alias}", business.0)
}
