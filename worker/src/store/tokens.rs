//! Secrets of businesses while they change: who renews a token, and what replaces what.
//!
//! The back end writes the same fields at any time. So whatever is written here is written only where what it replaces is
//! still what was read: a token that its owner stores in between is never overwritten. Who renews a token is noted in the
//! business's document under `tokenRefresh`, a field that nobody else reads.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use super::{BusinessRecord, Result};
use crate::conversation::BusinessId;

/// A business whose token ends soon, or has ended.
#[derive(Debug, Clone)]
pub struct ExpiringToken {
    /// The business.
    pub business: BusinessRecord,
    /// Who is not to try. A hint, for whoever would claim in vain; the claim decides.
    pub taken: Option<Taken>,
}

/// A claim, or the pause behind a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// For which token.
    pub token_id: String,
    /// Until then, by the database's clock.
    pub until: Timestamp,
}

/// The wish to renew a token.
#[derive(Debug, Clone, Copy)]
pub struct RefreshClaim<'a> {
    /// Whose it is.
    pub business: &'a BusinessId,
    /// Tells the token from another one without being one: tries are counted for each token by itself.
    pub token_id: &'a str,
    /// Who wants to.
    pub worker: &'a str,
    /// For how long: what is not done by then is anybody's.
    pub time: Duration,
}

/// A new token in an old one's place.
#[derive(Debug, Clone, Copy)]
pub struct TokenReplacement<'a> {
    /// Whose it is.
    pub business: &'a BusinessId,
    /// The stored access token that was read, without blanks around it.
    pub seen: &'a SecretString,
    /// The stored refresh token that was read, without blanks around it.
    pub seen_refresh: Option<&'a SecretString>,
    /// The new access token, encrypted.
    pub access_token: &'a str,
    /// The new refresh token, encrypted; none leaves it as it is.
    pub refresh_token: Option<&'a str>,
    /// When the new token ends; none where it never does.
    pub expires_at: Option<Timestamp>,
}

/// Where in a business's document a secret stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretPlace {
    /// `whatsappAccessToken`.
    AccessToken,
    /// `whatsappRefreshToken`.
    RefreshToken,
    /// `companion.handOver.notify.secret`.
    NotifySecret,
    /// The header of the tool at this position of `companion.tools`, from 0.
    ToolHeader(usize),
}

impl SecretPlace {
    /// As a pointer into the document as JSON.
    pub fn pointer(self) -> String {
        match self {
            Self::AccessToken => "/whatsappAccessToken".to_owned(),
            Self::RefreshToken => "/whatsappRefreshToken".to_owned(),
            Self::NotifySecret => "/companion/handOver/notify/secret".to_owned(),
            Self::ToolHeader(at) => format!("/companion/tools/{at}/header/value"),
        }
    }
}

impl fmt::Display for SecretPlace {
    /// As `business check` names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessToken => f.write_str("whatsappAccessToken"),
            Self::RefreshToken => f.write_str("whatsappRefreshToken"),
            Self::NotifySecret => f.write_str("companion.handOver.notify.secret"),
            Self::ToolHeader(at) => write!(f, "companion.tools[{at}].header.value"),
        }
    }
}

/// A secret of a business, as it is stored.
#[derive(Debug, Clone)]
pub struct StoredSecret {
    /// Whose it is.
    pub business: BusinessId,
    /// The business's `subDomain`.
    pub subdomain: Option<String>,
    /// Where it stands.
    pub place: SecretPlace,
    /// The very text, blanks included.
    pub value: SecretString,
}

/// The secrets of businesses.
#[async_trait]
pub trait Tokens {
    /// The served businesses whose token ends before that time or has ended, the first to end first.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn tokens_expiring(&self, before: Timestamp) -> Result<Vec<ExpiringToken>>;

    /// Takes the renewal of a token over for a time, unless somebody else has it or a pause is not over. Tells which try
    /// it is for this token, from 1.
    ///
    /// # Errors
    /// [`super::StoreError`]; an unavailable store may have noted the claim, which then runs out.
    async fn claim_refresh(&self, claim: &RefreshClaim<'_>) -> Result<Option<u32>>;

    /// Lets nobody try again before the pause is over. False where the claim is not this worker's any more.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn postpone_refresh(&self, business: &BusinessId, worker: &str, pause: Duration) -> Result<bool>;

    /// Stores a new token and ends the claim. False where the stored tokens are not those that were seen.
    ///
    /// # Errors
    /// [`super::StoreError`]; after an unavailable store the same call says false where the first one succeeded.
    async fn replace_token(&self, replacement: &TokenReplacement<'_>) -> Result<bool>;

    /// Every secret of every business, in no order.
    ///
    /// # Errors
    /// [`super::StoreError`].
    async fn stored_secrets(&self) -> Result<Vec<StoredSecret>>;

    /// Stores a secret's new form. False where another one stands in its place by now.
    ///
    /// # Errors
    /// [`super::StoreError`]; after an unavailable store the same call says false where the first one succeeded.
    async fn replace_secret(&self, secret: &StoredSecret, stored: &str) -> Result<bool>;
}

/// The secrets in a business's document: those that are sealed when it is stored, and encrypted anew when the secret of
/// encryption changes.
pub fn secrets_in(document: &Value) -> Vec<(SecretPlace, SecretString)> {
    let tools = document.pointer("/companion/tools").and_then(Value::as_array).map_or(0, Vec::len);
    let fields = [SecretPlace::AccessToken, SecretPlace::RefreshToken, SecretPlace::NotifySecret];
    let places = fields.into_iter().chain((0..tools).map(SecretPlace::ToolHeader));
    let text = |place: SecretPlace| document.pointer(&place.pointer())?.as_str().filter(|text| !text.trim().is_empty());
    places.filter_map(|place| Some((place, SecretString::from(text(place)?)))).collect()
}
