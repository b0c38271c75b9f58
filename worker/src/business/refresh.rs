//! Renews access tokens ahead of their end.
//!
//! A week before a token ends one worker claims it in the database, has Meta exchange it, and stores the new one where the
//! old one still is what is stored; the old one keeps working until then and afterwards. Whatever goes wrong costs
//! nothing but a try: the next one comes after a pause that doubles, up to six hours, whichever worker makes it. So a
//! week has some thirty tries. Tokens whose end is not in the database are left alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use shared::{ids::PhoneNumberId, retry::full_jitter, shutdown::Shutdown};

use super::{Registry, TokenCipher, TokenError, token_id};
use crate::{
    conversation::BusinessId,
    periodic::now_and_every,
    settings::{MetaApp, MetaApps},
    store::{BusinessRecord, ExpiringToken, RefreshClaim, Store, StoreError, TokenReplacement, in_time},
    whatsapp::{ErrorClass, Exchanged, Graph, GraphError, Lifetime, SendError},
};

const EVERY: Duration = Duration::from_secs(60);
/// Of the 60 days that a token lives, about a tenth (Meta: ahead of time, for an expired one is not taken).
const AHEAD: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Of a token that Meta exchanges.
const LIFETIME: SignedDuration = SignedDuration::from_hours(60 * 24);
/// From here on somebody should look.
const LATE: SignedDuration = SignedDuration::from_hours(24);
/// A new token must last longer than the old one by this, or it would be exchanged again the next minute.
const GAIN: SignedDuration = SignedDuration::from_hours(1);
/// Longer than all requests of one try together.
const CLAIM: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3_600);

/// Looks after the tokens of all businesses. Several workers may do so at the same time.
#[derive(Debug)]
pub struct TokenKeeper {
    store: Arc<dyn Store>,
    registry: Registry,
    cipher: TokenCipher,
    graph: Graph,
    apps: MetaApps,
    worker: String,
    /// Whether it was said that nothing is renewed here.
    said: AtomicBool,
}

