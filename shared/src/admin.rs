//! The address for operators: `/metrics`, `/healthz` and `/readyz`, apart from the address for Meta.
//!
//! Live means that the process runs its tasks. Ready means that everything it needs is there; what is missing is
//! named in the body, so that `curl` explains itself.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use crate::settings::ListenAddr;

/// What the process needs, and whether it is there. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, bool>>>);

/// One thing that the process needs. Belongs to whoever supervises that thing.
#[derive(Debug, Clone)]
pub struct Condition {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Adds a condition, unmet until [`Condition::set`] says otherwise.
    pub fn condition(&self, name: &'static str) -> Condition {
        let condition = Condition { name, readiness: self.clone() };
        condition.set(false);
        condition
    }

    /// The names of the conditions that are not met.
    pub fn missing(&self) -> Vec<&'static str> {
        let conditions = self.0.lock().expect("no code panics while it holds this lock");
        conditions.iter().filter(|(_, met)| !**met).map(|(name, _)| *name).collect()
    }
}

impl Condition {
    /// Records whether the condition is met.
    pub fn set(&self, met: bool) {
        self.readiness.0.lock().expect("no code panics while it holds this lock").insert(self.name, met);
    }
}

/// Binds the operators' address. Where the default is taken (a second worker on a laptop), any free port will do;
/// an address that was asked for must be free.
///
/// # Errors
/// The address cannot be bound.
pub async fn bind(listen: ListenAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(listen.addr).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && !listen.explicit => {
            tracing::warn!(addr = %listen.addr, "the default METRICS_ADDR is taken: using a free port");
            TcpListener::bind(SocketAddr::new(listen.addr.ip(), 0)).await
        }
        bound => bound,
    }
}

/// Serves the three paths until `stop` is cancelled.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> io::Result<()> {
    tracing::info!(addr = %listener.local_addr()?, "metrics and health are served");
    let upkeep = metrics.clone();
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(move || std::future::ready(metrics.render())));
    let upkeep = async {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    };
    tokio::select! {
        served = axum::serve(listener, router) => served,
        // Scrapes and probes hold nothing worth waiting for.
        () = stop.cancelled() => Ok(()),
        () = upkeep => Ok(()),
    }
}

async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    match readiness.missing() {
        missing if missing.is_empty() => (StatusCode::OK, "ready\n".to_owned()),
        missing => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", missing.join(", "))),
    }
}

/// Asks a running process on this machine for one of the paths, for `healthcheck` in a container without a shell.
///
/// # Errors
/// Nobody answers within five seconds, or the answer is not 200; the message has the body.
pub async fn check(addr: SocketAddr, path: &str) -> io::Result<()> {
    let ask = async {
        // A wildcard address is where the process listens, not where it can be reached.
        let ip = if addr.ip().is_unspecified() { std::net::Ipv4Addr::LOCALHOST.into() } else { addr.ip() };
        let mut stream = TcpStream::connect(SocketAddr::new(ip, addr.port())).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), ask).await??;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let body = answer.split_once("\r\n\r\n").map_or("no HTTP answer", |(_, body)| body.trim());
    Err(io::Error::other(body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn running(readiness: &Readiness) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let handle = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
        tokio::spawn(serve(listener, readiness.clone(), handle, CancellationToken::new()));
        addr
    }

    #[tokio::test]
    async fn readiness_names_what_is_missing() {
        let readiness = Readiness::default();
        let (broker, database) = (readiness.condition("rabbitmq"), readiness.condition("mongodb"));
        let addr = running(&readiness).await;
        broker.set(true);
        let error = check(addr, "/readyz").await.expect_err("MongoDB is missing");
        assert_eq!(error.to_string(), "waiting for: mongodb");
        database.set(true);
        check(addr, "/readyz").await.expect("ready");
        check(addr, "/healthz").await.expect("alive");
        check(addr, "/metrics").await.expect("metrics");
    }

    #[tokio::test]
    async fn a_taken_default_address_is_no_obstacle_but_a_chosen_one_is() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = taken.local_addr().expect("bound");
        assert!(bind(ListenAddr { addr, explicit: false }).await.is_ok());
        assert!(bind(ListenAddr { addr, explicit: true }).await.is_err());
    }
}
