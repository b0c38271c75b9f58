//! A stored conversation: what the state machine knows of it, and what leads from one to another.
//!
//! Two fields point onwards: the wish to be merged, and the tombstone of one that was. A conversation whose customer was
//! forgotten points at itself: nothing goes on there, and nothing elsewhere.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use shared::ids::SessionId;
use worker::conversation::state::State;

use super::row::{Done, Table};

/// Far more than come about: tombstones are pointed at the end of their chain.
const LINKS_MOST: usize = 16;

/// The document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    #[serde(flatten)]
    pub(super) state: State,
    /// That it is to be merged into another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) merge: Option<Wish>,
    /// What was copied into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) merged_from: Vec<SessionId>,
    /// When its content went to another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) merged_at: Option<Timestamp>,
    /// When its customer was forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) forgotten_at: Option<Timestamp>,
    /// When what has come in since is to be looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) look_after_at: Option<Timestamp>,
    /// The business's numbers that a forgotten customer had written to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) numbers: BTreeSet<String>,
    /// Whether the forgotten customer's number or user id stands in its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) named: bool,
}

/// A merge that is wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Wish {
    pub(super) into: SessionId,
    pub(super) requested_at: Timestamp,
    pub(super) try_at: Timestamp,
}

impl From<State> for Stored {
    fn from(state: State) -> Self {
        Self {
            state,
            merge: None,
            merged_from: Vec::new(),
            merged_at: None,
            forgotten_at: None,
            look_after_at: None,
            numbers: BTreeSet::new(),
            named: false,
        }
    }
}

/// What is known of a conversation without its content.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) session: SessionId,
    pub(super) wish: Option<SessionId>,
    /// Where it went on; itself, if its customer was forgotten.
    pub(super) merged_into: Option<SessionId>,
    /// Somebody has it in hand, or a reply of it is under way.
    pub(super) is_busy: bool,
    pub(super) is_forgotten: bool,
}

impl Link {
    /// The next link of tombstones.
    pub(super) fn tombstone(&self) -> Option<&SessionId> {
        self.merged_into.as_ref().filter(|next| **next != self.session)
    }

    /// The next link of tombstones and wishes.
    pub(super) fn pointer(&self) -> Option<&SessionId> {
        match &self.merged_into {
            Some(_) => self.tombstone(),
            None => self.wish.as_ref(),
        }
    }
}

/// A conversation without its content, which need not be readable.
pub(super) fn link(connection: &Connection, session: &SessionId, now: Timestamp) -> Done<Option<Link>> {
    let mut statement = connection.prepare_cached(
        "SELECT merge_into, merged_into, lease_until > ?2 OR document -> '$.outbox' ->> '$.reply_id' IS NOT NULL, \
         forgotten_at IS NOT NULL FROM conversations WHERE id = ?1",
    )?;
    let mut rows = statement.query(rusqlite::params![session.expose(), now.as_millisecond()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let pointer = |text: Option<String>| text.map(SessionId::from_stored);
    Ok(Some(Link {
        session: session.clone(),
        wish: pointer(row.get(0)?),
        merged_into: pointer(row.get(1)?),
        is_busy: row.get::<_, Option<bool>>(2)?.unwrap_or(false),
        is_forgotten: row.get(3)?,
    }))
}

/// A conversation, if it is there, and those that follow it, each the one that `next` says of the one before. None: they
/// lead in a circle, or on and on.
pub(super) fn chain(
    connection: &Connection,
    first: &SessionId,
    next: fn(&Link) -> Option<&SessionId>,
    now: Timestamp,
) -> Done<Option<Vec<Link>>> {
    let (mut links, mut ahead) = (Vec::<Link>::new(), Some(first.clone()));
    while let Some(session) = ahead {
        if links.len() == LINKS_MOST || links.iter().any(|link| link.session == session) {
            return Ok(None);
        }
        let Some(link) = link(connection, &session, now)? else { break };
        ahead = next(&link).cloned();
        links.push(link);
    }
    Ok(Some(links))
}

impl Stored {
    pub(super) fn get(connection: &Connection, session: &SessionId) -> Done<Option<Self>> {
        Table::Conversations.get(connection, session.expose())
    }

    pub(super) fn put(&self, connection: &Connection) -> Done<()> {
        Table::Conversations.put(connection, self.state.id.expose(), self)
    }
}
