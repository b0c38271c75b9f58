//! The businesses' access tokens, as the back end encrypts them: hex of a Fernet token, key =
//! base64url(SHA-256(secret)). Hex of the Fernet token's decoded bytes is read too.
//!
//! A value that does not decrypt is an error, never a token: sending an undecrypted value to Meta would leak it.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE};
use fernet::Fernet;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::settings::EncryptionSettings;

/// The first byte of a decoded Fernet token (Fernet spec, "version").
const FERNET_VERSION: u8 = 0x80;

/// Why a stored token cannot be used. Never holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The business has none.
    #[error("the business has no whatsappAccessToken")]
    Missing,
    /// It is not even hexadecimal: plain text, perhaps.
    #[error("the stored token is not hexadecimal, so it was not encrypted by the back end; store it encrypted")]
    NotHex,
    /// Hexadecimal of something else, or cut off.
    #[error("the stored token is not a whole Fernet token; it was cut off or encrypted differently")]
    NotFernet,
    /// A Fernet token, but not by these secrets.
    #[error("the stored token was encrypted with another secret than ENCRYPTION_SECRET (or was changed since)")]
    WrongSecret,
    /// Meta refused it a short while ago.
    #[error("Meta refused the token; store one that is valid")]
    Refused,
    /// What came out is not a token.
    #[error("the stored token decrypts to something that is empty or holds characters that cannot be sent")]
    NotAToken,
    /// It was read without a cipher.
    #[error("the stored token was read without ENCRYPTION_SECRET, so it is still encrypted")]
    Undecrypted,
}

/// Encrypts and decrypts tokens.
#[derive(Clone)]
pub struct TokenCipher {
    current: Fernet,
    previous: Option<Fernet>,
}

impl fmt::Debug for TokenCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenCipher")
    }
}

impl TokenCipher {
    /// A cipher with the configured secrets.
    pub fn new(settings: &EncryptionSettings) -> Self {
        Self { current: key(&settings.current), previous: settings.previous.as_ref().map(key) }
    }

    /// The form in which the back end stores a token: hex of the Fernet token's text.
    pub fn encrypt(&self, token: &SecretString) -> String {
        hex::encode(self.current.encrypt(token.expose_secret().as_bytes()))
    }

    /// The access token behind a stored value.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn decrypt(&self, stored: &SecretString) -> Result<SecretString, TokenError> {
        self.open(stored).and_then(|token| if is_token(&token) { Ok(token) } else { Err(TokenError::NotAToken) })
    }

    /// The value of an HTTP header behind a stored value. Other than in a token there may be spaces in it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn decrypt_header(&self, stored: &SecretString) -> Result<SecretString, TokenError> {
        self.open(stored).and_then(|value| if is_header(&value) { Ok(value) } else { Err(TokenError::NotAToken) })
    }

    /// The stored form of an access token that somebody wrote down, or none where it has that form already.
    ///
    /// # Errors
    /// It looks like the stored form, but does not decrypt; or no token is written like that.
    pub fn seal(&self, given: &SecretString) -> Result<Option<String>, TokenError> {
        match self.decrypt(given) {
            Ok(_) => Ok(None),
            // No access token of Meta's is all hexadecimal.
            Err(TokenError::NotHex) if is_token(given) => Ok(Some(self.encrypt(given))),
            Err(TokenError::NotHex) => Err(TokenError::NotAToken),
            Err(error) => Err(error),
        }
    }

    /// The same for the value of an HTTP header, which may well be hexadecimal by itself.
    ///
    /// # Errors
    /// It begins like the stored form, but does not decrypt; or no header can have it.
    pub fn seal_header(&self, given: &SecretString) -> Result<Option<String>, TokenError> {
        if begins_as_stored(given) {
            return self.decrypt_header(given).map(|_| None);
        }
        if is_header(given) { Ok(Some(self.encrypt(given))) } else { Err(TokenError::NotAToken) }
    }

    /// Whether a stored token decrypts, but only by the secret from before a rotation.
    pub(crate) fn needs_previous(&self, stored: &SecretString) -> bool {
        let current = Self { current: self.current.clone(), previous: None };
        self.decrypt(stored).is_ok() && current.decrypt(stored).is_err()
    }

    /// A stored value encrypted anew, or none where the current secret encrypted it. What it holds is not judged.
    ///
    /// # Errors
    /// Neither secret decrypts it.
    pub fn renew(&self, stored: &SecretString) -> Result<Option<String>, TokenError> {
        if self.current.decrypt(&fernet_text(stored)?).is_ok() {
            return Ok(None);
        }
        self.open(stored).map(|plain| Some(self.encrypt(&plain)))
    }

    fn open(&self, stored: &SecretString) -> Result<SecretString, TokenError> {
        let text = fernet_text(stored)?;
        // Without a time limit: these are secrets at rest.
        let keys = std::iter::once(&self.current).chain(&self.previous);
        let plain = keys.into_iter().find_map(|key| key.decrypt(&text).ok()).ok_or(TokenError::WrongSecret)?;
        String::from_utf8(plain).map(SecretString::from).map_err(|_| TokenError::NotAToken)
    }
}

