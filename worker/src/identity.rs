//! Which conversation a customer belongs to.
//!
//! A customer has a phone number, a business-scoped user id, or both. The user id wins: a phone number that
//! comes with a *different* known user id is a new person with a recycled number, and the number moves to them.
//! Two customers, or two businesses, never share a session.

use std::time::Duration;

use moka::future::Cache;
use shared::ids::{LATER_OWNER_MARK, SessionId, UserId, WaId};

use crate::{
    business::Business,
    message::Sender,
    store::{Alias, CustomerIdChange, Store, StoreError},
};

/// Short, because another worker may move an alias; a stale entry leads to a conversation of the same customer,
/// since the key holds both ids.
const CACHED_FOR: Duration = Duration::from_secs(30);
const MOST_CACHED: u64 = 100_000;

/// Finds conversations by customer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Identities {
    store: Store,
    cache: Cache<(String, Sender), SessionId>,
}

impl Identities {
    /// Over a store.
    pub fn new(store: Store) -> Self {
        Self { store, cache: Cache::builder().max_capacity(MOST_CACHED).time_to_live(CACHED_FOR).build() }
    }

    /// The conversation of a customer with a business, begun if there is none. None where the sender has no id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resolve(&self, business: &Business, sender: &Sender) -> Result<Option<SessionId>, StoreError> {
        let key = (business.id.0.clone(), sender.clone());
        if let Some(session) = self.cache.get(&key).await {
            return Ok(Some(session));
        }
        let session = match (&sender.user_id, &sender.wa_id) {
            (Some(user_id), phone) => self.by_user(business, user_id, phone.as_ref()).await?,
            (None, Some(phone)) => self.find_or_begin(business, phone.expose(), None).await?.session,
            (None, None) => return Ok(None),
        };
        self.cache.insert(key, session.clone()).await;
        Ok(Some(session))
    }

    async fn by_user(
        &self,
        business: &Business,
        user_id: &UserId,
        phone: Option<&WaId>,
    ) -> Result<SessionId, StoreError> {
        let by_user = self.store.alias(&business.id, user_id.expose()).await?;
        let by_phone = match phone {
            // The number first: whoever else meets this customer now, with or without the user id, meets us there.
            Some(phone) if by_user.is_none() => {
                Some(self.find_or_begin(business, phone.expose(), Some(user_id)).await?)
            }
            Some(phone) => self.store.alias(&business.id, phone.expose()).await?,
            None => None,
        };
        // A phone alias of somebody else: theirs is another session.
        let recycled =
            by_phone.as_ref().is_some_and(|alias| alias.user_id.as_ref().is_some_and(|known| known != user_id));
        let session = match (by_user, &by_phone) {
            (Some(alias), _) => alias.session,
            (None, Some(alias)) if !recycled => {
                self.store.claim_alias(&business.id, user_id.expose(), &alias.session, Some(user_id)).await?.session
            }
            (None, _) => self.find_or_begin(business, user_id.expose(), Some(user_id)).await?.session,
        };
        if let Some(phone) = phone {
            let linked =
                by_phone.is_some_and(|alias| alias.session == session && alias.user_id.as_ref() == Some(user_id));
            if !linked {
                let before = self.store.move_alias(&business.id, phone.expose(), &session, Some(user_id)).await?;
                if let Some(former) = before.filter(|_| recycled) {
                    self.forget_phone(&former.session, &session, phone).await?;
                }
            }
        }
        Ok(session)
    }

    /// Where an alias leads; where it leads nowhere yet, to a new session of its name.
    async fn find_or_begin(
        &self,
        business: &Business,
        alias: &str,
        user: Option<&UserId>,
    ) -> Result<Alias, StoreError> {
        if let Some(found) = self.store.alias(&business.id, alias).await? {
            return Ok(found);
        }
        let mut session = SessionId::new(business.subdomain.as_ref(), alias);
        // The session of that name may belong to a former owner of the number, or of the subdomain. Whoever begins
        // at the same time may choose another name; the first claim counts.
        if self.store.is_taken(&session, &business.id, alias).await? {
            let name = format!("{alias}{LATER_OWNER_MARK}{:08x}", rand::random::<u32>());
            session = SessionId::new(business.subdomain.as_ref(), &name);
        }
        self.store.claim_alias(&business.id, alias, &session, user).await
    }

    /// What a former owner of a number is still to be told must not go to the new one.
    async fn forget_phone(&self, former: &SessionId, owner: &SessionId, phone: &WaId) -> Result<(), StoreError> {
        if former == owner {
            return Ok(());
        }
        tracing::info!(%former, %owner, "a phone number has a new owner");
        let change = CustomerIdChange::Phone { old: phone.clone(), new: None };
        self.store.replace_customer_id(former, &change).await
    }

    /// The conversation of a customer, if there is one; nothing is begun.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(&self, business: &Business, sender: &Sender) -> Result<Option<SessionId>, StoreError> {
        for alias in [sender.user_id.as_ref().map(|id| id.expose()), sender.wa_id.as_ref().map(|id| id.expose())] {
            if let Some(alias) = alias
                && let Some(found) = self.store.alias(&business.id, alias).await?
            {
                return Ok(Some(found.session));
            }
        }
        Ok(None)
    }

    /// The customer has a new number or id: it leads to the old one's conversation from now on, and the old one
    /// leads nowhere, because its next owner is somebody else.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rename(&self, business: &Business, old: &Sender, new: &Sender) -> Result<(), StoreError> {
        let Some(session) = self.find(business, old).await? else { return Ok(()) };
        let user_id = new.user_id.as_ref().or(old.user_id.as_ref());
        if let Some(new) = new.wa_id.as_ref().filter(|new| old.wa_id.as_ref() != Some(*new)) {
            if let Some(former) = self.store.move_alias(&business.id, new.expose(), &session, user_id).await? {
                self.forget_phone(&former.session, &session, new).await?;
            }
            if let Some(old) = &old.wa_id {
                let change = CustomerIdChange::Phone { old: old.clone(), new: Some(new.clone()) };
                self.store.replace_customer_id(&session, &change).await?;
                self.store.drop_alias(&business.id, old.expose(), &session).await?;
            }
        }
        if let Some(new) = new.user_id.as_ref().filter(|new| old.user_id.as_ref() != Some(*new)) {
            self.store.move_alias(&business.id, new.expose(), &session, user_id).await?;
            if let Some(old) = &old.user_id {
                let change = CustomerIdChange::User { old: old.clone(), new: new.clone() };
                self.store.replace_customer_id(&session, &change).await?;
                self.store.drop_alias(&business.id, old.expose(), &session).await?;
            }
        }
        self.cache.invalidate_all();
        Ok(())
    }
}
