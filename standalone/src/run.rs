//! The process: store, engine, webhooks and, in the demonstration, stand-ins and page; how it starts, and how it stops.
//!
//! What makes messages durable stops last: first readiness and the port go, then what is in flight lands and turns end,
//! then the stand-ins go, then the file is closed.

use std::sync::Arc;

use anyhow::Context;
use ingest::{outcome, server, webhooks::Webhooks};
use shared::{
    admin::{self, Readiness},
    broker::StatusesDrained,
    shutdown::Shutdown,
    telemetry,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use worker::{engine::Engine, intake::DirectIntake, store::Store};

use crate::{banner::Banner, demo::Demo, landing::Landing, settings::Settings, store::SqliteStore};

/// Runs until a signal stops it.
///
/// # Errors
/// A port cannot be bound, the file cannot be opened, or a client cannot be set up.
pub async fn run(mut settings: Settings) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals(settings.stop_timeout).context("listen to signals")?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&settings.db)?);
    let readiness = Readiness::default();
    let admin_listener = admin::bind(settings.metrics_addr)
        .await
        .with_context(|| format!("bind METRICS_ADDR {}", settings.metrics_addr.addr))?;
    let listener = TcpListener::bind(settings.addr).await.with_context(|| {
        format!("bind {}: choose another address with --addr, such as --addr 127.0.0.1:8080", settings.addr)
    })?;
    let (addr, metrics_addr) = (listener.local_addr()?, admin_listener.local_addr()?);
    let stop_admin = CancellationToken::new();
    let metrics = telemetry::install_metrics();
    let admin = tokio::spawn(admin::serve(admin_listener, readiness.clone(), metrics, stop_admin.clone()));

    let demo = match &settings.demo {
        Some(demo) => Some(Demo::start(demo, addr, &mut settings.answering, &settings.db, &store).await?),
        None => None,
    };
    print(&Banner { settings: &settings, demo: demo.as_ref(), addr, metrics_addr });
    serve(settings, listener, &store, demo.as_ref(), &readiness, shutdown).await?;
    if let Some(demo) = demo {
        demo.stop().await;
    }
    stop_admin.cancel();
    drop(admin.await);
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

async fn serve(
    settings: Settings,
    listener: TcpListener,
    store: &Arc<dyn Store>,
    demo: Option<&Demo>,
    readiness: &Readiness,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let (database, accepting) = (readiness.condition("database"), readiness.condition("accepting webhooks"));
    let worker_id = uuid::Uuid::new_v4().simple().to_string();
    // What was sent just before the last process ended is reported by Meta once it finds us again.
    let statuses = StatusesDrained::without_a_queue(settings.answering.turn.patience());
    let engine = Engine::new(&settings.answering, store, &worker_id, statuses)?;
    let sink = Landing::new(DirectIntake::new(engine.intake()), settings.landing_timeout);
    settings.webhooks.warn();
    outcome::describe_metrics();
    let mut router = Webhooks::new(settings.webhooks, Arc::new(sink)).router();
    if let Some(demo) = demo {
        demo.watch(engine.intake());
        router = router.merge(demo.router());
    }
    database.set(true);
    accepting.set(true);
    tracing::info!(worker_id, addr = %listener.local_addr()?, "listening for webhooks");
    let draining = async {
        shutdown.draining.cancelled().await;
        accepting.set(false);
        // The page's own connections never end by themselves.
        if let Some(demo) = demo {
            demo.leave_the_page().await;
        }
    };
    let answering = engine.run(TaskTracker::new(), database, shutdown.clone());
    tokio::join!(server::serve(listener, router, &shutdown), answering, draining);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the terminal is where it is started")]
fn print(banner: &Banner<'_>) {
    println!("{banner}");
}
