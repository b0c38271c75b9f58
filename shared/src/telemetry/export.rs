//! Spans to a collector, by OTLP over HTTP.
//!
//! Nothing waits for it: spans queue up to a bound, beyond which they are dropped, and a collector that is away is told
//! of once and counted (`switchboard_trace_exports_total`).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry::{Key, KeyValue, trace::TracerProvider};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, ResourceDetector},
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};

use crate::{settings::Reader, tls::Peer};

/// Of one request. The SDK gives up on a batch after this, too.
const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MOST: usize = 64 * 1024;
/// How long a stop waits for what is queued.
const LAST_EXPORT: Duration = Duration::from_secs(3);
const COLLECTOR: Peer = Peer {
    name: "the collector of traces",
    authority: "the system's certificate store, or the file that SSL_CERT_FILE names instead of it, must have the \
                certificate of the authority that did",
    identity: None,
};

/// Where spans go.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    /// With `/v1/traces`.
    url: Uri,
    headers: Vec<(String, SecretString)>,
    ratio: f64,
}

impl Collector {
    /// Reads the variables; none where no collector is named.
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let endpoint = reader.text("OTEL_EXPORTER_OTLP_ENDPOINT");
        let headers = reader.secret("OTEL_EXPORTER_OTLP_HEADERS");
        let ratio = reader.text("OTEL_TRACES_SAMPLER_ARG");
        let ratio = ratio.map_or(Some(1.0), |text| text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)));
        if ratio.is_none() {
            reader.problem("OTEL_TRACES_SAMPLER_ARG", "must be a number from 0 to 1");
        }
        let headers = headers.map_or(Some(Vec::new()), |headers| read_headers(headers.expose_secret()));
        if headers.is_none() {
            reader.problem("OTEL_EXPORTER_OTLP_HEADERS", "must be `name=value`, several with commas between them");
        }
        let url = traces_url(&endpoint?);
        if url.is_none() {
            reader.problem("OTEL_EXPORTER_OTLP_ENDPOINT", "must be an http:// or https:// URL");
        }
        Some(Self { url: url?, headers: headers?, ratio: ratio? })
    }

    /// A provider of spans that sends them from tasks of the current runtime, on behalf of `service`.
    ///
    /// # Errors
    /// A client cannot be set up.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub(super) fn start(&self, service: &'static str) -> Result<Export, NoExport> {
        let runtime = tokio::runtime::Handle::current();
        let (client, unusable) = client()?;
        let client = OnRuntime { client, runtime, away: AtomicBool::new(false) };
        let headers: HashMap<_, _> =
            self.headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(self.url.to_string())
            .with_headers(headers)
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| NoExport(error.to_string()))?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(self.ratio))))
            .with_resource(resource(service))
            .build();
        Ok(Export { tracer: provider.tracer("switchboard"), provider, unusable })
    }
}

/// Spans cannot be exported; a restart may not help.
#[derive(Debug, thiserror::Error)]
#[error("the exporter of traces cannot be set up: {0}")]
pub struct NoExport(String);

/// What sends spans.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) tracer: SdkTracer,
    provider: SdkTracerProvider,
    /// Authorities that cannot be used, for when there is a log.
    pub(super) unusable: Vec<String>,
}

impl Export {
    /// Sends what is queued, for at most three seconds.
    pub(super) async fn finish(self) {
        // It blocks, and what it waits for runs on this runtime.
        let finished = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_EXPORT));
        if let Ok(Err(error)) = finished.await {
            tracing::debug!(%error, "the last spans did not all reach the collector");
        }
    }
}

