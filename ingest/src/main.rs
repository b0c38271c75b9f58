//! The `ingest` binary: settings, telemetry, build, run, exit code.

use std::{future::Future, process::ExitCode};

use anyhow::Context;
use ingest::{
    command::{Cli, Command},
    process::{self, Ingest},
    settings::{self, Settings},
};
use shared::{
    settings::{EXIT_CONFIG, Problems, Reader},
    shutdown::Shutdown,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Cli::parse().command() {
        Command::Run { allow_unsigned } => match Settings::read(Reader::from_environment(), allow_unsigned) {
            Ok(settings) => block_on(run(settings)),
            Err(problems) => return wrong_configuration(&problems),
        },
        Command::Healthcheck { ready } => match settings::metrics_addr(Reader::from_environment()) {
            Ok(addr) => block_on(process::healthcheck(addr, ready)),
            Err(problems) => return wrong_configuration(&problems),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("ingest: {error:#}"), ExitCode::FAILURE),
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    shared::install_tls_provider();
    shared::raise_open_files();
    let traces = settings.telemetry.install("ingest")?;
    let metrics = shared::telemetry::install_metrics();
    let shutdown = Shutdown::on_signals(settings.stop_timeout).context("listen for signals")?;
    let done = Ingest::build(settings, metrics).await?.run(shutdown).await;
    traces.finish().await;
    done
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new().context("start the runtime")?.block_on(work)
}

fn wrong_configuration(problems: &Problems) -> ExitCode {
    complain(&format!("ingest: {problems}"), ExitCode::from(EXIT_CONFIG))
}

#[expect(clippy::print_stderr, reason = "the command line's own output: logs may not be set up yet")]
fn complain(message: &str, code: ExitCode) -> ExitCode {
    eprintln!("{message}");
    code
}
