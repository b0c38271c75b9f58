//! `worker dead-letter replay`: marks letters, which running workers then land like any message.
//!
//! Only workers land: they have the businesses, the customers and the scheduler. So the command may end at any time,
//! and may be repeated: a letter is marked once or twice, and lands once.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::bail;
use jiff::Timestamp;
use shared::ids::PhoneNumberId;

use super::{ReplayArguments, choice::chosen, harmless, say};
use crate::{
    desk::{Owners, foreseen, replayable},
    store::{FiledLetter, FiledLetters, LetterFilter, LetterState, Reading, Standing, Store, StoreError},
};

/// Letters that are marked before it is looked what became of them.
const BATCH: usize = 200;
/// Workers look every five seconds; with none of a batch taken up for so long, none is running.
const PATIENCE: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Replays the letters that are meant.
///
/// # Errors
/// MongoDB is not reachable; a named letter is not there or cannot be replayed; or a letter was buried again.
pub(super) async fn replay(
    store: &dyn Store,
    arguments: &ReplayArguments,
    fallback: Option<PhoneNumberId>,
    now: Timestamp,
) -> anyhow::Result<()> {
    let filter = chosen(store, &arguments.choice, Standing::Open, now).await?;
    // The longest buried first, so that a customer's messages go back in their order.
    let reading = Reading { oldest_first: true, most: arguments.choice.filters.limit, with_bodies: true };
    let mut letters = store.filed_letters(&filter, reading).await?;
    let mut replay = Replay { store, owners: Owners::new(store, fallback), arguments, now, counts: Counts::default() };
    let mut wait = !arguments.no_wait && !arguments.dry_run;
    loop {
        let marked = replay.mark(&mut letters).await?;
        if marked.is_empty() {
            break;
        }
        if wait {
            // Where no worker is running, the next batch need not find out again.
            wait = replay.watch(marked).await?;
        } else {
            replay.counts.waiting += marked.len();
            for letter in &marked {
                letter.say("is marked; the next worker that looks replays it")?;
            }
        }
    }
    replay.counts.report(arguments, !filter.ids.is_empty())
}

/// A replay of many letters under way.
struct Replay<'a> {
    store: &'a dyn Store,
    owners: Owners<'a>,
    arguments: &'a ReplayArguments,
    now: Timestamp,
    counts: Counts,
}

/// What became of the letters so far.
#[derive(Debug, Default)]
struct Counts {
    would: usize,
    skipped: usize,
    landed: usize,
    buried: usize,
    gone: usize,
    waiting: usize,
}

/// A burial that was marked for replay.
struct Marked {
    id: String,
    handle: String,
    reason: String,
    burials: i64,
}

impl Marked {
    fn say(&self, what: &str) -> std::io::Result<()> {
        say(&format!("{}  {}  {what}", self.handle, self.reason))
    }
}

impl Replay<'_> {
    /// Marks the next letters that can be replayed; says of the others why not.
    async fn mark(&mut self, letters: &mut FiledLetters) -> anyhow::Result<Vec<Marked>> {
        let mut marked = Vec::new();
        while marked.len() < BATCH
            && let Some(letter) = letters.next_letter().await?
        {
            let (id, handle, reason) = (letter.id.clone(), letter.handle.clone(), letter.reason.clone());
            let this = Marked { id, handle, reason, burials: letter.burials };
            if let Some(obstacle) = self.obstacle(&letter).await? {
                self.counts.skipped += 1;
                this.say(&format!("is skipped: {obstacle}"))?;
            } else if self.arguments.dry_run {
                self.counts.would += 1;
                this.say("would be replayed")?;
            } else if self.store.request_replay(&letter).await? {
                marked.push(this);
            } else {
                self.counts.skipped += 1;
                this.say("is skipped: it was replayed, discarded or buried again meanwhile; look at it again")?;
            }
        }
        Ok(marked)
    }

    /// Why a letter is not replayed.
    async fn obstacle(&mut self, letter: &FiledLetter) -> Result<Option<String>, StoreError> {
        let envelope = match replayable(letter) {
            Ok(envelope) => envelope,
            Err(why) => return Ok(Some(why)),
        };
        if self.arguments.force {
            return Ok(None);
        }
        let again = foreseen(&mut self.owners, letter, &envelope, self.now).await?;
        Ok(again.map(|why| format!("{why}; --force replays it all the same")))
    }

    /// Waits until workers have taken up what was marked, and says what became of each. False where some is left that
    /// nobody takes up now.
    async fn watch(&mut self, mut marked: Vec<Marked>) -> anyhow::Result<bool> {
        let mut last_news = Instant::now();
        while !marked.is_empty() && last_news.elapsed() < PATIENCE {
            tokio::time::sleep(LOOK_EVERY).await;
            let before = marked.len();
            marked = self.look(marked).await?;
            if marked.len() < before {
                last_news = Instant::now();
            }
        }
        for letter in &marked {
            self.counts.waiting += 1;
            letter.say("still waits: no worker has replayed it yet; the next one that looks does")?;
        }
        Ok(marked.is_empty())
    }

    /// Says what became of letters; returns those that nobody has replayed yet.
    async fn look(&mut self, marked: Vec<Marked>) -> anyhow::Result<Vec<Marked>> {
        let ids = marked.iter().map(|letter| letter.id.clone()).collect();
        let filter = LetterFilter { ids, standing: Standing::Any, ..LetterFilter::default() };
        let (mut letters, mut now) = (self.store.filed_letters(&filter, Reading::default()).await?, HashMap::new());
        while let Some(letter) = letters.next_letter().await? {
            now.insert(letter.id.clone(), letter);
        }
        let mut waiting = Vec::new();
        for letter in marked {
            let Some(found) = now.get(&letter.id) else {
                self.counts.gone += 1;
                letter.say("is gone: its time was over")?;
                continue;
            };
            if found.burials > letter.burials {
                self.counts.buried += 1;
                letter.say(&format!("was buried again as {}: {}", found.reason, harmless(&found.detail)))?;
                continue;
            }
            match found.state {
                LetterState::Replayed { .. } => {
                    self.counts.landed += 1;
                    letter.say("landed again in its conversation")?;
                }
                LetterState::Discarded { .. } => {
                    self.counts.gone += 1;
                    letter.say("was discarded meanwhile")?;
                }
                LetterState::Undecided | LetterState::WaitsForBusiness { .. } | LetterState::ReplayRequested { .. } => {
                    waiting.push(letter)
                }
            }
        }
        Ok(waiting)
    }
}

impl Counts {
    fn report(&self, arguments: &ReplayArguments, named: bool) -> anyhow::Result<()> {
        let Self { would, skipped, landed, buried, gone, waiting } = self;
        if arguments.dry_run {
            return Ok(say(&format!("{would} would be replayed, {skipped} skipped; nothing was changed."))?);
        }
        let parts = [
            (landed, "landed again"),
            (buried, "buried again"),
            (waiting, "waiting"),
            (skipped, "skipped"),
            (gone, "gone"),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| **count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        say(&if parts.is_empty() {
            "No dead letter is like that.".to_owned()
        } else {
            format!("{}.", parts.join(", "))
        })?;
        if named && *skipped > 0 {
            bail!("{skipped} of the named letters could not be replayed");
        }
        if *buried > 0 {
            bail!("{buried} could not be answered this time either");
        }
        Ok(())
    }
}
