//! What RabbitMQ confirms to a publisher that does nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use shared::broker::Outgoing;
use simulator::Tag;
use tokio::task::JoinSet;

use super::{
    ingest::{BATCH, BATCHES, SINGLES},
    load::micros,
    options::Scenario,
    process::Meter,
    queues::Queues,
    report::{Report, figure, histogram, latencies},
    requests::{Writer, business},
    stage::Stage,
};

pub(super) async fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let queues = Arc::new(Queues::declare(&stage.rabbitmq_url, "broker").await?);
    let writer = Writer::new();
    let outgoing = |n| writer.outgoing(&queues.topology, &business(n), &writer.message(n, Tag(n)));
    let singles: Vec<Vec<Outgoing>> = (0..SINGLES).map(|n| vec![outgoing(n)]).collect();
    // As in a webhook with fifty messages.
    let batches: Vec<Vec<Outgoing>> =
        (0..BATCHES).map(|b| (b * BATCH..(b + 1) * BATCH).map(outgoing).collect()).collect();
    for (what, batches, each) in [("single", Arc::new(singles), 1), ("batches of 50", Arc::new(batches), BATCH)] {
        for &outstanding in &stage.size.ladder {
            let meter = Meter::start([]);
            let (published, micros) = publish(&queues, &batches, outstanding, stage.size.step).await?;
            let cores = meter.stop([]);
            let rate = (published * each) as f64 / stage.size.step.as_secs_f64();
            let mut figures = vec![figure("rate", rate, "messages/s")];
            figures.extend(latencies(&micros));
            figures.extend(cores.figures());
            report.add(Scenario::Broker, format!("{what}, {outstanding}"), figures);
            queues.purge().await?;
        }
    }
    Arc::into_inner(queues).context("nobody else publishes any more")?.delete().await
}

/// So many publishers, each of which waits for the confirms of a batch before it publishes the next. The first quarter
/// more of the time is not counted.
async fn publish(
    queues: &Arc<Queues>,
    batches: &Arc<Vec<Vec<Outgoing>>>,
    publishers: usize,
    length: Duration,
) -> anyhow::Result<(u64, hdrhistogram::Histogram<u64>)> {
    let next = Arc::new(AtomicUsize::new(0));
    let from = Instant::now() + length / 4;
    let until = from + length;
    let mut tasks = JoinSet::new();
    for _ in 0..publishers {
        let (queues, batches, next) = (Arc::clone(queues), Arc::clone(batches), Arc::clone(&next));
        tasks.spawn(async move {
            let mut taken = histogram();
            while Instant::now() < until {
                let turn = next.fetch_add(1, Ordering::Relaxed) % batches.len();
                let began = Instant::now();
                queues.publish(batches.get(turn).context("a remainder is less than the length")?).await?;
                let now = Instant::now();
                if now >= from && now < until {
                    taken.saturating_record(micros(now - began));
                }
            }
            anyhow::Ok(taken)
        });
    }
    let mut taken = histogram();
    while let Some(done) = tasks.join_next().await {
        taken.add(&done.context("a task that publishes")??)?;
    }
    Ok((taken.len(), taken))
}
