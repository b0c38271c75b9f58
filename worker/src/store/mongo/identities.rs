//! Which conversation a customer's phone number or user id leads to.
//!
//! `identities` has one document an alias, `_id` = `{business _id}:{alias}`, so that a renamed subdomain keeps its
//! sessions and no alias ever crosses from one business to another.

use async_trait::async_trait;
use mongodb::{
    bson::{Bson, DateTime, Document, doc},
    options::ReturnDocument,
};
use shared::ids::{SessionId, UserId};

use super::{MongoStore, corrupt, is_duplicate_key};
use crate::{
    conversation::BusinessId,
    store::{Alias, Aliases, Result, StoreError},
};

#[async_trait]
impl Aliases for MongoStore {
    async fn alias(&self, business: &BusinessId, alias: &str) -> Result<Option<Alias>> {
        let found = self.db.collection::<Document>("identities").find_one(doc! { "_id": key(business, alias) }).await?;
        found.as_ref().map(read).transpose()
    }

    async fn claim_alias(
        &self,
        business: &BusinessId,
        alias: &str,
        session: &SessionId,
        user_id: Option<&UserId>,
    ) -> Result<Alias> {
        let on_insert = doc! {
            "conversation": session.expose(),
            "user_id": user_id.map(UserId::expose),
            "created_at": DateTime::now(),
        };
        let identities = self.db.collection::<Document>("identities");
        loop {
            let claiming = identities
                .find_one_and_update(doc! { "_id": key(business, alias) }, doc! { "$setOnInsert": on_insert.clone() })
                .upsert(true)
                .return_document(ReturnDocument::After);
            match claiming.await {
                Ok(Some(document)) => return read(&document),
                Ok(None) => {
                    return Err(StoreError::Corrupt { what: "identity", problem: "no document came back".to_owned() });
                }
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn is_taken(&self, session: &SessionId, business: &BusinessId, alias: &str) -> Result<bool> {
        let others = doc! { "conversation": session.expose(), "_id": { "$ne": key(business, alias) } };
        let only_id = doc! { "_id": 1 };
        let identities = self.db.collection::<Document>("identities");
        let other = identities.find_one(others).projection(only_id.clone()).await?;
        if other.is_some() {
            return Ok(true);
        }
        let conversation = self.conversations().find_one(doc! { "_id": session.expose() }).projection(only_id).await?;
        Ok(conversation.is_some())
    }

    async fn drop_alias(&self, business: &BusinessId, alias: &str, session: &SessionId) -> Result<()> {
        let filter = doc! { "_id": key(business, alias), "conversation": session.expose() };
        self.db.collection::<Document>("identities").delete_one(filter).await?;
        Ok(())
    }

    async fn link_alias(
        &self,
        business: &BusinessId,
        alias: &str,
        session: &SessionId,
        user_id: &UserId,
    ) -> Result<bool> {
        let filter = doc! {
            "_id": key(business, alias),
            "conversation": session.expose(),
            "user_id": { "$in": [user_id.expose(), Bson::Null] },
        };
        let update = doc! { "$set": { "user_id": user_id.expose() } };
        let linked = self.db.collection::<Document>("identities").update_one(filter, update).await?;
        Ok(linked.matched_count == 1)
    }

    async fn move_alias(
        &self,
        business: &BusinessId,
        alias: &str,
        session: &SessionId,
        user_id: Option<&UserId>,
    ) -> Result<Option<Alias>> {
        let set = doc! {
            "conversation": session.expose(),
            "user_id": user_id.map(UserId::expose),
            "moved_at": DateTime::now(),
        };
        let identities = self.db.collection::<Document>("identities");
        let filter = doc! { "_id": key(business, alias) };
        let moving = identities.find_one_and_update(filter, doc! { "$set": set }).upsert(true);
        let before = moving.return_document(ReturnDocument::Before).await?;
        before.as_ref().map(read).transpose()
    }
}

impl MongoStore {
    /// Points every alias of one session at another.
    pub(super) async fn repoint_aliases(&self, from: &SessionId, into: &SessionId) -> Result<()> {
        let update = doc! { "$set": { "conversation": into.expose(), "moved_at": DateTime::now() } };
        let identities = self.db.collection::<Document>("identities");
        identities.update_many(doc! { "conversation": from.expose() }, update).await?;
        Ok(())
    }

    /// The numbers and user ids that lead to a session.
    pub(super) async fn aliases_of(&self, session: &SessionId) -> Result<Vec<String>> {
        let identities = self.db.collection::<Document>("identities");
        let mut cursor = identities.find(doc! { "conversation": session.expose() }).await?;
        let mut aliases = Vec::new();
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            // Neither numbers nor user ids have a colon.
            let alias = document.get_str("_id").ok().and_then(|id| id.rsplit_once(':'));
            aliases.extend(alias.map(|(_, alias)| alias.to_owned()));
        }
        Ok(aliases)
    }

    /// Forgets every alias that leads to a session, and says how many there were.
    pub(super) async fn drop_aliases_of(&self, session: &SessionId) -> Result<u64> {
        let identities = self.db.collection::<Document>("identities");
        Ok(identities.delete_many(doc! { "conversation": session.expose() }).await?.deleted_count)
    }
}

fn key(business: &BusinessId, alias: &str) -> String {
    format!("{}:{alias}", business.0)
}

fn read(document: &Document) -> Result<Alias> {
    let session = document.get_str("conversation").map_err(corrupt("identity"))?;
    let user_id = document.get_str("user_id").ok().and_then(|text| UserId::parse(text).ok());
    Ok(Alias { session: SessionId::from_stored(session), user_id })
}
