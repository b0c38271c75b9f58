//! What RabbitMQ confirms to a publisher that does nothing else.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use shared::broker::Outgoing;
use simulator::Tag;

use super::{
    ingest::{BATCH, BATCHES, SINGLES},
    load::{Load, Sender, closed, open, pick},
    options::Scenario,
    process::Meter,
    queues::Queues,
    report::{Report, figure, latencies},
    requests::{Writer, business},
    stage::Stage,
};

pub(super) async fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let queues = Arc::new(Queues::declare(&stage.rabbitmq_url, "broker").await?);
    for (what, count, each) in [("single", SINGLES, 1), ("batches of 50", BATCHES, BATCH)] {
        let batches = batches(&queues, count, each);
        for &outstanding in &stage.size.ladder {
            let meter = Meter::start([]);
            let load = closed(publishers(&queues, &batches, outstanding), stage.size.step).await?;
            let cores = meter.stop([]);
            let mut figures = vec![figure("rate", load.per_second() * each as f64, "messages/s")];
            figures.extend(latencies(&load.micros));
            figures.extend(cores.figures());
            report.add(Scenario::Broker, format!("{what}, {outstanding}"), figures);
            queues.purge().await?;
        }
    }
    Arc::into_inner(queues).context("nobody else publishes any more")?.delete().await;
    Ok(())
}

/// Single messages at a fixed rate, by so many publishers.
pub(super) async fn at_rate(
    queues: &Arc<Queues>,
    outstanding: usize,
    rate: f64,
    length: Duration,
) -> anyhow::Result<Load> {
    let singles = batches(queues, SINGLES, 1);
    open(publishers(queues, &singles, outstanding), rate, length).await
}

/// What ingest would publish for webhooks with so many messages each.
fn batches(queues: &Queues, count: u64, each: u64) -> Batches {
    let writer = Writer::new();
    let outgoing = |n| writer.outgoing(&queues.topology, &business(n), &writer.message(n, Tag(n)));
    Arc::new((0..count).map(|b| (b * each..(b + 1) * each).map(outgoing).collect()).collect())
}

type Batches = Arc<Vec<Vec<Outgoing>>>;

/// Waits for the confirms of a batch before it publishes the next one.
#[derive(Debug)]
struct Publisher {
    queues: Arc<Queues>,
    batches: Batches,
}

impl Sender for Publisher {
    async fn send(&mut self, n: u64) -> anyhow::Result<u16> {
        self.queues.publish(pick(&self.batches, n).context("there are messages")?).await?;
        Ok(200)
    }
}

fn publishers(queues: &Arc<Queues>, batches: &Batches, count: usize) -> Vec<Publisher> {
    let publisher = || Publisher { queues: Arc::clone(queues), batches: Arc::clone(batches) };
    std::iter::repeat_with(publisher).take(count).collect()
}
