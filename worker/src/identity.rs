//! Which conversation a customer belongs to.
//!
//! A customer has a phone number, a business-scoped user id, or both. The user id wins: a phone number that
//! comes with a *different* known user id is a new person with a recycled number, and the number moves to them.
//! One who wrote with the number alone, and with the user id alone, has two sessions; the first message with both
//! makes them one. Two customers, or two businesses, never share a session.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use shared::ids::{LATER_OWNER_MARK, MessageId, PhoneNumberId, SessionId, UserId, WaId};

use crate::{
    business::Business,
    conversation::QuietTime,
    message::Sender,
    store::{Alias, CustomerIdChange, MergeRequest, MergeRequested, Store, StoreError},
};

/// Short, because another worker may move an alias; a stale entry leads to a conversation of the same customer,
/// since the key holds both ids.
const CACHED_FOR: Duration = Duration::from_secs(30);
const MOST_CACHED: u64 = 100_000;

/// Where a message belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// To this conversation.
    To(SessionId),
    /// It comes again, of somebody whose ids have changed since: it was answered.
    Answered,
    /// The sender has no id.
    Nobody,
}

/// What a customer was named by.
#[derive(Debug, Clone, Copy)]
pub struct NamedBy<'a> {
    /// The business's number that it came to.
    pub number: &'a PhoneNumberId,
    /// The message, as Meta calls it.
    pub id: &'a MessageId,
    /// Whether it is to be answered once more.
    pub is_replay: bool,
}

/// Finds conversations by customer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Identities {
    store: Arc<dyn Store>,
    quiet: Duration,
    cache: Cache<(String, Sender), SessionId>,
}

impl Identities {
    /// Over a store. `quiet` is the installation's quiet time, for messages that wait in a conversation that is merged
    /// into another.
    pub fn new(store: Arc<dyn Store>, quiet: Duration) -> Self {
        let cache = Cache::builder().max_capacity(MOST_CACHED).time_to_live(CACHED_FOR).build();
        Self { store, quiet, cache }
    }