/// Whose spans they are: what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, and ours where they say nothing.
fn resource(service: &'static str) -> Resource {
    let ours = [
        ("service.name", service),
        ("service.namespace", "switchboard"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let given = EnvResourceDetector::new().detect();
    let is_given = |key: &Key| given.get_ref(key).is_some_and(|value| !value.as_str().is_empty());
    let missing = ours.map(|(key, value)| KeyValue::new(key, value)).into_iter().filter(|ours| !is_given(&ours.key));
    let builder = Resource::builder().with_attributes(missing);
    // Of two names this is the stronger one (OpenTelemetry, "Environment Variable Specification"); the SDK has it the
    // other way round.
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => builder.with_service_name(name).build(),
        _ => builder.build(),
    }
}

/// `name=value` pairs; values may be percent-encoded (OpenTelemetry, "Protocol Exporter").
fn read_headers(text: &str) -> Option<Vec<(String, SecretString)>> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let name = http::HeaderName::try_from(name.trim()).ok()?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
        http::HeaderValue::try_from(value.as_ref()).ok()?;
        Some((name.to_string(), SecretString::from(value.into_owned())))
    };
    text.split(',').filter(|text| !text.trim().is_empty()).map(pair).collect()
}

fn traces_url(endpoint: &str) -> Option<Uri> {
    let url: Uri = format!("{}/v1/traces", endpoint.trim_end_matches('/')).parse().ok()?;
    (matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some()).then_some(url)
}

type Exporter = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// It trusts the system's authorities, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name instead, besides Mozilla's.
/// Also what of the former cannot be used, and why.
fn client() -> Result<(Exporter, Vec<String>), NoExport> {
    let system = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let (_, useless) = roots.add_parsable_certificates(system.certs);
    let mut unusable: Vec<_> = system.errors.iter().map(ToString::to_string).collect();
    if useless > 0 {
        unusable.push(format!("certificates of the store that are of no use: {useless}"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| NoExport(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
    Ok((Client::builder(TokioExecutor::new()).build(connector), unusable))
}

/// The SDK exports from a thread of its own, outside of the runtime that the client needs.
#[derive(Debug)]
struct OnRuntime {
    client: Exporter,
    runtime: tokio::runtime::Handle,
    /// Told of once, until it is back.
    away: AtomicBool,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.send(request).await;
        let problem = match &sent {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answered {}", response.status())),
            Err(error) => Some(COLLECTOR.explain(&**error).unwrap_or_else(|| error.to_string())),
        };
        let outcome = if problem.is_none() { "ok" } else { "failed" };
        metrics::counter!("switchboard_trace_exports_total", "outcome" => outcome).increment(1);
        let was_away = self.away.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !was_away => tracing::warn!(problem, "traces do not reach OTEL_EXPORTER_OTLP_ENDPOINT"),
            None if was_away => tracing::info!("traces reach OTEL_EXPORTER_OTLP_ENDPOINT again"),
            Some(_) | None => {}
        }
        sent
    }
}

impl OnRuntime {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let (parts, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MOST).collect().await?;
            Ok::<_, HttpError>(Response::from_parts(parts, body.to_bytes()))
        };
        // The clock, too, is the runtime's.
        self.runtime.spawn(async move { tokio::time::timeout(TIMEOUT, exchange).await }).await??
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Option<Collector>, Vec<String>) {
        let mut reader = Reader::from_pairs(pairs.iter().copied());
        let collector = Collector::read(&mut reader);
        let problems = reader.finish().err().map_or_else(Vec::new, |problems| {
            problems.list().iter().map(|(name, what)| format!("{name} {what}")).collect()
        });
        (collector, problems)
    }

    #[test]
    fn a_collector_is_read_with_its_headers() {
        assert!(matches!(read(&[]), (None, problems) if problems.is_empty()));
        let (collector, problems) = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, X-Scope = c=d,"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        let collector = collector.expect("a collector");
        assert_eq!((&*collector.url.to_string(), collector.ratio), ("http://collector:4318/v1/traces", 0.25));
        let headers: Vec<_> = collector.headers.iter().map(|(name, value)| (&**name, value.expose_secret())).collect();
        assert_eq!(headers, [("api-key", "a b"), ("x-scope", "c=d")]);
        assert!(problems.is_empty() && !format!("{collector:?}").contains("a b"));
    }

    #[test]
    fn everything_that_is_wrong_is_told_without_its_value() {
        let (collector, problems) = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
            ("OTEL_TRACES_SAMPLER_ARG", "NaN"),
        ]);
        assert!(collector.is_none());
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(!format!("{problems:?}").contains("s3cret"));
    }
}
