//! `worker dead-letter list|show|replay|discard`.
//!
//! Customers are redacted here as they are in the logs, and no message text is printed; except by `show`, the one
//! place where an operator reads what a letter holds.

mod choice;
mod list;
mod show;
mod replay;
mod discard;

use std::io::{ErrorKind, Write};

use clap::{ArgGroup, Args, Subcommand};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use shared::ids::{PhoneNumberId, SessionId};

pub(super) use crate::desk::{harmless, utc};
use crate::{
    desk::{age, fate},
    store::Store,
};

/// `worker dead-letter …`
#[derive(Debug, Subcommand)]
pub enum DeadLetterCommand {
    /// Those that are not replayed or discarded, newest first, and how many there are by reason
    List(ListArguments),
    /// Everything about one, with the message that it holds
    Show {
        /// As `list` prints it, or the `_id` of its document
        id: String,
    },
    /// Have running workers handle messages once more, each exactly once
    Replay(ReplayArguments),
    /// Give letters up for good: what they hold is removed, the reason stays
    Discard(DiscardArguments),
}

/// Which dead letters, by what is known of them. All conditions hold together.
#[derive(Debug, Args)]
pub(super) struct Filters {
    /// Of the business with this `subDomain`
    #[arg(long, value_name = "SUBDOMAIN")]
    business: Option<String>,
    /// With this reason, such as `refused`
    #[arg(long)]
    reason: Option<String>,
    /// First buried longer ago than this, such as 30m, 12h or 7d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Option<SignedDuration>,
    /// First buried within this time
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    newer_than: Option<SignedDuration>,
    /// No more than that many: the newest, or for `replay` the longest buried
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// `worker dead-letter list …`
#[derive(Debug, Args)]
pub struct ListArguments {
    #[command(flatten)]
    filters: Filters,
    /// Those that were replayed or discarded, instead of those that were not
    #[arg(long)]
    replayed: bool,
    /// One JSON object a line with every field but what the letter holds; all of them where --limit does not say less
    #[arg(long)]
    json: bool,
}

/// `worker dead-letter replay …`
#[derive(Debug, Args)]
#[command(group = which())]
pub struct ReplayArguments {
    #[command(flatten)]
    choice: Choice,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Replay those too that are expected to become dead letters again
    #[arg(long)]
    force: bool,
    /// Do not wait to see what becomes of them
    #[arg(long)]
    no_wait: bool,
}

/// `worker dead-letter discard …`
#[derive(Debug, Args)]
#[command(group = which())]
pub struct DiscardArguments {
    #[command(flatten)]
    choice: Choice,
    /// Those that were replayed, instead of those that are open
    #[arg(long, conflicts_with = "ids")]
    replayed: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Discard more than one letter that is not named by its id
    #[arg(long)]
    yes: bool,
}

/// Letters to act on: named, or by conditions, or all; never all by accident.
#[derive(Debug, Args)]
pub(super) struct Choice {
    /// As `list` prints it, or the `_id` of the document
    #[arg(value_name = "ID", conflicts_with_all = ["business", "reason", "older_than", "newer_than", "limit", "all"])]
    ids: Vec<String>,
    #[command(flatten)]
    filters: Filters,
    /// All of them
    #[arg(long)]
    all: bool,
}

fn which() -> ArgGroup {
    let conditions = ["ids", "business", "reason", "older_than", "newer_than", "all"];
    ArgGroup::new("which").required(true).multiple(true).args(conditions)
}

/// Runs the command. `fallback` is the number that workers answer without a business in the database, where the
/// environment tells.
///
/// # Errors
/// MongoDB is not reachable, or what was asked for by name was not done.
pub(super) async fn execute(
    command: DeadLetterCommand,
    store: &dyn Store,
    fallback: Option<PhoneNumberId>,
) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let done = match command {
        DeadLetterCommand::List(arguments) => list::list(store, &arguments, now).await,
        DeadLetterCommand::Show { id } => show::show(store, &id, now).await,
        DeadLetterCommand::Replay(arguments) => replay::replay(store, &arguments, fallback, now).await,
        DeadLetterCommand::Discard(arguments) => discard::discard(store, &arguments, now).await,
    };
    match done {
        // Whoever reads it, such as `head`, has seen enough.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == ErrorKind::BrokenPipe) => {
            Ok(())
        }
        done => done,
    }
}

/// A line of output.
///
/// # Errors
/// Nobody reads it.
pub(super) fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    let span: Result<Span, _> = text.parse();
    let duration = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    duration.ok().filter(|duration| !duration.is_negative()).ok_or_else(|| "must be like 30m, 12h or 7d".to_owned())
}

/// An id as somebody typed it, for an error: a handle whole, of anything else the end.
fn typed(id: &str) -> String {
    let is_handle = id.len() <= 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_handle { id.to_owned() } else { SessionId::from_stored(id).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_what_people_write() {
        for (text, seconds) in [("45s", 45), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800), ("1d 12h", 129_600)] {
            assert_eq!(duration(text), Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "7", "soon", "-2h", "2h ago", "1mo", "1y"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_that_names_a_customer_is_not_repeated_whole() {
        assert_eq!(typed("3f9a1c2b7d041122"), "3f9a1c2b7d041122");
        assert_eq!(typed("100:wamid.HBgLMTY1MDM4Nzk0MzVF"), "100:…k0MzVF");
    }
}
