//! The file and the two threads that have it open: one that writes, one that reads.
//!
//! Writes that wait are done in one transaction, each in a savepoint of its own, so that one that fails undoes nothing
//! of the others', and all of them share one flush to the disk. Nobody is answered before that. The write-ahead log lets
//! the reader go on meanwhile; it sees what was answered.
//!
//! Dropping the future of a write leaves it to happen all the same.

use std::{
    fmt,
    fs::OpenOptions,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::oneshot;
use worker::store::{Result, StoreError};

use super::{
    error::{self, Broken},
    schema,
};

/// Writes in one transaction, at most.
const TOGETHER: usize = 256;
/// How long another process may keep us from writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// What a job did, to be told once it is known whether it is on the disk.
type Tell = Box<dyn FnOnce(std::result::Result<(), StoreError>) + Send>;
/// Says whether what it wrote is to stay. Without a transaction it has nothing to do but to tell why.
type Job = Box<dyn FnOnce(std::result::Result<(&Connection, Timestamp), StoreError>) -> (bool, Tell) + Send>;

/// An open file. Cheap to clone.
#[derive(Clone)]
pub(super) struct Database(Arc<Threads>);

struct Threads {
    writer: Thread,
    reader: Thread,
    path: PathBuf,
}

struct Thread {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// Opens the file, makes its tables, starts the threads.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        keep_to_ourselves(path);
        let mut writing = Connection::open(path)?;
        writing.busy_timeout(BUSY_TIMEOUT)?;
        writing.pragma_update(None, "journal_mode", "wal")?;
        // With every commit flushed: what is answered must survive a power cut.
        writing.pragma_update(None, "synchronous", "full")?;
        // What is forgotten is overwritten in the file, too.
        writing.pragma_update(None, "secure_delete", "on")?;
        schema::migrate(&mut writing)?;
        let reading = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        reading.busy_timeout(BUSY_TIMEOUT)?;
        for connection in [&writing, &reading] {
            connection.set_prepared_statement_cache_capacity(64);
        }
        let clock = Arc::new(Clock::new());
        let (writers, readers) = (Arc::clone(&clock), clock);
        Ok(Self(Arc::new(Threads {
            writer: Thread::start("sqlite-writer", move |jobs| write_all(writing, &jobs, &writers))?,
            reader: Thread::start("sqlite-reader", move |jobs| read_all(&reading, &jobs, &readers))?,
            path: path.to_owned(),
        })))
    }

    /// Empties the write-ahead log, where what was overwritten in the file is still to be read.
    pub(super) async fn clear_log(&self) {
        let path = self.0.path.clone();
        let clearing = tokio::task::spawn_blocking(move || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
        });
        match clearing.await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => {
                tracing::warn!("what was erased stays in the file's log until that is overwritten: it is in use")
            }
            Ok(Err(error)) => tracing::warn!(error = %error::of_sqlite(error), "the file's log could not be emptied"),
            Err(error) => tracing::warn!(%error, "the file's log could not be emptied"),
        }
    }

    /// Changes something, whole or not at all. The work gets the time of the store, in whole milliseconds.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, Timestamp) -> std::result::Result<T, Broken> + Send + 'static,
    ) -> Result<T> {
        self.0.writer.perform(work).await
    }

    /// Looks something up.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, Timestamp) -> std::result::Result<T, Broken> + Send + 'static,
    ) -> Result<T> {
        self.0.reader.perform(work).await
    }

    /// Ends both threads after what they have to do. Whoever comes later is refused.
    pub(super) async fn close(&self) {
        let threads = Arc::clone(&self.0);
        let closing = tokio::task::spawn_blocking(move || {
            threads.reader.end();
            threads.writer.end();
        });
        drop(closing.await);
    }
}

impl Thread {
    fn start(name: &str, work: impl FnOnce(mpsc::Receiver<Job>) + Send + 'static) -> anyhow::Result<Self> {
        let (jobs, received) = mpsc::channel();
        let handle = thread::Builder::new().name(name.to_owned()).spawn(move || work(received))?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), handle: Mutex::new(Some(handle)) })
    }

    async fn perform<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, Timestamp) -> std::result::Result<T, Broken> + Send + 'static,
    ) -> Result<T> {
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |given| {
            let done = given.and_then(|(connection, now)| {
                let worked = std::panic::catch_unwind(AssertUnwindSafe(|| work(connection, now)));
                worked.map_or_else(|_| Err(error::panicked()), |done| done.map_err(StoreError::from))
            });
            let stays = done.is_ok();
            let tell = move |written: std::result::Result<(), StoreError>| {
                // Whoever asked may be gone.
                drop(tell.send(done.and_then(|done| written.map(|()| done))));
            };
            (stays, Box::new(tell))
        });
        let sent =
            self.jobs.lock().expect("no code panics while it holds this lock").as_ref().map(|jobs| jobs.send(job));
        match sent {
            Some(Ok(())) => told.await.unwrap_or_else(|_| Err(error::closed())),
            Some(Err(_)) | None => Err(error::closed()),
        }
    }

    fn end(&self) {
        drop(self.jobs.lock().expect("no code panics while it holds this lock").take());
        let handle = self.handle.lock().expect("no code panics while it holds this lock").take();
        drop(handle.map(JoinHandle::join));
    }
}

/// Creates the file for its owner alone: it holds what customers say. What SQLite puts beside it has the same mode. Where it
/// cannot be created SQLite says why.
fn keep_to_ourselves(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
}

