//! The business of a number, from the database through a cache.
//!
//! A known business is cached for a minute, with the standing of its account; an unknown number, a token that does not
//! decrypt or an account that may not send for ten seconds. News of an account drop what is cached of it. Concurrent
//! questions about one number are one query. Errors are not cached.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use moka::{Expiry, future::Cache};
use secrecy::ExposeSecret;
use shared::ids::PhoneNumberId;

use super::{Business, CompanionSettings, TokenCipher, TokenError, Unserved, token_id};
use crate::{
    account::Pause,
    conversation::BusinessId,
    settings::FallbackSettings,
    store::{BusinessRecord, Store, StoreError},
};

const KNOWN_FOR: Duration = Duration::from_secs(60);
const UNMENDED_FOR: Duration = Duration::from_secs(10);
/// How long a token that Meta refused for a number is not shown to it again, by this process.
const REFUSED_FOR: Duration = Duration::from_secs(45);
const MOST_CACHED: u64 = 100_000;

/// What a number leads to.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// A business that can be served.
    Served(Arc<Business>),
    /// None, and why.
    Unserved(Unserved),
}

/// Finds businesses. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    store: Arc<dyn Store>,
    cipher: TokenCipher,
    fallback: Option<Arc<Business>>,
    cache: Cache<PhoneNumberId, Lookup>,
    /// What Meta refused: the token of that id, for that number. A token may be good for one number and not for another,
    /// of the same business or of somebody else who has it as well.
    refused: Cache<(PhoneNumberId, String), ()>,
}

struct ByOutcome;

impl Expiry<PhoneNumberId, Lookup> for ByOutcome {
    fn expire_after_create(&self, _: &PhoneNumberId, lookup: &Lookup, _: std::time::Instant) -> Option<Duration> {
        Some(match lookup {
            Lookup::Served(business) if business.token.is_ok() && business.pause.is_none() => KNOWN_FOR,
            // Somebody is probably about to mend it.
            Lookup::Served(_) | Lookup::Unserved(_) => UNMENDED_FOR,
        })
    }
}

impl Registry {
    /// A registry over a store.
    pub fn new(store: Arc<dyn Store>, cipher: TokenCipher, fallback: Option<&FallbackSettings>) -> Self {
        let cache = Cache::builder().max_capacity(MOST_CACHED).expire_after(ByOutcome).build();
        let refused = Cache::builder().max_capacity(MOST_CACHED).time_to_live(REFUSED_FOR).build();
        Self { store, cipher, fallback: fallback.map(|settings| Arc::new(fallback_business(settings))), cache, refused }
    }

    /// The business of a number. Its token counts as unusable for a while after Meta refused it for this number, so that
    /// the number's other conversations ask neither the AI nor Meta in vain.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn lookup(&self, number: &PhoneNumberId) -> Result<Lookup, StoreError> {
        let found = self.cache.try_get_with(number.clone(), self.load(number)).await;
        let found = found.map_err(|error| StoreError::clone(&error))?;
        let Lookup::Served(business) = &found else { return Ok(found) };
        if business.token.is_ok() && self.refused.contains_key(&(number.clone(), business.token_id.clone())) {
            return Ok(Lookup::Served(Arc::new(Business { token: Err(TokenError::Refused), ..(**business).clone() })));
        }
        Ok(found)
    }

    /// Meta refused this token for this number.
    pub async fn refuse(&self, number: &PhoneNumberId, token_id: &str) {
        metrics::counter!("switchboard_tokens_refused_total").increment(1);
        self.refused.insert((number.clone(), token_id.to_owned()), ()).await;
    }

    /// A business as the database has it now, or why it cannot be served.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn current(&self, business: &BusinessId) -> Result<Result<Business, Unserved>, StoreError> {
        let record = self.store.business(business).await?;
        Ok(record.map_or(Err(Unserved::Unknown), |record| Business::from_record(&record, &self.cipher)))
    }

    /// The id of a business's token as the database has it now, where it can be used: it decrypts, and the account may
    /// send.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn current_token(&self, business: &BusinessId) -> Result<Option<String>, StoreError> {
        let current = self.current(business).await?.ok();
        let Some(current) = current.filter(|business| business.token.is_ok()) else { return Ok(None) };
        let is_paused = self.pause_of(&current).await?.is_some();
        Ok((!is_paused).then_some(current.token_id))
    }

    /// What keeps a business's account from sending, as the database has it now.
    async fn pause_of(&self, business: &Business) -> Result<Option<Pause>, StoreError> {
        let Some(waba_id) = &business.waba_id else { return Ok(None) };
        Ok(self.store.standing(waba_id).await?.and_then(|standing| standing.pause(Timestamp::now())))
    }

    /// Forgets what is cached of these businesses, of whose account there is news.
    pub async fn drop_cached(&self, businesses: &[BusinessRecord]) {
        let numbers = businesses.iter().flat_map(|business| &business.phone_number_ids);
        for number in numbers.filter_map(|id| PhoneNumberId::parse(id).ok()) {
            self.cache.invalidate(&number).await;
        }
    }

    /// Drops what is known of a number, for a token that Meta refused, and reads it again.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn lookup_fresh(&self, number: &PhoneNumberId) -> Result<Lookup, StoreError> {
        self.forget(number).await;
        self.lookup(number).await
    }

    /// Drops what is known of a number, for one whose business was changed.
    pub async fn forget(&self, number: &PhoneNumberId) {
        self.cache.invalidate(number).await;
    }

    async fn load(&self, number: &PhoneNumberId) -> Result<Lookup, StoreError> {
        let records = self.store.businesses_with_number(number).await?;
        let lookup = choose(&records, &self.cipher);
        if let (Lookup::Unserved(Unserved::Unknown), Some(fallback)) = (&lookup, &self.fallback)
            && fallback.phone_number_ids.contains(number)
        {
            return Ok(Lookup::Served(Arc::clone(fallback)));
        }
        let Lookup::Served(business) = lookup else { return Ok(lookup) };
        if let Err(error) = &business.token {
            tracing::error!(subdomain = ?business.subdomain, %error, "a business's token cannot be used; its messages wait");
            metrics::counter!("switchboard_token_decrypt_failures_total").increment(1);
        }
        let pause = self.pause_of(&business).await?;
        Ok(Lookup::Served(match pause {
            Some(_) => Arc::new(Business { pause, ..Arc::unwrap_or_clone(business) }),
            None => business,
        }))
    }
}

