//! Days in numbers: which have to be counted, what of, and what was counted.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, civil::date};
use shared::{ids::MessageId, trace::TraceParent};
use worker::{
    analytics::{ModelUsage, Numbers, Priced},
    conversation::{BusinessId, Usage},
    store::{DayToCount, Inbound, MessageFacts, OnRecord, Outbound, StatusUpdate},
};

use super::{Fresh, Talk, id, message, number};

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(60);

fn business(id: &str) -> BusinessId {
    BusinessId(id.to_owned())
}

/// With everything in it, and keys as Meta and providers may write them.
fn numbers() -> Numbers {
    let mut numbers = Numbers { delivered: 3, cost_micros: Some(7), ..Numbers::default() };
    numbers.inbound = [("text".to_owned(), 2), ("$odd.kind".to_owned(), 1)].into();
    numbers.answer_times.add(Duration::from_secs(2));
    numbers.failures.undelivered = [("131026".to_owned(), 1)].into();
    numbers.priced = [("service".to_owned(), Priced { billable: 1, free: 2 })].into();
    let usage = ModelUsage { calls: 1, tokens_in: 5_000_000_000, tokens_out: 3 };
    numbers.models = [("llama-3.3-70b".to_owned(), usage)].into();
    numbers.hand_overs = [("tool".to_owned(), 1)].into();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_has_changed_is_counted_by_one_and_again_where_it_changed_meanwhile() {
    let store = Fresh::open("days").await;
    let (acme, today) = (business("acme"), date(2026, 11, 26));
    assert_eq!(store.take_day(LONG).await.expect("the store answers"), None);
    store.mark_days(&[(acme.clone(), today)], LONG).await.expect("the store answers");
    assert_eq!(store.take_day(LONG).await.expect("the store answers"), None, "not yet");
    let tomorrow = date(2026, 11, 27);
    store.mark_days(&[(acme.clone(), tomorrow)], NOW).await.expect("the store answers");
    let day = store.take_day(LONG).await.expect("the store answers").expect("it is due");
    assert_eq!((&day.business, day.day), (&acme, tomorrow));
    assert_eq!(store.take_day(LONG).await.expect("the store answers"), None, "somebody has it");
    // Something comes while it is being counted.
    tokio::time::sleep(Duration::from_millis(5)).await;
    store.mark_days(&[(acme.clone(), tomorrow)], NOW).await.expect("the store answers");
    store.keep_day(&day, &numbers(), NOW).await.expect("the store answers");
    let again = store.take_day(LONG).await.expect("the store answers").expect("it is due again");
    assert!(again.marked_at > day.marked_at);
    store.keep_day(&again, &numbers(), LONG).await.expect("the store answers");
    assert_eq!(store.take_day(NOW).await.expect("the store answers"), None, "all is counted");
    // What took long to count is not counted all the time.
    store.mark_days(&[(acme.clone(), tomorrow)], NOW).await.expect("the store answers");
    assert_eq!(store.take_day(NOW).await.expect("the store answers"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_nobody_finished_is_due_again() {
    let store = Fresh::open("unfinished").await;
    store.mark_days(&[(business("acme"), date(2026, 11, 26))], NOW).await.expect("the store answers");
    let taken = store.take_day(Duration::from_millis(20)).await.expect("the store answers");
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(store.take_day(LONG).await.expect("the store answers"), taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_read_as_they_were_kept_and_replace_those_before_them() {
    let store = Fresh::open("numbers").await;
    let (acme, bolt) = (business("acme"), business("$bolt"));
    let (first, second) = (date(2026, 11, 25), date(2026, 11, 26));
    let day =
        |business: &BusinessId, day| DayToCount { business: business.clone(), day, marked_at: Timestamp::UNIX_EPOCH };
    let few = Numbers { inbound: [("text".to_owned(), 2)].into(), ..Numbers::default() };
    for (business, date, kept) in [(&acme, first, &numbers()), (&acme, second, &few), (&bolt, first, &few)] {
        store.keep_day(&day(business, date), &numbers(), LONG).await.expect("the store answers");
        store.keep_day(&day(business, date), kept, LONG).await.expect("the store answers");
    }
    let of = async |business: Option<&BusinessId>, first, last| {
        let found = store.counted_days(business, first, last).await.expect("the store answers");
        found.into_iter().map(|day| (day.business.0, day.day, day.numbers)).collect::<Vec<_>>()
    };
    let whole = (acme.0.clone(), first, numbers());
    assert_eq!(of(Some(&acme), first, second).await, [whole.clone(), (acme.0.clone(), second, few.clone())]);
    assert_eq!(of(None, first, first).await, [(bolt.0.clone(), first, few.clone()), whole]);
    assert_eq!(of(None, date(2026, 11, 27), date(2026, 12, 1)).await, []);
    let counted = store.counted_days(None, second, second).await.expect("the store answers");
    assert!(Timestamp::now().duration_since(counted[0].counted_at) < SignedDuration::from_mins(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_each_message_it_is_told_what_counts_and_a_status_says_whose_it_is() {
    let store = Fresh::open("facts").await;
    let talk = Talk::new(&store);
    let (session, business_id, item, sender) = (&talk.session, &talk.business, &message(1), number(super::NUMBER));
    let inbound = Inbound { session, business_id, item, kind: "audio", answered: true, words: None, taken_back: false };
    store.record_inbound(&inbound).await.expect("the store answers");
    let usage = Usage { model: "m".to_owned(), calls: 2, tokens_in: 30, tokens_out: 4, ..Usage::default() };
    let (wamid, waited, trace) = (id("wamid.out"), Duration::from_millis(1_234), TraceParent::random());
    let outbound = Outbound {
        session,
        business_id,
        number: &sender,
        wamid: &wamid,
        reply_id: Some("r"),
        kind: "text",
        body: "hello",
        usage: Some(&usage),
        waited: Some(waited),
        trace: Some(trace),
    };
    store.record_outbound(&outbound).await.expect("the store answers");
    let status = |wamid: &MessageId, rank, pricing: Option<&str>, error_code| StatusUpdate {
        number: sender.clone(),
        wamid: wamid.clone(),
        status: "a word".to_owned(),
        rank,
        at: Timestamp::now(),
        pricing: pricing.map(str::to_owned),
        error_code,
    };
    let pricing = r#"{"category":"service"}"#;
    let whose = store.record_status(&status(&wamid, 3, Some(pricing), Some(131_000))).await.expect("the store answers");
    let OnRecord { business: whose, sent_at, trace: recorded } = whose.expect("it is on record");
    assert_eq!((whose, recorded), (talk.business.clone(), Some(trace)));
    assert!(Timestamp::now().duration_since(sent_at) < SignedDuration::from_mins(5), "{sent_at}");
    let unknown = id("wamid.unknown");
    assert_eq!(store.record_status(&status(&unknown, 1, None, None)).await.expect("the store answers"), None);
    let day = SignedDuration::from_hours(24);
    let look = async |business: &BusinessId, from, until| {
        let mut seen = Vec::new();
        let mut show = |facts: &MessageFacts| seen.push(facts.clone());
        store.look_at_messages(business, from, until, &mut show).await.expect("the store answers");
        seen.sort_by_key(|facts| !facts.is_inbound);
        seen
    };
    let heard = MessageFacts { is_inbound: true, kind: "audio".to_owned(), ..MessageFacts::default() };
    let said = MessageFacts {
        is_inbound: false,
        kind: "text".to_owned(),
        waited: Some(waited),
        status_rank: Some(3),
        error_code: Some(131_000),
        pricing: Some(pricing.to_owned()),
        usage: Some(usage.clone()),
    };
    let now = Timestamp::now();
    assert_eq!(look(&talk.business, now - day, now + day).await, [heard.clone(), said.clone()]);
    assert_eq!(
        look(&talk.business, item.timestamp, sent_at).await,
        std::slice::from_ref(&heard),
        "the end is not in it"
    );
    assert_eq!(look(&business("other"), now - day, now + day).await, []);
    // What is counted stays when a customer is forgotten.
    store.forget(session).await.expect("the store answers");
    assert_eq!(look(&talk.business, now - day, now + day).await, [heard, said]);
}
