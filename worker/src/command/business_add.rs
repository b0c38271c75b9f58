//! `worker business add`: one business, with its token, that is whole and served from the start.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::{
    business::say,
    token::{from_file, from_stdin},
};
use crate::{
    business::{Finding, Origin, TokenCipher, check_documents},
    store::Store,
};

/// `worker business add`.
#[derive(Debug, Args)]
pub struct AddCommand {
    /// Its `subDomain`: letters, digits, `.`, `_`, `-`; part of its conversations' ids, and never changed
    pub subdomain: String,
    /// Its name, as its customers know it
    #[arg(long)]
    pub name: String,
    /// The id of its WhatsApp Business Account (Meta's app dashboard, WhatsApp, API Setup)
    #[arg(long, value_name = "ID")]
    pub waba_id: String,
    /// The id of a number, not the number (the same page); may be given several times
    #[arg(long, value_name = "ID", required = true)]
    pub phone_number_id: Vec<String>,
    /// A file that holds its access token; without it, the token comes from standard input
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Adds it, all or nothing.
///
/// # Errors
/// Something is wrong with it (everything is named), it is there already, or the database does not answer.
pub(super) async fn add(store: &dyn Store, cipher: &TokenCipher, command: AddCommand) -> anyhow::Result<()> {
    let subdomain = &command.subdomain;
    if !store.businesses_with_subdomain(subdomain).await?.is_empty() {
        bail!("there is a business `{subdomain}` already; `worker business set {subdomain} FIELD VALUE` changes it");
    }
    let token = match &command.token_file {
        Some(file) => from_file(file)?,
        None => from_stdin()?,
    };
    let sealed = cipher.seal(&token).context("the token cannot be used")?;
    let stored = sealed.unwrap_or_else(|| secrecy::ExposeSecret::expose_secret(&token).to_owned());
    let document = json!({
        "subDomain": subdomain,
        "name": command.name,
        "wabaId": command.waba_id,
        "whatsappPhoneNumberIds": command.phone_number_id,
        "whatsappAccessToken": stored,
        "whatsappEnabled": true,
        "isActive": true,
    });
    let mut documents = store.business_documents(None).await?;
    documents.push(document.clone());
    let findings = check_documents(&documents, Origin::Database, Some(cipher)).pop().map(|checked| checked.findings);
    let (errors, warnings): (Vec<_>, Vec<_>) = findings.unwrap_or_default().into_iter().partition(Finding::is_error);
    if !errors.is_empty() {
        bail!("nothing was added:\n{}", lines(&errors));
    }
    let Value::Object(fields) = document else { bail!("a business is an object") };
    store.put_business(subdomain, &fields).await?;
    for warning in warnings {
        say(&format!("warning: {warning}"));
    }
    say(&format!(
        "added {subdomain}, which is served from now on, with {}; `worker doctor {subdomain}` asks Meta whether all fits",
        command.phone_number_id.join(", ")
    ));
    Ok(())
}

/// One line a finding.
pub(super) fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
