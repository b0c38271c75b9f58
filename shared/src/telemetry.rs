//! Logs and metrics of a process.
//!
//! Logs go to standard error, as text for people or as one JSON object a line for machines; levels are set by
//! `RUST_LOG`. Metrics are recorded through the `metrics` facade and rendered by [`crate::admin`].

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::Reader;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `RUST_LOG` and `LOG_FORMAT`.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// Directives of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    /// How log lines look.
    pub format: LogFormat,
}

impl TelemetrySettings {
    /// Reads both; a wrong value is noted in the reader and replaced by the default, so that the problem itself
    /// can be reported.
    pub fn read(reader: &mut Reader) -> Self {
        let filter = reader.text("RUST_LOG").unwrap_or_else(|| "info".to_owned());
        if let Err(error) = EnvFilter::builder().parse(&filter) {
            reader.problem("RUST_LOG", format!("is no log filter ({error}); try `info` or `info,worker=debug`"));
        }
        let format = match reader.text("LOG_FORMAT").as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(_) => {
                reader.problem("LOG_FORMAT", "must be `text` or `json`");
                LogFormat::Text
            }
        };
        Self { filter, format }
    }

    /// Installs the log subscriber of the process. Later calls change nothing.
    pub fn install_logs(&self) {
        // lapin reports every lost connection through `tracing` itself; our supervisor does so once, with the cause.
        let directives = format!("{},lapin=off", self.filter);
        let filter = EnvFilter::builder().parse_lossy(directives);
        let registry = tracing_subscriber::registry().with(filter);
        let layer =
            tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        let installed = match self.format {
            LogFormat::Text => registry.with(layer.with_target(false)).try_init(),
            LogFormat::Json => registry.with(layer.json().flatten_event(true).with_current_span(true)).try_init(),
        };
        drop(installed);
    }
}

/// Installs the metrics recorder of the process and returns what renders it.
///
/// # Panics
/// When called twice in one process.
pub fn install_metrics() -> PrometheusHandle {
    /// From a millisecond to a minute: what an acknowledgement, a database write, an AI call and a turn take.
    const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .expect("the list of buckets is not empty")
        .install_recorder()
        .expect("the recorder is installed once, in main")
}
