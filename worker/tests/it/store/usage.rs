//! What businesses use is added up by day, whoever adds at the same time.

use futures_util::future::join_all;
use jiff::civil::date;
use worker::{conversation::BusinessId, store::DayUsage};

use super::Fresh;

#[tokio::test(flavor = "multi_thread")]
async fn what_sixteen_add_at_once_is_all_there_and_days_and_businesses_are_apart() {
    let store = Fresh::open("usage").await;
    let (acme, bolt) = (BusinessId("acme".to_owned()), BusinessId("bolt".to_owned()));
    let (today, tomorrow) = (date(2026, 11, 25), date(2026, 11, 26));
    let hand_overs = [("tool", 1), ("person", 2)].into();
    let used = DayUsage { replies: 1, tokens: 300, speech_characters: 20, hand_overs, ..DayUsage::default() };
    for added in join_all((0..16).map(|_| store.add_usage(&acme, today, &used))).await {
        added.expect("the store answers");
    }
    store.add_usage(&bolt, today, &used).await.expect("the store answers");
    let of = async |business, day| store.usage_of_day(business, day).await.expect("the store answers");
    let hand_overs = [("tool", 16), ("person", 32)].into();
    let all = DayUsage { replies: 16, tokens: 4_800, speech_characters: 320, hand_overs, ..DayUsage::default() };
    assert_eq!(of(&acme, today).await, all);
    assert_eq!(of(&bolt, today).await, used);
    assert_eq!(of(&acme, tomorrow).await, DayUsage::default());
}