fn choose(records: &[BusinessRecord], cipher: &TokenCipher) -> Lookup {
    let mut served = Vec::new();
    let mut unserved = Unserved::Unknown;
    for record in records {
        match Business::from_record(record, cipher) {
            Ok(business) => served.push(business),
            Err(why) => unserved = why,
        }
    }
    match (served.pop(), served.is_empty()) {
        (Some(business), true) => Lookup::Served(Arc::new(business)),
        (Some(_), false) => Lookup::Unserved(Unserved::Ambiguous),
        (None, _) => Lookup::Unserved(unserved),
    }
}

/// The business of the environment: no subdomain, so its sessions are the bare customers.
fn fallback_business(settings: &FallbackSettings) -> Business {
    Business {
        id: BusinessId("fallback".to_owned()),
        subdomain: None,
        name: "our business".to_owned(),
        waba_id: None,
        phone_number_ids: vec![settings.phone_number_id.clone()],
        token_id: token_id(Some(&settings.token)),
        token: Ok(settings.token.expose_secret().into()),
        token_expires_at: None,
        pause: None,
        companion: CompanionSettings::default(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::Value;

    use super::*;
    use crate::settings::EncryptionSettings;

    fn record(id: &str, enabled: bool) -> BusinessRecord {
        BusinessRecord {
            id: id.to_owned(),
            name: Some("Acme".to_owned()),
            subdomain: Some("acme".to_owned()),
            waba_id: None,
            phone_number_ids: vec!["1".to_owned()],
            access_token: None,
            refresh_token: None,
            token_expires_at: None,
            whatsapp_enabled: enabled,
            is_active: true,
            companion: Value::Null,
        }
    }

    fn chosen(records: &[BusinessRecord]) -> Lookup {
        let current = SecretString::from("secret");
        choose(records, &TokenCipher::new(&EncryptionSettings { current, previous: None }))
    }

    #[test]
    fn a_number_of_two_enabled_businesses_is_answered_for_neither() {
        let lookup = chosen(&[record("a", true), record("b", true)]);
        assert!(matches!(lookup, Lookup::Unserved(Unserved::Ambiguous)), "{lookup:?}");
    }

    #[test]
    fn a_disabled_business_does_not_stand_in_the_way_of_an_enabled_one() {
        let lookup = chosen(&[record("a", false), record("b", true)]);
        assert!(matches!(lookup, Lookup::Served(business) if business.id.0 == "b"));
        assert!(matches!(chosen(&[record("a", false)]), Lookup::Unserved(Unserved::Disabled)));
        assert!(matches!(chosen(&[]), Lookup::Unserved(Unserved::Unknown)));
    }

    #[test]
    fn a_business_whose_name_cannot_be_part_of_a_session_is_not_served() {
        let mut odd = record("a", true);
        odd.subdomain = Some("ac:me".to_owned());
        assert!(matches!(chosen(&[odd]), Lookup::Unserved(Unserved::Invalid(_))));
    }
}
