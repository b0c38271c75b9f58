//! The worker's command line.

mod account;
mod analytics;
mod business;
mod business_add;
mod business_change;
mod business_check;
mod care;
mod conversation;
mod customer;
mod dashboard;
mod dead_letter;
mod doctor;
mod knowledge;
mod replay;
mod rotate;
mod token;

use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use shared::{
    admin,
    settings::{Problems, Reader, SHARED_VARIABLES, Variable},
};

pub use account::AccountCommand;
pub use analytics::AnalyticsCommand;
pub use business_add::AddCommand;
pub use business_check::CheckCommand;
pub use care::{BusinessCommand, CareCommand, TokenCommand, look_after};
pub use conversation::ConversationCommand;
pub use customer::CustomerCommand;
pub use dashboard::DashboardCommand;
pub use dead_letter::DeadLetterCommand;
pub use doctor::{DoctorCommand, Source, examine};
pub use knowledge::KnowledgeCommand;
pub use replay::ReplayCommand;

use crate::{
    document::{SUBCOMMAND, extract_pdf},
    settings::{Settings, StoreSettings, VARIABLES, dashboard_addr, metrics_addr},
    store::{MongoStore, Store},
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
        /// Ask the dashboard on this machine in the worker's place
        #[arg(long, conflicts_with = "ready")]
        dashboard: bool,
    },
    /// Look at everything, from the configuration to each business at Meta, and say what is wrong and how to mend it. Exit
    /// code 0 where nothing is broken: warnings do not count
    Doctor(DoctorCommand),
    /// Look after what is stored
    #[command(flatten)]
    Care(CareCommand),
    /// Show what other models or prompts would answer in recorded conversations; nothing is sent or changed
    Replay(ReplayCommand),
    /// Print the text of the PDF on standard input: how the worker keeps its distance from PDFs
    #[command(name = SUBCOMMAND, hide = true)]
    ExtractPdf,
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
            let traces = settings.telemetry.install("worker").map_err(anyhow::Error::from)?;
            let done = crate::run::run(settings).await;
            traces.finish().await;
            Ok(done?)
        }
        Command::Healthcheck { ready, dashboard } => {
            let mut reader = Reader::from_environment();
            let addr = if dashboard { dashboard_addr(&mut reader).addr } else { metrics_addr(&mut reader).addr };
            reader.finish()?;
            let path = if ready { "/readyz" } else { "/healthz" };
            Ok(admin::check(addr, path).await.with_context(|| format!("ask {addr}{path}"))?)
        }
        Command::Doctor(command) => examine(command, Reader::from_environment(), Source::Queues, mongodb).await,
        Command::Care(command) => look_after(command, Reader::from_environment(), mongodb).await,
        Command::Replay(command) => replay::execute(command, Reader::from_environment()).await,
    }
}

/// How the worker finds its database.
fn mongodb(reader: &mut Reader) -> Option<impl Future<Output = anyhow::Result<Arc<dyn Store>>> + use<>> {
    let settings = StoreSettings::read(reader)?;
    Some(async move {
        let store: Arc<dyn Store> = Arc::new(MongoStore::open(&settings).await?);
        Ok(store)
    })
}

fn environment() -> String {
    let line = |variable: &Variable| {
        let file = if variable.secret { " (or NAME_FILE)" } else { "" };
        format!("  {:<27} {} [{}]{file}", variable.name, variable.meaning, variable.default)
    };
    let lines: Vec<String> = SHARED_VARIABLES.iter().chain(VARIABLES).map(line).collect();
    format!("Environment (a .env file is read too):\n{}", lines.join("\n"))
}
