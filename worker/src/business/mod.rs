//! Businesses: who owns a number, with which token it speaks, and how its companion should sound.

mod registry;
mod allowance;
mod token;
mod companion;
mod document;
mod field;
mod finding;
mod watch;
mod refresh;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use shared::ids::{PhoneNumberId, Subdomain, WabaId};

pub use allowance::{Allowances, DayLeft};
pub use companion::{
    CompanionSettings, HandOverSettings, InDoubt, KnowledgeText, Limits, NotifySettings, OpeningHours, Place,
    ToolHeader, ToolSettings, VoiceReply, VoiceSettings, local_time,
};
pub(crate) use document::{CheckedBusiness, Origin, check_documents, is_known_field, seal_document};
pub use finding::{Finding, Severity};
pub use refresh::{TokenKeeper, keep_tokens};
pub use registry::{Lookup, Registry};
pub use token::{TokenCipher, TokenError};
pub use watch::watch_tokens;

use crate::{
    account::Pause,
    conversation::BusinessId,
    store::{BusinessRecord, ReplayPolicy},
};

const TOKEN_ID_CHARS: usize = 16;

/// A business that can be served.
#[derive(Debug, Clone)]
pub struct Business {
    /// Its `_id`.
    pub id: BusinessId,
    /// Its subdomain; none for the fallback business.
    pub subdomain: Option<Subdomain>,
    /// Its name, for the prompt.
    pub name: String,
    /// Its WhatsApp Business Account.
    pub waba_id: Option<WabaId>,
    /// Its numbers.
    pub phone_number_ids: Vec<PhoneNumberId>,
    /// The decrypted access token, or why there is none.
    pub token: Result<SecretString, TokenError>,
    /// Tells one token from another without being one: the beginning of a hash. Of the stored form, where that does
    /// not decrypt.
    pub token_id: String,
    /// When the token ends, where that is known.
    pub token_expires_at: Option<Timestamp>,
    /// That Meta does not let its account send, as far as that is known. It may be over by now; see
    /// [`Business::paused`].
    pub pause: Option<Pause>,
    /// How its companion should be.
    pub companion: CompanionSettings,
}

impl Business {
    /// What keeps the business from sending.
    pub fn paused(&self, now: Timestamp) -> Option<&Pause> {
        self.pause.as_ref().filter(|pause| pause.lasts_at(now))
    }

    /// A business from its record.
    ///
    /// # Errors
    /// Why it cannot be served, in a word for a dead letter and a sentence for the operator.
    pub fn from_record(record: &BusinessRecord, cipher: &TokenCipher) -> Result<Self, Unserved> {
        if !record.whatsapp_enabled || !record.is_active {
            return Err(Unserved::Disabled);
        }
        if record.id.is_empty() {
            // Two of them would be taken for one.
            return Err(Unserved::Invalid("its _id is neither an ObjectId, nor a text, nor a whole number"));
        }
        let Some(subdomain) = record.subdomain.as_deref().and_then(|text| Subdomain::parse(text).ok()) else {
            return Err(Unserved::Invalid(
                "its subDomain is missing or holds other than letters, digits, '.', '_', '-'",
            ));
        };
        let token = match &record.access_token {
            Some(stored) => cipher.decrypt(stored),
            None => Err(TokenError::Missing),
        };
        let token_id = token_id(token.as_ref().ok().or(record.access_token.as_ref()));
        Ok(Self {
            id: BusinessId(record.id.clone()),
            name: record.name.clone().unwrap_or_else(|| subdomain.expose().to_owned()),
            subdomain: Some(subdomain),
            waba_id: record.waba_id.as_deref().and_then(|text| WabaId::parse(text).ok()),
            phone_number_ids: record.phone_number_ids.iter().filter_map(|id| PhoneNumberId::parse(id).ok()).collect(),
            token,
            token_id,
            token_expires_at: record.token_expires_at,
            pause: None,
            companion: CompanionSettings::read_with(&record.companion, cipher),
        })
    }
}

/// Enough of a hash to tell tokens apart, and too little to be of use to anybody else.
pub(crate) fn token_id(token: Option<&SecretString>) -> String {
    let Some(token) = token else { return "none".to_owned() };
    let digest = Sha256::digest(token.expose_secret().as_bytes());
    hex::encode(digest).chars().take(TOKEN_ID_CHARS).collect()
}

/// Why a business cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unserved {
    /// No business has the number.
    Unknown,
    /// `whatsappEnabled` or `isActive` is off.
    Disabled,
    /// More than one enabled business claims the number: answering for either could mix up two tenants.
    Ambiguous,
    /// The document cannot be used; says why.
    Invalid(&'static str),
}

impl Unserved {
    /// The reason of a dead letter.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "unknown_business",
            Self::Disabled => "business_disabled",
            Self::Ambiguous => "ambiguous_business",
            Self::Invalid(_) => "invalid_business",
        }
    }

    /// Whether messages that could not be answered for this come back by themselves.
    pub fn replay(self) -> ReplayPolicy {
        match self {
            Self::Disabled => ReplayPolicy::WhenServedWithinADay,
            Self::Unknown | Self::Ambiguous | Self::Invalid(_) => ReplayPolicy::WhenServed,
        }
    }

    /// What the operator should know.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Unknown => "no business lists this phone number id; it is replayed when one does",
            Self::Disabled => "whatsappEnabled or isActive is off; it is replayed if that changes within a day",
            Self::Ambiguous => "several enabled businesses list this phone number id; keep it in one of them",
            Self::Invalid(problem) => problem,
        }
    }
}
