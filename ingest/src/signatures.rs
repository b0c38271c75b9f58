//! The step from bytes that anybody may have sent to bytes that Meta signed.
//!
//! [`Verified`] is made here only, so what takes one cannot be reached by a forgery. A header that is missing or
//! has the wrong shape is recognised before the body is read, because no body could fit it.

use axum::http::HeaderMap;
use secrecy::SecretString;
use shared::signature;

/// How webhooks are told from forgeries.
#[derive(Debug, Clone)]
pub enum Signatures {
    /// The signature must be made with one of these app secrets.
    Verified(Vec<SecretString>),
    /// Anybody is believed; for tests, and behind something that verifies.
    Unsigned,
}

/// What a request claims, before its body is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim(String);

/// A body that Meta signed, or that we were told to believe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verified<'a>(&'a [u8]);

impl<'a> Verified<'a> {
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn for_test(body: &'a [u8]) -> Self {
        Self(body)
    }
}

impl Signatures {
    /// The signature that the headers claim; none where no body could fit it.
    pub(crate) fn claim(&self, headers: &HeaderMap) -> Option<Claim> {
        match self {
            Self::Unsigned => Some(Claim(String::new())),
            Self::Verified(_) => {
                let value = headers.get(signature::HEADER)?.to_str().ok()?;
                let digits = value.strip_prefix("sha256=")?;
                let well_formed = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                well_formed.then(|| Claim(value.to_owned()))
            }
        }
    }

    /// The body as a verified one, where the claim holds.
    pub(crate) fn verify<'a>(&self, claim: &Claim, body: &'a [u8]) -> Option<Verified<'a>> {
        match self {
            Self::Unsigned => Some(Verified(body)),
            Self::Verified(secrets) => signature::verify(secrets, &claim.0, body).then_some(Verified(body)),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            signature::HEADER.parse().expect("a name"),
            HeaderValue::from_str(value).expect("a value"),
        )])
    }

    #[test]
    fn only_what_fits_becomes_verified() {
        let secret = SecretString::from("s");
        let signatures = Signatures::Verified(vec![SecretString::from("other"), secret.clone()]);
        let claim = signatures.claim(&headers(&signature::sign(&secret, b"body"))).expect("well formed");
        assert_eq!(signatures.verify(&claim, b"body").expect("fits").bytes(), b"body");
        assert!(signatures.verify(&claim, b"Body").is_none());
        assert!(Signatures::Verified(vec![]).verify(&claim, b"body").is_none());
    }

    #[test]
    fn what_no_body_could_fit_is_no_claim() {
        let signatures = Signatures::Verified(vec![SecretString::from("s")]);
        assert!(signatures.claim(&HeaderMap::new()).is_none());
        for value in ["", "sha256=", "sha1=00", &"0".repeat(64), &format!("sha256={}", "g".repeat(64))] {
            assert!(signatures.claim(&headers(value)).is_none(), "{value}");
        }
    }

    #[test]
    fn unsigned_believes_anybody() {
        let claim = Signatures::Unsigned.claim(&HeaderMap::new()).expect("nothing is asked for");
        assert!(Signatures::Unsigned.verify(&claim, b"body").is_some());
    }
}
