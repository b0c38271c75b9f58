//! The commands and what they share: the business on the command line, the secret in the environment.
//!
//! The app secret is read from `WHATSAPP_APP_SECRET` (or the file that `WHATSAPP_APP_SECRET_FILE` names) and never
//! from an argument, which every user of the machine could see.

mod check;
mod sample;
mod send;
mod serve;
pub(crate) mod show;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use secrecy::SecretString;
use shared::{
    ids::PhoneNumberId,
    settings::{Reader, app_secrets},
    telemetry::TelemetrySettings,
};
use simulator::{Business, meta::App};

/// Stand-ins for Meta and the AI: try Switchboard without an account.
///
/// The app secret comes from WHATSAPP_APP_SECRET, as for ingest; without it webhooks are not signed.
#[derive(Debug, Parser)]
#[command(name = "simulator", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the Graph API and the AI, and print what customers receive.
    Serve(serve::Serve),
    /// Write to a business as a customer: post one webhook.
    Send(send::Send),
    /// Print or post a ready webhook of any kind.
    Sample(sample::Sample),
    /// Judge from the journal of a run whether the system kept its promises.
    Check(check::Check),
    /// Measure the product; see deploy/bench.sh, which brings what that needs.
    Bench(Box<crate::bench::Bench>),
}

/// Runs a command.
///
/// # Errors
/// `shared::settings::Problems` where the environment is wrong; anything else where the command failed.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut reader = Reader::from_environment();
    let telemetry = TelemetrySettings::read(&mut reader);
    let apps = apps(&mut reader);
    reader.finish()?;
    telemetry.install_logs();
    match arguments.command {
        Command::Serve(command) => command.run(apps).await,
        Command::Send(command) => command.run(secret(&apps)).await,
        Command::Sample(command) => command.run(secret(&apps)).await,
        Command::Check(command) => command.run(&apps),
        Command::Bench(command) => command.run().await,
    }
}

fn secret(apps: &[App]) -> Option<SecretString> {
    apps.first().map(|app| app.secret.clone())
}

/// The apps of `WHATSAPP_APP_SECRET`, the first of which signs.
fn apps(reader: &mut Reader) -> Vec<App> {
    let apps = app_secrets(reader).into_iter().map(|app| match app.app_id {
        Some(id) => App { id, secret: app.secret },
        None => App::new(app.secret),
    });
    apps.collect()
}

/// Reads `NAME=PHONE_NUMBER_ID`, or a bare id, which then is the name as well.
fn business(text: &str) -> Result<Business, String> {
    let (name, id) = text.split_once('=').unwrap_or((text, text));
    let id = PhoneNumberId::parse(id).map_err(|error| error.to_string())?;
    if name.is_empty() { Err("the name is empty".to_owned()) } else { Ok(Business::new(name, id.expose())) }
}

/// Reads a customer: a phone number or a user id.
fn customer(text: &str) -> Result<simulator::Customer, String> {
    let customer = simulator::Customer::parse(text);
    let number = customer.wa_id.as_deref().map(shared::ids::WaId::parse).transpose();
    let user = customer.user_id.as_deref().map(shared::ids::UserId::parse).transpose();
    number.map(drop).and(user.map(drop)).map_err(|error| error.to_string())?;
    Ok(customer)
}

/// Checks that a URL is one of HTTP.
fn url(text: &str) -> Result<String, String> {
    let is_http = text.starts_with("http://") || text.starts_with("https://");
    is_http.then(|| text.to_owned()).ok_or_else(|| "must begin with http:// or https://".to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_business_has_a_name_or_is_called_by_its_number() {
        let named = business("acme=1001").expect("valid");
        assert_eq!((named.name.as_str(), named.phone_number_id.as_str()), ("acme", "1001"));
        assert_eq!(business("1001").expect("valid").name, "1001");
        assert!(business("acme=").is_err() && business("=1001").is_err() && business("a b").is_err());
    }

    #[test]
    fn a_customer_is_a_number_or_a_user_id() {
        assert_eq!(customer("+49 151 1234567").expect("valid").key(), "491511234567");
        assert_eq!(customer("DE.abc").expect("valid").key(), "DE.abc");
        assert!(customer("Ana").is_err() && customer("de.abc").is_err());
    }

    #[test]
    fn secrets_may_name_their_app() {
        let apps = apps(&mut Reader::from_pairs([("WHATSAPP_APP_SECRET", "42:one, two")]));
        let seen: Vec<_> = apps.iter().map(|app| (app.id.as_str(), app.secret.expose_secret())).collect();
        assert_eq!(seen, [("42", "one"), ("1000000000000001", "two")]);
    }
}
