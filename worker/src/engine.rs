//! What answers messages, wherever they come from and wherever they are kept.
//!
//! An [`Engine`] is a worker without its source: the worker binary feeds it from RabbitMQ, `standalone` lands webhooks
//! in it directly. It is built over a store, brings an [`Intake`] to land with, and runs until a stop.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use shared::{admin::Condition, broker::StatusesDrained, shutdown::Shutdown};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    account::watch_accounts,
    analytics::{Diary, Prices, count_days},
    business::{Allowances, Registry, TokenCipher, TokenKeeper, keep_tokens, watch_tokens},
    companion::{Companion, knowledge::Knowledge, warn_of_missing_models},
    document::DocumentReader,
    http,
    identity::Identities,
    intake::{CaughtUp, Intake, StatusWriter, finish_merges, revive},
    notify::Notifier,
    scheduler::{Scheduler, watch_backlog},
    settings::AnsweringSettings,
    store::Store,
    turn::{Indicators, Leases, Turns},
    whatsapp::{Graph, Pace},
};

/// A send may take this long, or six tenths of a lease where that is shorter: the lease must outlast it.
const SEND_TIMEOUT: Duration = Duration::from_secs(15);
const LAST_NOTES: Duration = Duration::from_secs(2);
const PING_EVERY: Duration = Duration::from_secs(5);

/// Everything that answers, ready to run.
#[derive(Debug)]
pub struct Engine {
    turns: Arc<Turns>,
    scheduler: Scheduler,
    intake: Intake,
    tokens: TokenKeeper,
    notifier: Notifier,
    diary: Diary,
    prices: Prices,
}

impl Engine {
    /// Sets it up over a store that is ready. `worker_id` names this process in leases: different per start.
    ///
    /// # Errors
    /// A client cannot be set up.
    pub fn new(
        settings: &AnsweringSettings,
        store: &Arc<dyn Store>,
        worker_id: &str,
        statuses: StatusesDrained,
    ) -> anyhow::Result<Self> {
        let turns = Arc::new(turns(settings, store, worker_id, statuses)?);
        let (scheduler, waker) = Scheduler::new(Arc::clone(&turns));
        let intake = Intake {
            store: Arc::clone(store),
            registry: turns.registry.clone(),
            identities: Identities::new(Arc::clone(store), settings.turn.quiet),
            waker,
            leases: turns.leases.clone(),
            indicators: turns.indicators.clone(),
            diary: turns.diary.clone(),
            settings: settings.turn,
            statuses: StatusWriter::new(Arc::clone(store) as _),
            caught_up: CaughtUp::default(),
        };
        let tokens = TokenKeeper::new(
            Arc::clone(store),
            turns.registry.clone(),
            TokenCipher::new(&settings.encryption),
            turns.graph.clone(),
            settings.apps.clone(),
            worker_id,
        );
        let (registry, insecure) = (turns.registry.clone(), settings.ai.allow_insecure_tools);
        let notifier =
            Notifier::new(Arc::clone(store), registry, insecure).context("set up what notifies businesses")?;
        let (diary, prices) = (turns.diary.clone(), settings.prices.clone());
        Ok(Self { turns, scheduler, intake, tokens, notifier, diary, prices })
    }

    /// What lands messages. Landing before [`Self::run`] loses nothing: the first scan finds them.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Runs until the stop is over, beside the `tasks` that were spawned before; `condition` tells whether the database
    /// answers.
    pub async fn run(self, tasks: TaskTracker, condition: Condition, shutdown: Shutdown) {
        let Self { turns, scheduler, intake, tokens, notifier, diary, prices } = self;
        // What renews leases stops last: turns that finish in the drain still need them.
        let stop_renewals = CancellationToken::new();
        let renewals = {
            let (leases, stop) = (turns.leases.clone(), stop_renewals.clone());
            tokio::spawn(async move { leases.renew_until(stop).await })
        };
        let store = &intake.store;
        tasks.spawn(watch_store(Arc::clone(store), condition, shutdown.clone()));
        tasks.spawn(watch_backlog(Arc::clone(store), shutdown.clone()));
        tasks.spawn(watch_tokens(Arc::clone(store), turns.registry.clone(), shutdown.clone()));
        tasks.spawn(watch_accounts(Arc::clone(store), turns.registry.clone(), shutdown.clone()));
        tasks.spawn(keep_tokens(tokens, shutdown.clone()));
        tasks.spawn(revive(intake.clone(), shutdown.clone()));
        tasks.spawn(finish_merges(intake.clone(), shutdown.clone()));
        tasks.spawn(notifier.run(shutdown.clone()));
        tasks.spawn(diary.clone().keep(shutdown.clone()));
        tasks.spawn(count_days(Arc::clone(store), prices, shutdown.clone()));
        tasks.spawn(look_for_models(turns, shutdown.clone()));
        tasks.spawn(scheduler.run(shutdown));
        tasks.close();
        tasks.wait().await;
        // What the last turns noted. Without it a day is counted later, so it may not keep the stop waiting.
        drop(tokio::time::timeout(LAST_NOTES, diary.store_notes()).await);
        stop_renewals.cancel();
        drop(renewals.await);
    }
}

fn turns(
    settings: &AnsweringSettings,
    store: &Arc<dyn Store>,
    worker_id: &str,
    statuses: StatusesDrained,
) -> anyhow::Result<Turns> {
    let client = http::client().context("set up the HTTP client")?;
    let cipher = TokenCipher::new(&settings.encryption);
    let send_timeout = SEND_TIMEOUT.min(settings.turn.lease.mul_f64(0.6));
    let knowledge = Some(Knowledge::new(Arc::clone(store)));
    let ai_client = settings.ai.client().context("set up the AI's HTTP client")?;
    let companion = Companion::new(&ai_client, &settings.ai, knowledge).context("set up the companion")?;
    let companion = companion.with_patience(settings.turn.ai_give_up);
    let graph = Graph::new(client, settings.graph_url.clone(), send_timeout).proving(settings.apps.clone());
    let diary = Diary::new(Arc::clone(store));
    Ok(Turns {
        store: Arc::clone(store),
        registry: Registry::new(Arc::clone(store), cipher, settings.fallback.as_ref()),
        ears: settings.ai.ears(&ai_client),
        voice: settings.ai.voice(&ai_client),
        companion,
        documents: DocumentReader::new().context("find this program's own file")?,
        indicators: Indicators::new(graph.clone()),
        graph,
        allowances: Allowances::new(Arc::clone(store), diary.clone()),
        diary,
        pace: Pace::default(),
        leases: Leases::new(Arc::clone(store), worker_id, settings.turn.lease),
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

/// Reports whether the database answers.
async fn watch_store(store: Arc<dyn Store>, condition: Condition, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.draining.cancelled() => return,
            () = tokio::time::sleep(PING_EVERY) => {}
        }
        condition.set(matches!(tokio::time::timeout(PING_EVERY, store.ping()).await, Ok(Ok(()))));
    }
}
