//! Who is known: numbers, whose token is whose, which customers have both a phone number and a user id.

use std::{
    collections::{HashMap, HashSet},
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use secrecy::{ExposeSecret, SecretString};

use super::{Business, MetaOptions, tokens::SCOPES};
use crate::{Customer, Sender, journal::Credential};

/// One sender for each app, by app id; under the empty id one that does not sign.
pub(super) type Senders = HashMap<String, Sender>;

/// What a token is good for.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) owner: String,
    /// Seconds since the Unix epoch; none where it never expires.
    pub(super) expires_at: Option<i64>,
    /// What its owner may do with it.
    pub(super) scopes: Vec<String>,
}

impl Grant {
    /// A token that may do everything.
    pub(super) fn whole(owner: &str, expires_at: Option<i64>) -> Self {
        Self { owner: owner.to_owned(), expires_at, scopes: SCOPES.map(str::to_owned).to_vec() }
    }

    pub(super) fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= jiff::Timestamp::now().as_second())
    }
}

#[derive(Debug)]
pub(super) struct Registry {
    known: RwLock<Known>,
    senders: Option<Senders>,
}

#[derive(Debug, Default)]
struct Known {
    businesses: HashMap<String, Business>,
    tokens: HashMap<String, Grant>,
    user_ids: HashMap<String, String>,
    /// Accounts whose webhooks go nowhere.
    unsubscribed: HashSet<String>,
}

pub(super) fn senders(url: &str, options: &MetaOptions) -> Senders {
    // One sender with several secrets: businesses of different apps must not get the same message ids.
    let base = Sender::new(url, None, &options.journal, options.seed).patient(options.patience);
    // Backwards, so that of two secrets of one app (a rotation) the first signs.
    let signed = options.apps.iter().rev().map(|app| (app.id.clone(), base.clone().signing(Some(app.secret.clone()))));
    signed.chain([(String::new(), base.clone())]).collect()
}

impl Registry {
    pub(super) fn new(senders: Option<Senders>) -> Self {
        Self { known: RwLock::default(), senders }
    }

    pub(super) fn register(&self, business: Business) {
        self.grant(&business.name, &business.token, None);
        self.write().businesses.insert(business.phone_number_id.clone(), business);
    }

    pub(super) fn grant(&self, owner: &str, token: &SecretString, expires_at: Option<i64>) {
        self.write().tokens.insert(token.expose_secret().to_owned(), Grant::whole(owner, expires_at));
    }

    /// Changes what is known of a token; nothing, where none is.
    pub(super) fn change(&self, token: &SecretString, change: impl FnOnce(&mut Grant)) {
        if let Some(grant) = self.write().tokens.get_mut(token.expose_secret()) {
            change(grant);
        }
    }

    pub(super) fn revoke(&self, token: &SecretString) {
        self.write().tokens.remove(token.expose_secret());
    }

    pub(super) fn introduce(&self, customer: &Customer) {
        if let (Some(wa_id), Some(user_id)) = (&customer.wa_id, &customer.user_id) {
            self.write().user_ids.insert(wa_id.clone(), user_id.clone());
        }
    }

    pub(super) fn business(&self, phone_number_id: &str) -> Option<Business> {
        self.read().businesses.get(phone_number_id).cloned()
    }

    /// Any number of the business of this name.
    pub(super) fn business_named(&self, name: &str) -> Option<Business> {
        self.read().businesses.values().find(|business| business.name == name).cloned()
    }

    /// The numbers of an account, by their ids.
    pub(super) fn of_account(&self, waba_id: &str) -> Vec<Business> {
        let known = self.read();
        let mut numbers: Vec<_> = known.businesses.values().filter(|one| one.waba_id == waba_id).cloned().collect();
        numbers.sort_by(|one, other| one.phone_number_id.cmp(&other.phone_number_id));
        numbers
    }

    pub(super) fn is_subscribed(&self, waba_id: &str) -> bool {
        !self.read().unsubscribed.contains(waba_id)
    }

    pub(super) fn subscribe(&self, waba_id: &str) {
        self.write().unsubscribed.remove(waba_id);
    }

    pub(super) fn unsubscribe(&self, waba_id: &str) {
        self.write().unsubscribed.insert(waba_id.to_owned());
    }

    /// What a token is good for, or was until it ended.
    pub(super) fn grant_of(&self, token: &str) -> Option<Grant> {
        self.read().tokens.get(token).cloned()
    }

    pub(super) fn credential(&self, token: Option<&str>) -> Credential {
        match token {
            None => Credential::Missing,
            Some(token) => self.grant_of(token).map_or(Credential::Unknown, |grant| Credential::Of(grant.owner)),
        }
    }

    pub(super) fn user_id(&self, wa_id: &str) -> Option<String> {
        self.read().user_ids.get(wa_id).cloned()
    }

    pub(super) fn sender(&self, app_id: Option<&str>) -> Option<Sender> {
        self.senders.as_ref()?.get(app_id.unwrap_or_default()).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().expect("no code panics while it holds this lock")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().expect("no code panics while it holds this lock")
    }
}
