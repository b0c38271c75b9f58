//! What the limits of a business leave of its day, by the business's own clock.
//!
//! Only businesses that have such limits are counted. What was used is read every few seconds, and what this worker adds
//! counts at once, so that several workers together go beyond a limit by what they answer in that time.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, ToSpan, civil::Date};
use moka::future::Cache;

use super::{Business, Limits};
use crate::{
    conversation::{BusinessId, Usage},
    store::{DayUsage, Store, StoreError},
};

const CACHED_FOR: Duration = Duration::from_secs(10);
const MOST_CACHED: u64 = 10_000;

/// Counts what businesses use, and knows when it is enough. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Allowances {
    store: Arc<dyn Store>,
    cache: Cache<(BusinessId, Date), DayUsage>,
}

/// What is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayLeft {
    /// The business has used up its replies or its tokens; the next day begins in that time.
    pub is_over_for: Option<Duration>,
    /// There is something left to be spoken.
    pub may_speak: bool,
}

impl Allowances {
    /// Over a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, cache: Cache::builder().max_capacity(MOST_CACHED).time_to_live(CACHED_FOR).build() }
    }

    /// What is left of a business's day.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn left(&self, business: &Business, now: Timestamp) -> Result<DayLeft, StoreError> {
        let limits = &business.companion.limits;
        if !has_days(limits) {
            return Ok(DayLeft { is_over_for: None, may_speak: true });
        }
        let used = self.used(&business.id, day(business, now)).await?;
        let reached = |limit: Option<u64>, used: u64| limit.is_some_and(|most| used >= most);
        let over = if reached(limits.replies_per_day, used.replies) {
            Some("replies_per_day")
        } else if reached(limits.tokens_per_day, used.tokens) {
            Some("tokens_per_day")
        } else {
            None
        };
        if let Some(limit) = over {
            tracing::info!(business = business.id.0, limit, "a business has used up its day");
            metrics::counter!("switchboard_limits_reached_total", "limit" => limit).increment(1);
        }
        Ok(DayLeft {
            is_over_for: over.map(|_| until_tomorrow(business, now)),
            may_speak: !reached(limits.speech_characters_per_day, used.speech_characters),
        })
    }

    /// Counts a reply. One that cannot be counted is told, and costs nobody an answer.
    pub async fn spend(&self, business: &Business, usage: &Usage, now: Timestamp) {
        if !has_days(&business.companion.limits) {
            return;
        }
        let (key, used) = ((business.id.clone(), day(business, now)), of_reply(usage));
        if let Err(error) = self.store.add_usage(&key.0, key.1, &used).await {
            tracing::warn!(%error, "a reply could not be counted");
        }
        self.cache.invalidate(&key).await;
    }

    async fn used(&self, business: &BusinessId, day: Date) -> Result<DayUsage, StoreError> {
        let reading = self.store.usage_of_day(business, day);
        let used = self.cache.try_get_with((business.clone(), day), reading).await;
        used.map_err(|error| StoreError::clone(&error))
    }
}

fn has_days(limits: &Limits) -> bool {
    [limits.replies_per_day, limits.tokens_per_day, limits.speech_characters_per_day].iter().any(Option::is_some)
}

fn of_reply(usage: &Usage) -> DayUsage {
    DayUsage {
        replies: 1,
        tokens: usage.tokens_in.saturating_add(usage.tokens_out),
        speech_characters: usage.spoken_characters,
    }
}

fn day(business: &Business, now: Timestamp) -> Date {
    now.to_zoned(business.companion.zone()).date()
}

/// At most a day and a bit: days in which clocks are changed are longer.
fn until_tomorrow(business: &Business, now: Timestamp) -> Duration {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let here = now.to_zoned(business.companion.zone());
    let tomorrow = here.date().checked_add(1.day()).and_then(|date| date.to_zoned(here.time_zone().clone()));
    tomorrow.ok().and_then(|tomorrow| Duration::try_from(tomorrow.timestamp().duration_since(now)).ok()).unwrap_or(DAY)
}
