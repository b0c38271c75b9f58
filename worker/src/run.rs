//! The worker as a whole: what is started, in which order, and how it stops.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use shared::{
    admin::{self, Condition, Readiness},
    broker::{Consumer, StatusesDrained},
    shutdown::Shutdown,
    telemetry,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    business::{Registry, TokenCipher, watch_tokens},
    companion::{Companion, knowledge::Knowledge, warn_of_missing_models},
    document::DocumentReader,
    http,
    identity::Identities,
    intake::{Intake, Lanes, finish_merges, revive},
    scheduler::Scheduler,
    settings::Settings,
    store::Store,
    turn::{Indicators, Leases, Turns},
    whatsapp::{Graph, Pace},
};

/// A send may take this long, or six tenths of a lease where that is shorter: the lease must outlast it.
const SEND_TIMEOUT: Duration = Duration::from_secs(15);
const PING_EVERY: Duration = Duration::from_secs(5);

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

    let store = Store::open(&settings.store).await?;
    if store.wait_until_ready(&shutdown).await {
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
    store: &Store,
    mongodb: Condition,
    rabbitmq: Condition,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let worker_id = uuid::Uuid::new_v4().simple().to_string();
    let consumer = Consumer::new(settings.broker.clone(), worker_id.clone(), rabbitmq, settings.turn.heartbeat());
    let turns = Arc::new(turns(settings, store, &worker_id, consumer.statuses_drained())?);
    let (scheduler, waker) = Scheduler::new(Arc::clone(&turns));
    let intake = Intake {
        store: store.clone(),
        registry: turns.registry.clone(),
        identities: Identities::new(store.clone(), settings.turn.quiet),
        waker,
        leases: turns.leases.clone(),
        indicators: turns.indicators.clone(),
        settings: settings.turn,
    };
    tracing::info!(worker_id, "worker started");

    // What renews leases stops last: turns that finish in the drain still need them.
    let stop_renewals = CancellationToken::new();
    let renewals = {
        let (leases, stop) = (turns.leases.clone(), stop_renewals.clone());
        tokio::spawn(async move { leases.renew_until(stop).await })
    };
    let tasks = TaskTracker::new();
    tasks.spawn(watch_store(store.clone(), mongodb, shutdown.clone()));
    tasks.spawn(revive(intake.clone(), shutdown.clone()));
    tasks.spawn(finish_merges(intake.clone(), shutdown.clone()));
    tasks.spawn(watch_tokens(store.clone(), turns.registry.clone(), shutdown.clone()));
    tasks.spawn(look_for_models(Arc::clone(&turns), shutdown.clone()));
    tasks.spawn(scheduler.run(shutdown.clone()));
    let lanes = Lanes::new(&intake, &tasks, &shutdown);
    let dispatch = move |delivery| {
        let lanes = lanes.clone();
        async move { lanes.dispatch(delivery).await }
    };
    tasks.spawn(consumer.run(dispatch, shutdown.clone()));
    tasks.close();
    tasks.wait().await;
    stop_renewals.cancel();
    drop(renewals.await);
    Ok(())
}

fn turns(settings: &Settings, store: &Store, worker_id: &str, statuses: StatusesDrained) -> anyhow::Result<Turns> {
    let client = http::client().context("set up the HTTP client")?;
    let cipher = TokenCipher::new(&settings.encryption);
    let send_timeout = SEND_TIMEOUT.min(settings.turn.lease.mul_f64(0.6));
    let knowledge = Some(Knowledge::new(store.clone()));
    let companion = Companion::new(&client, &settings.ai, knowledge).context("set up the companion")?;
    let graph = Graph::new(client.clone(), settings.graph_url.clone(), send_timeout);
    Ok(Turns {
        store: store.clone(),
        registry: Registry::new(store.clone(), cipher, settings.fallback.as_ref()),
        ears: settings.ai.ears(&client),
        voice: settings.ai.voice(&client),
        companion,
        documents: DocumentReader::new().context("find this program's own file")?,
        indicators: Indicators::new(graph.clone()),
        graph,
        pace: Pace::default(),
        leases: Leases::new(store.clone(), worker_id, settings.turn.lease),
        statuses,
        settings: settings.turn,
    })
}

/// Tells operators at the start which of the configured models the provider does not serve: providers retire models.
async fn look_for_models(turns: Arc<Turns>, shutdown: Shutdown) {
    tokio::select! {
        () = shutdown.draining.cancelled() => {}
        () = warn_of_missing_models(&turns.companion, turns.ears.as_ref()) => {}
    }
}

/// Reports whether MongoDB answers.
async fn watch_store(store: Store, condition: Condition, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.draining.cancelled() => return,
            () = tokio::time::sleep(PING_EVERY) => {}
        }
        condition.set(matches!(tokio::time::timeout(PING_EVERY, store.ping()).await, Ok(Ok(()))));
    }
}
