//! `worker token rotate`: encrypts every stored secret anew, after ENCRYPTION_SECRET was changed.
//!
//! Each secret is replaced by itself and only while it is still what was read. So the command may be interrupted and
//! repeated, messages go on meanwhile (running workers read both forms), and what the back end stores in between stays.

use anyhow::{Context, bail};

use super::business::{or_dash, say};
use crate::{business::TokenCipher, store::Store};

/// How often it looks whether what was changed under its hands is new by now.
const ROUNDS: usize = 5;

/// What one way through all secrets found.
#[derive(Debug, Default)]
struct Round {
    /// Encrypted by the current secret already.
    new: usize,
    /// Encrypted anew.
    renewed: usize,
    /// Changed by somebody else in between.
    overtaken: usize,
    /// Which cannot be decrypted, and why.
    undecryptable: Vec<String>,
}

/// Encrypts what the previous secret encrypted by the current one.
///
/// # Errors
/// The database does not answer, or a secret cannot be decrypted; the others are encrypted anew all the same.
pub(super) async fn rotate(store: &dyn Store, cipher: &TokenCipher, dry_run: bool) -> anyhow::Result<()> {
    let mut renewed = 0;
    let mut last = Round::default();
    for _ in 0..ROUNDS {
        last = round(store, cipher, dry_run).await.with_context(|| format!("after {renewed} were encrypted anew"))?;
        renewed += last.renewed;
        if last.overtaken == 0 {
            break;
        }
    }
    // What an earlier round renewed is new in the last one.
    let already = (last.new + last.renewed).saturating_sub(renewed);
    let verb = if dry_run { "would be encrypted anew" } else { "encrypted anew" };
    say(&format!("{verb}: {renewed}, already new: {already}, undecryptable: {}", last.undecryptable.len()));
    for line in &last.undecryptable {
        say(&format!("  {line}"));
    }
    if last.overtaken > 0 {
        bail!("{} secrets were changed again and again meanwhile; run this once more", last.overtaken);
    }
    if !last.undecryptable.is_empty() {
        bail!("{} secrets cannot be decrypted; they stay as they are", last.undecryptable.len());
    }
    Ok(())
}

async fn round(store: &dyn Store, cipher: &TokenCipher, dry_run: bool) -> anyhow::Result<Round> {
    let mut round = Round::default();
    for secret in store.stored_secrets().await? {
        match cipher.renew(&secret.value) {
            Ok(None) => round.new += 1,
            Ok(Some(_)) if dry_run => round.renewed += 1,
            Ok(Some(stored)) => {
                let replaced = store.replace_secret(&secret, &stored).await?;
                *(if replaced { &mut round.renewed } else { &mut round.overtaken }) += 1;
            }
            Err(error) => {
                let whose = or_dash(secret.subdomain.as_deref().or(Some(&secret.business.0)));
                round.undecryptable.push(format!("{whose}: {}: {error}", secret.place));
            }
        }
    }
    Ok(round)
}
