//! The worker binary: reads its command line, runs it, says what went wrong.

use std::process::ExitCode;

use clap::Parser;
use shared::settings::EXIT_CONFIG;
use worker::command::{Arguments, Failure, execute};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, and are no failures.
            let code = if error.use_stderr() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS };
            error.print().ok();
            return code;
        }
    };
    shared::install_tls_provider();
    shared::raise_open_files();
    match execute(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a process, for the terminal and for `docker logs`")]
fn report(failure: &Failure) -> ExitCode {
    eprintln!("worker: {failure}");
    match failure {
        Failure::Configuration(_) => ExitCode::from(EXIT_CONFIG),
        Failure::Other(_) => ExitCode::FAILURE,
    }
}
