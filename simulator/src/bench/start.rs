//! How long a process takes until it is ready, where everything that it needs is there already; and how large it is.

use std::time::Duration;

use super::{
    options::Scenario,
    report::{Figure, Report, figure},
    stage::Stage,
    stand_in::StandIn,
};

pub(super) async fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let stand_in = StandIn::start().await?;
    let installation = stage.install("start", &stand_in).await?;
    // The first worker makes the indexes.
    let (worker, _) = stage.start_worker(&installation, "worker", &[]).await?;
    worker.stop().await?;
    let (mut ingest, mut worker) = (Vec::new(), Vec::new());
    for _ in 0..stage.size.cold_starts {
        let (taker, ready) = stage.start_ingest(&installation.queues).await?;
        taker.process.stop().await?;
        ingest.push(ready);
        let (process, ready) = stage.start_worker(&installation, "worker", &[]).await?;
        process.stop().await?;
        worker.push(ready);
    }
    report.add(Scenario::Start, "ingest", figures(stage, "ingest", ingest)?);
    report.add(Scenario::Start, "worker", figures(stage, "worker", worker)?);
    installation.remove().await
}

fn figures(stage: &Stage, name: &str, mut ready: Vec<Duration>) -> anyhow::Result<Vec<Figure>> {
    ready.sort();
    let millis = |at: usize| ready.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    Ok(vec![
        figure("median", millis(ready.len() / 2), "ms"),
        figure("longest", millis(ready.len().saturating_sub(1)), "ms"),
        figure("binary", stage.binary(name).metadata()?.len() as f64 / 1e6, "MB"),
    ])
}