    /// The conversation of a customer with a business, begun if there is none. None where the sender has no id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resolve(&self, business: &Business, sender: &Sender) -> Result<Option<SessionId>, StoreError> {
        Ok(match self.resolve_by(business, sender, None).await? {
            Resolved::To(session) => Some(session),
            Resolved::Answered | Resolved::Nobody => None,
        })
    }

    /// The same for a message of theirs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resolve_message(
        &self,
        business: &Business,
        sender: &Sender,
        message: NamedBy<'_>,
    ) -> Result<Resolved, StoreError> {
        self.resolve_by(business, sender, Some(message)).await
    }

    async fn resolve_by(
        &self,
        business: &Business,
        sender: &Sender,
        message: Option<NamedBy<'_>>,
    ) -> Result<Resolved, StoreError> {
        let key = (business.id.0.clone(), sender.clone());
        if let Some(session) = self.cache.get(&key).await {
            return Ok(Resolved::To(session));
        }
        let session = match (&sender.user_id, &sender.wa_id) {
            (Some(user_id), phone) => match self.by_user(business, user_id, phone.as_ref(), message).await? {
                Some(session) => session,
                None => return Ok(Resolved::Answered),
            },
            (None, Some(phone)) => self.find_or_begin(business, phone.expose(), None).await?.session,
            (None, None) => return Ok(Resolved::Nobody),
        };
        self.cache.insert(key, session.clone()).await;
        Ok(Resolved::To(session))
    }

    /// None: the message was answered already.
    async fn by_user(
        &self,
        business: &Business,
        user_id: &UserId,
        phone: Option<&WaId>,
        message: Option<NamedBy<'_>>,
    ) -> Result<Option<SessionId>, StoreError> {
        let by_user = self.store.alias(&business.id, user_id.expose()).await?;
        let seen = match phone {
            Some(phone) => self.store.alias(&business.id, phone.expose()).await?,
            None => None,
        };
        let is_known = |alias: &Alias| match (phone, &seen) {
            (Some(_), Some(seen)) => seen.session == alias.session && seen.user_id.as_ref() == Some(user_id),
            (Some(_), None) => false,
            (None, _) => true,
        };
        if let Some(alias) = by_user.as_ref().filter(|alias| is_known(alias)) {
            return Ok(Some(alias.session.clone()));
        }
        // What Meta sends again is of the time before these ids, or others, had their owners of today: it moves none, and
        // whoever has them now is not told the answer.
        let was_answered = match message {
            Some(NamedBy { number, id, .. }) => self.store.was_answered(number, id).await?,
            None => false,
        };
        if was_answered && message.is_some_and(|message| !message.is_replay) {
            return Ok(None);
        }
        let by_phone = match (phone, &by_user) {
            // The number first: whoever else meets this customer now, with or without the user id, meets us there.
            (Some(phone), None) => Some(self.find_or_begin(business, phone.expose(), Some(user_id)).await?),
            (Some(phone), Some(alias)) => Some(match seen {
                Some(found) => found,
                None => self.store.claim_alias(&business.id, phone.expose(), &alias.session, Some(user_id)).await?,
            }),
            (None, _) => None,
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
        let Some((phone, by_phone)) = phone.zip(by_phone) else { return Ok(Some(session)) };
        let linked = by_phone.session == session && by_phone.user_id.as_ref() == Some(user_id);
        if linked || was_answered {
            return Ok(Some(session));
        }
        if !recycled && self.unite(business, &by_phone.session, &session, (phone, user_id)).await? {
            return Ok(Some(session));
        }
        let before = self.store.move_alias(&business.id, phone.expose(), &session, Some(user_id)).await?;
        if let Some(former) = before {
            self.forget_phone(&former.session, &session, phone).await?;
        }
        Ok(Some(session))
    }

    /// A number and a user id that came together lead to two sessions: they are one customer's, unless either knows of
    /// another user id or number. Then false: the number has a new owner.
    ///
    /// The number keeps leading to its session until that is merged, for it alone knows what was answered there.
    async fn unite(
        &self,
        business: &Business,
        from: &SessionId,
        into: &SessionId,
        (phone, user_id): (&WaId, &UserId),
    ) -> Result<bool, StoreError> {
        // First, so that nobody else who comes with this number is taken for its owner.
        if from == into || !self.store.link_alias(&business.id, phone.expose(), from, user_id).await? {
            return Ok(false);
        }
        self.merge(business, from, into, Some(phone), user_id).await
    }

    /// Has two conversations of one customer become one. False: they are of two.
    async fn merge(
        &self,
        business: &Business,
        from: &SessionId,
        into: &SessionId,
        phone: Option<&WaId>,
        user_id: &UserId,
    ) -> Result<bool, StoreError> {
        let (business_id, subdomain) = (&business.id, business.subdomain.as_ref());
        let request = MergeRequest { business_id, subdomain, from, into, phone, user_id };
        match self.store.request_merge(&request).await? {
            MergeRequested::OtherCustomer => return Ok(false),
            MergeRequested::Done | MergeRequested::Forgotten => return Ok(true),
            MergeRequested::Recorded => {}
        }
        // At once, so that the message that brought them together is answered out of both memories; but it need not
        // wait for that.
        let quiet = QuietTime::new(business.companion.quiet.unwrap_or(self.quiet));
        if let Err(error) = self.store.merge(from, quiet).await {
            tracing::warn!(%from, %into, %error, "a merge waits");
        }
        Ok(true)
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

    /// The conversation of a customer whose last one was forgotten: another one, begun after everything of the last one
    /// is erased.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_anew(
        &self,
        business: &Business,
        sender: &Sender,
        forgotten: &SessionId,
        message: Option<NamedBy<'_>>,
    ) -> Result<Resolved, StoreError> {
        self.store.forget(forgotten).await?;
        self.cache.invalidate(&(business.id.0.clone(), sender.clone())).await;
        self.resolve_by(business, sender, message).await
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

    /// The conversation of a customer, if there is one; nothing is begun. A number that was last seen with another user id
    /// leads to somebody else's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(&self, business: &Business, sender: &Sender) -> Result<Option<SessionId>, StoreError> {
        if let Some(user_id) = &sender.user_id
            && let Some(found) = self.store.alias(&business.id, user_id.expose()).await?
        {
            return Ok(Some(found.session));
        }
        let Some(phone) = &sender.wa_id else { return Ok(None) };
        let found = self.store.alias(&business.id, phone.expose()).await?;
        let is_theirs = |found: &Alias| match (&found.user_id, &sender.user_id) {
            (Some(known), Some(named)) => known == named,
            (None, _) | (_, None) => true,
        };
        Ok(found.filter(is_theirs).map(|found| found.session))
    }

    /// The customer has a new number or id: it leads to the old one's conversation from now on, and the old one
    /// leads nowhere, because its next owner is somebody else.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rename(&self, business: &Business, old: &Sender, new: &Sender) -> Result<(), StoreError> {
        let Some(session) = self.find(business, old).await? else { return Ok(()) };
        if let Some(number) = new.wa_id.as_ref().filter(|number| old.wa_id.as_ref() != Some(*number)) {
            // With the number the user id may change, too, and the news need not name it: whoever writes from the new
            // number first tells.
            let user_id = new.user_id.as_ref();
            let known = self.store.alias(&business.id, number.expose()).await?;
            // Who writes to several numbers of a business is told of once for each.
            let is_told = user_id.is_none() && known.is_some_and(|known| known.session == session);
            if !is_told
                && let Some(former) = self.store.move_alias(&business.id, number.expose(), &session, user_id).await?
            {
                self.forget_phone(&former.session, &session, number).await?;
            }
            if let Some(old) = &old.wa_id {
                let change = CustomerIdChange::Phone { old: old.clone(), new: Some(number.clone()) };
                self.store.replace_customer_id(&session, &change).await?;
                self.store.drop_alias(&business.id, old.expose(), &session).await?;
            }
        }
        if let Some(new) = new.user_id.as_ref().filter(|new| old.user_id.as_ref() != Some(*new)) {
            if let Some(old) = &old.user_id {
                let change = CustomerIdChange::User { old: old.clone(), new: new.clone() };
                self.store.replace_customer_id(&session, &change).await?;
            }
            // What the customer wrote under the new id may have come before the news of it. The id keeps leading to that
            // conversation until it is merged, for it alone knows what was answered there.
            let begun = self.store.alias(&business.id, new.expose()).await?.filter(|begun| begun.session != session);
            let is_merged = match begun {
                Some(begun) => self.merge(business, &begun.session, &session, None, new).await?,
                None => false,
            };
            if !is_merged {
                self.store.move_alias(&business.id, new.expose(), &session, Some(new)).await?;
            }
            if let Some(old) = &old.user_id {
                self.store.drop_alias(&business.id, old.expose(), &session).await?;
            }
        }
        self.cache.invalidate_all();
        Ok(())
    }
}
