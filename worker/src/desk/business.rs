//! Whether a business is served, and how long its token lasts, in words.

use jiff::Timestamp;

use crate::{business::TokenCipher, store::BusinessRecord};

/// Whether it is served; where it is not, why.
pub(crate) fn served(business: &BusinessRecord) -> &'static str {
    match (business.whatsapp_enabled && business.is_active, business.phone_number_ids.is_empty()) {
        (false, _) => "no: disabled",
        (true, true) => "no: no number id",
        (true, false) => "yes",
    }
}

/// When its token ends.
pub(crate) fn expires(business: &BusinessRecord) -> String {
    let Some(at) = business.token_expires_at else { return "unknown".to_owned() };
    let days = at.duration_since(Timestamp::now()).as_hours() / 24;
    let date = at.strftime("%Y-%m-%d %H:%M UTC");
    if at < Timestamp::now() { format!("{date} (EXPIRED)") } else { format!("{date} (in {days} days)") }
}

/// A word on its token. Without a cipher nobody tries whether it decrypts.
pub(crate) fn token_state(business: &BusinessRecord, cipher: Option<&TokenCipher>) -> String {
    match (&business.access_token, cipher) {
        (None, _) => "none".to_owned(),
        (Some(_), None) => "stored; whether it decrypts was not tried".to_owned(),
        (Some(stored), Some(cipher)) => match cipher.decrypt(stored) {
            Ok(_) => "decrypts".to_owned(),
            Err(error) => format!("unusable: {error}"),
        },
    }
}
