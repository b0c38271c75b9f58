//! `worker business check`: what is wrong in the documents of businesses, before a customer notices.
//!
//! It needs no database for a file, and no secret: then what is encrypted is not tried.

use std::{path::PathBuf, sync::Arc};

use anyhow::{anyhow, bail};
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};
use shared::settings::Reader;

use super::{
    Failure,
    business::{entries, or_dash, say},
    care::open,
};
use crate::{
    business::{CheckedBusiness, Finding, Origin, Severity, TokenCipher, check_documents},
    settings::EncryptionSettings,
    store::Store,
};

/// Columns of the table; longer problems are wrapped.
const WIDTH: u16 = 120;

/// `worker business check`.
#[derive(Debug, Args)]
pub struct CheckCommand {
    /// Only the business with this `subDomain`
    pub subdomain: Option<String>,
    /// A JSON file for `worker business import`, instead of the database
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// Print JSON: an array of `{subdomain, findings: [{field, problem, severity}]}`
    #[arg(long)]
    pub json: bool,
}

/// Checks and prints.
///
/// # Errors
/// Something is wrong with a business, there is none of that subdomain, or the documents cannot be read.
pub(super) async fn execute<F>(
    command: CheckCommand,
    mut reader: Reader,
    find: impl FnOnce(&mut Reader) -> Option<F>,
) -> Result<(), Failure>
where
    F: Future<Output = anyhow::Result<Arc<dyn Store>>>,
{
    let (current, previous) = (reader.secret("ENCRYPTION_SECRET"), reader.secret("ENCRYPTION_SECRET_PREVIOUS"));
    let cipher = current.map(|current| TokenCipher::new(&EncryptionSettings { current, previous }));
    let (documents, origin) = match &command.file {
        Some(file) => {
            reader.finish()?;
            (entries(file)?, Origin::File)
        }
        None => {
            let store = open(find(&mut reader), reader).await?;
            let documents = store.business_documents(command.subdomain.as_deref()).await;
            store.close().await;
            (documents.map_err(anyhow::Error::from)?, Origin::Database)
        }
    };
    let mut checked = check_documents(&documents, origin, cipher.as_ref());
    if let Some(subdomain) = &command.subdomain {
        checked.retain(|business| business.subdomain == *subdomain);
        if checked.is_empty() {
            return Err(anyhow!("no business has the subdomain `{subdomain}`").into());
        }
    }
    if command.json {
        say(&serde_json::to_string_pretty(&checked).map_err(anyhow::Error::from)?);
    } else {
        print(&checked, cipher.is_some());
    }
    Ok(verdict(&checked)?)
}

fn print(checked: &[CheckedBusiness], tried: bool) {
    if checked.is_empty() {
        return say("No business has WhatsApp, so there is nothing to check.");
    }
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(["SUBDOMAIN", "FIELD", "PROBLEM"]);
    for business in checked {
        let name = or_dash(Some(&business.subdomain));
        if business.findings.is_empty() {
            table.add_row([name.clone(), or_dash(None), "none".to_owned()]);
        }
        for finding in &business.findings {
            table.add_row([name.clone(), finding.field.clone(), problem(finding)]);
        }
    }
    say(&table.to_string());
    if !tried {
        say("ENCRYPTION_SECRET is not set, so nobody tried whether what is encrypted decrypts.");
    }
}

fn problem(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    format!("{severity}: {}", finding.problem)
}

fn verdict(checked: &[CheckedBusiness]) -> anyhow::Result<()> {
    let wrong = checked.iter().filter(|business| business.findings.iter().any(Finding::is_error)).count();
    match (wrong, checked.len()) {
        (0, _) => Ok(()),
        (1, 1) => bail!("the business has errors"),
        (wrong, all) => bail!("{wrong} of {all} businesses have errors"),
    }
}