/// Why a try brought nothing.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Stored(#[from] TokenError),
    #[error(transparent)]
    Meta(#[from] SendError),
    #[error("it was issued by the app {0}, of which WHATSAPP_APP_SECRET has no secret")]
    ForeignApp(String),
    #[error("Meta's new token does not last longer than the old one")]
    NoGain,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Trouble {
    /// Whether another token may do better.
    fn is_of_the_token(&self) -> bool {
        match self {
            Self::Stored(_) | Self::ForeignApp(_) => true,
            Self::Meta(error) => is_refusal(error),
            Self::NoGain | Self::Store(_) => false,
        }
    }
}

/// How a try ended.
enum Renewal {
    Stored(Option<Timestamp>),
    /// Somebody else stored another token meanwhile, which is the better one.
    Superseded,
}

/// Keeps tokens alive until the drain, from now on.
pub async fn keep_tokens(keeper: TokenKeeper, shutdown: Shutdown) {
    let what = "tokens that end soon could not be looked for";
    now_and_every(EVERY, &shutdown, what, || keeper.look()).await;
}

impl TokenKeeper {
    /// One that renews tokens with these apps; without any it only counts those that end.
    pub fn new(
        store: Arc<dyn Store>,
        registry: Registry,
        cipher: TokenCipher,
        graph: Graph,
        apps: MetaApps,
        worker: &str,
    ) -> Self {
        Self { store, registry, cipher, graph, apps, worker: worker.to_owned(), said: AtomicBool::new(false) }
    }

    /// Counts the tokens that end soon, and renews those that nobody else has in hand.
    ///
    /// Cancellation: a claim runs out, and another worker goes on.
    ///
    /// # Errors
    /// They could not be read. What is wrong with one of them is logged, and keeps none of the others waiting.
    pub async fn look(&self) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let expiring = in_time(self.store.tokens_expiring(now + AHEAD)).await?;
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 businesses")]
        metrics::gauge!("switchboard_tokens_expiring").set(expiring.len() as f64);
        if self.apps.is_empty() {
            self.say_that_none_is_renewed(expiring.len());
            return Ok(());
        }
        for token in &expiring {
            self.renew(token, now).await;
        }
        Ok(())
    }

    fn say_that_none_is_renewed(&self, count: usize) {
        if count > 0 && !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                businesses = count,
                "access tokens end within a week, or have ended, and are not renewed: META_APP_ID is not set"
            );
        }
    }

    async fn renew(&self, token: &ExpiringToken, now: Timestamp) {
        let ExpiringToken { business, taken } = token;
        let (Some(stored), Some(expires_at)) = (&business.access_token, business.token_expires_at) else { return };
        let opened = self.cipher.decrypt(stored);
        let token_id = token_id(Some(opened.as_ref().unwrap_or(stored)));
        if taken.as_ref().is_some_and(|taken| taken.until > now && taken.token_id == token_id) {
            return;
        }
        let id = BusinessId(business.id.clone());
        let claim = RefreshClaim { business: &id, token_id: &token_id, worker: &self.worker, time: CLAIM };
        let tries = match in_time(self.store.claim_refresh(&claim)).await {
            Ok(Some(tries)) => tries,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "a token's renewal could not be claimed"),
        };
        let subdomain = business.subdomain.as_deref();
        match self.attempt(business, &id, stored, opened, expires_at).await {
            Ok(Renewal::Stored(until)) => {
                count("ok");
                let until = until.map(tracing::field::display);
                tracing::info!(subdomain, tries, until, "a business's token was renewed");
                self.drop_cached(business).await;
            }
            Ok(Renewal::Superseded) => {
                count("superseded");
                tracing::info!(subdomain, "a business's token was replaced while it was renewed: the new one stays");
                self.drop_cached(business).await;
            }
            Err(trouble) => self.put_off(&id, business, tries, expires_at, &trouble).await,
        }
    }

    /// One try, from the stored token to the stored new one.
    async fn attempt(
        &self,
        business: &BusinessRecord,
        id: &BusinessId,
        stored: &SecretString,
        opened: Result<SecretString, TokenError>,
        expires_at: Timestamp,
    ) -> Result<Renewal, Trouble> {
        let refresh = business.refresh_token.as_ref();
        let exchanged = match refresh {
            None => self.exchange(&opened?).await?,
            Some(refresh) => match self.exchange_stored(refresh).await {
                // It may be an old one that nobody has looked at since; the access token may still be good.
                Err(trouble) if trouble.is_of_the_token() => {
                    let subdomain = business.subdomain.as_deref();
                    tracing::warn!(subdomain, %trouble, "a refresh token is of no use; the access token is exchanged");
                    self.exchange(&opened?).await?
                }
                exchanged => exchanged?,
            },
        };
        let until = self.end_of(&exchanged).await?;
        if until.is_some_and(|until| until < expires_at + GAIN) {
            return Err(Trouble::NoGain);
        }
        let (access_token, refresh_token) =
            (self.cipher.encrypt(&exchanged.token), refresh.map(|_| self.cipher.encrypt(&exchanged.token)));
        let replacement = TokenReplacement {
            business: id,
            seen: stored,
            seen_refresh: refresh,
            access_token: &access_token,
            refresh_token: refresh_token.as_deref(),
            expires_at: until,
        };
        let replaced = in_time(self.store.replace_token(&replacement)).await?;
        Ok(if replaced { Renewal::Stored(until) } else { Renewal::Superseded })
    }

    async fn exchange_stored(&self, stored: &SecretString) -> Result<Exchanged, Trouble> {
        self.exchange(&self.cipher.decrypt(stored)?).await
    }

    async fn exchange(&self, token: &SecretString) -> Result<Exchanged, Trouble> {
        let app = self.issuer(token).await?;
        Ok(self.graph.exchange_token(app, token).await?)
    }

    /// The app that issued a token. With one app there is nothing to ask.
    async fn issuer(&self, token: &SecretString) -> Result<&MetaApp, Trouble> {
        if let Some(app) = self.apps.only() {
            return Ok(app);
        }
        let app_id = self.graph.issuer_of(token).await?.app_id;
        self.apps.get(&app_id).ok_or(Trouble::ForeignApp(app_id))
    }

    /// When a new token ends. Where the exchange did not say (one that never ends, says Meta), Meta is asked; where there is
    /// nobody to ask, after the 60 days that were asked for: one that is exchanged in vain costs nothing.
    async fn end_of(&self, exchanged: &Exchanged) -> Result<Option<Timestamp>, Trouble> {
        let lifetime = match exchanged.lifetime {
            Lifetime::Unsaid => match self.graph.issuer_of(&exchanged.token).await {
                Ok(issued) => issued.lifetime,
                Err(SendError::Answered(error)) if is_unasked(&error) => {
                    tracing::warn!(%error, "Meta does not say when a new token ends: it is taken for one of 60 days");
                    Timestamp::now().checked_add(LIFETIME).map_or(Lifetime::Endless, Lifetime::Until)
                }
                Err(error) => return Err(error.into()),
            },
            said @ (Lifetime::Until(_) | Lifetime::Endless) => said,
        };
        Ok(match lifetime {
            Lifetime::Until(end) => Some(end),
            Lifetime::Endless | Lifetime::Unsaid => None,
        })
    }

    async fn put_off(
        &self,
        id: &BusinessId,
        business: &BusinessRecord,
        tries: u32,
        expires_at: Timestamp,
        trouble: &Trouble,
    ) {
        count("failed");
        let pause = pause(tries);
        let left = expires_at.duration_since(Timestamp::now());
        let (subdomain, next_secs, hours_left) = (business.subdomain.as_deref(), pause.as_secs(), left.as_hours());
        let what = "a business's token could not be renewed; it is tried again";
        if left < LATE {
            tracing::error!(subdomain, tries, next_secs, hours_left, %trouble, "{what}");
        } else {
            tracing::warn!(subdomain, tries, next_secs, hours_left, %trouble, "{what}");
        }
        if let Err(error) = in_time(self.store.postpone_refresh(id, &self.worker, pause)).await {
            // The claim runs out by itself.
            tracing::warn!(%error, "a token's next try could not be put off");
        }
    }

    async fn drop_cached(&self, business: &BusinessRecord) {
        for number in business.phone_number_ids.iter().filter_map(|id| PhoneNumberId::parse(id).ok()) {
            self.registry.forget(&number).await;
        }
    }
}

