//! Statuses that come at about the same time are written together.
//!
//! Each answer brings three of them, and each is of little worth by itself; written one by one they would ask the
//! database more often than the answers do.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::sync::oneshot;

use crate::store::{NewStatus, OnRecord, Result, Statuses, StatusesTaken, in_time};

/// How long the first one waits for others. Nobody waits for a status who would notice.
const GATHERING: Duration = Duration::from_millis(20);
/// Written in one go.
const TOGETHER_MOST: usize = 256;

/// Writes statuses. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct StatusWriter {
    store: Arc<dyn Statuses>,
    gathered: Arc<Mutex<Vec<Gathered>>>,
}

#[derive(Debug)]
struct Gathered {
    status: NewStatus,
    taken: oneshot::Sender<Result<Option<OnRecord>>>,
}

impl StatusWriter {
    pub(crate) fn new(store: Arc<dyn Statuses>) -> Self {
        Self { store, gathered: Arc::default() }
    }

    /// Writes a status, with others, and says whose message it is about, where that is known. Dropping the future
    /// leaves open whether it is written.
    ///
    /// # Errors
    /// It is not written, or only in part: it may be given again.
    ///
    /// # Panics
    /// Where the store panics over this very status.
    pub(crate) async fn write(&self, status: NewStatus) -> Result<Option<OnRecord>> {
        let (taken, answer) = oneshot::channel();
        let is_first = {
            let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            gathered.push(Gathered { status, taken });
            gathered.len() == 1
        };
        if is_first {
            // In a task of its own: whoever came first may be given up, and the others must not wait for ever.
            let writer = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(GATHERING).await;
                writer.write_gathered().await;
            });
        }
        answer.await.expect("the store panicked over this status")
    }

    async fn write_gathered(&self) {
        let mut gathered = std::mem::take(&mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner));
        while !gathered.is_empty() {
            let rest = gathered.split_off(gathered.len().min(TOGETHER_MOST));
            self.write_together(std::mem::replace(&mut gathered, rest)).await;
        }
    }

    /// What nobody can write, or panics, is tried by itself, so that it does the others no harm.
    async fn write_together(&self, gathered: Vec<Gathered>) {
        let (statuses, takers): (Vec<_>, Vec<_>) = gathered.into_iter().map(|one| (one.status, one.taken)).unzip();
        let Some(taken) = self.take(&statuses).await else {
            for (status, taker) in statuses.iter().zip(takers) {
                self.write_alone(status, taker).await;
            }
            return;
        };
        for ((status, taker), taken) in statuses.iter().zip(takers).zip(taken) {
            match taken {
                Err(error) if error.is_permanent() && statuses.len() > 1 => self.write_alone(status, taker).await,
                // Whoever was given up hears of it no more.
                taken => drop(taker.send(taken)),
            }
        }
    }

    async fn write_alone(&self, status: &NewStatus, taker: oneshot::Sender<Result<Option<OnRecord>>>) {
        // Without an answer the taker panics in its turn, and whoever drives it files what it had.
        if let Some(taken) = self.take(std::slice::from_ref(status)).await.and_then(|mut each| each.pop()) {
            drop(taker.send(taken));
        }
    }

    /// None: the store panicked.
    async fn take(&self, statuses: &[NewStatus]) -> Option<Vec<Result<Option<OnRecord>>>> {
        let taking = async { Ok(self.store.take_statuses(statuses).await) };
        match AssertUnwindSafe(in_time(taking)).catch_unwind().await.ok()? {
            Ok(StatusesTaken { proofs, each }) => {
                // Often quicker than the worker's own record, so that it says little.
                metrics::counter!("switchboard_sends_in_doubt_total", "resolved" => "status").increment(proofs);
                Some(each)
            }
            Err(error) => Some(statuses.iter().map(|_| Err(error.clone())).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use jiff::Timestamp;
    use shared::ids::{MessageId, PhoneNumberId};

    use super::*;
    use crate::store::{StatusUpdate, StoreError};

    const PANICS: &str = "panics";
    const REFUSED: &str = "refused";
    /// Where one of these is among them, nothing can be written.
    const REFUSED_WITH_ALL: &str = "refused_with_all";

    /// Writes down which statuses were taken together.
    #[derive(Debug, Default)]
    struct Fake(Mutex<Vec<usize>>);

    #[async_trait]
    impl Statuses for Fake {
        async fn take_statuses(&self, statuses: &[NewStatus]) -> StatusesTaken {
            self.0.lock().expect("not poisoned").push(statuses.len());
            let has = |word: &str| statuses.iter().any(|status| status.update.status == word);
            assert!(!has(PANICS));
            let refused = || StoreError::Refused { database: "a fake", problem: "of the test".to_owned() };
            let all_refused = has(REFUSED_WITH_ALL);
            let take = |status: &NewStatus| match status.update.status == REFUSED || all_refused {
                true => Err(refused()),
                false => Ok(None),
            };
            StatusesTaken { proofs: 0, each: statuses.iter().map(take).collect() }
        }
    }

    fn status(word: &str) -> NewStatus {
        let update = StatusUpdate {
            number: PhoneNumberId::parse("100100").expect("an id"),
            wamid: MessageId::parse("wamid.1").expect("an id"),
            status: word.to_owned(),
            rank: 1,
            at: Timestamp::UNIX_EPOCH,
            pricing: None,
            error_code: None,
        };
        NewStatus { update, proves: None }
    }

    /// What became of each, as a word, and how many were taken together.
    async fn written(words: &[&str]) -> (Vec<&'static str>, Vec<usize>) {
        let fake = Arc::new(Fake::default());
        let writer = StatusWriter::new(Arc::clone(&fake) as _);
        let mut ends = Vec::new();
        for word in words {
            let (writer, status) = (writer.clone(), status(word));
            ends.push(tokio::spawn(async move { writer.write(status).await }));
        }
        let mut became = Vec::new();
        for end in ends {
            became.push(match end.await {
                Ok(Ok(_)) => "written",
                Ok(Err(_)) => "error",
                Err(_) => "panic",
            });
        }
        let together = fake.0.lock().expect("not poisoned").clone();
        (became, together)
    }

    #[tokio::test(start_paused = true)]
    async fn statuses_that_come_together_are_written_together() {
        assert_eq!(written(&["a", "b", "c"]).await, (vec!["written"; 3], vec![3]));
        let many = vec!["a"; TOGETHER_MOST + 1];
        assert_eq!(written(&many).await, (vec!["written"; TOGETHER_MOST + 1], vec![TOGETHER_MOST, 1]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_that_cannot_be_written_holds_no_other_one_up() {
        assert_eq!(written(&["a", REFUSED, "b"]).await, (vec!["written", "error", "written"], vec![3, 1]));
        let (became, together) = written(&["a", REFUSED_WITH_ALL, "b"]).await;
        assert_eq!((became, together), (vec!["written", "error", "written"], vec![3, 1, 1, 1]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_that_makes_the_store_panic_panics_alone() {
        assert_eq!(written(&["a", PANICS, "b"]).await, (vec!["written", "panic", "written"], vec![3, 1, 1, 1]));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_leaves_the_others_written() {
        let fake = Arc::new(Fake::default());
        let writer = StatusWriter::new(Arc::clone(&fake) as _);
        let first = writer.write(status("a"));
        let second = async { writer.write(status("b")).await.expect("written") };
        // The first is asked once, and dropped.
        let first = tokio::time::timeout(Duration::ZERO, first);
        let (first, _) = tokio::join!(first, second);
        assert!(first.is_err());
        assert_eq!(*fake.0.lock().expect("not poisoned"), [2]);
    }
}
