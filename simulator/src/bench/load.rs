//! Load: as fast as so many senders go (closed), or at a rate that does not wait (open).
//!
//! In an open load each request has a time at which it is due, and its latency counts from there, not from when a
//! sender was free for it: whoever waited because an earlier answer was late counts as having waited.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use super::{http::Connection, report::histogram};

/// What came of a load.
#[derive(Debug)]
pub(super) struct Load {
    /// Answers with 200 within the time that counts.
    pub(super) answered: u64,
    /// That time.
    pub(super) took: Duration,
    /// Microseconds until each 200.
    pub(super) micros: Histogram<u64>,
    /// Other answers.
    pub(super) others: BTreeMap<u16, u64>,
    /// All answers, also those before the time that counts and after it: what the CPU was used for.
    pub(super) all: u64,
}

impl Load {
    fn new(took: Duration) -> Self {
        Self { answered: 0, took, micros: histogram(), others: BTreeMap::new(), all: 0 }
    }

    pub(super) fn per_second(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }

    fn count(&mut self, status: u16, latency: Duration) {
        if status == 200 {
            self.answered += 1;
            self.micros.saturating_record(micros(latency));
        } else {
            *self.others.entry(status).or_default() += 1;
        }
    }

    fn join(&mut self, other: &Self) {
        self.answered += other.answered;
        self.all += other.all;
        self.micros.add(&other.micros).expect("both have the same bounds");
        for (status, count) in &other.others {
            *self.others.entry(*status).or_default() += count;
        }
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Who sends one request after another.
pub(super) trait Sender: Send + 'static {
    /// Sends the nth, waits for its answer, and says its status.
    fn send(&mut self, n: u64) -> impl Future<Output = anyhow::Result<u16>> + Send;
}

/// Requests that are sent round and round.
pub(super) type Requests = Arc<Vec<Vec<u8>>>;

/// A connection and what is sent over it.
#[derive(Debug)]
struct Poster {
    connection: Connection,
    requests: Requests,
}

impl Sender for Poster {
    async fn send(&mut self, n: u64) -> anyhow::Result<u16> {
        let request = pick(&self.requests, n).context("there are requests")?;
        self.connection.exchange(request).await.context("a connection broke")
    }
}

/// So many of these connections.
pub(super) async fn posters(
    addr: SocketAddr,
    connections: usize,
    requests: &Requests,
) -> anyhow::Result<Vec<impl Sender + use<>>> {
    let mut posters = Vec::with_capacity(connections);
    for _ in 0..connections {
        let connection = Connection::open(addr).await.with_context(|| format!("connect to {addr}"))?;
        posters.push(Poster { connection, requests: Arc::clone(requests) });
    }
    Ok(posters)
}

/// Each sends its next request when it has the answer to the last one. The first quarter more of the time is not
/// counted.
pub(super) async fn closed(senders: Vec<impl Sender>, length: Duration) -> anyhow::Result<Load> {
    let next = Arc::new(AtomicU64::new(0));
    let from = Instant::now() + length / 4;
    let until = from + length;
    let mut tasks = JoinSet::new();
    for mut sender in senders {
        let next = Arc::clone(&next);
        tasks.spawn(async move {
            let mut load = Load::new(length);
            while Instant::now() < until {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let sent = Instant::now();
                let status = sender.send(n).await?;
                let answered = Instant::now();
                load.all += 1;
                if answered >= from && answered < until {
                    load.count(status, answered - sent);
                }
            }
            anyhow::Ok(load)
        });
    }
    gather(tasks, Load::new(length)).await
}

/// Requests at a fixed rate, by whoever of these is free.
pub(super) async fn open(senders: Vec<impl Sender>, rate: f64, length: Duration) -> anyhow::Result<Load> {
    let schedule = Schedule::new(rate);
    let next = Arc::new(AtomicU64::new(0));
    let (warm_up, start) = (length / 4, Instant::now());
    let mut tasks = JoinSet::new();
    for mut sender in senders {
        let next = Arc::clone(&next);
        tasks.spawn(async move {
            let mut load = Load::new(length);
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let due = schedule.due(n);
                if due >= warm_up + length {
                    return anyhow::Ok(load);
                }
                tokio::time::sleep_until((start + due).into()).await;
                let status = sender.send(n).await?;
                load.all += 1;
                if due >= warm_up {
                    load.count(status, (start + due).elapsed());
                }
            }
        });
    }
    gather(tasks, Load::new(length)).await
}

