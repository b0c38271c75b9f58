//! Answers a second with one worker and with more, where the AI takes a second and a worker has 32 conversations.

use std::time::Duration;

use super::{
    dialogue::{self, Beat, Scene},
    options::Scenario,
    process::Meter,
    report::{Report, figure},
    stage::Stage,
    stand_in::StandIn,
};

const EACH: usize = 32;
const THINKING: Duration = Duration::from_secs(1);

pub(super) async fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let stand_in = StandIn::start().await?;
    stand_in.think(THINKING);
    let installation = stage.install("growth", &stand_in).await?;
    let settings = [("MAX_CONVERSATIONS", EACH.to_string())];
    let most = stage.size.workers.iter().copied().max().unwrap_or(1);
    let mut workers = Vec::new();
    for &count in &stage.size.workers {
        while workers.len() < count {
            let name = format!("worker-{}", workers.len() + 1);
            workers.push(stage.start_worker(&installation, &name, &settings).await?.0);
        }
        let meter = Meter::start(&workers);
        let scene = Scene { queues: &installation.queues, stand_in: &stand_in, first: 0 };
        // The same people each time, twice as many as the most workers can have at once: nobody ever lacks work.
        let people = (2 * EACH * most) as u64;
        let done =
            dialogue::hold(scene, Beat::at_once(people), THINKING * 4, stage.size.work.max(THINKING * 5)).await?;
        let cores = meter.stop(&workers);
        let mut figures = vec![
            figure("rate", done.per_second(), "answers/s"),
            figure("possible", (EACH * count) as f64 / THINKING.as_secs_f64(), "answers/s"),
            figure("repeated", done.repeated as f64, ""),
        ];
        figures.extend(cores.figures());
        report.add(Scenario::Growth, self::workers(count), figures);
    }
    for worker in workers {
        worker.stop().await?;
    }
    installation.remove().await
}

/// How a row with so many workers is called.
pub(super) fn workers(count: usize) -> String {
    if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") }
}
