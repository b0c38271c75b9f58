//! Conversations that go on: each customer writes, waits for the answer, and writes again.
//!
//! So the number of conversations in flight is fixed, and the rate is what the system makes of it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use hdrhistogram::Histogram;
use simulator::Tag;
use tokio::task::JoinSet;

use super::{
    ledger::Ledger,
    load::Schedule,
    queues::Queues,
    requests::{Writer, business},
    stand_in::StandIn,
};

/// Whoever gets no answer within this has been forgotten.
const PATIENCE: Duration = Duration::from_secs(120);
/// Messages of one load at most.
const MESSAGES_MOST: u64 = 400_000;
/// With so many in each conversation, each of them is answered a few times a minute.
const TAKING_TURNS: u64 = 20;
/// Messages that are published together where nobody waits for answers.
const TOGETHER: u64 = 100;

/// What became of conversations that went on.
#[derive(Debug)]
pub(super) struct Dialogue {
    /// Answers within the time that counts.
    pub(super) answered: u64,
    /// That time.
    pub(super) took: Duration,
    /// Microseconds from written to sent, without what the AI took.
    pub(super) added: Histogram<u64>,
    /// The part of it before the AI is asked, and the part behind its answer.
    pub(super) until_asked: Histogram<u64>,
    pub(super) after_reply: Histogram<u64>,
    /// Answers that came twice, of all.
    pub(super) repeated: u64,
}

impl Dialogue {
    pub(super) fn per_second(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }
}

/// Where messages are written, and by which stand-in their answers are seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) queues: &'a Queues,
    pub(super) stand_in: &'a StandIn,
    /// The first of the conversations, so that two loads need not be the same people.
    pub(super) first: u64,
}

/// How many conversations go on, and over which time their first messages are spread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    conversations: u64,
    /// Conversations that begin together go on together, as long as each answer takes the same time: then a load of ten
    /// a second is ten at once and nine tenths of a second of nothing. Spread over the time of an answer it is even.
    spread: Duration,
    /// How many customers take turns in each of them. Who is answered 45 times within a few seconds is kept waiting by
    /// the worker from then on, because Meta wants it so (error 131056), and that is not what is measured.
    customers: u64,
}

impl Beat {
    /// All begin together: where it is about how many there can be.
    pub(super) fn at_once(conversations: u64) -> Self {
        Self::spread(conversations, Duration::ZERO)
    }

    /// They begin over this time, with one customer each.
    pub(super) fn spread(conversations: u64, spread: Duration) -> Self {
        Self { conversations, spread, customers: 1 }
    }

    /// All begin together, and in each so many customers take turns that nobody is kept waiting.
    pub(super) fn in_turns(conversations: u64) -> Self {
        Self { customers: TAKING_TURNS, ..Self::at_once(conversations) }
    }

    /// Who writes in a round of a conversation.
    fn customer(self, conversation: u64, round: u64) -> u64 {
        conversation + self.conversations * (round % self.customers)
    }

    fn begins(self, conversation: u64) -> Duration {
        self.spread.mul_f64(conversation as f64 / self.conversations as f64)
    }
}

/// Every customer is answered once, so that no conversation begins while something is measured.
pub(super) async fn make_known(scene: Scene<'_>, beat: Beat) -> anyhow::Result<()> {
    let customers = beat.conversations * beat.customers;
    let ledger = Arc::new(Ledger::new(customers, customers));
    scene.stand_in.note_in(&ledger);
    pour(scene, &ledger, customers).await?;
    all_sent(&ledger, customers, PATIENCE).await
}

