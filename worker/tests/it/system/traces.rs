//! What a collector of traces sees: one message, from its webhook to the status of its answer, is one trace.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use simulator::meta::StatusPlan;
use tokio::net::TcpListener;

use super::{
    dialogue::asked,
    harness::{Options, PATIENCE, System, acme, customer},
};

/// Far below `PATIENCE`: the SDK's default would export every five seconds.
const EXPORT_MILLIS: &str = "100";

/// A span and whose it is.
#[derive(Debug, Clone)]
struct Seen {
    service: String,
    span: Span,
}

impl Seen {
    fn attribute(&self, name: &str) -> Option<String> {
        text(&self.span.attributes, name)
    }
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match &found.value {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => Some(text.clone()),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Collected {
    spans: Vec<Seen>,
    bytes: Vec<u8>,
    keys: BTreeSet<String>,
}

/// A collector that keeps what reaches it.
#[derive(Debug, Clone)]
struct Collector {
    url: String,
    collected: Arc<Mutex<Collected>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let collected = Arc::<Mutex<Collected>>::default();
        let router = Router::new().route("/v1/traces", post(collect)).with_state(Arc::clone(&collected));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, collected }
    }

    fn options(&self) -> Options {
        let mut options = Options::default()
            .with("OTEL_EXPORTER_OTLP_ENDPOINT", &*self.url)
            .with("OTEL_EXPORTER_OTLP_HEADERS", "api-key=the-collectors-key")
            .with("OTEL_BSP_SCHEDULE_DELAY", EXPORT_MILLIS);
        options.ingest_environment.extend([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.url.clone()),
            ("OTEL_BSP_SCHEDULE_DELAY", EXPORT_MILLIS.to_owned()),
        ]);
        options
    }

    /// The spans of the trace that brought the answer, once these are among them, and what they stand under.
    async fn trace_with(&self, wanted: &[&str]) -> Vec<Seen> {
        let begun = std::time::Instant::now();
        loop {
            let mut spans = self.collected.lock().expect("whole").spans.clone();
            let first = spans.iter().find(|seen| seen.span.name == wanted[0]);
            if let Some(trace) = first.map(|seen| seen.span.trace_id.clone()) {
                spans.retain(|seen| seen.span.trace_id == trace);
                let is_there = |name: &&str| {
                    let mut found = spans.iter().filter(|seen| seen.span.name == **name);
                    found.any(|seen| seen.span.parent_span_id.is_empty() || parent(&spans, seen).is_some())
                };
                if wanted.iter().all(is_there) {
                    return spans;
                }
            }
            let names: Vec<_> = spans.iter().map(|seen| &seen.span.name).collect();
            assert!(begun.elapsed() < PATIENCE, "not all of {wanted:?} are among {names:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn collect(State(collected): State<Arc<Mutex<Collected>>>, headers: HeaderMap, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body.clone()).expect("OTLP");
    let mut collected = collected.lock().expect("whole");
    collected.bytes.extend_from_slice(&body);
    collected.keys.extend(headers.get("api-key").and_then(|key| key.to_str().ok()).map(str::to_owned));
    for resource in request.resource_spans {
        let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        let service = text(&attributes, "service.name").expect("a service");
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            collected.spans.push(Seen { service: service.clone(), span });
        }
    }
}

/// By then the reply is recorded, and the trace of its turn with it.
fn delivered_late() -> StatusPlan {
    StatusPlan { delivered: Some(Duration::from_secs(3)), ..StatusPlan::default() }
}

fn named<'a>(spans: &'a [Seen], name: &str) -> &'a Seen {
    let found = spans.iter().find(|seen| seen.span.name == name);
    let names: Vec<_> = spans.iter().map(|seen| &seen.span.name).collect();
    found.unwrap_or_else(|| panic!("no span `{name}` among {names:?}"))
}

fn parent<'a>(spans: &'a [Seen], of: &Seen) -> Option<&'a Seen> {
    spans.iter().find(|seen| seen.span.span_id == of.span.parent_span_id)
}

