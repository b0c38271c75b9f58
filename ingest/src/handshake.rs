//! Meta's verification of the webhook address: a GET with the verify token, answered with its challenge.
//!
//! The token travels in the query string, so no query is ever logged. The challenge is somebody else's text sent
//! back: bounded, and as plain text that no browser may take for anything else.

use axum::{
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Meta's own has about ten digits.
const MAX_CHALLENGE_BYTES: usize = 1024;
const PLAIN: [(HeaderName, &str); 3] = [
    (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
];

/// What became of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// It was Meta, or somebody who knows the token.
    Passed { challenge: String },
    /// The token is right and the challenge cannot be returned.
    NoChallenge,
    /// Another mode, no token or a wrong one.
    Refused,
}

impl Handshake {
    /// Judges the parameters of the query; of a repeated one the first counts.
    pub(crate) fn judge(verify_token: &SecretString, parameters: &[(String, String)]) -> Self {
        let parameter = |name| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let known = parameter("hub.verify_token").is_some_and(|token| is_token(verify_token, token));
        if !known || parameter("hub.mode") != Some("subscribe") {
            return Self::Refused;
        }
        match parameter("hub.challenge") {
            Some(challenge) if (1..=MAX_CHALLENGE_BYTES).contains(&challenge.len()) => {
                Self::Passed { challenge: challenge.to_owned() }
            }
            Some(_) | None => Self::NoChallenge,
        }
    }
}

impl IntoResponse for Handshake {
    fn into_response(self) -> Response {
        match self {
            Self::Passed { challenge } => (PLAIN, challenge).into_response(),
            Self::NoChallenge | Self::Refused => StatusCode::FORBIDDEN.into_response(),
        }
    }
}

/// Digests are compared, because a comparison of texts would tell their lengths.
fn is_token(verify_token: &SecretString, claimed: &str) -> bool {
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    digest(verify_token.expose_secret()).ct_eq(&digest(claimed)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(pairs: &[(&str, &str)]) -> Handshake {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Handshake::judge(&SecretString::from("token"), &pairs)
    }

    const MODE: (&str, &str) = ("hub.mode", "subscribe");
    const TOKEN: (&str, &str) = ("hub.verify_token", "token");

    #[test]
    fn the_right_token_is_answered_with_the_bare_challenge() {
        let passed = judge(&[MODE, ("hub.challenge", "1158201444"), TOKEN]);
        assert_eq!(passed, Handshake::Passed { challenge: "1158201444".to_owned() });
    }

    #[test]
    fn anything_else_is_refused() {
        let challenge = ("hub.challenge", "1");
        for wrong in [
            &[][..],
            &[MODE, challenge],
            &[TOKEN, challenge],
            &[MODE, challenge, ("hub.verify_token", "")],
            &[MODE, challenge, ("hub.verify_token", "Token")],
            &[MODE, challenge, ("hub.verify_token", "token ")],
            &[("hub.mode", "unsubscribe"), challenge, TOKEN],
            &[MODE, challenge, ("hub.verify_token", "wrong"), TOKEN],
        ] {
            assert_eq!(judge(wrong), Handshake::Refused, "{wrong:?}");
        }
    }

    #[test]
    fn a_challenge_is_bounded() {
        assert_eq!(judge(&[MODE, TOKEN]), Handshake::NoChallenge);
        let (fits, long) = ("x".repeat(MAX_CHALLENGE_BYTES), "x".repeat(MAX_CHALLENGE_BYTES + 1));
        assert!(matches!(judge(&[MODE, TOKEN, ("hub.challenge", &fits)]), Handshake::Passed { .. }));
        assert_eq!(judge(&[MODE, TOKEN, ("hub.challenge", &long)]), Handshake::NoChallenge);
    }
}
