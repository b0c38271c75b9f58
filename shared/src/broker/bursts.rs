//! What comes together goes together: each channel carries one burst at a time, and whoever comes while all of them are
//! out joins the next one.
//!
//! At low load there is always a channel free, and nobody waits. At high load a burst is as large as what came while the
//! one before it was confirmed, and the broker does for all of a burst at once what it would do for each message: wake,
//! append to its log, bring that to the disk, confirm.
//!
//! A queue that does not confirm, because it has no leader for a while, must not hold up what goes to the others: a burst
//! keeps its channel to itself for a moment only.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::sync::oneshot;

/// Several times what a confirm takes on a busy broker, and little beside what a webhook may take.
const KEPT_MOST: Duration = Duration::from_millis(50);

/// The channels of a connection, by their numbers. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Bursts(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: Vec<usize>,
    waiting: Vec<oneshot::Sender<Place>>,
}

/// A place in a burst. Its channel takes the next one when every place of this one was given back, by dropping it.
#[derive(Debug)]
pub(super) struct Place(Arc<Burst>);

#[derive(Debug)]
struct Burst {
    channel: usize,
    bursts: Bursts,
}

impl Bursts {
    pub(super) fn new(channels: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: (0..channels).collect(), waiting: Vec::new() })))
    }

    /// A place in the next burst.
    ///
    /// Cancellation: the burst goes without it.
    pub(super) async fn place(&self) -> Place {
        let taken = {
            let mut state = self.lock();
            state.free.pop().ok_or_else(|| {
                let (sender, place) = oneshot::channel();
                state.waiting.push(sender);
                place
            })
        };
        match taken {
            Ok(channel) => Place(Arc::new(Burst { channel, bursts: self.clone() })),
            Err(place) => place.await.expect("whoever takes a sender from the list sends it a place"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

impl Place {
    /// The channel of the burst.
    pub(super) fn channel(&self) -> usize {
        self.0.channel
    }

    /// Waits until what is published from here is confirmed, and keeps the place meanwhile, for a moment at most.
    pub(super) async fn keep_until<T>(self, confirmed: impl Future<Output = T>) -> T {
        let mut confirmed = std::pin::pin!(confirmed);
        match tokio::time::timeout(KEPT_MOST, &mut confirmed).await {
            Ok(done) => done,
            Err(_) => {
                drop(self);
                confirmed.await
            }
        }
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.bursts.lock();
            if state.waiting.is_empty() {
                state.free.push(self.channel);
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        let next = Arc::new(Self { channel: self.channel, bursts: self.bursts.clone() });
        for sender in waiting {
            // Who was cancelled gives its place back at once.
            drop(sender.send(Place(Arc::clone(&next))));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use tokio::{task::JoinSet, time::Instant};

    use super::*;

    #[tokio::test]
    async fn as_long_as_a_channel_is_free_nobody_waits() {
        let bursts = Bursts::new(3);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(bursts.place().now_or_never().expect("a channel is free"));
        }
        let mut channels: Vec<_> = places.iter().map(Place::channel).collect();
        channels.sort_unstable();
        assert_eq!(channels, [0, 1, 2]);
        places.truncate(2);
        assert_eq!(bursts.place().now_or_never().expect("one is free again").channel(), 0);
    }

    #[tokio::test]
    async fn who_comes_while_all_channels_are_out_goes_with_the_next_burst() {
        let bursts = Bursts::new(1);
        let first = bursts.place().await;
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(bursts.place())).collect();
        for place in &mut waiting {
            assert!(place.now_or_never().is_none(), "its channel is out");
        }
        drop(first);
        let mut second = Vec::new();
        for place in &mut waiting {
            second.push(place.now_or_never().expect("all that waited go at once"));
        }
        let mut late = Box::pin(bursts.place());
        while let Some(place) = second.pop() {
            assert!((&mut late).now_or_never().is_none(), "the second burst is out");
            drop(place);
        }
        late.now_or_never().expect("the second burst is back");
    }

    #[tokio::test]
    async fn who_is_cancelled_holds_nobody_up() {
        let bursts = Bursts::new(1);
        let first = bursts.place().await;
        let mut cancelled = Box::pin(bursts.place());
        let mut waiting = Box::pin(bursts.place());
        assert!((&mut cancelled).now_or_never().is_none() && (&mut waiting).now_or_never().is_none());
        drop(cancelled);
        drop(first);
        drop(waiting.now_or_never().expect("the burst goes without it"));
        // Also where all that waited are gone, before or after they were given their places.
        for after in [false, true] {
            let first = bursts.place().await;
            let mut given = Box::pin(bursts.place());
            assert!((&mut given).now_or_never().is_none());
            if after {
                drop(first);
                drop(given);
            } else {
                drop(given);
                drop(first);
            }
            bursts.place().now_or_never().expect("the channel is free again");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_confirmed_holds_the_next_burst_up_for_a_moment_only() {
        let bursts = Bursts::new(1);
        let stuck = bursts.place().await.keep_until(std::future::pending::<()>());
        let began = Instant::now();
        let next = async { bursts.place().await.keep_until(std::future::ready(began.elapsed())).await };
        let waited = tokio::select! {
            () = stuck => unreachable!("nobody confirms it"),
            waited = next => waited,
        };
        assert_eq!(waited, KEPT_MOST);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_comes_and_goes_no_channel_is_lost_and_none_carries_two_bursts() {
        const CHANNELS: usize = 3;
        let bursts = Bursts::new(CHANNELS);
        let places = Arc::new([const { AtomicUsize::new(0) }; CHANNELS]);
        let mut tasks = JoinSet::new();
        for task in 0..64_u64 {
            let (bursts, places) = (bursts.clone(), Arc::clone(&places));
            tasks.spawn(async move {
                for n in 0..200 {
                    // Some go before their turn, some at the moment at which it comes.
                    let patience = Duration::from_micros((task * 37 + n * 101) % 400);
                    let Ok(place) = tokio::time::timeout(patience, bursts.place()).await else { continue };
                    places[place.channel()].fetch_add(1, Ordering::Relaxed);
                    if n % 2 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
        tasks.join_all().await;
        let mut free = bursts.lock().free.clone();
        free.sort_unstable();
        assert_eq!(free, [0, 1, 2], "each channel is free, and once");
        assert!(places.iter().all(|count| count.load(Ordering::Relaxed) > 0), "each was used");
    }
}
