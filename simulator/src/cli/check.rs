//! `simulator check`: the judge on the command line, for a journal that was written to a file.
//!
//! What is not said is taken from the journal where it can be. Secrets come from a file and from the environment, never
//! from an argument.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use secrecy::SecretString;
use simulator::{
    Business, Journal,
    checker::{Scenario, Secrets, Tenant, check_log, is_canary, judge},
    meta::App,
};

use super::show;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The journal of a run that is over, as `serve --journal` writes it.
    journal: PathBuf,
    /// A business and its number, where the journal does not tell; repeat it for several.
    #[arg(long = "business", value_name = "NAME=PHONE_NUMBER_ID", value_parser = super::business)]
    businesses: Vec<Business>,
    /// A word that stands in a business's instructions and must not turn up elsewhere.
    #[arg(long = "canary", value_name = "NAME=WORD", value_parser = canary)]
    canaries: Vec<(String, String)>,
    /// A text with which a business says that it cannot answer.
    #[arg(long = "apology", value_name = "NAME=TEXT", value_parser = named)]
    apologies: Vec<(String, String)>,
    /// A log to look through for secrets, customers and texts.
    #[arg(long = "log", value_name = "FILE")]
    logs: Vec<PathBuf>,
    /// What must not be in a log, a line for each, as `NAME=SECRET`. The app secrets are added to it.
    #[arg(long, value_name = "FILE", requires = "logs")]
    secret_file: Option<PathBuf>,
}

impl Check {
    pub(super) fn run(self, apps: &[App]) -> anyhow::Result<ExitCode> {
        let entries =
            Journal::read(&self.journal).with_context(|| format!("read the journal {}", self.journal.display()))?;
        let mut report = judge(&entries, &self.scenario());
        let mut secrets = Secrets::of_customers(&entries);
        for app in apps {
            secrets = secrets.and("an app secret", &app.secret);
        }
        if let Some(path) = &self.secret_file {
            secrets = add_secrets(secrets, path)?;
        }
        for path in &self.logs {
            let log = std::fs::read(path).with_context(|| format!("read the log {}", path.display()))?;
            report.add_log(&path.display().to_string(), &check_log(&String::from_utf8_lossy(&log), &secrets));
        }
        for residual in &report.residual {
            show::line(&format!("residual: {residual}"));
        }
        match report.verdict() {
            Ok(()) => show::line(report.to_string().trim_end()),
            Err(told) => {
                show::line(told.trim_end());
                return Ok(ExitCode::FAILURE);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn scenario(&self) -> Scenario {
        let mut scenario = Scenario::default();
        for business in &self.businesses {
            tenant(&mut scenario, &business.name).phone_number_ids.push(business.phone_number_id.clone());
        }
        for (name, word) in &self.canaries {
            tenant(&mut scenario, name).canary = Some(word.clone());
        }
        for (name, text) in &self.apologies {
            tenant(&mut scenario, name).apologies.push(text.clone());
        }
        scenario
    }
}

/// The business of this name, of which nothing else may be known yet.
fn tenant<'a>(scenario: &'a mut Scenario, name: &str) -> &'a mut Tenant {
    let known = scenario.businesses.iter().position(|tenant| tenant.name == name);
    let position = known.unwrap_or(scenario.businesses.len());
    if known.is_none() {
        let (phone_number_ids, apologies) = (Vec::new(), Vec::new());
        scenario.businesses.push(Tenant { name: name.to_owned(), phone_number_ids, canary: None, apologies });
    }
    scenario.businesses.get_mut(position).expect("it was there, or was added")
}

fn add_secrets(secrets: Secrets, path: &Path) -> anyhow::Result<Secrets> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("read the secrets {shown}"))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.into_iter().try_fold(secrets, |secrets, (number, line)| {
        // What is in the line is a secret, however it is written.
        let (name, secret) = named(line).map_err(|why| anyhow::anyhow!("line {number} of {shown}: {why}"))?;
        Ok(secrets.and(name, &SecretString::from(secret)))
    })
}

/// Reads `NAME=VALUE`.
fn named(text: &str) -> Result<(String, String), &'static str> {
    let named = text.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    named.filter(|(name, value)| !name.is_empty() && !value.is_empty()).ok_or("must be NAME=VALUE")
}

/// Reads `NAME=WORD`.
fn canary(text: &str) -> Result<(String, String), &'static str> {
    let (name, word) = named(text)?;
    if is_canary(&word) { Ok((name, word)) } else { Err("must be one word of letters, digits, - and _") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_one_business_is_one_tenant() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let check = Check {
            journal: PathBuf::new(),
            businesses: vec![Business::new("acme", "1001"), Business::new("acme", "1002"), Business::new("b", "2002")],
            canaries: vec![pair("acme", "word"), pair("corn", "other")],
            apologies: vec![pair("acme", "Sorry."), pair("acme", "Later.")],
            logs: Vec::new(),
            secret_file: None,
        };
        let acme = Tenant::new("acme", "1001").and_number("1002").with_canary("word");
        let corn = Tenant { phone_number_ids: Vec::new(), ..Tenant::new("corn", "").with_canary("other") };
        let expected = [acme.apologising("Sorry.").apologising("Later."), Tenant::new("b", "2002"), corn];
        assert_eq!(check.scenario(), Scenario::of(expected));
    }

    #[test]
    fn values_may_hold_an_equals_sign_and_words_no_spaces() {
        assert_eq!(named("the key=abc=="), Ok(("the key".to_owned(), "abc==".to_owned())));
        assert!(named("abc").is_err() && named("=abc").is_err() && named("abc=").is_err());
        assert!(canary("acme=two words").is_err() && canary("acme=one-word_1").is_ok());
    }
}
