//! Which conversation a customer belongs to.
//!
//! A customer has a phone number, a business-scoped user id, or both. The user id wins: a phone number that
//! comes with a *different* known user id is a new person with a recycled number, and the number moves to them.
//! Two customers, or two businesses, never share a session.

use std::time::Duration;

use moka::future::Cache;
use shared::ids::{SessionId, UserId};

use crate::{
    business::Business,
    message::Sender,
    store::{Alias, Store, StoreError},
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
            (Some(user_id), phone) => self.by_user(business, user_id, phone.as_ref().map(|id| id.expose())).await?,
            (None, Some(phone)) => self.claim(business, phone.expose(), phone.expose(), None).await?.session,
            (None, None) => return Ok(None),
        };
        self.cache.insert(key, session.clone()).await;
        Ok(Some(session))
    }

    async fn by_user(
        &self,
        business: &Business,
        user_id: &UserId,
        phone: Option<&str>,
    ) -> Result<SessionId, StoreError> {
        let by_phone = match phone {
            Some(phone) => self.store.alias(&business.id, phone).await?,
            None => None,
        };
        // A phone alias of somebody else: theirs is another session, and this customer's cannot be named by it.
        let recycled =
            by_phone.as_ref().is_some_and(|alias| alias.user_id.as_ref().is_some_and(|known| known != user_id));
        let session = match (self.store.alias(&business.id, user_id.expose()).await?, &by_phone) {
            (Some(alias), _) => alias.session,
            (None, Some(alias)) if !recycled => {
                self.claim_session(business, user_id.expose(), &alias.session, Some(user_id)).await?.session
            }
            (None, Some(_)) => self.claim(business, user_id.expose(), user_id.expose(), Some(user_id)).await?.session,
            (None, None) => {
                let name = phone.unwrap_or(user_id.expose());
                self.claim(business, user_id.expose(), name, Some(user_id)).await?.session
            }
        };
        if let Some(phone) = phone {
            let linked =
                by_phone.is_some_and(|alias| alias.session == session && alias.user_id.as_ref() == Some(user_id));
            if !linked {
                if recycled {
                    tracing::info!(subdomain = ?business.subdomain, "a phone number has a new owner: beginning a new conversation");
                }
                self.store.move_alias(&business.id, phone, &session, Some(user_id)).await?;
            }
        }
        Ok(session)
    }

    /// Leads from an alias to the session of that name, unless it leads somewhere already.
    async fn claim(
        &self,
        business: &Business,
        alias: &str,
        name: &str,
        user: Option<&UserId>,
    ) -> Result<Alias, StoreError> {
        let session = SessionId::new(business.subdomain.as_ref(), name);
        self.claim_session(business, alias, &session, user).await
    }

    async fn claim_session(
        &self,
        business: &Business,
        alias: &str,
        session: &SessionId,
        user: Option<&UserId>,
    ) -> Result<Alias, StoreError> {
        self.store.claim_alias(&business.id, alias, session, user).await
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
        let changed = |old: Option<&str>, new: Option<&str>| match (old, new) {
            (old, Some(new)) if old != Some(new) => Some((old.map(str::to_owned), new.to_owned())),
            _ => None,
        };
        let phones = changed(old.wa_id.as_ref().map(|id| id.expose()), new.wa_id.as_ref().map(|id| id.expose()));
        let users = changed(old.user_id.as_ref().map(|id| id.expose()), new.user_id.as_ref().map(|id| id.expose()));
        for (old, new) in phones.into_iter().chain(users) {
            self.store.move_alias(&business.id, &new, &session, user_id).await?;
            if let Some(old) = old {
                self.store.drop_alias(&business.id, &old).await?;
            }
        }
        self.cache.invalidate_all();
        Ok(())
    }
}
