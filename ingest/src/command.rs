//! The command line: `ingest [run] [--allow-unsigned]` and `ingest healthcheck [--ready]`.
//!
//! Everything else is configured by environment variables; `--help` lists them from the same tables that the
//! tests hold against the code.

use std::fmt::Write;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use shared::settings::{EXIT_CONFIG, SHARED_VARIABLES};

use crate::settings::VARIABLES;

/// Takes Meta's WhatsApp webhooks, makes what they carry durable on RabbitMQ, and acknowledges.
#[derive(Debug, Parser)]
#[command(name = "ingest", version, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct RunArguments {
    /// Accept webhooks without a signature where no app secret is set; for tests only.
    #[arg(long)]
    allow_unsigned: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve webhooks until SIGTERM or SIGINT; what no command means.
    Run {
        /// Accept webhooks without a signature where no app secret is set; for tests only.
        #[arg(long)]
        allow_unsigned: bool,
    },
    /// Ask the running process, by METRICS_ADDR, whether it is alive.
    Healthcheck {
        /// Ask whether it can take webhooks, too.
        #[arg(long)]
        ready: bool,
    },
}

/// The command line as it was given.
#[derive(Debug)]
pub struct Cli(Command);

impl Cli {
    /// Reads the arguments of the process; `--help` and wrong arguments end it, the latter with
    /// [`EXIT_CONFIG`].
    pub fn parse() -> Self {
        Self::try_from_args(std::env::args_os()).unwrap_or_else(|error| {
            drop(error.print());
            std::process::exit(if error.use_stderr() { i32::from(EXIT_CONFIG) } else { 0 })
        })
    }

    fn try_from_args<T: Into<std::ffi::OsString> + Clone>(
        args: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        let command = Arguments::command().after_help(environment());
        let Arguments { command, run } = Arguments::from_arg_matches(&command.try_get_matches_from(args)?)?;
        Ok(Self(command.unwrap_or(Command::Run { allow_unsigned: run.allow_unsigned })))
    }

    /// What to do.
    pub fn command(&self) -> Command {
        self.0
    }
}

fn environment() -> String {
    let mut text = "Environment (a .env file is read too; every secret may be given as NAME_FILE):\n".to_owned();
    for variable in VARIABLES.iter().chain(SHARED_VARIABLES) {
        let secret = if variable.secret { ", secret" } else { "" };
        let (name, meaning, default) = (variable.name, variable.meaning, variable.default);
        writeln!(text, "  {name:<24} {meaning} [{default}{secret}]").expect("writing to memory does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(args: &[&str]) -> Result<Command, clap::Error> {
        Cli::try_from_args(["ingest"].iter().chain(args)).map(|cli| cli.command())
    }

    #[test]
    fn no_command_means_run() {
        let command = |args: &[&str]| given(args).expect("valid arguments");
        assert_eq!(command(&[]), Command::Run { allow_unsigned: false });
        assert_eq!(command(&["run"]), Command::Run { allow_unsigned: false });
        assert_eq!(command(&["--allow-unsigned"]), Command::Run { allow_unsigned: true });
        assert_eq!(command(&["run", "--allow-unsigned"]), Command::Run { allow_unsigned: true });
        assert_eq!(command(&["healthcheck"]), Command::Healthcheck { ready: false });
        assert_eq!(command(&["healthcheck", "--ready"]), Command::Healthcheck { ready: true });
        assert!(given(&["run", "--ready"]).is_err());
        assert!(given(&["nonsense"]).is_err());
    }

    #[test]
    fn help_names_every_variable() {
        let help = given(&["--help"]).expect_err("help is an early end").to_string();
        for variable in VARIABLES.iter().chain(SHARED_VARIABLES) {
            assert!(help.contains(variable.name), "{}", variable.name);
        }
    }
}
