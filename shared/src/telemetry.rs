//! Logs, metrics and traces of a process.
//!
//! Logs go to standard error, as text for people or as one JSON object a line for machines; levels are set by
//! `RUST_LOG`. Metrics are recorded through the `metrics` facade and rendered by [`crate::admin`]. Traces go to a
//! collector, where one is named; see [`crate::trace`].

mod export;

use std::{
    io::IsTerminal,
    time::{SystemTime, UNIX_EPOCH},
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

pub use self::export::NoExport;
use self::export::{Collector, Export};
use crate::{
    settings::Reader,
    trace::{SPAN, STEP},
};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `RUST_LOG`, `LOG_FORMAT`, and where traces go.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// Directives of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    /// How log lines look.
    pub format: LogFormat,
    collector: Option<Collector>,
}

/// The export of traces, which has to be finished; nothing where no collector is named.
#[derive(Debug)]
#[must_use = "what is queued is lost unless it is finished"]
pub struct Traces(Option<Export>);

impl Traces {
    /// Sends what is queued, for at most three seconds.
    pub async fn finish(self) {
        if let Some(export) = self.0 {
            export.finish().await;
        }
    }
}

impl TelemetrySettings {
    /// Reads them; a wrong value is noted in the reader and replaced by the default, so that the problem itself
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
        Self { filter, format, collector: Collector::read(reader) }
    }

    /// Installs the log subscriber of the process. Later calls change nothing.
    pub fn install_logs(&self) {
        drop(tracing_subscriber::registry().with(self.logs()).try_init());
    }

    /// The same, and spans go to the collector on behalf of `service`.
    ///
    /// # Errors
    /// [`NoExport`].
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn install(&self, service: &'static str) -> Result<Traces, NoExport> {
        let export = self.collector.as_ref().map(|collector| collector.start(service)).transpose()?;
        let spans = export.as_ref().map(|export| {
            let layer = tracing_opentelemetry::layer().with_tracer(export.tracer.clone());
            layer
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(filter_fn(is_traced))
        });
        drop(tracing_subscriber::registry().with(spans).with(self.logs()).try_init());
        for problem in export.iter().flat_map(|export| &export.unusable) {
            tracing::warn!(problem, "an authority for the collector of traces cannot be used");
        }
        Ok(Traces(export))
    }

    fn logs<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        // People read what happened; machines can also tell by the span what belongs together, at whatever level.
        let (spans, steps) = match self.format {
            LogFormat::Text => ("off", "off"),
            LogFormat::Json => ("info", "off"),
        };
        // lapin reports every lost connection through `tracing` itself; our supervisor does so once, with the cause.
        let directives = format!("{},lapin=off,{SPAN}={spans},{STEP}={steps}", self.filter);
        let layer =
            tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        let layer = match self.format {
            LogFormat::Text => layer.with_target(false).boxed(),
            LogFormat::Json => layer.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
        };
        layer.with_filter(EnvFilter::builder().parse_lossy(directives))
    }
}

/// What a collector gets: our spans, and what our own code logs in them.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    const OURS: &[&str] = &["ingest", "worker", "shared", "standalone"];
    if metadata.is_span() {
        return metadata.target().starts_with(SPAN);
    }
    let origin = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO && OURS.contains(&origin)
}

/// The buckets of every duration. From a millisecond to a minute: what an acknowledgement, a database write, an AI call
/// and a turn take. To an hour: what a backlog and an answer that had to wait do. No quantile is larger than the last.
pub const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0,
    3600.0,
];

/// Installs the metrics recorder of the process and returns what renders it.
///
/// # Panics
/// When called twice in one process.
pub fn install_metrics() -> PrometheusHandle {
    let handle = metrics_builder().install_recorder().expect("the recorder is installed once, in main");
    record_start();
    handle
}

fn metrics_builder() -> PrometheusBuilder {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .expect("the list of buckets is not empty")
}

/// Since when this process counts. Alerts tell by it what is new in a counter that was never scraped before.
fn record_start() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    metrics::describe_gauge!("switchboard_start_time_seconds", "when the process began to count, in Unix time");
    metrics::gauge!("switchboard_start_time_seconds").set(now.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(record: impl FnOnce()) -> String {
        let recorder = metrics_builder().build_recorder();
        metrics::with_local_recorder(&recorder, record);
        recorder.handle().render()
    }

    #[test]
    fn a_duration_beyond_a_minute_has_a_bucket() {
        let text = rendered(|| metrics::histogram!("waited_seconds").record(61.0));
        for line in [r#"{le="60"} 0"#, r#"{le="120"} 1"#, r#"{le="3600"} 1"#, r#"{le="+Inf"} 1"#] {
            assert!(text.contains(&format!("\nwaited_seconds_bucket{line}\n")), "{text}");
        }
    }

    #[test]
    fn metrics_tell_since_when_they_count() {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let before = now();
        let text = rendered(record_start);
        let told = text.lines().find_map(|line| line.strip_prefix("switchboard_start_time_seconds "));
        let told: f64 = told.and_then(|told| told.parse().ok()).unwrap_or_else(|| panic!("{text}"));
        assert!((before..=now()).contains(&told), "{told}");
    }
}
