//! `worker dead-letter list|show|replay|discard`.
//!
//! Customers are redacted here as they are in the logs, and no message text is printed; except by `show`, the one
//! place where an operator reads what a letter holds.

mod choice;
mod owner;
mod list;
mod show;
mod replay;
mod discard;

use std::io::{ErrorKind, Write};

use clap::{ArgGroup, Args, Subcommand};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use shared::ids::{PhoneNumberId, SessionId};

use crate::store::{FiledLetter, LetterState, Store};

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

/// The largest unit of a time that has passed.
fn age(since: Timestamp, now: Timestamp) -> String {
    let passed = now.duration_since(since);
    let (days, hours, minutes) = (passed.as_hours() / 24, passed.as_hours(), passed.as_mins());
    match (days, hours, minutes) {
        (1.., _, _) => format!("{days}d"),
        (_, 1.., _) => format!("{hours}h"),
        (_, _, 1..) => format!("{minutes}m"),
        _ => format!("{}s", passed.as_secs().max(0)),
    }
}

pub(super) fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// What is decided about a letter.
fn fate(letter: &FiledLetter) -> String {
    match letter.state {
        LetterState::Undecided => "no".to_owned(),
        LetterState::WaitsForBusiness { until: None } => "by itself".to_owned(),
        LetterState::WaitsForBusiness { until: Some(until) } => format!("by itself, until {}", utc(until)),
        LetterState::ReplayRequested { .. } => "being replayed".to_owned(),
        LetterState::Replayed { at } => format!("replayed {}", utc(at)),
        LetterState::Discarded { at } => format!("discarded {}", utc(at)),
    }
}

/// An id as somebody typed it, for an error: a handle whole, of anything else the end.
fn typed(id: &str) -> String {
    let is_handle = id.len() <= 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_handle { id.to_owned() } else { SessionId::from_stored(id).to_string() }
}

/// Text from outside without what could steer a terminal.
pub(super) fn harmless(text: &str) -> String {
    let steers = |c: char| {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns || (c.is_control() && !matches!(c, '\n' | '\t'))
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
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
    fn an_age_has_one_unit() {
        let now = Timestamp::from_second(1_750_000_000).expect("in range");
        for (seconds, shown) in [(-5, "0s"), (59, "59s"), (60, "1m"), (7_199, "1h"), (86_399, "23h"), (200_000, "2d")] {
            assert_eq!(age(now - SignedDuration::from_secs(seconds), now), shown);
        }
    }

    #[test]
    fn what_steers_a_terminal_is_shown_instead_of_obeyed() {
        assert_eq!(harmless("a\u{1b}[2Jb\u{9b}c\u{202e}d"), "a\\u{1b}[2Jb\\u{9b}c\\u{202e}d");
        assert_eq!(harmless("one\n\ttwo é 👋"), "one\n\ttwo é 👋");
    }

    #[test]
    fn an_id_that_names_a_customer_is_not_repeated_whole() {
        assert_eq!(typed("3f9a1c2b7d041122"), "3f9a1c2b7d041122");
        assert_eq!(typed("100:wamid.HBgLMTY1MDM4Nzk0MzVF"), "100:…k0MzVF");
    }
}