/// The names from the root of the trace to a span.
fn path(spans: &[Seen], leaf: &str) -> Vec<String> {
    let mut at = named(spans, leaf);
    let mut names = vec![at.span.name.clone()];
    while !at.span.parent_span_id.is_empty() {
        let found = parent(spans, at);
        at = found.unwrap_or_else(|| panic!("the parent of {} is in no trace: {names:?}", at.span.name));
        names.push(at.span.name.clone());
    }
    names.reverse();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_one_trace_from_its_webhook_to_the_delivery_of_its_answer() {
    let collector = Collector::start().await;
    let mut system = System::start(collector.options()).await;
    system.meta.report(delivered_late());
    system.keep_from_logs("the-collectors-key");
    system.write(&acme(), &customer(1), "a table for two, please").await;
    let wanted =
        ["delivered", "webhook", "publish", "update", "turn", "compose", "chat", "send", "POST messages", "settle"];
    let spans = collector.trace_with(&wanted).await;
    assert_eq!(path(&spans, "publish"), ["webhook", "publish"]);
    assert_eq!(path(&spans, "update"), ["webhook", "update"]);
    assert_eq!(path(&spans, "chat"), ["webhook", "turn", "compose", "chat"]);
    assert_eq!(path(&spans, "POST messages"), ["webhook", "turn", "send", "POST messages"]);
    assert_eq!(path(&spans, "settle"), ["webhook", "turn", "settle"]);
    assert_eq!(path(&spans, "delivered"), ["webhook", "turn", "delivered"]);
    assert_eq!(named(&spans, "delivered").span.links.len(), 1, "the webhook that brought the status");
    for (span, service) in [("webhook", "ingest"), ("publish", "ingest"), ("turn", "worker"), ("delivered", "worker")] {
        assert_eq!(named(&spans, span).service, service, "{span}");
    }
    for (span, outcome) in [("webhook", "accepted"), ("turn", "settled"), ("chat", "ok"), ("POST messages", "accepted")]
    {
        assert_eq!(named(&spans, span).attribute("outcome").as_deref(), Some(outcome), "{span}");
    }
    // Log lines tell the same trace.
    let trace: String = named(&spans, "turn").span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let of_turn = system.logs().iter().filter(|log| log.contains(&format!(r#""trace":"{trace}""#))).count();
    assert_eq!(of_turn, 2, "ingest's log and the worker's name it");
    {
        let collected = collector.collected.lock().expect("whole");
        assert!(collected.keys.contains("the-collectors-key"));
        let exported = String::from_utf8_lossy(&collected.bytes).into_owned();
        for secret in system.secrets().iter().map(String::as_str).chain(["a table for two", customer(1).key()]) {
            assert!(!exported.contains(secret), "{secret} went to the collector");
        }
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_a_reply_goes_on_in_its_trace() {
    let collector = Collector::start().await;
    let options = collector.options().with("LEASE_SECS", "2").with("SEND_EVIDENCE_SECS", "1");
    let mut system = System::start(Options { workers: 0, ..options }).await;
    system.meta.report(delivered_late());
    let mut doomed = system.spawn_worker(&[("SWITCHBOARD_FAIL_POINT", "turn.before.send=abort")]);
    doomed.wait_for_message("consuming from RabbitMQ").await;
    system.write(&acme(), &customer(1), "a table for two, please").await;
    doomed.ended(PATIENCE).await;
    system.keep_log(doomed);
    system.start_worker().await;
    let spans = collector.trace_with(&["delivered", "webhook"]).await;
    // The turn that died left its place in the outbox, and nothing else. More than one may have waited for evidence.
    let webhook = named(&spans, "webhook").span.span_id.clone();
    let turns: Vec<_> = spans.iter().filter(|seen| seen.span.name == "turn").collect();
    assert!(turns.iter().all(|turn| turn.span.parent_span_id != webhook), "in the reply, not beside it");
    // Whether the spans of the worker that died were exported in time is up to it: what the AI was asked tells more.
    assert_eq!(asked(&system.journal, &customer(1)).len(), 1, "the answer was there");
    let delivered = named(&spans, "delivered");
    assert!(turns.iter().any(|turn| turn.span.span_id == delivered.span.parent_span_id), "{turns:?}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_up_nothing_and_is_told_of_once() {
    let collector = Collector::start().await;
    let mut options = collector.options();
    options.environment.retain(|(name, _)| *name != "OTEL_EXPORTER_OTLP_ENDPOINT");
    let system = System::start(options.with("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")).await;
    for n in 0..3 {
        system.write(&acme(), &customer(n), "hello").await;
        system.answers(&acme(), &customer(n), 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let told = "traces do not reach OTEL_EXPORTER_OTLP_ENDPOINT";
    let lines: usize = system.logs().iter().map(|log| log.matches(told).count()).sum();
    assert_eq!(lines, 1);
    system.stop().await;
}
