//! The stand-ins on the command line: serve Meta and the AI, write as a customer, look at what Meta sends, judge a run.

mod bench;
mod cli;

use std::process::ExitCode;

use clap::Parser;
use shared::settings::{EXIT_CONFIG, Problems};

#[tokio::main]
async fn main() -> ExitCode {
    shared::install_tls_provider();
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help is no error; where the message cannot be printed there is nobody to tell.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { EXIT_CONFIG } else { 0 });
        }
    };
    match cli::run(arguments).await {
        Ok(code) => code,
        Err(error) => {
            cli::show::problem(&error);
            if error.is::<Problems>() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}
