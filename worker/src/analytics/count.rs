//! Counts days: from the transcript, the dead letters and what was noted of them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde_json::Value;
use shared::{ids::PhoneNumberId, shutdown::Shutdown};

use super::{COUNT_AFTER, Numbers, Prices};
use crate::{
    business::CompanionSettings,
    conversation::BusinessId,
    periodic::every,
    store::{DayToCount, DayUsage, LetterFilter, LetterOwner, MessageFacts, Standing, Store, StoreError, in_time},
};

const EVERY: Duration = Duration::from_secs(2);
/// Whoever takes longer than that has died; another one counts the day again.
const TAKEN_FOR: Duration = Duration::from_secs(600);
/// A day that changes all the time is counted for a hundredth of the time at most.
const PAUSE_FACTOR: u32 = 100;
const READ: i32 = 3;
const DELIVERED: i32 = 2;

/// Counts the days that are due, until the drain. Several workers share them.
pub async fn count_days(store: Arc<dyn Store>, prices: Prices, shutdown: Shutdown) {
    let what = "the days of businesses could not be counted";
    every(EVERY, &shutdown, what, || count_due(&*store, &prices)).await;
}

/// Counts all days that are due now.
///
/// # Errors
/// [`StoreError`]; the day that was being counted is due again after a while.
pub async fn count_due(store: &dyn Store, prices: &Prices) -> Result<(), StoreError> {
    while let Some(day) = in_time(store.take_day(TAKEN_FOR)).await? {
        let begun = Instant::now();
        let counting = count_day(store, prices, &day.business, day.day);
        let numbers = tokio::time::timeout(TAKEN_FOR, counting).await.map_err(|_| StoreError::TimedOut)??;
        let pause = (begun.elapsed() * PAUSE_FACTOR).max(COUNT_AFTER);
        in_time(store.keep_day(&day, &numbers, pause)).await?;
        metrics::counter!("switchboard_days_counted_total").increment(1);
    }
    Ok(())
}

/// Counts a day now, whether it is due or not, and keeps its numbers.
///
/// # Errors
/// [`StoreError`].
pub async fn recount(store: &dyn Store, prices: &Prices, business: &BusinessId, day: Date) -> Result<(), StoreError> {
    let numbers = count_day(store, prices, business, day).await?;
    if numbers == Numbers::default() && store.counted_days(Some(business), day, day).await?.is_empty() {
        return Ok(());
    }
    store.mark_days(&[(business.clone(), day)], COUNT_AFTER).await?;
    // Never marked at this time: what is due stays due.
    let day = DayToCount { business: business.clone(), day, marked_at: Timestamp::UNIX_EPOCH };
    store.keep_day(&day, &numbers, COUNT_AFTER).await
}

async fn count_day(
    store: &dyn Store,
    prices: &Prices,
    business: &BusinessId,
    day: Date,
) -> Result<Numbers, StoreError> {
    let record = store.business(business).await?;
    let zone = record.as_ref().map_or(TimeZone::UTC, |record| CompanionSettings::read(&record.companion).zone());
    let (from, until) = (begin(day, &zone), begin(day.saturating_add(1.day()), &zone));
    let mut numbers = Numbers::default();
    store.look_at_messages(business, from, until, &mut |message| numbers.add_message(message)).await?;
    let listed = record.map(|record| record.phone_number_ids).unwrap_or_default();
    let owner = LetterOwner {
        businesses: vec![business.clone()],
        numbers: listed.iter().filter_map(|number| PhoneNumberId::parse(number).ok()).collect(),
    };
    let last = until.saturating_sub(SignedDuration::from_millis(1)).unwrap_or(until);
    let buried = LetterFilter {
        owner: Some(owner),
        since: Some(from),
        until: Some(last),
        standing: Standing::Any,
        ..LetterFilter::default()
    };
    numbers.failures.dead_letters = in_time(store.count_letters(&buried)).await?.into_iter().collect();
    numbers.add_usage(&in_time(store.usage_of_day(business, day)).await?);
    numbers.cost_micros = prices.of(&numbers);
    Ok(numbers)
}

fn begin(day: Date, zone: &TimeZone) -> Timestamp {
    day.to_zoned(zone.clone()).map_or(Timestamp::MAX, |begin| begin.timestamp())
}

