//! The process: build everything, run until the stop, in the order that loses nothing.
//!
//! What makes webhooks durable stops last: first readiness goes, then the port closes, then what is in flight
//! drains, then the publisher's connection ends.

use std::{io, net::SocketAddr, sync::Arc};

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use shared::{
    admin::{self, Condition, Readiness},
    broker::Publisher,
    shutdown::Shutdown,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{outcome, server, settings::Settings, webhooks::Webhooks};

/// Ingest with its ports bound.
#[derive(Debug)]
pub struct Ingest {
    settings: Settings,
    listener: TcpListener,
    admin: TcpListener,
    metrics: PrometheusHandle,
}

impl Ingest {
    /// Binds both ports.
    ///
    /// # Errors
    /// A port cannot be bound; the error names its variable.
    pub async fn build(settings: Settings, metrics: PrometheusHandle) -> anyhow::Result<Self> {
        let admin = admin::bind(settings.metrics)
            .await
            .with_context(|| format!("bind METRICS_ADDR {}", settings.metrics.addr))?;
        let listener =
            TcpListener::bind(settings.addr).await.with_context(|| format!("bind INGEST_ADDR {}", settings.addr))?;
        Ok(Self { settings, listener, admin, metrics })
    }

    /// Where webhooks arrive.
    ///
    /// # Errors
    /// The operating system's.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the stop is over.
    ///
    /// # Errors
    /// The operators' address failed.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        outcome::describe_metrics();
        let readiness = Readiness::default();
        let accepting = readiness.condition("accepting webhooks");
        let (stop_publisher, stop_admin) = (CancellationToken::new(), CancellationToken::new());
        let publisher =
            Publisher::start(&self.settings.broker, "ingest", readiness.condition("rabbitmq"), stop_publisher.clone());
        let admin = tokio::spawn(admin::serve(self.admin, readiness, self.metrics, stop_admin.clone()));
        self.settings.webhooks.warn();
        tracing::info!(addr = %self.listener.local_addr()?, "listening for webhooks");
        accepting.set(true);
        let unready = unready_at_stop(accepting, shutdown.clone());
        let router = Webhooks::new(self.settings.webhooks, Arc::new(publisher)).router();
        tokio::join!(unready, server::serve(self.listener, router, &shutdown));
        stop_publisher.cancel();
        stop_admin.cancel();
        admin.await.context("serve METRICS_ADDR")?.context("serve METRICS_ADDR")
    }
}

async fn unready_at_stop(accepting: Condition, shutdown: Shutdown) {
    shutdown.draining.cancelled().await;
    accepting.set(false);
}

/// Asks a running ingest on this machine whether it is alive, or ready to take webhooks.
///
/// # Errors
/// It is not, or nobody answers.
pub async fn healthcheck(addr: SocketAddr, ready: bool) -> anyhow::Result<()> {
    let path = if ready { "/readyz" } else { "/healthz" };
    admin::check(addr, path).await.with_context(|| format!("{path} at {addr}"))
}
