//! From a conversation that ends, or is to end, to the one that goes on in its place.
//!
//! Two fields point onwards: `merge.into`, the wish, and `merged_into`, the tombstone. A conversation whose customer was
//! forgotten points at itself: nothing goes on there, and nothing elsewhere.

use mongodb::bson::{Bson, Document, doc};
use shared::ids::SessionId;

use super::super::{MongoStore, corrupt, pipeline::is_held};
use crate::store::Result;

/// Far more than come about: finished tombstones are pointed at the end of their chain.
const LINKS_MOST: usize = 16;

/// What is known of a conversation without its content.
#[derive(Debug, Clone)]
pub(in super::super) struct Link {
    pub(super) session: SessionId,
    /// That it is to be merged into another one.
    pub(super) wish: Option<Wish>,
    /// Where it went on; itself, if its customer was forgotten.
    pub(super) merged_into: Option<SessionId>,
    /// What was copied into it.
    merged_from: Vec<Bson>,
    /// Somebody has it in hand, or a reply of it is under way.
    pub(super) is_busy: bool,
    pub(in super::super) is_forgotten: bool,
}

/// A merge under way.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) into: SessionId,
    /// Fresh for each wish, so that what was found out about one is not taken for true of another.
    pub(super) request: String,
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
            None => self.wish.as_ref().map(|wish| &wish.into),
        }
    }

    /// Whether it holds what the other one held.
    pub(super) fn has_taken_in(&self, other: &SessionId) -> bool {
        self.merged_from.iter().any(|from| from.as_str() == Some(other.expose()))
    }
}

impl MongoStore {
    /// A conversation without its content.
    pub(in super::super) async fn link(&self, session: &SessionId) -> Result<Option<Link>> {
        let has_outbox = doc! { "$ne": [{ "$type": "$outbox" }, "missing"] };
        let mut projection = doc! { "merge": 1, "merged_into": 1, "merged_from": 1, "forgotten_at": 1 };
        projection.insert("is_busy", doc! { "$or": [is_held(), has_outbox] });
        let found = self.conversations().find_one(doc! { "_id": session.expose() }).projection(projection).await?;
        found.map(|document| read(session, &document)).transpose()
    }

    /// A conversation, if it is there, and those that follow it, each the one that `next` says of the one before. None:
    /// they lead in a circle, or on and on.
    pub(super) async fn chain(
        &self,
        first: &SessionId,
        next: fn(&Link) -> Option<&SessionId>,
    ) -> Result<Option<Vec<Link>>> {
        let (mut links, mut ahead) = (Vec::<Link>::new(), Some(first.clone()));
        while let Some(session) = ahead {
            if links.len() == LINKS_MOST || links.iter().any(|link| link.session == session) {
                return Ok(None);
            }
            let Some(link) = self.link(&session).await? else { break };
            ahead = next(&link).cloned();
            links.push(link);
        }
        Ok(Some(links))
    }
}

fn read(session: &SessionId, document: &Document) -> Result<Link> {
    let wish = match document.get_document("merge") {
        Ok(wish) => Some(Wish {
            into: SessionId::from_stored(wish.get_str("into").map_err(corrupt("merge"))?),
            request: wish.get_str("request").map_err(corrupt("merge"))?.to_owned(),
        }),
        Err(_) => None,
    };
    Ok(Link {
        session: session.clone(),
        wish,
        merged_into: document.get_str("merged_into").ok().map(SessionId::from_stored),
        merged_from: document.get_array("merged_from").cloned().unwrap_or_default(),
        is_busy: document.get_bool("is_busy").unwrap_or(true),
        is_forgotten: document.get_datetime("forgotten_at").is_ok(),
    })
}