/// So many conversations for so long, after `warm_up`; then the last answers are waited for.
pub(super) async fn hold(
    scene: Scene<'_>,
    beat: Beat,
    warm_up: Duration,
    length: Duration,
) -> anyhow::Result<Dialogue> {
    let conversations = beat.conversations;
    let rounds = (MESSAGES_MOST / conversations).max(1);
    let ledger = Arc::new(Ledger::new(rounds * conversations, conversations));
    scene.stand_in.note_in(&ledger);
    let until = warm_up + length;
    let writer = Writer::new();
    let everybody = (0..conversations).map(|conversation| {
        let (ledger, writer) = (&ledger, &writer);
        async move {
            tokio::time::sleep(beat.begins(conversation)).await;
            for round in 0..rounds {
                if ledger.elapsed() >= until {
                    break;
                }
                let tag = Tag(round * conversations + conversation);
                write(scene, writer, ledger, beat.customer(conversation, round), tag).await?;
                let answered = tokio::time::timeout(PATIENCE, ledger.answered(conversation)).await;
                ensure!(answered.is_ok(), "a customer waits for an answer for {PATIENCE:?}");
            }
            anyhow::Ok(())
        }
    });
    let counting = async {
        tokio::time::sleep(warm_up).await;
        let (before, from) = (ledger.sent_count(), ledger.elapsed());
        tokio::time::sleep(length).await;
        anyhow::Ok((ledger.sent_count() - before, from, ledger.elapsed()))
    };
    let (all, counted) = tokio::join!(futures_util::future::join_all(everybody), counting);
    all.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    let (answered, from, to) = counted?;
    Ok(Dialogue {
        answered,
        took: to - from,
        added: ledger.added(from, to),
        until_asked: ledger.until_asked(from, to),
        after_reply: ledger.after_reply(from, to),
        repeated: ledger.repeated_count(),
    })
}

async fn write(scene: Scene<'_>, writer: &Writer, ledger: &Ledger, customer: u64, tag: Tag) -> anyhow::Result<()> {
    let person = scene.first + customer;
    let message = writer.message(person, tag);
    let outgoing = writer.outgoing(&scene.queues.topology, &business(person), &message);
    ledger.written(tag);
    scene.queues.publish(&[outgoing]).await
}

/// One message of each of so many conversations, as fast as RabbitMQ takes them; answers are not waited for.
pub(super) async fn pour(scene: Scene<'_>, ledger: &Arc<Ledger>, messages: u64) -> anyhow::Result<()> {
    const AT_ONCE: usize = 8;
    let writer = Writer::new();
    let batches = (0..messages).step_by(usize::try_from(TOGETHER).unwrap_or(1)).map(|from| {
        let writer = &writer;
        async move {
            let tags = (from..messages.min(from + TOGETHER)).map(Tag);
            let outgoing: Vec<_> = tags
                .map(|tag| {
                    let person = scene.first + tag.0;
                    ledger.written(tag);
                    writer.outgoing(&scene.queues.topology, &business(person), &writer.message(person, tag))
                })
                .collect();
            scene.queues.publish(&outgoing).await
        }
    });
    let mut published = futures_util::stream::iter(batches).buffer_unordered(AT_ONCE);
    while let Some(batch) = published.next().await {
        batch?;
    }
    Ok(())
}

/// Waits until that many answers were sent.
pub(super) async fn all_sent(ledger: &Ledger, messages: u64, patience: Duration) -> anyhow::Result<()> {
    let began = ledger.elapsed();
    let mut last = (ledger.sent_count(), ledger.elapsed());
    while ledger.sent_count() < messages {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if ledger.sent_count() > last.0 {
            last = (ledger.sent_count(), ledger.elapsed());
        }
        if ledger.elapsed() - last.1 > patience {
            bail!("{} of {messages} messages were answered in {:?}, and no more came", last.0, last.1 - began);
        }
    }
    Ok(())
}

/// Messages at a fixed rate, given to `give` one by one, each by the next of the conversations.
pub(super) async fn at_rate<F>(ledger: &Arc<Ledger>, rate: f64, give: impl Fn(Tag) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let (schedule, start) = (Schedule::new(rate), tokio::time::Instant::now());
    let mut given = JoinSet::new();
    for n in 0..ledger.messages() {
        tokio::time::sleep_until(start + schedule.due(n)).await;
        given.spawn(give(Tag(n)));
        while let Some(done) = given.try_join_next() {
            done.context("a task that writes")??;
        }
    }
    while let Some(done) = given.join_next().await {
        done.context("a task that writes")??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_begin_evenly_within_the_spread_or_all_at_once() {
        let even = Beat::spread(50, Duration::from_secs(1));
        assert!((0..50).all(|n| even.begins(n) == Duration::from_millis(20 * n)));
        assert!((0..50).all(|n| Beat::at_once(50).begins(n).is_zero()));
    }

    #[test]
    fn customers_take_turns_and_none_is_in_two_conversations() {
        let beat = Beat { customers: 3, ..Beat::at_once(4) };
        let of = |conversation| (0..6).map(|round| beat.customer(conversation, round)).collect::<Vec<_>>();
        assert_eq!((of(0), of(3)), (vec![0, 4, 8, 0, 4, 8], vec![3, 7, 11, 3, 7, 11]));
        assert_eq!(Beat::at_once(4).customer(2, 5), 2);
    }
}
