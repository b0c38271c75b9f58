//! Dead letters: kept with their reason, counted when they come again, replayed when their business can be served.

use mongodb::bson::{DateTime, doc};
use tokio::task::JoinSet;
use worker::store::{DeadLetter, ReplayPolicy, Store, WaitingLetter};

use super::{Fresh, NUMBER, OTHER_NUMBER, number};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

fn letter(id: &str, replay: ReplayPolicy) -> DeadLetter {
    DeadLetter {
        id: id.to_owned(),
        reason: "unknown_business",
        detail: "no business lists this number".to_owned(),
        phone_number_id: Some(number(NUMBER)),
        business_id: None,
        session: None,
        message_id: Some(format!("wamid.{id}")),
        body: format!("envelope of {id}").into_bytes(),
        replay,
        counted_as_answered: false,
    }
}

/// As a turn buries a message that had landed.
fn by_a_turn(id: &str) -> DeadLetter {
    DeadLetter { counted_as_answered: true, ..letter(id, ReplayPolicy::WhenServed) }
}

async fn bury(store: &Store, letter: &DeadLetter) {
    store.bury(letter).await.expect("the store answers");
}

async fn waiting(store: &Store) -> Vec<WaitingLetter> {
    store.waiting_letters(&number(NUMBER), 100).await.expect("the store answers")
}

