//! How much is due, and since when: what tells that there are too few workers.

use std::{sync::Arc, time::Duration};

use shared::shutdown::Shutdown;

use crate::{
    periodic::now_and_every,
    store::{Store, StoreError, in_time},
};

/// What is counted is read from an index alone, but by every worker.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// A closed word for each age, and where it ends; the last one has no end.
const AGES: [(&str, Duration); 5] = [
    ("under_1s", Duration::from_secs(1)),
    ("under_10s", Duration::from_secs(10)),
    ("under_1m", Duration::from_secs(60)),
    ("under_10m", Duration::from_secs(600)),
    ("over_10m", Duration::MAX),
];

/// Reports the backlog until the drain begins.
pub(crate) async fn watch_backlog(store: Arc<dyn Store>, shutdown: Shutdown) {
    now_and_every(LOOK_EVERY, &shutdown, "counting what is due failed", || look(&*store)).await;
}

async fn look(store: &dyn Store) -> Result<(), StoreError> {
    let ends: Vec<Duration> = AGES.iter().map(|(_, end)| *end).take(AGES.len() - 1).collect();
    let due = in_time(store.count_due(&ends)).await?;
    for ((late, _), count) in AGES.iter().zip(due) {
        metrics::gauge!("switchboard_conversations_due", "late" => *late).set(count as f64);
    }
    Ok(())
}
