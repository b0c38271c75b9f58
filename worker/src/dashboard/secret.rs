//! The one secret, and what is derived from it: tokens of the form for signing in, and sealed names of conversations.

use base64::{Engine, engine::general_purpose::URL_SAFE};
use fernet::Fernet;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Of the secret itself nothing is kept.
pub(super) struct Secret {
    /// Of the secret: two texts of the same length, so that comparing them tells nothing of the secret's.
    digest: [u8; 32],
    forms: [u8; 32],
    names: Fernet,
}

impl Secret {
    pub(super) fn new(secret: &SecretString) -> Self {
        let names = derived("names of conversations", secret);
        Self {
            digest: Sha256::digest(secret.expose_secret()).into(),
            forms: derived("forms", secret),
            names: Fernet::new(&URL_SAFE.encode(names)).expect("32 bytes make a key"),
        }
    }

    /// Whether somebody knows it.
    pub(super) fn is(&self, tried: &str) -> bool {
        let tried: [u8; 32] = Sha256::digest(tried).into();
        tried.ct_eq(&self.digest).into()
    }

    /// What the form for signing in must say where its browser has this cookie.
    pub(super) fn form_token(&self, cookie: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.forms).expect("a key may have any length");
        mac.update(cookie.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    /// A name for an address, which tells nobody whose it is: ids of conversations and messages name customers. Another
    /// one each time.
    pub(super) fn seal(&self, id: &str) -> String {
        self.names.encrypt(id.as_bytes()).trim_end_matches('=').to_owned()
    }

    /// The id of a sealed name; none where it was not sealed with this secret.
    pub(super) fn unseal(&self, name: &str) -> Option<String> {
        let padded = format!("{name}{}", "=".repeat((4 - name.len() % 4) % 4));
        let text = String::from_utf8(self.names.decrypt(&padded).ok()?).ok()?;
        (!text.is_empty()).then_some(text)
    }
}

/// Whether two texts are the same; of texts of one length, in the same time wherever they differ.
pub(super) fn are_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// 256 random bits.
pub(super) fn random() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

fn derived(label: &str, secret: &SecretString) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("any length");
    mac.update(b"switchboard dashboard: ");
    mac.update(label.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(&SecretString::from(text))
    }

    #[test]
    fn only_the_secret_itself_is_it() {
        let known = secret("a long enough secret");
        assert!(known.is("a long enough secret"));
        for wrong in ["", "a long enough secre", "a long enough secret ", "A long enough secret"] {
            assert!(!known.is(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_sealed_name_opens_with_its_secret_alone_and_shows_nothing() {
        let (known, session) = (secret("a long enough secret"), "acme:4915123456789");
        let sealed = known.seal(session);
        assert!(sealed.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')), "{sealed}");
        assert_eq!(known.unseal(&sealed), Some(session.to_owned()));
        assert_eq!(secret("another long secret").unseal(&sealed), None);
        for wrong in ["", "acme:4915123456789", sealed.trim_start_matches('g'), &"A".repeat(140)] {
            assert_eq!(known.unseal(wrong), None, "{wrong}");
        }
        assert_ne!(known.seal(session), sealed, "two links cannot be told to be of one customer");
    }

    #[test]
    fn the_token_of_a_form_is_that_of_its_cookie() {
        let known = secret("a long enough secret");
        assert!(are_same(&known.form_token("cookie"), &known.form_token("cookie")));
        assert_ne!(known.form_token("cookie"), known.form_token("another"));
        assert_ne!(known.form_token("cookie"), secret("another long secret").form_token("cookie"));
    }
}