async fn waiting_ids(store: &Store) -> Vec<String> {
    waiting(store).await.into_iter().map(|letter| letter.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_filed_twice_is_one_and_is_counted() {
    let store = Fresh::open("count").await;
    bury(&store, &letter("a", ReplayPolicy::WhenServed)).await;
    let mut again = letter("a", ReplayPolicy::WhenServed);
    (again.reason, again.body) = ("business_disabled", b"something else".to_vec());
    bury(&store, &again).await;
    let expected = WaitingLetter {
        id: "a".to_owned(),
        message_id: Some("wamid.a".to_owned()),
        body: b"envelope of a".to_vec(),
        count: 2,
        replay_number: None,
    };
    assert_eq!(waiting(&store).await, [expected]);
    let stored = store.raw("dead_letters", "a").await;
    assert_eq!(stored.get_str("reason").ok(), Some("business_disabled"), "the newest reason");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_many_file_at_once_is_one() {
    let store = Fresh::open("many").await;
    let mut burying = JoinSet::new();
    for _ in 0..16 {
        let store = Store::clone(&store);
        burying.spawn(async move { bury(&store, &letter("a", ReplayPolicy::WhenServed)).await });
    }
    burying.join_all().await;
    assert_eq!(waiting(&store).await.iter().map(|letter| letter.count).collect::<Vec<_>>(), [16]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_any_bytes_is_kept() {
    let store = Fresh::open("bytes").await;
    let bodies = [b"\xff\xfe\0$".to_vec(), b"$$NOW".to_vec(), Vec::new(), "{\"$a.b\":\"\u{0}é\"}".as_bytes().to_vec()];
    for (n, body) in bodies.iter().enumerate() {
        let letter = DeadLetter { body: body.clone(), ..letter(&n.to_string(), ReplayPolicy::WhenServed) };
        bury(&store, &letter).await;
    }
    let kept: Vec<_> = waiting(&store).await.into_iter().map(|letter| letter.body).collect();
    assert_eq!(kept, bodies);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_may_come_back_by_itself_waits() {
    let store = Fresh::prepared("policies").await;
    bury(&store, &letter("by hand", ReplayPolicy::ByHand)).await;
    assert_eq!(store.waiting_numbers().await.expect("the store answers"), []);
    bury(&store, &letter("served", ReplayPolicy::WhenServed)).await;
    bury(&store, &letter("a day", ReplayPolicy::WhenServedWithinADay)).await;
    let mut other = letter("other", ReplayPolicy::WhenServed);
    other.phone_number_id = Some(number(OTHER_NUMBER));
    bury(&store, &other).await;
    let nowhere = DeadLetter { phone_number_id: None, ..letter("nowhere", ReplayPolicy::WhenServed) };
    bury(&store, &nowhere).await;

    let mut numbers = store.waiting_numbers().await.expect("the store answers");
    numbers.sort();
    assert_eq!(numbers, [number(NUMBER), number(OTHER_NUMBER)]);
    let mut found = waiting_ids(&store).await;
    found.sort();
    assert_eq!(found, ["a day", "served"]);
    assert_eq!(store.waiting_letters(&number("999"), 100).await.expect("the store answers"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_buried_come_first_and_few_at_a_time() {
    let store = Fresh::open("first").await;
    for id in ["c", "a", "b"] {
        bury(&store, &letter(id, ReplayPolicy::WhenServed)).await;
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    assert_eq!(waiting_ids(&store).await, ["c", "a", "b"]);
    let two = store.waiting_letters(&number(NUMBER), 2).await.expect("the store answers");
    assert_eq!(two.into_iter().map(|letter| letter.id).collect::<Vec<_>>(), ["c", "a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_the_customer_expects_no_answer_any_more() {
    let store = Fresh::open("day").await;
    for (id, policy) in [("a day", ReplayPolicy::WhenServedWithinADay), ("served", ReplayPolicy::WhenServed)] {
        bury(&store, &letter(id, policy)).await;
    }
    let until = *store.raw("dead_letters", "a day").await.get_datetime("replay_until").expect("it ends");
    let left = until.timestamp_millis() - DateTime::now().timestamp_millis();
    assert!((DAY_MS - 60_000..=DAY_MS).contains(&left), "{left}");
    pass_a_day(&store, "a day").await;
    assert_eq!(waiting_ids(&store).await, ["served"]);
}

/// As if the time until which it may come back had passed.
async fn pass_a_day(store: &Fresh, id: &str) {
    let passed = DateTime::from_millis(DateTime::now().timestamp_millis() - 1);
    store.change("dead_letters", id, doc! { "$set": { "replay_until": passed } }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_replayed_comes_back_only_if_it_is_buried_again() {
    let store = Fresh::open("replayed").await;
    bury(&store, &letter("a", ReplayPolicy::WhenServed)).await;
    let replayed = waiting(&store).await.remove(0);
    store.mark_replayed(&replayed).await.expect("the store answers");
    assert_eq!(waiting(&store).await, []);
    assert_eq!(store.waiting_numbers().await.expect("the store answers"), []);
    bury(&store, &letter("a", ReplayPolicy::WhenServed)).await;
    let buried_again = waiting(&store).await;
    assert_eq!(buried_again.iter().map(|letter| letter.count).collect::<Vec<_>>(), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burial_during_the_replay_is_not_forgotten() {
    let store = Fresh::open("meanwhile").await;
    bury(&store, &letter("a", ReplayPolicy::WhenServed)).await;
    let replaying = waiting(&store).await.remove(0);
    bury(&store, &letter("a", ReplayPolicy::WhenServed)).await;
    store.mark_replayed(&replaying).await.expect("the store answers");
    assert_eq!(waiting_ids(&store).await, ["a"], "its newest burial was not replayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_burial_says_anew_until_when_it_may_come_back() {
    let store = Fresh::open("anew").await;
    // Disabled for longer than a day; later its number is moved to a business that is yet to be set up.
    bury(&store, &letter("a", ReplayPolicy::WhenServedWithinADay)).await;
    pass_a_day(&store, "a").await;
    assert_eq!(waiting_ids(&store).await, [""; 0]);
    bury(&store, &letter("a", ReplayPolicy::WhenServed)).await;
    assert_eq!(waiting_ids(&store).await, ["a"]);

    bury(&store, &letter("b", ReplayPolicy::WhenServed)).await;
    bury(&store, &letter("b", ReplayPolicy::WhenServedWithinADay)).await;
    assert!(store.raw("dead_letters", "b").await.get_datetime("replay_until").is_ok(), "for a day from now");
    bury(&store, &letter("b", ReplayPolicy::ByHand)).await;
    assert_eq!(waiting_ids(&store).await, ["a"], "an operator decides");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_has_a_name_of_its_own_only_where_the_message_counts_as_answered() {
    let store = Fresh::open("name").await;
    let number_of = async || {
        let found = waiting(&store).await;
        assert_eq!(found.len(), 1);
        found[0].replay_number
    };
    // It never landed, however often it was filed: it comes back as itself, and lands once.
    for _ in 0..2 {
        bury(&store, &letter("a", ReplayPolicy::WhenServed)).await;
        assert_eq!(number_of().await, None);
    }
    bury(&store, &by_a_turn("a")).await;
    let first = number_of().await;
    assert!(first.is_some());
    // A delivery of the same message that comes late, to a worker that does not know the business yet.
    bury(&store, &letter("a", ReplayPolicy::WhenServed)).await;
    assert_eq!(number_of().await, first, "as itself it would not land any more, and under another name it would twice");
    bury(&store, &by_a_turn("a")).await;
    assert!(number_of().await > first, "its replay was buried, too");
}