/// When each of evenly spaced events is due. The nth is reckoned from the beginning, so nothing adds up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    rate: f64,
}

impl Schedule {
    /// So many a second.
    pub(super) fn new(rate: f64) -> Self {
        Self { rate: rate.max(0.001) }
    }

    pub(super) fn due(self, n: u64) -> Duration {
        Duration::from_secs_f64(n as f64 / self.rate)
    }
}

/// The nth of what is gone through round and round.
pub(super) fn pick<T>(all: &[Vec<T>], n: u64) -> Option<&[T]> {
    let n = usize::try_from(n).unwrap_or(usize::MAX).checked_rem(all.len())?;
    all.get(n).map(Vec::as_slice)
}

async fn gather(mut tasks: JoinSet<anyhow::Result<Load>>, mut whole: Load) -> anyhow::Result<Load> {
    while let Some(done) = tasks.join_next().await {
        whole.join(&done.context("a task of the load")??);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn events_are_evenly_spaced_and_do_not_drift() {
        let schedule = Schedule::new(3.0);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(3_000_000), Duration::from_secs(1_000_000));
        let gap = |n| schedule.due(n + 1) - schedule.due(n);
        assert!((0..1_000).all(|n| gap(n).as_micros().abs_diff(333_333) <= 1));
    }

    /// A server that answers one request after another, each after a pause, and one status in five differs.
    async fn server(pause: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let addr = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            let busy = Arc::new(tokio::sync::Mutex::new(0_u64));
            while let Ok((mut stream, _)) = listener.accept().await {
                let busy = Arc::clone(&busy);
                tokio::spawn(async move {
                    let mut request = [0; 1024];
                    while stream.read(&mut request).await.is_ok_and(|n| n > 0) {
                        let mut count = busy.lock().await;
                        tokio::time::sleep(pause).await;
                        *count += 1;
                        let status = if *count % 5 == 0 { 503 } else { 200 };
                        drop(count);
                        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        addr
    }

    fn requests() -> Requests {
        Arc::new(vec![super::super::http::get("/")])
    }

    /// A closed load in which something was counted: a busy machine may pause for the whole time that counts.
    async fn counted(addr: SocketAddr) -> Load {
        for _ in 0..20 {
            let senders = posters(addr, 4, &requests()).await.expect("connections");
            let load = closed(senders, Duration::from_millis(400)).await.expect("a load");
            if load.answered + load.others.values().sum::<u64>() >= 10 {
                return load;
            }
        }
        panic!("next to nothing is answered");
    }

    #[tokio::test]
    async fn a_closed_load_goes_as_fast_as_the_answers_come_and_counts_200_alone() {
        let load = counted(server(Duration::from_millis(5)).await).await;
        let others: u64 = load.others.values().sum();
        assert!(load.per_second() < 200.0, "the server gives 200/s at most, a fifth of them 503: {load:?}");
        assert!(load.answered > others && others > 0, "{load:?}");
        assert!(load.micros.min() >= 5_000, "{load:?}");
    }

    #[tokio::test]
    async fn an_open_load_counts_the_wait_for_a_free_connection() {
        // Twice as many as the server can answer: the last ones wait for about half of the whole time.
        let addr = server(Duration::from_millis(10)).await;
        let senders = posters(addr, 2, &requests()).await.expect("connections");
        let load = open(senders, 200.0, Duration::from_millis(400)).await.expect("a load");
        assert!(load.micros.max() > 200_000, "{load:?}");
        let total = load.answered + load.others.values().sum::<u64>();
        assert_eq!(total, 80, "every request that was due was sent");
    }
}
