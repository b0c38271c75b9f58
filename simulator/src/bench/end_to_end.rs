//! The whole way, from the moment a webhook is due to the request at Graph, at half of what one worker can do.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use simulator::{Tag, webhook::Body};
use tokio::sync::Mutex;

use super::{
    dialogue::{self, Beat, Scene, all_sent, at_rate},
    http::Connection,
    ledger::Ledger,
    options::Scenario,
    process::Meter,
    report::{Report, figure, latencies},
    requests::{Writer, business, signed},
    stage::Stage,
    stand_in::StandIn,
};

/// Customers who take turns. Each writes again long after the last answer.
const CUSTOMERS: u64 = 1_000;
const CONNECTIONS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let stand_in = StandIn::start().await?;
    stand_in.think(Duration::ZERO);
    let installation = stage.install("end", &stand_in).await?;
    let (ingest, _) = stage.start_ingest(&installation.queues).await?;
    let mut workers = Vec::new();
    let rate = match report.best(Scenario::Worker, "top rate", "rate") {
        Some(top) => top / 2.0,
        None => {
            workers.push(stage.start_worker(&installation, "worker-1", &[]).await?.0);
            let scene = Scene { queues: &installation.queues, stand_in: &stand_in, first: 1_000_000 };
            let top = stage.size.top as u64;
            let beat = Beat::in_turns(top);
            dialogue::make_known(scene, beat).await?;
            dialogue::hold(scene, beat, Duration::ZERO, stage.size.work / 2).await?.per_second() / 2.0
        }
    };
    let customers = if stage.size.quick { 100 } else { CUSTOMERS };
    for &count in &stage.size.workers {
        while workers.len() < count {
            let name = format!("worker-{}", workers.len() + 1);
            workers.push(stage.start_worker(&installation, &name, &[]).await?.0);
        }
        let meter = Meter::start(workers.iter().chain([&ingest.process]));
        let ledger = one(stage, &stand_in, ingest.addr, rate, customers).await?;
        let cores = meter.stop(workers.iter().chain([&ingest.process]));
        let warm = Duration::from_secs_f64(customers as f64 / rate);
        let mut figures = latencies(&ledger.whole(warm, Duration::MAX));
        figures.extend([figure("rate", rate, "messages/s"), figure("repeated", ledger.repeated_count() as f64, "")]);
        figures.extend(cores.figures());
        report.add(Scenario::EndToEnd, super::growth::workers(count), figures);
    }
    for worker in workers {
        worker.stop().await?;
    }
    ingest.process.stop().await?;
    installation.remove().await
}

/// Everybody once, to begin the conversations, and then for as long as a load on workers is.
async fn one(
    stage: &Stage,
    stand_in: &StandIn,
    addr: SocketAddr,
    rate: f64,
    customers: u64,
) -> anyhow::Result<Arc<Ledger>> {
    let messages = customers + (rate * stage.size.work.as_secs_f64()).ceil() as u64;
    let ledger = Arc::new(Ledger::new(messages, customers));
    stand_in.note_in(&ledger);
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(addr).await.context("connect to ingest")?);
    }
    let (idle, writer) = (Arc::new(Mutex::new(connections)), Arc::new(Writer::new()));
    let secret = stage.app_secret.clone();
    at_rate(&ledger, rate, |tag| {
        let (ledger, idle, writer, secret) =
            (Arc::clone(&ledger), Arc::clone(&idle), Arc::clone(&writer), secret.clone());
        async move {
            let request = webhook(&writer, &secret, tag, customers);
            ledger.written(tag);
            let taken = idle.lock().await.pop();
            let mut connection = match taken {
                Some(connection) => connection,
                None => Connection::open(addr).await?,
            };
            let status = connection.exchange(&request).await?;
            ensure!(status == 200, "a webhook was answered with {status}");
            idle.lock().await.push(connection);
            Ok(())
        }
    })
    .await?;
    all_sent(&ledger, messages, PATIENCE).await?;
    Ok(ledger)
}

fn webhook(writer: &Writer, secret: &secrecy::SecretString, tag: Tag, customers: u64) -> Vec<u8> {
    let person = 5_000_000 + tag.0 % customers;
    signed(secret, &Body::of(&business(person), &writer.message(person, tag)))
}
