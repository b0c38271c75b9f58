//! Ingest under signed webhooks: as many as it takes, half of that, and large ones.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{
    broker,
    http::Connection,
    load::{Load, Requests, closed, micros, open, posters},
    options::Scenario,
    process::{Cores, Meter, Process, Usage},
    queues::Queues,
    report::{Figure, Report, figure, histogram, latencies},
    requests::Writer,
    stage::{Stage, Taker},
};

/// Messages of a batch.
pub(super) const BATCH: u64 = 50;
/// How many different requests there are. They are sent round and round; nothing here remembers them.
pub(super) const SINGLES: u64 = 4_096;
pub(super) const BATCHES: u64 = 128;
/// Updates in one large body.
const LARGE: u64 = 1_000;
/// Connections of the load at half the top rate.
const HALF_CONNECTIONS: usize = 64;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let queues = Arc::new(Queues::declare(&stage.rabbitmq_url, "ingest").await?);
    let (taker, _) = stage.start_ingest(&queues).await?;
    ladder(stage, &queues, &taker, Scenario::Ingest, "", report).await?;
    half_of_the_top(stage, &queues, &taker, report).await?;
    large(stage, &taker, report).await?;
    taker.process.stop().await?;
    Arc::into_inner(queues).context("nobody else publishes any more")?.delete().await;
    Ok(())
}

/// Single messages and batches over more and more connections. What takes them may be ingest or the reference.
pub(super) async fn ladder(
    stage: &Stage,
    queues: &Queues,
    taker: &Taker,
    scenario: Scenario,
    prefix: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let kinds = [("single", singles(stage), 1), ("batches of 50", batches(stage, BATCH, BATCHES), BATCH)];
    for (what, requests, each) in kinds {
        for &connections in &stage.size.ladder {
            let meter = Meter::start([&taker.process]);
            let loading = closed(posters(taker.addr, connections, &requests).await?, stage.size.step);
            let (load, usage) = watched(&taker.process, loading).await?;
            let cores = meter.stop([&taker.process]);
            report.add(scenario, format!("{prefix}{what}, {connections}"), figures(&load, each, &cores, usage));
            queues.purge().await?;
        }
    }
    Ok(())
}

fn figures(load: &Load, each: u64, cores: &Cores, usage: Usage) -> Vec<Figure> {
    let mut figures = vec![figure("rate", load.per_second() * each as f64, "messages/s")];
    figures.extend(latencies(&load.micros));
    figures.extend([
        figure("resident", usage.resident_mb, "MB"),
        figure("cpu", cores.product_secs / load.all as f64 * 1e6, "s/M webhooks"),
    ]);
    figures.extend(cores.figures());
    let refused: u64 = load.others.values().sum();
    if refused > 0 {
        figures.push(figure("not 200", refused as f64, ""));
    }
    figures
}

/// Runs a load, and sees how large the process gets meanwhile.
async fn watched<T>(process: &Process, load: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(T, Usage)> {
    let mut load = std::pin::pin!(load);
    let mut most = process.usage();
    loop {
        tokio::select! {
            done = &mut load => return Ok((done?, most)),
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                let now = process.usage();
                if now.resident_mb > most.resident_mb {
                    most = now;
                }
            }
        }
    }
}

async fn half_of_the_top(
    stage: &Stage,
    queues: &Arc<Queues>,
    taker: &Taker,
    report: &mut Report,
) -> anyhow::Result<()> {
    let Some(top) = report.best(Scenario::Ingest, "single", "rate") else { return Ok(()) };
    let (rate, length) = (top / 2.0, stage.size.step);
    let senders = posters(taker.addr, HALF_CONNECTIONS, &singles(stage)).await?;
    let meter = Meter::start([&taker.process]);
    let load = open(senders, rate, length).await?;
    let cores = meter.stop([&taker.process]);
    report.add(Scenario::Ingest, "half of the top rate", figures(&load, 1, &cores, taker.process.usage()));
    queues.purge().await?;

    let meter = Meter::start([]);
    let load = broker::at_rate(queues, HALF_CONNECTIONS, rate, length).await?;
    let cores = meter.stop([]);
    let mut figures = vec![figure("rate", load.per_second(), "messages/s")];
    figures.extend(latencies(&load.micros));
    figures.extend(cores.figures());
    report.add(Scenario::Ingest, "a bare publisher at that rate", figures);
    queues.purge().await
}

async fn large(stage: &Stage, taker: &Taker, report: &mut Report) -> anyhow::Result<()> {
    let count = stage.size.large_batches;
    let requests = batches(stage, LARGE, count as u64 + 1);
    let mut connection = Connection::open(taker.addr).await?;
    let mut taken = histogram();
    for (n, request) in requests.iter().enumerate() {
        let began = Instant::now();
        let status = connection.exchange(request).await?;
        ensure!(status == 200, "a body of {LARGE} updates was answered with {status}");
        // The first one finds a cold process.
        if n > 0 {
            taken.saturating_record(micros(began.elapsed()));
        }
    }
    let (median, longest) = (taken.value_at_quantile(0.5), taken.max());
    let figures =
        [("median", median), ("longest", longest)].map(|(name, value)| figure(name, value as f64 / 1e3, "ms"));
    report.add(Scenario::Ingest, "one body of 1,000 updates", figures.into());
    Ok(())
}

pub(super) fn singles(stage: &Stage) -> Requests {
    batches(stage, 1, SINGLES)
}

fn batches(stage: &Stage, each: u64, count: u64) -> Requests {
    let writer = Writer::new();
    Arc::new((0..count).map(|n| writer.webhook(&stage.app_secret, n * each, each)).collect())
}