/// How a reader deals with what a document holds encrypted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Secrets<'a> {
    /// Not at all.
    Sealed,
    /// It decrypts what is stored.
    Stored(&'a TokenCipher),
    /// It looks at what somebody wrote down for an import, which may be plain.
    Given(&'a TokenCipher),
}

impl Secrets<'_> {
    pub(super) fn header(self, stored: &SecretString) -> Result<SecretString, TokenError> {
        match self {
            Self::Sealed => Err(TokenError::Undecrypted),
            Self::Stored(cipher) | Self::Given(cipher) => cipher.decrypt_header(stored),
        }
    }

    pub(super) fn header_problem(self, stored: &SecretString) -> Option<TokenError> {
        match self {
            Self::Sealed => None,
            Self::Stored(cipher) => cipher.decrypt_header(stored).err(),
            Self::Given(cipher) => cipher.seal_header(stored).err(),
        }
    }

    pub(super) fn token_problem(self, stored: &SecretString) -> Option<TokenError> {
        match self {
            Self::Sealed => None,
            Self::Stored(cipher) => cipher.decrypt(stored).err(),
            Self::Given(cipher) => cipher.seal(stored).err(),
        }
    }
}

fn is_token(text: &SecretString) -> bool {
    let text = text.expose_secret();
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// RFC 9110, 5.5: visible characters, and blanks between them.
fn is_header(text: &SecretString) -> bool {
    let text = text.expose_secret();
    !text.is_empty() && text.trim() == text && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// Whether a text is hexadecimal of what every Fernet token begins with: the version, and a time before 2106.
fn begins_as_stored(text: &SecretString) -> bool {
    let bytes = hex::decode(text.expose_secret().trim()).unwrap_or_default();
    bytes.starts_with(b"gAAAAA") || bytes.starts_with(&[FERNET_VERSION, 0, 0, 0])
}

/// The Fernet token behind either stored form.
fn fernet_text(stored: &SecretString) -> Result<String, TokenError> {
    let bytes = hex::decode(stored.expose_secret().trim()).map_err(|_| TokenError::NotHex)?;
    let text = match bytes.first() {
        Some(&FERNET_VERSION) => URL_SAFE.encode(&bytes),
        _ => String::from_utf8(bytes).map_err(|_| TokenError::NotFernet)?,
    };
    // Told apart here, because the library has one error for everything.
    if is_fernet(&text) { Ok(text) } else { Err(TokenError::NotFernet) }
}

/// Version, 8 bytes of time, 16 of IV, blocks of 16, 32 of MAC.
fn is_fernet(text: &str) -> bool {
    let decoded = URL_SAFE.decode(text);
    decoded.is_ok_and(|bytes| {
        let cipher_text = bytes.len().checked_sub(1 + 8 + 16 + 32);
        bytes.first() == Some(&FERNET_VERSION) && cipher_text.is_some_and(|n| n >= 16 && n % 16 == 0)
    })
}

fn key(secret: &SecretString) -> Fernet {
    let digest = Sha256::digest(secret.expose_secret().as_bytes());
    Fernet::new(&URL_SAFE.encode(digest)).expect("32 bytes in URL-safe base64 are a Fernet key")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's `cryptography` (Fernet, key = base64url(sha256(b"guide-secret"))), token `EAAtestTOKEN123`.
    const BY_PYTHON: &str =
        "gAAAAABrA0rXm7YUYE67R2m_fU4IeLyA5RHevaeXY1_htoIQNheKPsxkoa2Y2AA_lwuN6g5eY0QErlNe5020_Dtwcb3T88EvXA==";

    fn cipher(current: &str, previous: Option<&str>) -> TokenCipher {
        TokenCipher::new(&EncryptionSettings {
            current: SecretString::from(current),
            previous: previous.map(SecretString::from),
        })
    }

    fn hex_of_text() -> SecretString {
        SecretString::from(hex::encode(BY_PYTHON))
    }

    fn hex_of_bytes() -> SecretString {
        SecretString::from(hex::encode(URL_SAFE.decode(BY_PYTHON).expect("base64")))
    }

    #[test]
    fn both_stored_forms_of_another_implementation_decrypt() {
        for stored in [hex_of_text(), hex_of_bytes()] {
            let token = cipher("guide-secret", None).decrypt(&stored).expect("decrypts");
            assert_eq!(token.expose_secret(), "EAAtestTOKEN123");
            let upper = SecretString::from(stored.expose_secret().to_uppercase());
            assert!(cipher("guide-secret", None).decrypt(&upper).is_ok(), "hexadecimal has no case");
        }
    }

    #[test]
    fn the_previous_secret_still_decrypts() {
        assert!(cipher("new", Some("guide-secret")).decrypt(&hex_of_text()).is_ok());
        assert_eq!(cipher("new", None).decrypt(&hex_of_text()).expect_err("wrong"), TokenError::WrongSecret);
        assert!(cipher("new", Some("guide-secret")).needs_previous(&hex_of_text()));
        assert!(!cipher("guide-secret", Some("older")).needs_previous(&hex_of_text()));
        assert!(!cipher("new", Some("older")).needs_previous(&hex_of_text()), "it does not decrypt at all");
    }

    #[test]
    fn what_the_previous_secret_encrypted_is_encrypted_anew_and_nothing_else() {
        let both = cipher("new", Some("guide-secret"));
        for stored in [hex_of_text(), hex_of_bytes()] {
            let renewed = SecretString::from(both.renew(&stored).expect("decrypts").expect("it was the old secret"));
            assert_eq!(cipher("new", None).decrypt(&renewed).expect("decrypts").expose_secret(), "EAAtestTOKEN123");
            assert_eq!(both.renew(&renewed).expect("decrypts"), None, "once is enough");
        }
        assert_eq!(cipher("new", None).renew(&hex_of_text()).expect_err("neither"), TokenError::WrongSecret);
        assert_eq!(both.renew(&SecretString::from("EAAplain")).expect_err("plain"), TokenError::NotHex);
    }

    #[test]
    fn what_we_encrypt_we_read_and_it_has_the_stored_form() {
        let cipher = cipher("one", None);
        let stored = SecretString::from(cipher.encrypt(&SecretString::from("EAA123")));
        assert!(stored.expose_secret().starts_with("6741414141"), "hex of a text that begins with gAAAA");
        assert_eq!(cipher.decrypt(&stored).expect("decrypts").expose_secret(), "EAA123");
    }

    #[test]
    fn anything_else_is_an_error_and_never_a_token() {
        let cipher = cipher("guide-secret", None);
        let decrypt = |text: &str| cipher.decrypt(&SecretString::from(text)).expect_err("no token");
        assert_eq!(decrypt("EAAGplaintextTOKEN"), TokenError::NotHex);
        assert_eq!(decrypt(BY_PYTHON), TokenError::NotHex);
        assert_eq!(decrypt(&hex::encode("EAAGplaintextTOKEN")), TokenError::NotFernet);
        assert_eq!(decrypt(""), TokenError::NotFernet);
        for stored in [hex_of_text(), hex_of_bytes()] {
            for cut in [2, 20, 64] {
                let text = stored.expose_secret();
                let cut = text.get(..text.len() - cut).expect("ASCII");
                assert_eq!(decrypt(cut), TokenError::NotFernet, "cut off: {}", cut.len());
            }
        }
        let mut changed = URL_SAFE.decode(BY_PYTHON).expect("base64");
        changed[30] ^= 1;
        assert_eq!(decrypt(&hex::encode(&changed)), TokenError::WrongSecret);
        // A forged time at the end of the range must not overflow.
        changed[1..9].fill(0xff);
        assert_eq!(decrypt(&hex::encode(&changed)), TokenError::WrongSecret);
        let blank = cipher.encrypt(&SecretString::from("two words"));
        assert_eq!(decrypt(&blank), TokenError::NotAToken);
    }

    #[test]
    fn what_could_not_be_sent_is_not_sealed() {
        let cipher = cipher("one", None);
        let seal = |text: &str| cipher.seal(&SecretString::from(text));
        let sealed = seal("EAAGtoken").expect("a token").expect("it was plain");
        assert!(cipher.decrypt(&SecretString::from(sealed)).is_ok());
        for odd in ["EAAG token", "EAAGtoken\n", "EAAGtoken\u{feff}", "“EAAGtoken”"] {
            assert_eq!(seal(odd).expect_err("no token"), TokenError::NotAToken, "{odd:?}");
        }
    }

    #[test]
    fn no_error_prints_any_of_the_value() {
        let text = cipher("a", None).decrypt(&SecretString::from("EAAGsecret")).expect_err("not hex").to_string();
        assert!(!text.contains("EAAG"));
    }
}
