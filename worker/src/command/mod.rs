//! The worker's command line.

mod business;
mod business_check;
mod customer;
mod dead_letter;
mod knowledge;
mod replay;
mod token;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};
use shared::{
    admin,
    ids::PhoneNumberId,
    settings::{Problems, Reader, SHARED_VARIABLES, Variable},
};

pub use business_check::CheckCommand;
pub use customer::CustomerCommand;
pub use dead_letter::DeadLetterCommand;
pub use knowledge::KnowledgeCommand;
pub use replay::ReplayCommand;

use crate::{
    business::TokenCipher,
    document::{SUBCOMMAND, extract_pdf},
    settings::{EncryptionSettings, Settings, StoreSettings, VARIABLES, metrics_addr},
    store::Store,
};

/// Answers the WhatsApp messages of many businesses.
#[derive(Debug, Parser)]
#[command(name = "worker", version, after_help = environment())]
pub struct Arguments {
    /// What to do; `run` where nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the worker can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Consume and answer messages (the default)
    Run,
    /// Ask the worker on this machine whether it is alive, for a container's health check
    Healthcheck {
        /// Ask whether everything that it needs is there, too
        #[arg(long)]
        ready: bool,
    },
    /// Look after businesses
    #[command(subcommand)]
    Business(BusinessCommand),
    /// Show what is stored of a customer, or forget it
    #[command(subcommand)]
    Customer(CustomerCommand),
    /// Look after messages that could not be answered
    #[command(subcommand)]
    DeadLetter(DeadLetterCommand),
    /// Look after what a business's companion can look up
    #[command(subcommand)]
    Knowledge(KnowledgeCommand),
    /// Show what other models or prompts would answer in recorded conversations; nothing is sent or changed
    Replay(ReplayCommand),
    /// Encrypt and check access tokens; the value comes from standard input
    #[command(subcommand)]
    Token(TokenCommand),
    /// Print the text of the PDF on standard input: how the worker keeps its distance from PDFs
    #[command(name = SUBCOMMAND, hide = true)]
    ExtractPdf,
}

/// `worker business …`
#[derive(Debug, Subcommand)]
pub enum BusinessCommand {
    /// Every business that has WhatsApp
    List,
    /// What is known of one business
    Show {
        /// Its `subDomain`
        subdomain: String,
    },
    /// Say what is wrong in the documents of businesses; exit code 1 where something is
    Check(CheckCommand),
    /// Add or change businesses from a JSON file with the back end's field names; plain secrets are encrypted
    Import {
        /// One object, or an array of them
        file: PathBuf,
    },
}

/// `worker token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Print the form in which a token is stored
    Encrypt,
    /// Say whether a stored token decrypts
    Check,
}

/// Why a command failed, as far as the exit code tells.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is wrong: exit code 64.
    #[error(transparent)]
    Configuration(#[from] Problems),
    /// Anything else: exit code 1.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

/// Runs a command to its end.
///
/// # Errors
/// [`Failure`].
pub async fn execute(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command.unwrap_or(Command::Run) {
        // Before a `.env` file is read: this process is to know no secret.
        Command::ExtractPdf => std::process::exit(extract_pdf().code()),
        Command::Run => {
            let settings = Settings::read(Reader::from_environment())?;
            settings.telemetry.install_logs();
            Ok(crate::run::run(settings).await?)
        }
        Command::Healthcheck { ready } => {
            let mut reader = Reader::from_environment();
            let addr = metrics_addr(&mut reader).addr;
            reader.finish()?;
            let path = if ready { "/readyz" } else { "/healthz" };
            Ok(admin::check(addr, path).await.with_context(|| format!("ask {addr}{path}"))?)
        }
        Command::Business(command) => look_after_businesses(command, Reader::from_environment()).await,
        Command::Customer(command) => {
            let mut reader = Reader::from_environment();
            let store = StoreSettings::read(&mut reader);
            reader.finish()?;
            let store = Store::open(&store.expect("what is missing was noted, and ended the reading")).await?;
            let done = customer::execute(command, &store).await;
            store.close().await;
            Ok(done?)
        }
        Command::DeadLetter(command) => {
            let mut reader = Reader::from_environment();
            let store = StoreSettings::read(&mut reader);
            let fallback = reader.text("WHATSAPP_PHONE_NUMBER_ID");
            reader.finish()?;
            let store = Store::open(&store.expect("what is missing was noted, and ended the reading")).await?;
            let fallback = fallback.and_then(|id| PhoneNumberId::parse(&id).ok());
            let done = dead_letter::execute(command, &store, fallback).await;
            store.close().await;
            Ok(done?)
        }
        Command::Knowledge(command) => {
            let mut reader = Reader::from_environment();
            let store = StoreSettings::read(&mut reader);
            reader.finish()?;
            let store = Store::open(&store.expect("what is missing was noted, and ended the reading")).await?;
            let done = knowledge::execute(command, &store).await;
            store.close().await;
            Ok(done?)
        }
        Command::Replay(command) => replay::execute(command, Reader::from_environment()).await,
        Command::Token(command) => {
            let mut reader = Reader::from_environment();
            let encryption = EncryptionSettings::read(&mut reader);
            reader.finish()?;
            let cipher = TokenCipher::new(&encryption.expect("a missing one was noted, and ended the reading"));
            match command {
                TokenCommand::Encrypt => token::encrypt(&cipher)?,
                TokenCommand::Check => token::check(&cipher)?,
            }
            Ok(())
        }
    }
}

async fn look_after_businesses(command: BusinessCommand, reader: Reader) -> Result<(), Failure> {
    match command {
        BusinessCommand::List => in_store(reader, async |store, cipher| business::list(store, cipher).await).await,
        BusinessCommand::Show { subdomain } => {
            in_store(reader, async |store, cipher| business::show(store, cipher, &subdomain).await).await
        }
        BusinessCommand::Check(command) => business_check::execute(command, reader).await,
        BusinessCommand::Import { file } => {
            in_store(reader, async |store, cipher| business::import(store, cipher, &file).await).await
        }
    }
}

/// Does something with the database and the secret, both of which it needs.
async fn in_store(
    mut reader: Reader,
    work: impl AsyncFnOnce(&Store, &TokenCipher) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    let (store, encryption) = (StoreSettings::read(&mut reader), EncryptionSettings::read(&mut reader));
    reader.finish()?;
    let (Some(store), Some(encryption)) = (store, encryption) else {
        unreachable!("what is missing was noted, and ended the reading");
    };
    let (store, cipher) = (Store::open(&store).await?, TokenCipher::new(&encryption));
    let done = work(&store, &cipher).await;
    store.close().await;
    Ok(done?)
}

fn environment() -> String {
    let line = |variable: &Variable| {
        let file = if variable.secret { " (or NAME_FILE)" } else { "" };
        format!("  {:<27} {} [{}]{file}", variable.name, variable.meaning, variable.default)
    };
    let lines: Vec<String> = SHARED_VARIABLES.iter().chain(VARIABLES).map(line).collect();
    format!("Environment (a .env file is read too):\n{}", lines.join("\n"))
}
