//! What the limits of a business leave of its day, by the business's own clock.
//!
//! Of replies, only those of businesses that have such limits are counted here. What was used is read every few seconds, and what this worker adds
//! counts at once, so that several workers together go beyond a limit by what they answer in that time.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, ToSpan, civil::Date};
use moka::future::Cache;

use super::{Business, Limits};
use crate::{
    analytics::Diary,
    conversation::{BusinessId, Consent, HandOverReason, ReplyKind, Usage},
    store::{DayUsage, Memory, Store, StoreError},
};

const CACHED_FOR: Duration = Duration::from_secs(10);
const MOST_CACHED: u64 = 10_000;

/// Counts what businesses use, and knows when it is enough. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Allowances {
    store: Arc<dyn Store>,
    diary: Diary,
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
    pub fn new(store: Arc<dyn Store>, diary: Diary) -> Self {
        Self { store, diary, cache: Cache::builder().max_capacity(MOST_CACHED).time_to_live(CACHED_FOR).build() }
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

    /// Counts what a turn brought about. What cannot be counted is told, and costs nobody an answer.
    pub async fn spend(&self, business: &Business, memory: &Memory, now: Timestamp) {
        let is_limited = has_days(&business.companion.limits);
        let mut used = happened(memory);
        if is_limited && memory.reply.is_some() {
            add_reply(&mut used, &memory.aftermath.usage);
        }
        if used == DayUsage::default() {
            return;
        }
        self.diary.add(&business.id, &business.companion.zone(), &used).await;
        if is_limited {
            self.cache.invalidate(&(business.id.clone(), day(business, now))).await;
        }
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

/// What the limits go by.
fn add_reply(used: &mut DayUsage, usage: &Usage) {
    used.replies = 1;
    used.tokens = usage.tokens_in.saturating_add(usage.tokens_out);
    used.speech_characters = usage.spoken_characters;
}

/// What the transcript does not tell.
fn happened(memory: &Memory) -> DayUsage {
    let aftermath = &memory.aftermath;
    let reason = aftermath.hand_over.map(|_| aftermath.hand_over_reason.map_or("tool", HandOverReason::word));
    let wanted = |consent| u64::from(aftermath.consent == Some(consent));
    DayUsage {
        hand_overs: reason.map(|reason| (reason, 1)).into_iter().collect(),
        opt_outs: wanted(Consent::Withdrawn),
        opt_ins: wanted(Consent::Given),
        limited: u64::from(aftermath.limited_until.is_some()),
        apologies: u64::from(memory.reply == Some(ReplyKind::Apology)),
        ..DayUsage::default()
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
