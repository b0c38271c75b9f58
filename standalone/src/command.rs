//! The command line: run, ask whether it runs, take businesses over, and look after what is stored.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use shared::{
    admin,
    settings::{ListenAddr, Reader, Variable},
};
use worker::{
    command::{CareCommand, DoctorCommand, Failure, Source, examine, look_after},
    document::{SUBCOMMAND, extract_pdf},
    store::Store,
};

use crate::{
    import::{self, ImportCommand},
    run,
    settings::{METRICS_ADDR, Settings, VARIABLES, check_webhooks, path_of},
    store::SqliteStore,
};

/// Switchboard on one machine, with everything in one file. Without credentials, a demonstration with a phone in the
/// browser.
#[derive(Debug, Parser)]
#[command(name = "standalone", version, after_help = environment())]
pub struct Arguments {
    /// What to do; `run` where nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where to serve, for `run`.
    #[command(flatten)]
    pub run: RunCommand,
    /// The file that everything is in [default: switchboard.db, or SWITCHBOARD_DB]
    #[arg(long, global = true, value_name = "FILE")]
    pub db: Option<PathBuf>,
}

/// What standalone can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take webhooks and answer them (the default)
    Run(RunCommand),
    /// Ask the process on this machine whether it is alive, for a container's health check
    Healthcheck {
        /// Ask whether everything that it needs is there, too
        #[arg(long)]
        ready: bool,
    },
    /// Take over the businesses of an installation on MongoDB
    Import(ImportCommand),
    /// Look at everything, from the configuration to each business at Meta, and say what is wrong and how to mend it. Exit
    /// code 0 where nothing is broken: warnings do not count
    Doctor(DoctorCommand),
    /// Look after what is stored
    #[command(flatten)]
    Care(CareCommand),
    /// Print the text of the PDF on standard input: how the worker keeps its distance from PDFs
    #[command(name = SUBCOMMAND, hide = true)]
    ExtractPdf,
}

/// `standalone run`.
#[derive(Debug, Default, Args)]
pub struct RunCommand {
    /// Where webhooks arrive and the page is served; port 0 takes any free one [default: 127.0.0.1:8000, or INGEST_ADDR]
    #[arg(long)]
    pub addr: Option<SocketAddr>,
}

/// Runs a command to its end.
///
/// # Errors
/// [`Failure`].
pub async fn execute(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { command, run, db } = arguments;
    let command = match (command, run.addr) {
        (None, _) => Command::Run(run),
        (Some(Command::Run(own)), addr) => Command::Run(RunCommand { addr: own.addr.or(addr) }),
        (Some(_), Some(_)) => {
            return Err(anyhow::anyhow!("--addr is where `run` serves; no other command has it").into());
        }
        (Some(command), None) => command,
    };
    match command {
        // Before a `.env` file is read: this process is to know no secret.
        Command::ExtractPdf => std::process::exit(extract_pdf().code()),
        Command::Run(command) => {
            let settings = Settings::read(Reader::from_environment(), db, command.addr)?;
            let traces = settings.telemetry.install("standalone").map_err(anyhow::Error::from)?;
            let done = run::run(settings).await;
            traces.finish().await;
            Ok(done?)
        }
        Command::Healthcheck { ready } => {
            let mut reader = Reader::from_environment();
            let addr = ListenAddr::read(&mut reader, "METRICS_ADDR", METRICS_ADDR).addr;
            reader.finish()?;
            let path = if ready { "/readyz" } else { "/healthz" };
            Ok(admin::check(addr, path).await.with_context(|| format!("ask {addr}{path}"))?)
        }
        Command::Import(command) => import::execute(command, Reader::from_environment(), db).await,
        Command::Doctor(command) => {
            let find = |reader: &mut Reader| {
                check_webhooks(reader);
                file(reader, db)
            };
            examine(command, Reader::from_environment(), Source::Direct, find).await
        }
        Command::Care(command) => look_after(command, Reader::from_environment(), |reader| file(reader, db)).await,
    }
}

/// How the commands find the database.
fn file(
    reader: &mut Reader,
    db: Option<PathBuf>,
) -> Option<impl Future<Output = anyhow::Result<Arc<dyn Store>>> + use<>> {
    let path = path_of(reader, db);
    Some(async move {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open_existing(&path)?);
        Ok(store)
    })
}

fn environment() -> String {
    let line = |variable: &Variable| {
        let file = if variable.secret { " (or NAME_FILE)" } else { "" };
        format!("  {:<27} {} [{}]{file}", variable.name, variable.meaning, variable.default)
    };
    let lines: Vec<String> = VARIABLES.iter().map(line).collect();
    format!(
        "Environment (a .env file is read too), besides that of ingest and worker, except for RabbitMQ and MongoDB:\n{}",
        lines.join("\n")
    )
}