/// The time of the store: the machine's, which may be set, in steps that both threads see alike. It never stands still, and
/// goes back only where the machine's clock was set back by more than a little: what waits for a time that is far ahead
/// would not be looked at for as long.
struct Clock(Mutex<Reading>);

#[derive(Clone, Copy)]
struct Reading {
    time: Timestamp,
    at: Instant,
    stepped: Option<Instant>,
}

/// By how much the machine's clock may lag behind its own pace and is not believed.
const LAG_MOST: SignedDuration = SignedDuration::from_secs(5);

impl Clock {
    fn new() -> Self {
        Self(Mutex::new(Reading { time: now(), at: Instant::now(), stepped: None }))
    }

    fn read(&self) -> Timestamp {
        let mut last = self.0.lock().expect("no code panics while it holds this lock");
        let at = Instant::now();
        let (time, stepped) = after(last.time, at.duration_since(last.at), now());
        if stepped {
            tracing::warn!(from = %last.time, to = %time, "the machine's clock was set, or it slept");
        }
        *last = Reading { time, at, stepped: if stepped { Some(at) } else { last.stepped } };
        time
    }

    /// Whether the clock was set within that time: what it says may be wrong.
    fn was_set_within(&self, time: Duration) -> bool {
        let last = self.0.lock().expect("no code panics while it holds this lock");
        last.stepped.is_some_and(|stepped| stepped.elapsed() < time)
    }
}

/// What the time is, that long after it was `last`, where the machine's clock says `wall`; and whether that was set.
fn after(last: Timestamp, elapsed: Duration, wall: Timestamp) -> (Timestamp, bool) {
    let expected = later(last, elapsed);
    let ahead = wall.duration_since(expected);
    let stepped = ahead.abs() > LAG_MOST;
    (if stepped { wall } else { wall.max(expected) }, stepped)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::from_millis(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn read_all(connection: &Connection, jobs: &mpsc::Receiver<Job>, clock: &Clock) {
    for job in jobs {
        let (_, tell) = job(Ok((connection, clock.read())));
        tell(Ok(()));
    }
}

fn write_all(mut connection: Connection, jobs: &mpsc::Receiver<Job>, clock: &Clock) {
    let mut swept = Instant::now();
    loop {
        let first = match jobs.recv_timeout(SWEEP_EVERY) {
            Ok(job) => Some(job),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        let time = clock.read();
        if let Some(first) = first {
            let together = std::iter::once(first).chain(jobs.try_iter().take(TOGETHER - 1));
            write_together(&mut connection, together.collect(), time);
        }
        // Nothing is deleted by a clock that may be wrong.
        if swept.elapsed() >= SWEEP_EVERY && !clock.was_set_within(SWEEP_EVERY) {
            swept = Instant::now();
            if let Err(error) = schema::sweep(&connection, time) {
                tracing::warn!(error = %error::of_sqlite(error), "what has expired cannot be deleted yet");
            }
        }
    }
}

/// One transaction for all of them; those that fail are undone alone.
fn write_together(connection: &mut Connection, jobs: Vec<Job>, now: Timestamp) {
    let mut told: Vec<Tell> = Vec::with_capacity(jobs.len());
    let written = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(mut transaction) => {
            for job in jobs {
                told.push(perform(&mut transaction, job, now));
            }
            transaction.commit()
        }
        Err(error) => {
            let error = error::of_sqlite(error);
            tracing::error!(%error, writes = jobs.len(), "nothing can be written");
            return jobs.into_iter().for_each(|job| job(Err(error.clone())).1(Ok(())));
        }
    };
    let written = written.map_err(error::of_sqlite);
    if let Err(error) = &written {
        tracing::error!(%error, writes = told.len(), "writes failed");
    }
    told.into_iter().for_each(|tell| tell(written.clone()));
}

fn perform(transaction: &mut rusqlite::Transaction<'_>, job: Job, now: Timestamp) -> Tell {
    let savepoint = match transaction.savepoint() {
        Ok(savepoint) => savepoint,
        Err(error) => return job(Err(error::of_sqlite(error))).1,
    };
    let (stays, tell) = job(Ok((&savepoint, now)));
    // Dropping a savepoint undoes it.
    match if stays { savepoint.commit() } else { Ok(()) } {
        Ok(()) => tell,
        Err(error) => {
            let error = error::of_sqlite(error);
            Box::new(move |written| tell(written.and(Err(error))))
        }
    }
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).expect("in range")
    }

    #[test]
    fn the_stores_clock_goes_on_whatever_is_done_to_the_machines() {
        let second = Duration::from_secs(1);
        let start = at(1_000_000_000);
        assert_eq!(after(start, second, at(1_000_001_000)), (at(1_000_001_000), false));
        assert_eq!(after(start, second, at(1_000_002_500)), (at(1_000_002_500), false), "a little ahead");
        assert_eq!(after(start, second, at(999_999_000)), (at(1_000_001_000), false), "a little back: it goes on");
        // Set by much, either way, and right again.
        let set = at(1_000_000_000 - 600_000);
        assert_eq!(after(start, second, set), (set, true));
        assert_eq!(after(set, second, at(1_000_002_000)), (at(1_000_002_000), true));
        let far = at(1_000_000_000 + 100 * 24 * 3_600_000);
        assert_eq!(after(start, second, far), (far, true));
        assert_eq!(after(far, second, at(1_000_002_000)), (at(1_000_002_000), true));
    }
}
