//! `worker token encrypt|check`: values come from standard input, because an argument shows in the process list.

use std::{io::Read, path::Path};

use anyhow::{Context, bail};
use secrecy::SecretString;

use super::business::{prefix, say};
use crate::business::TokenCipher;

/// Bytes of standard input that are read.
const MOST: u64 = 1024 * 1024;

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

pub(super) fn from_stdin() -> anyhow::Result<SecretString> {
    let text = text_from_stdin()?;
    if text.is_empty() {
        bail!("standard input is empty; pipe the token in, such as: worker token encrypt < token.txt");
    }
    one_word(&text, "standard input")
}

/// The token that a file holds.
///
/// # Errors
/// It cannot be read, or holds no token.
pub(super) fn from_file(path: &Path) -> anyhow::Result<SecretString> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    if text.trim().is_empty() {
        bail!("{} is empty", path.display());
    }
    one_word(text.trim(), &path.display().to_string())
}

/// Standard input, without blanks around it.
///
/// # Errors
/// It cannot be read.
pub(super) fn text_from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().take(MOST).read_to_string(&mut text).context("read standard input")?;
    Ok(text.trim().to_owned())
}

fn one_word(text: &str, place: &str) -> anyhow::Result<SecretString> {
    if text.contains(char::is_whitespace) {
        bail!("{place} holds more than one word; a token is one");
    }
    Ok(SecretString::from(text))
}
