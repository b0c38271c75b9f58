//! Landing without a queue: what a webhook carries is in its conversations before the webhook is answered.
//!
//! Updates of one customer are landed in the order in which they came, as with a queue; those of different customers in
//! parallel, and so are statuses, which have no order. Nothing is kept waiting here: an update that cannot be landed now
//! fails its webhook, and Meta sends it again. What had landed of that webhook is known by its id then.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

use futures_util::{
    FutureExt,
    future::{try_join, try_join_all},
};
use shared::{
    envelope::{Envelope, Kind},
    trace::TraceParent,
};
use tokio::sync::Mutex;

use super::{Intake, LANES, Update, customer_of};
use crate::store::{StoreError, in_time};

/// Something that arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// An envelope, or whatever the bytes were.
    pub body: &'a [u8],
    /// Its id, by which repetitions are told.
    pub message_id: &'a str,
    /// Why nobody could take it apart, where that is so: then it is filed as it is.
    pub undecodable: Option<&'a str>,
    /// Where its webhook began a trace.
    pub trace: Option<TraceParent>,
}

/// Lands what arrives. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DirectIntake {
    intake: Intake,
    /// One a lane. They are fair: who comes first is landed first.
    lanes: Arc<[Mutex<()>]>,
}

impl DirectIntake {
    /// Over an engine's intake.
    pub fn new(intake: &Intake) -> Self {
        Self { intake: intake.clone(), lanes: (0..LANES).map(|_| Mutex::new(())).collect() }
    }

    /// Lands all of them. Dropping the future leaves some landed and some not.
    ///
    /// # Errors
    /// The first error; the rest may have landed or not, and all may be given once more.
    pub async fn land(&self, arrivals: &[Arrival<'_>]) -> Result<(), StoreError> {
        let mut lanes = BTreeMap::<u64, Vec<&Arrival<'_>>>::new();
        let mut statuses = Vec::new();
        for arrival in arrivals {
            if Envelope::decode(arrival.body).is_ok_and(|envelope| envelope.kind == Kind::Status) {
                statuses.push(arrival);
            } else {
                let lane = customer_of(arrival.body, Some(arrival.message_id)) % LANES;
                lanes.entry(lane).or_default().push(arrival);
            }
        }
        let taking = statuses.into_iter().map(|arrival| in_time(self.intake.take_arrival(arrival)));
        let landing = lanes.into_iter().map(async |(lane, arrivals)| {
            let lane = usize::try_from(lane).ok().and_then(|lane| self.lanes.get(lane));
            let _turn = match lane {
                Some(lane) => Some(lane.lock().await),
                None => None,
            };
            for arrival in arrivals {
                in_time(self.intake.take_arrival(arrival)).await?;
            }
            Ok(())
        });
        try_join(try_join_all(taking), try_join_all(landing)).await.map(drop)
    }
}

impl Intake {
    async fn take_arrival(&self, arrival: &Arrival<'_>) -> Result<(), StoreError> {
        let Arrival { body, message_id, undecodable, trace } = *arrival;
        let update = match (undecodable, Update::decode(body, Some(message_id))) {
            (Some(why), _) => return self.file_undecodable(body, Some(message_id), why, None).await,
            (None, Err(error)) => {
                return self.file_undecodable(body, Some(message_id), &error.to_string(), None).await;
            }
            (None, Ok(update)) => Update { trace, ..update },
        };
        match AssertUnwindSafe(self.take(&update, body)).catch_unwind().await {
            Ok(taken) => taken,
            // It would panic again, for ever.
            Err(_) => self.bury_panic(body, Some(message_id)).await,
        }
    }
}
