//! Which conversation a customer's phone number or user id leads to.
//!
//! `identities` has one document an alias, `_id` = `{business _id}:{alias}`, so that a renamed subdomain keeps its
//! sessions and no alias ever crosses from one business to another.

use mongodb::{
    bson::{DateTime, Document, doc},
    options::ReturnDocument,
};
use shared::ids::{SessionId, UserId};

use super::{Result, Store, StoreError, corrupt, is_duplicate_key};
use crate::conversation::BusinessId;

/// What an alias leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The conversation.
    pub session: SessionId,
    /// For a phone number: the user id that was last seen with it.
    pub user_id: Option<UserId>,
}

impl Store {
    /// What an alias of this business's customers leads to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn alias(&self, business: &BusinessId, alias: &str) -> Result<Option<Alias>> {
        let found = self.db.collection::<Document>("identities").find_one(doc! { "_id": key(business, alias) }).await?;
        found.as_ref().map(read).transpose()
    }

    /// Claims an alias for a session unless it leads somewhere already, and says where it leads now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_alias(
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

    /// Forgets an alias: its number or id now belongs to nobody we know.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_alias(&self, business: &BusinessId, alias: &str) -> Result<()> {
        self.db.collection::<Document>("identities").delete_one(doc! { "_id": key(business, alias) }).await?;
        Ok(())
    }

    /// Points an alias at a session, wherever it led before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn move_alias(
        &self,
        business: &BusinessId,
        alias: &str,
        session: &SessionId,
        user_id: Option<&UserId>,
    ) -> Result<()> {
        let set = doc! {
            "conversation": session.expose(),
            "user_id": user_id.map(UserId::expose),
            "moved_at": DateTime::now(),
        };
        let identities = self.db.collection::<Document>("identities");
        identities.update_one(doc! { "_id": key(business, alias) }, doc! { "$set": set }).upsert(true).await?;
        Ok(())
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