/// Half of it is certain, the rest is chance, so that what failed together is not tried together.
fn pause(tries: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1).min(30)));
    let most = doubled.min(LONGEST_PAUSE);
    most / 2 + full_jitter(0, most / 2, most / 2)
}

fn is_refusal(error: &SendError) -> bool {
    match error {
        SendError::Answered(error) => error.class == ErrorClass::Credentials,
        SendError::NotConnected(_) | SendError::NoAnswer(_) => false,
    }
}

/// Whether there is nobody who answers such a question, rather than trouble with it or with the token.
fn is_unasked(error: &GraphError) -> bool {
    error.class != ErrorClass::Credentials && matches!(error.status, 404 | 405 | 501)
}

fn count(outcome: &'static str) {
    metrics::counter!("switchboard_token_refreshes_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_double_from_a_minute_to_six_hours(tries in 1_u32..200) {
            let most = Duration::from_secs(60 * 2_u64.pow((tries - 1).min(20))).min(Duration::from_secs(6 * 3_600));
            let pause = pause(tries);
            prop_assert!(pause >= most / 2 && pause <= most, "{pause:?} of {most:?}");
        }
    }

    #[test]
    fn a_week_has_some_thirty_tries() {
        let mut waited = Duration::ZERO;
        let tries = (1..).take_while(|tries| {
            waited += pause(*tries);
            waited < Duration::from_secs(7 * 24 * 3_600)
        });
        let tries = tries.count();
        assert!((30..60).contains(&tries), "{tries}");
    }
}
