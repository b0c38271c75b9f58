//! The stack that is replaced, under the same load, with as many processes as it likes best.

use anyhow::ensure;

use super::{ingest::ladder, options::Scenario, queues::Queues, report::Report, stage::Stage};

pub(super) async fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    ensure!(stage.python.is_file(), "{} is not there; deploy/bench.sh makes it", stage.python.display());
    let queues = Queues::declare(&stage.rabbitmq_url, "reference").await?;
    for processes in [1, 2] {
        let taker = stage.start_reference(&queues, processes).await?;
        let prefix = if processes == 1 { "1 process, " } else { "2 processes, " };
        ladder(stage, &queues, &taker, Scenario::Reference, prefix, report).await?;
        taker.process.stop().await?;
    }
    queues.delete().await;
    Ok(())
}
