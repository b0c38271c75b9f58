//! A customer who asks to be forgotten.
//!
//! First every conversation of theirs is *closed*, in one update: no text is left in it, it points at itself, and the
//! epoch is counted up, so that whoever has it in hand commits, records and settles nothing more. It never opens again:
//! what lands there is told so, and its customer begins another conversation.
//!
//! Then everything else is *erased*: transcript, dead letters, account events, aliases. Who dies here leaves the rest to
//! the next one who looks. None of these is fenced, so a turn or an intake that was under way may still write there. A
//! turn looks afterwards whether the conversation was closed, and erases what it wrote; should it die in between, the
//! closed conversation is looked after again and again until it expires. So is what intake filed meanwhile, as far as
//! it had reached us before the conversation was closed.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::doc;
use shared::ids::SessionId;

use super::{super::MongoStore, chain::Link, closed::Remains};
use crate::store::{Forgetting, Forgotten, Result};

/// How long a closed conversation is kept and looked after. Longer than any process sleeps over a turn, and as long as
/// the transcript tells a redelivery.
pub(in super::super) const CLOSED_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

#[async_trait]
impl Forgetting for MongoStore {
    async fn forget(&self, session: &SessionId) -> Result<Forgotten> {
        let mut forgotten = Forgotten::default();
        // The one that goes on first: nothing is copied into it any more, and the others are found from it, whoever dies.
        let sessions = self.family(session).await?;
        for session in &sessions {
            forgotten.conversations += u64::from(self.close_for_good(session).await?);
        }
        for session in &sessions {
            self.erase(session, &mut forgotten).await?;
        }
        if forgotten.conversations > 0 {
            tracing::info!(%session, ?forgotten, "a customer was forgotten");
        }
        Ok(forgotten)
    }

    async fn forgotten_to_look_after(&self, most: i64) -> Result<Vec<SessionId>> {
        let filter = doc! { "look_after_at": { "$exists": true, "$lte": self.now() } };
        let conversations = self.conversations();
        let finding = conversations.find(filter).sort(doc! { "look_after_at": 1 }).limit(most);
        let mut cursor = finding.projection(doc! { "_id": 1 }).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            found.extend(cursor.deserialize_current()?.get_str("_id").ok().map(SessionId::from_stored));
        }
        Ok(found)
    }
}

impl MongoStore {
    /// Every conversation that is one with this one, or is to be; those that lead to others come after these.
    pub(in super::super) async fn family(&self, session: &SessionId) -> Result<Vec<SessionId>> {
        let onwards = self.chain(session, Link::pointer).await?.unwrap_or_default();
        let last = onwards.last().map_or(session, |last| &last.session);
        let (mut family, mut next) = (vec![last.clone()], 0);
        while let Some(target) = family.get(next) {
            let target = target.expose();
            let theirs = doc! { "$or": [
                { "merged_into": target },
                { "merge": { "$exists": true }, "merge.into": target },
            ] };
            let mut cursor = self.conversations().find(theirs).projection(doc! { "_id": 1 }).await?;
            while cursor.advance().await? {
                let found = cursor.deserialize_current()?.get_str("_id").ok().map(SessionId::from_stored);
                family.extend(found.filter(|found| !family.contains(found)));
            }
            next += 1;
        }
        // Wishes in a circle have no end to begin at.
        family.extend((!family.contains(session)).then(|| session.clone()));
        Ok(family)
    }

    /// Erases what other collections hold. The aliases last: as long as they lead here, it can be done again, and
    /// nobody begins another conversation before what was known is known to the transcript.
    async fn erase(&self, session: &SessionId, forgotten: &mut Forgotten) -> Result<()> {
        let found = self.conversations().find_one(doc! { "_id": session.expose() }).await?;
        if found.as_ref().is_some_and(|found| !found.contains_key("forgotten_at")) {
            // It began after we looked.
            return Ok(());
        }
        let aliases = self.aliases_of(session).await?;
        let mut remains = match &found {
            Some(closed) => self.remains(session, closed).await?,
            None => Remains::default(),
        };
        if let Some(closed) = &found {
            self.close_names(closed, &aliases).await?;
        }
        aliases.iter().for_each(|alias| remains.whose.add_id(alias));
        forgotten.messages += self.erase_messages(session, &remains.unanswered).await?;
        forgotten.dead_letters += self.erase_letters(&remains.whose).await?;
        forgotten.events += self.erase_events(&remains.whose).await?;
        forgotten.identities += self.drop_aliases_of(session).await?;
        if let Some(closed) = &found {
            self.leave_a_shell(session, closed, &remains.whose).await?;
        }
        Ok(())
    }

    /// For whoever wrote a text that belongs to a conversation without holding it: erases it again if the conversation
    /// was closed. It was closed before this look, or else the text is there for whoever closes it.
    pub(in super::super) async fn erase_if_forgotten(&self, session: &SessionId) -> Result<()> {
        let closed = doc! { "_id": session.expose(), "forgotten_at": { "$exists": true } };
        if self.conversations().find_one(closed).projection(doc! { "_id": 1 }).await?.is_some() {
            self.erase_messages(session, &[]).await?;
            self.erase_letters_of_turns(session.expose()).await?;
        }
        Ok(())
    }
}
