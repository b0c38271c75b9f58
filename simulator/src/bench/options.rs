//! What a run is to measure, and how long.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use serde::Serialize;

/// Measure ingest and worker over the servers that RABBITMQ_URL and MONGODB_URI name; see deploy/bench.sh.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Everything small, for a look at whether the benchmark itself works: its figures mean little.
    #[arg(long)]
    pub(super) quick: bool,
    /// Only this scenario; repeat it for several.
    #[arg(long, value_enum, value_name = "SCENARIO")]
    only: Vec<Scenario>,
    /// Exit with 1 where a promised ratio is not reached.
    #[arg(long)]
    pub(super) judge: bool,
    /// How many messages wait in the longer of the two backlogs.
    #[arg(long, value_name = "MESSAGES")]
    backlog: Option<u64>,
    /// Where the report is written.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    pub(super) out: PathBuf,
    /// Where the binaries are; without it, where this program is.
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) binaries: Option<PathBuf>,
    /// The Python that has what the reference needs.
    #[arg(long, value_name = "FILE", default_value = "target/bench/venv/bin/python")]
    pub(super) python: PathBuf,
    /// Where the reference's source is.
    #[arg(long, value_name = "DIRECTORY", default_value = "deploy/bench/reference")]
    pub(super) reference: PathBuf,
}

impl Bench {
    /// What is to be run, in the order in which later ones may use the figures of earlier ones.
    pub(super) fn scenarios(&self) -> Vec<Scenario> {
        let wanted = |scenario: &Scenario| self.only.is_empty() || self.only.contains(scenario);
        Scenario::value_variants().iter().copied().filter(wanted).collect()
    }

    pub(super) fn size(&self) -> Size {
        let size = if self.quick { Size::quick() } else { Size::full() };
        Size { backlog: self.backlog.unwrap_or(size.backlog), ..size }
    }
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scenario {
    Broker,
    Ingest,
    Reference,
    Start,
    Worker,
    EndToEnd,
    Growth,
    Backlog,
}

impl Scenario {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Ingest => "ingest",
            Self::Reference => "reference",
            Self::Start => "start",
            Self::Worker => "worker",
            Self::EndToEnd => "end-to-end",
            Self::Growth => "growth",
            Self::Backlog => "backlog",
        }
    }

    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Broker => "what RabbitMQ confirms to a bare publisher, same queues and bodies",
            Self::Ingest => "signed webhooks until their 200",
            Self::Reference => "the same webhooks to FastAPI, uvicorn and aio-pika",
            Self::Start => "from the start of a process to ready, and its size",
            Self::Worker => "from the queue to the Graph API",
            Self::EndToEnd => "from the webhook to the Graph API, at half load",
            Self::Growth => "answers with more workers, where the AI takes a second",
            Self::Backlog => "workers that find a full queue, and a quiet business meanwhile",
        }
    }
}

/// How much of everything.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Size {
    pub(super) quick: bool,
    /// Connections, or confirms outstanding.
    pub(super) ladder: Vec<usize>,
    /// How long one step of it is measured, after a quarter of that to warm up.
    #[serde(serialize_with = "seconds")]
    pub(super) step: Duration,
    /// The same of a load on workers.
    #[serde(serialize_with = "seconds")]
    pub(super) work: Duration,
    pub(super) cold_starts: usize,
    /// Bodies of a thousand updates.
    pub(super) large_batches: usize,
    /// Conversations in flight while the time is measured that the worker adds.
    pub(super) in_flight: Vec<usize>,
    /// Conversations in flight at the top rate, and writes at once.
    pub(super) top: usize,
    /// Conversations in flight while memory is looked at.
    pub(super) held: usize,
    pub(super) workers: Vec<usize>,
    pub(super) backlog: u64,
}

impl Size {
    fn full() -> Self {
        Self {
            quick: false,
            ladder: vec![1, 16, 64, 256],
            step: Duration::from_secs(10),
            work: Duration::from_secs(20),
            cold_starts: 10,
            large_batches: 20,
            in_flight: vec![10, 50, 100, 1_000],
            top: 64,
            held: 10_000,
            workers: vec![1, 2, 4],
            backlog: 100_000,
        }
    }

    fn quick() -> Self {
        Self {
            quick: true,
            ladder: vec![1, 64, 256],
            step: Duration::from_secs(1),
            work: Duration::from_secs(3),
            cold_starts: 2,
            large_batches: 3,
            in_flight: vec![10, 50],
            top: 64,
            held: 300,
            workers: vec![1, 4],
            backlog: 400,
        }
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
