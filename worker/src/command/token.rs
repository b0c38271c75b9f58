//! `worker token encrypt|check`: values come from standard input, because an argument shows in the process list.

use std::io::Read;

use anyhow::{Context, bail};
use secrecy::SecretString;

use super::business::{prefix, say};
use crate::business::TokenCipher;

/// Prints the stored form of a token.
///
/// # Errors
/// Standard input holds no token.
pub(super) fn encrypt(cipher: &TokenCipher) -> anyhow::Result<()> {
    let token = from_stdin()?;
    say(&cipher.encrypt(&token));
    Ok(())
}

/// Says whether a stored token decrypts.
///
/// # Errors
/// It does not; the message says why.
pub(super) fn check(cipher: &TokenCipher) -> anyhow::Result<()> {
    let stored = from_stdin()?;
    let token = cipher.decrypt(&stored)?;
    say(&format!("decrypts: {}", prefix(&token)));
    Ok(())
}

fn from_stdin() -> anyhow::Result<SecretString> {
    let mut text = String::new();
    std::io::stdin().take(64 * 1024).read_to_string(&mut text).context("read standard input")?;
    let text = text.trim();
    if text.is_empty() {
        bail!("standard input is empty; pipe the token in, such as: worker token encrypt < token.txt");
    }
    if text.contains(char::is_whitespace) {
        bail!("standard input holds more than one word; a token is one");
    }
    Ok(SecretString::from(text))
}
