//! Who is known: numbers, whose token is whose, which customers have both a phone number and a user id.

use std::{
    collections::HashMap,
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use secrecy::{ExposeSecret, SecretString};

use super::{Business, MetaOptions};
use crate::{Customer, Sender, journal::Credential};

/// One sender for each app, by app id; under the empty id one that does not sign.
pub(super) type Senders = HashMap<String, Sender>;

/// What a token is good for.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) owner: String,
    /// Seconds since the Unix epoch; none where it never expires.
    pub(super) expires_at: Option<i64>,
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
        let grant = Grant { owner: owner.to_owned(), expires_at };
        self.write().tokens.insert(token.expose_secret().to_owned(), grant);
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

    /// What a token is good for; none once it has ended.
    pub(super) fn grant_of(&self, token: &str) -> Option<Grant> {
        let now = jiff::Timestamp::now().as_second();
        self.read().tokens.get(token).filter(|grant| grant.expires_at.is_none_or(|end| end > now)).cloned()
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
