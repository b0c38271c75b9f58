//! Messages of several customers and businesses in one body, as Meta batches them under load.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::writer::{acknowledged, post};
use crate::{
    Business, Sender,
    webhook::{Body, Message},
};

/// A message that waits for others, to share a body with them.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) sender: Sender,
    pub(super) business: Business,
    pub(super) message: Message,
    pub(super) doubled: bool,
    /// Told whether the body was acknowledged.
    pub(super) done: oneshot::Sender<bool>,
}

/// Posts what comes in, `most` in one body at most, none later than `wait` after the first of its body. Ends when
/// nobody is left to send anything and all has been delivered or given up.
pub(super) async fn gather(mut parcels: mpsc::Receiver<Parcel>, most: usize, wait: Duration) {
    let mut posts = JoinSet::new();
    while let Some(first) = parcels.recv().await {
        let until = Instant::now() + wait;
        let mut batch = vec![first];
        while batch.len() < most {
            let Ok(Some(next)) = timeout_at(until, parcels.recv()).await else { break };
            batch.push(next);
        }
        // Those of a burst come from several tasks; what was written earlier stands earlier.
        batch.sort_by_key(|parcel| parcel.message.timestamp);
        for batch in by_app(batch) {
            posts.spawn(deliver(batch));
        }
    }
    posts.join_all().await;
}

/// What one signature can cover: Meta posts for each app by itself.
fn by_app(batch: Vec<Parcel>) -> impl Iterator<Item = Vec<Parcel>> {
    let mut of_apps = BTreeMap::<Option<String>, Vec<Parcel>>::new();
    for parcel in batch {
        of_apps.entry(parcel.business.app_id.clone()).or_default().push(parcel);
    }
    of_apps.into_values()
}

async fn deliver(batch: Vec<Parcel>) {
    let Some(sender) = batch.first().map(|parcel| parcel.sender.clone()) else { return };
    let body = batch.iter().fold(Body::default(), |body, parcel| body.message(&parcel.business, &parcel.message));
    let is_acknowledged = acknowledged(post(&sender, &body, batch.iter().any(|parcel| parcel.doubled)).await);
    for parcel in batch {
        // Nobody listens where the load was stopped.
        parcel.done.send(is_acknowledged).ok();
    }
}
