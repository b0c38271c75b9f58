//! Stored tokens and secrets.
//!
//! Nothing decrypts that was not encrypted with one of the two secrets, which is checked here once more by hand; what
//! comes out can be sent in a header; what is sealed can be opened, changed by a bit it cannot; and a token of the
//! former secret is encrypted anew as what it was.

#![no_main]

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE};
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use worker::{
    business::{TokenCipher, TokenError},
    settings::EncryptionSettings,
};

/// The seeds were encrypted with these.
const CURRENT: &str = "fuzz-secret-of-today";
const FORMER: &str = "fuzz-secret-of-yesterday";

static CIPHER: LazyLock<TokenCipher> = LazyLock::new(|| cipher(CURRENT, Some(FORMER)));
static AFTERWARDS: LazyLock<TokenCipher> = LazyLock::new(|| cipher(CURRENT, None));
static BEFORE: LazyLock<TokenCipher> = LazyLock::new(|| cipher(FORMER, None));

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let stored = SecretString::from(text.as_ref());
    open(&stored);
    round_trip(&stored);
    // The same bytes as the backend would store them, whatever they are.
    open(&SecretString::from(hex::encode(data)));
    open(&SecretString::from(hex::encode(URL_SAFE.encode(data))));
});

fn open(stored: &SecretString) {
    let opened = CIPHER.decrypt(stored);
    let is_ours = [CURRENT, FORMER].iter().any(|secret| is_authentic(secret, stored.expose_secret()));
    match &opened {
        Ok(token) => {
            assert!(is_ours, "garbage decrypts");
            let token = token.expose_secret();
            assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()), "no header takes it");
        }
        Err(TokenError::NotHex | TokenError::NotFernet | TokenError::WrongSecret) => {}
        Err(TokenError::NotAToken) => assert!(is_ours, "garbage decrypts"),
        Err(other @ (TokenError::Missing | TokenError::Refused | TokenError::Undecrypted)) => panic!("{other}"),
    }
    assert_eq!(CIPHER.seal(stored).is_ok_and(|sealed| sealed.is_none()), opened.is_ok());
    if let Ok(Some(renewed)) = CIPHER.renew(stored) {
        let renewed = SecretString::from(renewed);
        assert!(AFTERWARDS.decrypt(stored).is_err(), "there was no need");
        assert_eq!(CIPHER.renew(&renewed), Ok(None), "once is enough");
        assert_eq!(secret_of(&AFTERWARDS.decrypt(&renewed)), secret_of(&opened));
    }
}

fn round_trip(plain: &SecretString) {
    for (sealed, open) in [
        (CIPHER.seal(plain), TokenCipher::decrypt as fn(&TokenCipher, &SecretString) -> _),
        (CIPHER.seal_header(plain), TokenCipher::decrypt_header),
    ] {
        let Ok(Some(sealed)) = sealed else { continue };
        let sealed = SecretString::from(sealed);
        assert_eq!(secret_of(&open(&CIPHER, &sealed)), Ok(plain.expose_secret()), "what is sealed can be opened");
        let Err(error) = open(&BEFORE, &sealed) else { panic!("with another secret") };
        assert_eq!(error, TokenError::WrongSecret);
        assert!(open(&CIPHER, &changed(&sealed, plain.expose_secret().len())).is_err(), "it was changed");
    }
}

/// With one bit of the Fernet token turned over.
fn changed(sealed: &SecretString, pick: usize) -> SecretString {
    let mut bytes = fernet(sealed.expose_secret()).expect("its own form");
    let at = pick % bytes.len();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << (pick % 8);
    }
    SecretString::from(hex::encode(URL_SAFE.encode(bytes)))
}

fn secret_of(opened: &Result<SecretString, TokenError>) -> Result<&str, TokenError> {
    opened.as_ref().map(|token| token.expose_secret()).map_err(|error| *error)
}

/// Whether a stored value carries a MAC of this secret (Fernet spec, "Verifying": over all that stands before it).
fn is_authentic(secret: &str, stored: &str) -> bool {
    let Some(bytes) = fernet(stored) else { return false };
    let Some((signed, claimed)) = bytes.len().checked_sub(32).and_then(|at| bytes.split_at_checked(at)) else {
        return false;
    };
    let key: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
    let (signing, _) = key.split_at(16);
    let mut mac = Hmac::<Sha256>::new_from_slice(signing).expect("HMAC takes a key of any length");
    mac.update(signed);
    mac.verify_slice(claimed).is_ok()
}

/// The bytes of the Fernet token behind either stored form.
fn fernet(stored: &str) -> Option<Vec<u8>> {
    let bytes = hex::decode(stored.trim()).ok()?;
    if bytes.first() == Some(&0x80) { Some(bytes) } else { URL_SAFE.decode(bytes).ok() }
}

fn cipher(current: &str, previous: Option<&str>) -> TokenCipher {
    let secret = |text: &str| SecretString::from(text);
    TokenCipher::new(&EncryptionSettings { current: secret(current), previous: previous.map(secret) })
}
