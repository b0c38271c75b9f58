//! When each message of a load was written, asked about, answered by the AI, and sent to its customer.
//!
//! A message is a [`Tag`], which is its place here; its conversation is the tag modulo the number of conversations. The
//! stand-ins write down what they see, without a lock, because a thousand requests are under way at once.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use simulator::Tag;
use tokio::sync::Notify;

use super::{load::micros, report::histogram};

/// The messages of one load.
#[derive(Debug)]
pub(super) struct Ledger {
    began: Instant,
    trips: Vec<Trip>,
    conversations: Vec<Notify>,
    asked: AtomicU64,
    sent: AtomicU64,
    repeated: AtomicU64,
}

/// Nanoseconds since the beginning, and one more; 0 for never.
#[derive(Debug, Default)]
struct Trip {
    written: AtomicU64,
    asked: AtomicU64,
    replied: AtomicU64,
    sent: AtomicU64,
}

impl Ledger {
    /// Room for that many messages, tagged from 0 on.
    pub(super) fn new(messages: u64, conversations: u64) -> Self {
        Self {
            began: Instant::now(),
            trips: (0..messages).map(|_| Trip::default()).collect(),
            conversations: (0..conversations.max(1)).map(|_| Notify::new()).collect(),
            asked: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
        }
    }

    pub(super) fn messages(&self) -> u64 {
        self.trips.len() as u64
    }

    pub(super) fn conversations(&self) -> u64 {
        self.conversations.len() as u64
    }

    /// It is about to be given to the system.
    pub(super) fn written(&self, tag: Tag) {
        self.note(tag, |trip| &trip.written);
    }

    /// The AI is asked about it. The last time counts: what an earlier call was for nobody waits for.
    pub(super) fn asked(&self, tag: Tag) {
        if self.note(tag, |trip| &trip.asked) {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The AI has answered.
    pub(super) fn replied(&self, tag: Tag) {
        self.note(tag, |trip| &trip.replied);
    }

    /// Its answer has reached Graph. Wakes who waits for it.
    pub(super) fn sent(&self, tag: Tag) {
        let Some(trip) = self.trip(tag) else { return };
        if trip.sent.load(Ordering::Relaxed) != 0 {
            self.repeated.fetch_add(1, Ordering::Relaxed);
            return;
        }
        trip.sent.store(self.now(), Ordering::Relaxed);
        self.sent.fetch_add(1, Ordering::Relaxed);
        if let Some(conversation) = self.waiting(tag.0 % self.conversations()) {
            conversation.notify_one();
        }
    }

    /// Waits until something is sent to a conversation. What was sent before is not missed.
    pub(super) async fn answered(&self, conversation: u64) {
        if let Some(waiting) = self.waiting(conversation) {
            waiting.notified().await;
        }
    }

    pub(super) fn asked_count(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn sent_count(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Answers that came twice.
    pub(super) fn repeated_count(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Of the messages written between two times: from written to sent, without what the AI took.
    pub(super) fn added(&self, from: Duration, until: Duration) -> Histogram<u64> {
        self.measure(from, until, |times| times.whole().checked_sub(times.ai()))
    }

    /// The first part of [`Self::added`]: from written until the AI is asked.
    pub(super) fn until_asked(&self, from: Duration, until: Duration) -> Histogram<u64> {
        self.measure(from, until, |times| times.asked.checked_sub(times.written))
    }

    /// The second part of [`Self::added`]: from the AI's answer until Graph is asked.
    pub(super) fn after_reply(&self, from: Duration, until: Duration) -> Histogram<u64> {
        self.measure(from, until, |times| times.sent.checked_sub(times.replied))
    }

    /// Of the messages written between two times: from written to sent.
    pub(super) fn whole(&self, from: Duration, until: Duration) -> Histogram<u64> {
        self.measure(from, until, |times| Some(times.whole()))
    }

    /// From written to sent, of one message.
    pub(super) fn time_of(&self, tag: Tag) -> Option<Duration> {
        self.trip(tag)?.times().map(|times| times.whole())
    }

    fn measure(&self, from: Duration, until: Duration, take: impl Fn(Times) -> Option<Duration>) -> Histogram<u64> {
        let mut measured = histogram();
        let times = self.trips.iter().filter_map(Trip::times);
        for taken in times.filter(|times| (from..until).contains(&times.written)).filter_map(take) {
            measured.saturating_record(micros(taken));
        }
        measured
    }

    fn note(&self, tag: Tag, which: impl FnOnce(&Trip) -> &AtomicU64) -> bool {
        let Some(trip) = self.trip(tag) else { return false };
        which(trip).swap(self.now(), Ordering::Relaxed) == 0
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX - 1) + 1
    }

    fn trip(&self, tag: Tag) -> Option<&Trip> {
        self.trips.get(usize::try_from(tag.0).ok()?)
    }

    fn waiting(&self, conversation: u64) -> Option<&Notify> {
        self.conversations.get(usize::try_from(conversation).ok()?)
    }
}

#[derive(Debug, Clone, Copy)]
struct Times {
    written: Duration,
    asked: Duration,
    replied: Duration,
    sent: Duration,
}

impl Times {
    fn whole(self) -> Duration {
        self.sent.saturating_sub(self.written)
    }

    fn ai(self) -> Duration {
        self.replied.saturating_sub(self.asked)
    }
}

impl Trip {
    /// Its times, where it was sent.
    fn times(&self) -> Option<Times> {
        let time = |at: &AtomicU64| at.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_nanos);
        let (written, asked) = (time(&self.written)?, time(&self.asked)?);
        Some(Times { written, asked, replied: time(&self.replied)?, sent: time(&self.sent)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ledger: &Ledger, tag: u64, millis: [u64; 4]) {
        let trip = ledger.trip(Tag(tag)).expect("room");
        for (at, millis) in [&trip.written, &trip.asked, &trip.replied, &trip.sent].into_iter().zip(millis) {
            at.store(millis * 1_000_000 + 1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_is_added_is_the_whole_without_the_ai_and_only_messages_of_the_time_count() {
        let ledger = Ledger::new(4, 2);
        set(&ledger, 0, [100, 103, 1_103, 1_110]);
        set(&ledger, 1, [200, 205, 1_205, 1_220]);
        set(&ledger, 2, [900, 901, 902, 903]);
        ledger.written(Tag(3));
        let (from, until) = (Duration::from_millis(100), Duration::from_millis(900));
        let added = ledger.added(from, until);
        assert_eq!(added.len(), 2, "one was written too late, one was never answered");
        assert_eq!((added.min() / 1_000, added.max() / 1_000), (10, 20));
        assert_eq!(ledger.until_asked(from, until).max() / 1_000, 5);
        assert_eq!(ledger.after_reply(from, until).max() / 1_000, 15);
        assert_eq!(ledger.whole(from, until).max() / 1_000, 1_020);
    }

    #[tokio::test]
    async fn an_answer_wakes_its_conversation_and_counts_once() {
        let ledger = Ledger::new(10, 3);
        ledger.sent(Tag(7));
        ledger.sent(Tag(7));
        // Told before anybody waited.
        ledger.answered(1).await;
        assert_eq!((ledger.sent_count(), ledger.repeated_count()), (1, 1));
        let other = tokio::time::timeout(Duration::from_millis(20), ledger.answered(2)).await;
        assert!(other.is_err(), "nothing was sent there");
        ledger.sent(Tag(99));
        assert_eq!(ledger.sent_count(), 1, "a tag of another load is nobody's");
    }
}
