//! Workers that are started before a full queue: how long it takes, and who else waits meanwhile.
//!
//! Two backlogs, one four times as long as the other, tell whether the time grows as the length does. Meanwhile two
//! quiet businesses are written to: one whose queue is empty, and one whose number shares a queue with the backlog.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use shared::topology::partition;
use simulator::Tag;

use super::{
    dialogue::all_sent,
    ledger::Ledger,
    options::Scenario,
    process::Meter,
    queues::{PARTITIONS, Queues},
    report::{Figure, Report, figure, histogram, latencies},
    requests::{BUSINESSES, Writer, business},
    stage::{Installation, Stage},
    stand_in::StandIn,
};

/// How often each of the quiet businesses is written to.
const EVERY: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(60);
/// Published together.
const TOGETHER: usize = 100;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let stand_in = StandIn::start().await?;
    stand_in.think(Duration::ZERO);
    for (what, messages) in [("a quarter of it", stage.size.backlog / 4), ("all of it", stage.size.backlog)] {
        // Each in a database of its own, so that the second one does not meet the conversations of the first.
        let installation = stage.install("backlog", &stand_in).await?;
        drain(stage, &stand_in, &installation, what, messages, report).await?;
        installation.remove().await?;
    }
    Ok(())
}

/// Which businesses the backlog is for, and the two quiet ones.
#[derive(Debug)]
struct Cast {
    loud: Vec<u64>,
    apart: u64,
    behind: u64,
}

impl Cast {
    /// The quiet one has a queue to itself; the other one shares its queue with loud ones.
    fn choose() -> Self {
        let of = |n: u64| partition(&business(n).phone_number_id, PARTITIONS);
        let apart = 0;
        let others: Vec<u64> = (1..BUSINESSES).filter(|n| of(*n) != of(apart)).collect();
        let shared = |n: &u64| others.iter().filter(|other| of(**other) == of(*n)).count() > 1;
        let behind = others.iter().copied().find(shared).unwrap_or(apart);
        Self { loud: others.into_iter().filter(|n| *n != behind).collect(), apart, behind }
    }
}

async fn drain(
    stage: &Stage,
    stand_in: &StandIn,
    installation: &Installation,
    what: &str,
    messages: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let cast = Cast::choose();
    // Room for the quiet ones behind the backlog.
    let ledger = Arc::new(Ledger::new(messages + 200_000, messages + 200_000));
    stand_in.note_in(&ledger);
    let writer = Writer::new();
    publish(&installation.queues, &writer, &ledger, &cast, messages).await?;
    let began = ledger.elapsed();
    let (worker, _) = stage.start_worker(installation, "worker", &[]).await?;
    let meter = Meter::start([&worker]);
    let ready = ledger.elapsed();
    let drained = tokio_util::sync::CancellationToken::new();
    let quiet = quiet(installation, &writer, &ledger, &cast, messages, &drained);
    let draining = async {
        // What was written to the quiet ones meanwhile counts among the sent, so it is waited for together.
        let done = backlog_sent(&ledger, messages).await;
        let at = ledger.elapsed();
        drained.cancel();
        done.map(|()| at)
    };
    let (quiet, ended) = tokio::join!(quiet, draining);
    let (took, quiet) = (ended? - ready, quiet?);
    let cores = meter.stop([&worker]);
    all_sent(&ledger, messages + quiet.count(), PATIENCE).await?;
    let mut figures = vec![
        figure("messages", messages as f64, ""),
        figure("took", took.as_secs_f64(), "s"),
        figure("each", took.as_secs_f64() * 1e3 / messages as f64, "ms"),
        figure("ready", (ready - began).as_secs_f64(), "s"),
        figure("resident", worker.usage().resident_mb, "MB"),
        figure("repeated", ledger.repeated_count() as f64, ""),
    ];
    figures.extend(cores.figures());
    report.add(Scenario::Backlog, what, figures);
    report.add(
        Scenario::Backlog,
        format!("{what}: a quiet business with a queue of its own"),
        times(&ledger, &quiet.apart),
    );
    report.add(Scenario::Backlog, format!("{what}: one that shares a queue"), times(&ledger, &quiet.behind));
    worker.stop().await
}

/// One message of each of so many customers.
async fn publish(queues: &Queues, writer: &Writer, ledger: &Ledger, cast: &Cast, messages: u64) -> anyhow::Result<()> {
    let mut batch = Vec::with_capacity(TOGETHER);
    for (n, loud) in (0..messages).zip(cast.loud.iter().cycle()) {
        ledger.written(Tag(n));
        batch.push(writer.outgoing(&queues.topology, &business(*loud), &writer.message(20_000_000 + n, Tag(n))));
        if batch.len() == TOGETHER || n + 1 == messages {
            queues.publish(&batch).await?;
            batch.clear();
        }
    }
    Ok(())
}

/// Tags of what was written to the quiet ones.
#[derive(Debug, Default)]
struct Quiet {
    apart: BTreeSet<u64>,
    behind: BTreeSet<u64>,
}

impl Quiet {
    fn count(&self) -> u64 {
        (self.apart.len() + self.behind.len()) as u64
    }
}

async fn quiet(
    installation: &Installation,
    writer: &Writer,
    ledger: &Ledger,
    cast: &Cast,
    first: u64,
    drained: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<Quiet> {
    let mut quiet = Quiet::default();
    let mut tag = first;
    while !drained.is_cancelled() && tag + 1 < ledger.messages() {
        for (business_of, tags) in [(cast.apart, &mut quiet.apart), (cast.behind, &mut quiet.behind)] {
            let message = writer.message(60_000_000 + tag, Tag(tag));
            let outgoing = writer.outgoing(&installation.queues.topology, &business(business_of), &message);
            ledger.written(Tag(tag));
            installation.queues.publish(&[outgoing]).await?;
            tags.insert(tag);
            tag += 1;
        }
        tokio::select! {
            () = drained.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    Ok(quiet)
}

async fn backlog_sent(ledger: &Ledger, messages: u64) -> anyhow::Result<()> {
    let mut next = 0;
    let mut last = ledger.elapsed();
    while next < messages {
        // In whatever order they are answered: it has ended when there is none left that was not.
        if ledger.time_of(Tag(next)).is_some() {
            next += 1;
            last = ledger.elapsed();
            continue;
        }
        anyhow::ensure!(
            ledger.elapsed() - last < Duration::from_secs(1_800),
            "message {next} of the backlog is not answered"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn times(ledger: &Ledger, tags: &BTreeSet<u64>) -> Vec<Figure> {
    let mut taken = histogram();
    for time in tags.iter().filter_map(|tag| ledger.time_of(Tag(*tag))) {
        taken.saturating_record(super::load::micros(time));
    }
    let mut figures = latencies(&taken);
    figures.push(figure("messages", taken.len() as f64, ""));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_quiet_ones_one_has_its_queue_to_itself_and_one_shares_it() {
        let cast = Cast::choose();
        let of = |n: u64| partition(&business(n).phone_number_id, PARTITIONS);
        assert!(cast.loud.iter().all(|loud| of(*loud) != of(cast.apart)));
        assert!(cast.loud.iter().any(|loud| of(*loud) == of(cast.behind)) && !cast.loud.contains(&cast.behind));
        assert!(cast.loud.len() > 10 && of(cast.apart) != of(cast.behind));
    }
}
