//! Meta's webhook signature: HMAC-SHA256 over the raw body, keyed by the app secret.
//!
//! Ingest verifies with it and the simulator signs with it. The bytes must be those of the wire: Meta escapes
//! non-ASCII text before it signs, so a body that was parsed and written again no longer fits its signature.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The header that carries the signature, in lower case as `http` compares it.
pub const HEADER: &str = "x-hub-signature-256";

/// The header's value for a body: `sha256=` and 64 lower-case hexadecimal digits.
pub fn sign(app_secret: &SecretString, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(mac(app_secret, body).finalize().into_bytes()))
}

/// Whether any of the app secrets made this signature. A value of another shape fits none.
///
/// Each comparison takes constant time. Several secrets: several Meta apps, and the time of a rotation.
pub fn verify(app_secrets: &[SecretString], header: &str, body: &[u8]) -> bool {
    let Some(Ok(claimed)) = header.strip_prefix("sha256=").map(hex::decode) else {
        return false;
    };
    app_secrets.iter().any(|secret| mac(secret, body).verify_slice(&claimed).is_ok())
}

fn mac(app_secret: &SecretString, body: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(app_secret.expose_secret().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with OpenSSL; the escapes are part of the body, as Meta sends it.
    const BODY: &[u8] = br#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"t":"caf\u00e9 \ud83d\udc4d"}}]}]}"#;
    const SIGNATURE: &str = "sha256=16b15d5aba659066c12dbe4aad459ea34678290e3e34047ed3da10636517c4fe";

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn the_known_vector_is_made_and_verified() {
        assert_eq!(sign(&secret("test-app-secret"), BODY), SIGNATURE);
        assert!(verify(&[secret("test-app-secret")], SIGNATURE, BODY));
    }

    #[test]
    fn any_of_several_secrets_will_do_and_none_will_not() {
        assert!(verify(&[secret("other"), secret("test-app-secret")], SIGNATURE, BODY));
        assert!(!verify(&[secret("other")], SIGNATURE, BODY));
        assert!(!verify(&[], SIGNATURE, BODY));
    }

    #[test]
    fn a_value_of_another_shape_is_refused() {
        let good = [secret("test-app-secret")];
        let bare = SIGNATURE.trim_start_matches("sha256=");
        for header in ["", "sha256=", "sha256=zz", "sha1=16b1", bare, SIGNATURE.trim_end_matches("fe")] {
            assert!(!verify(&good, header, BODY), "{header}");
        }
    }

    #[test]
    fn a_changed_body_does_not_fit() {
        let mut body = BODY.to_vec();
        body[0] = b'[';
        assert!(!verify(&[secret("test-app-secret")], SIGNATURE, &body));
    }
}
