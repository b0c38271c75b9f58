//! The worker binary's work: the engine over MongoDB, fed from RabbitMQ; in which order it starts, and how it stops.

use std::sync::Arc;

use anyhow::Context;
use shared::{
    admin::{self, Condition, Readiness},
    broker::Consumer,
    shutdown::Shutdown,
    telemetry,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    engine::Engine,
    intake::Lanes,
    settings::Settings,
    store::{MongoStore, Store, wait_until_ready},
};

/// Runs the worker until a signal stops it.
///
/// # Errors
/// The operators' address cannot be bound, or a client cannot be set up. Servers that are not there are waited for.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals(settings.stop_timeout).context("listen to signals")?;
    let readiness = Readiness::default();
    let listener = admin::bind(settings.metrics_addr)
        .await
        .with_context(|| format!("bind METRICS_ADDR {}", settings.metrics_addr.addr))?;
    let stop_admin = CancellationToken::new();
    let admin =
        tokio::spawn(admin::serve(listener, readiness.clone(), telemetry::install_metrics(), stop_admin.clone()));
    let (mongodb, rabbitmq) = (readiness.condition("mongodb"), readiness.condition("rabbitmq"));

    let store: Arc<dyn Store> = Arc::new(MongoStore::open(&settings.store).await?);
    if wait_until_ready(&*store, &shutdown).await {
        mongodb.set(true);
        serve(&settings, &store, mongodb, rabbitmq, shutdown).await?;
    }
    stop_admin.cancel();
    drop(admin.await);
    tracing::info!("stopped");
    store.close().await;
    Ok(())
}

async fn serve(
    settings: &Settings,
    store: &Arc<dyn Store>,
    mongodb: Condition,
    rabbitmq: Condition,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let worker_id = uuid::Uuid::new_v4().simple().to_string();
    let heartbeat = settings.answering.turn.heartbeat();
    let consumer = Consumer::new(settings.broker.clone(), worker_id.clone(), rabbitmq, heartbeat);
    let engine = Engine::new(&settings.answering, store, &worker_id, consumer.statuses_drained())?;
    tracing::info!(worker_id, "worker started");
    let tasks = TaskTracker::new();
    let lanes = Lanes::new(engine.intake(), &tasks, &shutdown);
    let dispatch = move |delivery| {
        let lanes = lanes.clone();
        async move { lanes.dispatch(delivery).await }
    };
    let asked = Arc::clone(store);
    let answers = move || {
        let store = Arc::clone(&asked);
        async move { store.ping().await.is_ok() }
    };
    tasks.spawn(consumer.run(dispatch, answers, shutdown.clone()));
    engine.run(tasks, mongodb, shutdown).await;
    Ok(())
}
