//! Notes of which days have changed, and of what happened in them that the transcript does not tell.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use shared::{ids::SessionId, shutdown::Shutdown};

use crate::{
    conversation::BusinessId,
    periodic::every,
    store::{DayUsage, Store, StoreError, in_time},
};

/// A day is counted that long after something of it has changed.
pub(super) const COUNT_AFTER: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_secs(5);
/// Meta reports on a message for 30 days. What is older is not counted anew, for its transcript is about to expire.
const OLDEST: SignedDuration = SignedDuration::from_hours(35 * 24);

/// Which days have changed. Cheap to clone; all clones are one diary.
///
/// A note is in memory for some seconds before it is stored, so that a busy day does not cost a write a message.
/// What a killed worker had noted is noted again by the next thing that happens in that day: a status, a message.
#[derive(Debug, Clone)]
pub struct Diary {
    store: Arc<dyn Store>,
    noted: Arc<Mutex<HashSet<(BusinessId, Date)>>>,
}

impl Diary {
    /// Over a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, noted: Arc::default() }
    }

    /// Notes that something of that time has changed.
    pub fn note(&self, business: &BusinessId, zone: &TimeZone, at: Timestamp) {
        if Timestamp::now().duration_since(at) > OLDEST {
            return;
        }
        let day = at.to_zoned(zone.clone()).date();
        self.noted.lock().expect("no code panics while it holds this lock").insert((business.clone(), day));
    }

    /// Adds to what has happened today. What cannot be added is told, and holds nobody up.
    pub async fn add(&self, business: &BusinessId, zone: &TimeZone, used: &DayUsage) {
        let now = Timestamp::now();
        let day = now.to_zoned(zone.clone()).date();
        match in_time(self.store.add_usage(business, day, used)).await {
            Ok(()) => self.note(business, zone, now),
            Err(error) => tracing::warn!(%error, business = business.0, "what happened today could not be counted"),
        }
    }

    /// Has a person of the business take a conversation over, and counts that where nobody had it. False: there is no such
    /// conversation.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hand_over(
        &self,
        session: &SessionId,
        zone: &TimeZone,
        length: Duration,
        said: Option<&str>,
    ) -> Result<bool, StoreError> {
        let before = self.store.state(session).await?;
        if !self.store.hand_over(session, length, said).await? {
            return Ok(false);
        }
        let Some(before) = before else { return Ok(true) };
        if before.handed_over_until.is_none_or(|until| until <= Timestamp::now()) {
            let used = DayUsage { hand_overs: [("person", 1)].into(), ..DayUsage::default() };
            self.add(&before.business_id, zone, &used).await;
        }
        Ok(true)
    }

    /// Stores what is noted.
    ///
    /// Cancellation: it stays noted.
    ///
    /// # Errors
    /// [`StoreError`]; then it stays noted, too.
    pub async fn store_notes(&self) -> Result<(), StoreError> {
        let days: Vec<_> = self.noted.lock().expect("no code panics while it holds this lock").drain().collect();
        if days.is_empty() {
            return Ok(());
        }
        let mut taken = Taken { diary: self, days };
        in_time(self.store.mark_days(&taken.days, COUNT_AFTER)).await?;
        taken.days.clear();
        Ok(())
    }

    /// Stores what is noted again and again, until the drain begins.
    pub async fn keep(self, shutdown: Shutdown) {
        every(EVERY, &shutdown, "days that have changed could not be noted", || self.store_notes()).await;
    }
}

/// Days whose notes are being stored. Those that are left in it are noted again.
struct Taken<'a> {
    diary: &'a Diary,
    days: Vec<(BusinessId, Date)>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut noted = self.diary.noted.lock().expect("no code panics while it holds this lock");
        noted.extend(self.days.drain(..));
    }
}