impl Numbers {
    fn add_message(&mut self, message: &MessageFacts) {
        let by_type = if message.is_inbound { &mut self.inbound } else { &mut self.outbound };
        *by_type.entry(message.kind.clone()).or_default() += 1;
        if message.is_inbound {
            return;
        }
        let rank = message.status_rank.unwrap_or(0);
        self.delivered += u64::from(rank >= DELIVERED);
        self.read += u64::from(rank >= READ);
        if let Some(code) = message.error_code.filter(|_| rank < DELIVERED) {
            *self.failures.undelivered.entry(code.to_string()).or_default() += 1;
        }
        if let Some((category, is_billable)) = message.pricing.as_deref().and_then(price_class) {
            let priced = self.priced.entry(category).or_default();
            *if is_billable { &mut priced.billable } else { &mut priced.free } += 1;
        }
        if let Some(waited) = message.waited {
            self.answer_times.add(waited);
        }
        if let Some(usage) = &message.usage {
            let model = self.models.entry(usage.model.clone()).or_default();
            model.calls += u64::from(usage.calls);
            model.tokens_in += usage.tokens_in;
            model.tokens_out += usage.tokens_out;
            self.transcriptions += u64::from(usage.transcriptions);
            self.spoken_characters += usage.spoken_characters;
        }
    }

    fn add_usage(&mut self, used: &DayUsage) {
        self.hand_overs = used.hand_overs.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
        self.opt_outs = used.opt_outs;
        self.opt_ins = used.opt_ins;
        self.limited = used.limited;
        self.apologies = used.apologies;
    }
}

/// The category of a message's `pricing`, and whether it is billed. `billable` is to go; what is free is told by the `type`,
/// too (Meta, "Pricing on the WhatsApp Business Platform").
fn price_class(pricing: &str) -> Option<(String, bool)> {
    let pricing: Value = serde_json::from_str(pricing).ok()?;
    let text = |field: &str| pricing.get(field).and_then(Value::as_str);
    let is_free = text("type").is_some_and(|kind| kind.starts_with("free"));
    let is_billable = pricing.get("billable").and_then(Value::as_bool).unwrap_or(!is_free);
    Some((text("category")?.replace('-', "_"), is_billable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Usage;

    fn sent(rank: i32) -> MessageFacts {
        MessageFacts { kind: "text".to_owned(), status_rank: Some(rank), ..MessageFacts::default() }
    }

    #[test]
    fn what_was_read_has_arrived_and_what_failed_and_arrived_has_arrived() {
        let mut numbers = Numbers::default();
        for rank in [1, 2, 3, 4] {
            numbers.add_message(&MessageFacts { error_code: (rank == 3).then_some(131_000), ..sent(rank) });
        }
        // As older workers put it on record, and as it is now.
        for rank in [1, 0] {
            numbers.add_message(&MessageFacts { error_code: Some(131_026), ..sent(rank) });
        }
        assert_eq!((numbers.sent(), numbers.delivered, numbers.read), (6, 3, 2));
        assert_eq!(numbers.failures.undelivered, [("131026".to_owned(), 2)].into());
        assert_eq!(numbers.delivered_share(), Some(0.5));
    }

    #[test]
    fn a_price_is_by_category_and_what_is_free_is_told_in_two_ways() {
        for (pricing, class) in [
            (r#"{"billable":true,"pricing_model":"PMP","type":"regular","category":"service"}"#, ("service", true)),
            (r#"{"pricing_model":"PMP","type":"free_customer_service","category":"utility"}"#, ("utility", false)),
            (r#"{"type":"regular","category":"authentication-international"}"#, ("authentication_international", true)),
            (r#"{"billable":false,"category":"service"}"#, ("service", false)),
        ] {
            assert_eq!(price_class(pricing), Some((class.0.to_owned(), class.1)), "{pricing}");
        }
        assert_eq!(price_class("{}"), None);
        assert_eq!(price_class("no JSON"), None);
    }

    #[test]
    fn a_reply_of_several_parts_was_waited_for_and_paid_once() {
        let mut numbers = Numbers::default();
        let usage = Usage { model: "m".to_owned(), calls: 2, tokens_in: 30, tokens_out: 4, ..Usage::default() };
        let first = MessageFacts { waited: Some(Duration::from_secs(2)), usage: Some(usage), ..sent(1) };
        numbers.add_message(&first);
        numbers.add_message(&sent(1));
        assert_eq!((numbers.answer_times.count(), numbers.tokens(), numbers.sent()), (1, 34, 2));
    }
}
