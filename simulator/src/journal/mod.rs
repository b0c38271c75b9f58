//! The one record of a run: what reached the stand-ins and what they posted, in order, appended and never changed.
//!
//! Each entry has its position, nanoseconds of the host's monotonic clock (so that the records of several processes
//! on one host can be laid side by side) and the wall clock. Readers ask the typed queries of `query`, or wait for a
//! condition; given a file, every entry is also one line of JSON, written before anybody can see the entry, so a
//! killed process leaves nothing out. No access token is ever in it, only whose it was.
//!
//! A journal that is judged keeps everything. One beside a program that runs for weeks forgets its oldest entries
//! ([`Journal::of_the_last`]); whoever must miss none observes it.

mod ai;
mod event;
mod graph;
mod host;
mod query;
mod voices;

use std::{
    collections::VecDeque,
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use ai::{AiAnswer, AiRequest, AiSpeech};
pub use event::{Credential, Event, Mark, StatusWithheld, Update, UpdateKind, WebhookAnswer, WebhookPost};
pub use graph::{Decision, GraphAnswer, GraphRead, GraphRequest, GraphSend, GraphUpload};
pub use host::HostRequest;
pub use query::Post;
pub(crate) use voices::Voices;

/// A fact with its place and time in the run. Reads like the fact itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped<T> {
    /// The position in the journal, from 0.
    pub seq: u64,
    /// `CLOCK_MONOTONIC` of the host, in nanoseconds.
    pub mono_ns: u64,
    /// The wall clock.
    pub wall: jiff::Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub fact: T,
}

impl<T> std::ops::Deref for Stamped<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.fact
    }
}

/// One line of the journal.
pub type Entry = Stamped<Event>;

/// Nothing that was waited for happened in time.
#[derive(Debug, thiserror::Error)]
#[error("not within {waited:?}; the journal ends with:\n{tail}")]
pub struct TimedOut {
    waited: Duration,
    tail: String,
}

/// The journal of a run. Cheap to clone; all clones are the same journal.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    length: watch::Sender<u64>,
    numbers: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Arc<Entry>>,
    /// How many entries were forgotten: the position of the first one that is kept.
    forgotten: u64,
    /// How many are kept; none for all.
    most: Option<usize>,
    file: Option<File>,
    observers: Vec<Observer>,
}

struct Observer(Box<dyn FnMut(&Entry) + Send>);

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self::with(State::default())
    }
}

impl Journal {
    /// A journal that is kept in memory only.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// A journal in memory that forgets: it keeps so many of its newest entries.
    pub fn of_the_last(most: usize) -> Self {
        Self::with(State { most: Some(most), ..State::default() })
    }

    /// A journal that is also written to a new file, one JSON object a line.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        Ok(Self::with(State { file: Some(File::create(path)?), ..State::default() }))
    }

    /// The entries of a file that a journal wrote.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is no entry.
    pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
        let lines = BufReader::new(File::open(path)?).lines();
        lines.map(|line| serde_json::from_str(&line?).map_err(io::Error::other)).collect()
    }

    fn with(state: State) -> Self {
        Self(Arc::new(Inner { state: Mutex::new(state), length: watch::Sender::new(0), numbers: AtomicU64::new(0) }))
    }

    /// Appends an event and returns its position.
    ///
    /// # Panics
    /// Where the file can no longer be written: a record with a hole must not be judged from.
    pub fn record(&self, event: Event) -> u64 {
        let mut state = self.lock();
        let seq = state.forgotten + state.entries.len() as u64;
        // Stamped under the lock: positions and clock agree.
        let entry = Entry { seq, mono_ns: monotonic_ns(), wall: jiff::Timestamp::now(), fact: event };
        if let Some(file) = &mut state.file {
            let mut line = serde_json::to_vec(&entry).expect("an event is plain data");
            line.push(b'\n');
            file.write_all(&line).expect("the journal file can be written");
        }
        for Observer(observe) in &mut state.observers {
            observe(&entry);
        }
        state.entries.push_back(Arc::new(entry));
        if state.most.is_some_and(|most| state.entries.len() > most) {
            state.entries.pop_front();
            state.forgotten += 1;
        }
        drop(state);
        self.0.length.send_modify(|length| *length = (*length).max(seq + 1));
        seq
    }

    /// From now on each entry is shown to this closure before anybody else sees it, and before the request that it is
    /// about is answered. It must not block for long, and must not turn to the journal: it is called under its lock.
    pub fn observe(&self, observe: impl FnMut(&Entry) + Send + 'static) {
        self.lock().observers.push(Observer(Box::new(observe)));
    }

    /// A number which nothing else in this journal has, to join the events of one request or post.
    pub(crate) fn number(&self) -> u64 {
        self.0.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Records something that a test did, such as a fault that it injected.
    pub fn mark(&self, name: impl Into<String>, fields: serde_json::Value) -> u64 {
        self.record(Event::Mark(Mark { name: name.into(), fields }))
    }

    /// All entries so far, without those that were forgotten.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.entries_from(0)
    }

    /// The entries from a position on, without those that were forgotten.
    pub fn entries_from(&self, seq: u64) -> Vec<Arc<Entry>> {
        let state = self.lock();
        let skipped = usize::try_from(seq.saturating_sub(state.forgotten)).unwrap_or(usize::MAX);
        state.entries.iter().skip(skipped).cloned().collect()
    }

    /// Waits until there is an entry at this position or behind it, and returns all from there on. Cancelling it
    /// loses nothing.
    pub async fn next_from(&self, seq: u64) -> Vec<Arc<Entry>> {
        let mut length = self.0.length.subscribe();
        length.wait_for(|length| *length > seq).await.expect("the journal holds the sender");
        self.entries_from(seq)
    }

    /// Waits until a query holds, looking again after each new entry.
    ///
    /// # Errors
    /// [`TimedOut`] shows the last entries.
    pub async fn wait_until(&self, holds: impl Fn(&Self) -> bool, timeout: Duration) -> Result<(), TimedOut> {
        self.wait_for(|journal| holds(journal).then_some(()), timeout).await
    }

    /// Waits until a query finds something, looking again after each new entry.
    ///
    /// # Errors
    /// [`TimedOut`] shows the last entries.
    pub async fn wait_for<T>(&self, find: impl Fn(&Self) -> Option<T>, timeout: Duration) -> Result<T, TimedOut> {
        let mut length = self.0.length.subscribe();
        let search = async {
            loop {
                // Marked as seen before the search: an entry that comes during it causes another.
                length.borrow_and_update();
                if let Some(found) = find(self) {
                    return found;
                }
                length.changed().await.expect("the journal holds the sender");
            }
        };
        let found = tokio::time::timeout(timeout, search).await;
        found.map_err(|_| TimedOut { waited: timeout, tail: self.tail() })
    }

    fn tail(&self) -> String {
        let entries = self.entries();
        let last = entries.iter().skip(entries.len().saturating_sub(12));
        let lines = last.map(|entry| serde_json::to_string(&**entry).expect("an event is plain data"));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().expect("no code panics while it holds this lock, but for a full disk")
    }
}

/// The host's monotonic clock, which all its processes share.
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (secs, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    secs * 1_000_000_000 + nanos
}
