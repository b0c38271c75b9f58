//! What the environment of a process says of its traces. Each test starts this program again, as a process that exports
//! one span: what is read from the environment itself cannot be changed within one.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, routing::post, serve::Listener};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, any_value::Value},
};
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use shared::{settings::Reader, telemetry::TelemetrySettings, trace::SPAN};
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
    server::TlsStream,
};

const HERE: &str = "127.0.0.1";
/// What a process is not to have of the environment of the tests.
const NAMES: [&str; 6] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_TRACES_SAMPLER_ARG",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the others start it, each with an environment of its own"]
async fn a_process_with_one_span() {
    let settings = TelemetrySettings::read(&mut Reader::from_environment());
    let traces = settings.install("ingest").expect("an exporter");
    drop(tracing::info_span!(target: SPAN, "webhook"));
    traces.finish().await;
}

/// Starts it; what it logged.
async fn export_to(url: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "a_process_with_one_span", "--ignored", "--nocapture"]).stdin(Stdio::null());
    for name in NAMES {
        command.env_remove(name);
    }
    command.env("RUST_LOG", "info").env("LOG_FORMAT", "text").env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    command.envs(environment.iter().copied());
    let ended = command.output().await.expect("it starts");
    let (told, log) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success() && told.contains("1 passed"), "{told}{log}");
    log.into_owned()
}

/// The names of spans that reached a collector, and what their resources say.
#[derive(Debug, Default)]
struct Collected {
    spans: Vec<String>,
    resource: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default)]
struct Collector(Arc<Mutex<Collected>>);

impl Collector {
    fn serve(&self, listener: impl Listener<Addr = SocketAddr>) {
        let router = Router::new().route("/v1/traces", post(collect)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    fn take(&self) -> Collected {
        std::mem::take(&mut *self.0.lock().expect("whole"))
    }
}

async fn collect(State(collector): State<Collector>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    let mut collected = collector.0.lock().expect("whole");
    for of_one in request.resource_spans {
        for attribute in of_one.resource.map(|resource| resource.attributes).unwrap_or_default() {
            if let Some(AnyValue { value: Some(Value::StringValue(text)) }) = attribute.value {
                collected.resource.insert(attribute.key, text);
            }
        }
        let spans = of_one.scope_spans.into_iter().flat_map(|scope| scope.spans);
        collected.spans.extend(spans.map(|span| span.name));
    }
}

/// Starts it; what reached the collector, and what it logged. Where nothing did it is started again: on a busy machine
/// the export may take longer than a stop waits for it.
async fn collected_from(collector: &Collector, url: &str, environment: &[(&str, &str)]) -> (Collected, String) {
    let mut tries = 1;
    loop {
        let log = export_to(url, environment).await;
        let mut collected = collector.take();
        // What came too late for the try before.
        collected.spans.dedup();
        if !collected.spans.is_empty() || tries == 3 {
            return (collected, log);
        }
        tries += 1;
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((HERE, 0)).await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

/// Connections by TLS.
struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, addr) = self.listener.accept().await.expect("a connection");
            // Whoever does not believe the certificate goes away.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, addr);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// What answers by TLS with a certificate for `HERE`, and the certificate of its authority, PEM.
fn of_an_authority_of_its_own() -> (TlsAcceptor, String) {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = authority.self_signed(&key).expect("signed").pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new([HERE.to_owned()]).expect("a name").signed_by(&key, &issuer);
    let chain: Vec<CertificateDer<'static>> = vec![certificate.expect("signed").der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they fit");
    (TlsAcceptor::from(Arc::new(config)), pem)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_by_tls_is_believed_where_the_store_that_the_environment_names_has_its_authority() {
    let (acceptor, authority) = of_an_authority_of_its_own();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, authority).expect("written");
    let (listener, addr) = listen().await;
    let collector = Collector::default();
    collector.serve(Tls { listener, acceptor });
    let url = format!("https://{addr}");

    let log = export_to(&url, &[]).await;
    assert!(log.contains("the certificate of the collector of traces is not trusted"), "{log}");
    assert!(log.contains("SSL_CERT_FILE"), "{log}");
    assert!(collector.take().spans.is_empty());
    for (name, store) in [("SSL_CERT_FILE", &*file), ("SSL_CERT_DIR", directory.path())] {
        let environment = [(name, store.to_str().expect("UTF-8"))];
        let (collected, log) = collected_from(&collector, &url, &environment).await;
        assert_eq!((collected.spans, log.as_str()), (vec!["webhook".to_owned()], ""), "{name}");
    }
    let log = export_to(&url, &[("SSL_CERT_FILE", "/nowhere/ca.pem")]).await;
    assert!(log.contains("an authority for the collector of traces cannot be used"), "{log}");
    assert!(log.contains("/nowhere/ca.pem") && collector.take().spans.is_empty(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_of_the_service_that_the_environment_names_and_else_of_ours() {
    let (listener, addr) = listen().await;
    let collector = Collector::default();
    collector.serve(listener);
    let url = format!("http://{addr}");
    let version = env!("CARGO_PKG_VERSION");
    let ours = ("ingest", "switchboard", version);
    let (name, attributes) = ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES");
    let all = "service.name=door,service.namespace=shop,service.version=7,deployment.environment.name=trial";
    for (environment, expected) in [
        (vec![], ours),
        (vec![(name, ""), (attributes, "service.name=,service.version")], ours),
        (vec![(name, "gate")], ("gate", "switchboard", version)),
        (vec![(attributes, "service.namespace=shop")], ("ingest", "shop", version)),
        (vec![(attributes, all)], ("door", "shop", "7")),
        (vec![(attributes, all), (name, "gate")], ("gate", "shop", "7")),
    ] {
        let (Collected { spans, resource }, _) = collected_from(&collector, &url, &environment).await;
        assert_eq!(spans, ["webhook"], "{environment:?}");
        let told = ["service.name", "service.namespace", "service.version"].map(|key| resource.get(key).cloned());
        assert_eq!(told, <[&str; 3]>::from(expected).map(|text| Some(text.to_owned())), "{environment:?}");
        let elsewhere = resource.get("deployment.environment.name").map(String::as_str);
        assert_eq!(elsewhere, environment.contains(&(attributes, all)).then_some("trial"), "{environment:?}");
    }
}
