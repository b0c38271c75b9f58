//! What Meta lets accounts do: kept by account and cause, forward in time only.

use jiff::Timestamp;
use shared::ids::WabaId;
use worker::{
    account::{AccountStanding, Cause, Mark, StandingChange},
    store::AccountEvent,
};

use super::Fresh;

fn account(id: &str) -> WabaId {
    WabaId::parse(id).expect("an account's id")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn change(cause: Cause, time: i64, stops: bool, until: Option<i64>) -> StandingChange {
    StandingChange { cause, mark: Mark { at: at(time), stops, until: until.map(at), why: "$why".to_owned() } }
}

async fn take(store: &Fresh, id: &str, changes: &[StandingChange]) {
    store.change_standing(&account(id), changes).await.expect("the store answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_of_each_cause_is_kept_in_whatever_order_events_come() {
    let store = Fresh::open("standing").await;
    assert_eq!(store.standing(&account("1")).await.expect("the store answers"), None);
    assert_eq!(store.standings().await.expect("the store answers"), []);
    let (banned, restricted) = (change(Cause::Ban, 20, true, None), change(Cause::Restriction, 10, true, Some(90)));
    take(&store, "1", &[banned.clone(), restricted.clone()]).await;
    take(&store, "1", &[change(Cause::Ban, 19, false, None), change(Cause::Removal, 5, false, None)]).await;
    let mut expected = AccountStanding::new("1");
    [banned, restricted, change(Cause::Removal, 5, false, None)].iter().for_each(|change| expected.apply(change));
    assert_eq!(
        store.standing(&account("1")).await.expect("the store answers"),
        Some(expected.clone()),
        "not backwards"
    );
    // The same again, and one of another account.
    take(&store, "1", &[change(Cause::Ban, 20, true, None)]).await;
    take(&store, "2", &[change(Cause::Ban, 30, true, None)]).await;
    take(&store, "2", &[]).await;
    let all = store.standings().await.expect("the store answers");
    assert_eq!(all.iter().map(|standing| standing.waba_id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(all[0], expected);
    take(&store, "1", &[change(Cause::Ban, 21, false, None)]).await;
    let standing = store.standing(&account("1")).await.expect("the store answers").expect("it is there");
    assert_eq!(standing.pause(at(50)).map(|pause| pause.cause), Some(Cause::Restriction));
    assert_eq!(standing.pause(at(90)), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_meet_are_both_kept() {
    let store = Fresh::open("meeting").await;
    let both = Cause::ALL.map(|cause| [change(cause, 7, true, None)]);
    let taking = both.iter().map(|changes| take(&store, "1", changes));
    futures_util::future::join_all(taking).await;
    let standing = store.standing(&account("1")).await.expect("the store answers").expect("it is there");
    assert_eq!(standing.marks.len(), Cause::ALL.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_events_of_an_account_are_those_of_the_fields_that_are_asked_for() {
    let store = Fresh::prepared("events").await;
    let (ours, theirs) = (account("1"), account("2"));
    for (n, (waba_id, field)) in
        [(&ours, "security"), (&theirs, "security"), (&ours, "system"), (&ours, "account_update"), (&ours, "security")]
            .into_iter()
            .enumerate()
    {
        let second = i64::try_from(n).expect("few");
        let event = AccountEvent {
            id: &format!("event {n}"),
            field,
            phone_number_id: None,
            waba_id: Some(waba_id),
            received_at: at(second),
            payload: "{}",
        };
        store.record_event(&event).await.expect("the store answers");
    }
    let last = async |most| {
        let found = store.last_events("1", &["security", "account_update"], most).await.expect("the store answers");
        found.into_iter().map(|event| (event.field, event.received_at.as_second())).collect::<Vec<_>>()
    };
    let named = |field: &str, second| (field.to_owned(), second);
    assert_eq!(last(2).await, [named("security", 4), named("account_update", 3)]);
    assert_eq!(last(9).await.len(), 3);
    assert_eq!(store.last_events("3", &["security"], 9).await.expect("the store answers"), []);
}
