//! `worker dead-letter discard`: gives letters up for good.

use anyhow::bail;
use jiff::Timestamp;

use super::{
    DiscardArguments,
    choice::{by_reason, chosen, total},
    say,
};
use crate::store::{FiledLetter, LetterFilter, LetterState, Reading, Standing, Store};

/// Discards the letters that are meant.
///
/// # Errors
/// MongoDB is not reachable, a named letter is not there or could not be discarded, or more than one is meant by
/// conditions and nobody said `--yes`.
pub(super) async fn discard(store: &dyn Store, arguments: &DiscardArguments, now: Timestamp) -> anyhow::Result<()> {
    let standing = if arguments.replayed { Standing::Replayed } else { Standing::Open };
    let filter = chosen(store, &arguments.choice, standing, now).await?;
    let limit = arguments.choice.filters.limit;
    if filter.ids.is_empty() && !arguments.yes && !arguments.dry_run {
        confirm(store, &filter, limit).await?;
    }
    let mut letters = store.filed_letters(&filter, Reading { most: limit, ..Reading::default() }).await?;
    let (mut discarded, mut left) = (0_u64, 0_u64);
    while let Some(letter) = letters.next_letter().await? {
        let done = if matches!(letter.state, LetterState::Discarded { .. }) {
            Done::Before
        } else if arguments.dry_run {
            Done::Would
        } else if store.discard(&letter).await? {
            Done::Now
        } else {
            Done::Not
        };
        match done {
            Done::Now | Done::Would => discarded += 1,
            Done::Not => left += 1,
            Done::Before => {}
        }
        say(&line(&letter, &done))?;
    }
    let verb = if arguments.dry_run { "would be discarded; nothing was changed" } else { "discarded" };
    say(&format!("{discarded} {verb}."))?;
    if left > 0 {
        bail!("{left} changed meanwhile, or are being replayed, and stay as they are; look at them and try again");
    }
    Ok(())
}

/// What becomes of a letter.
enum Done {
    Now,
    Would,
    Before,
    Not,
}

fn line(letter: &FiledLetter, done: &Done) -> String {
    let (id, reason) = (&letter.handle, &letter.reason);
    match done {
        Done::Now => format!("{id}  {reason}  discarded"),
        Done::Would => format!("{id}  {reason}  would be discarded"),
        Done::Before => format!("{id}  {reason}  was discarded before"),
        Done::Not => format!("{id}  {reason}  stays: it was buried again meanwhile, or is being replayed"),
    }
}

/// Refuses where more than one letter would go that nobody named.
async fn confirm(store: &dyn Store, filter: &LetterFilter, limit: Option<u32>) -> anyhow::Result<()> {
    let counts = store.count_letters(filter).await?;
    let meant = total(&counts).min(limit.map_or(u64::MAX, u64::from));
    if meant > 1 {
        bail!(
            "{meant} letters would be discarded, and what they hold would be gone (there are {}); repeat it with --yes, \
             or look at them first with --dry-run",
            by_reason(&counts)
        );
    }
    Ok(())
}
