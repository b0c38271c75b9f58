//! Dead letters: kept with their reason, counted when they come again, replayed when their business can be served or
//! an operator asks for it.

use std::sync::Arc;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{DateTime, doc};
use shared::ids::SessionId;
use tokio::task::JoinSet;
use worker::{
    conversation::BusinessId,
    store::{
        DeadLetter, FiledLetter, LetterFilter, LetterOwner, LetterState, Reading, ReplayPolicy, Standing, Store,
        WaitingLetter,
    },
};

use super::{Fresh, LONG, NUMBER, OTHER_NUMBER, number};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

pub(in super::super) fn letter(id: &str, replay: ReplayPolicy) -> DeadLetter {
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

pub(in super::super) async fn bury(store: &Arc<dyn Store>, letter: &DeadLetter) {
    store.bury(letter).await.expect("the store answers");
}

async fn waiting(store: &Arc<dyn Store>) -> Vec<WaitingLetter> {
    store.waiting_letters(&number(NUMBER), 100).await.expect("the store answers")
}

async fn waiting_ids(store: &Arc<dyn Store>) -> Vec<String> {
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
        reason: "business_disabled".to_owned(),
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
        let store = Arc::clone(&store);
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

pub(in super::super) async fn filed(
    store: &Arc<dyn Store>,
    filter: &LetterFilter,
    reading: Reading,
) -> Vec<FiledLetter> {
    let mut letters = store.filed_letters(filter, reading).await.expect("the store answers");
    let mut found = Vec::new();
    while let Some(letter) = letters.next_letter().await.expect("the store answers") {
        found.push(letter);
    }
    found
}

async fn filed_ids(store: &Arc<dyn Store>, filter: &LetterFilter) -> Vec<String> {
    filed(store, filter, Reading::default()).await.into_iter().map(|letter| letter.id).collect()
}

/// The one letter with that id or handle.
async fn one(store: &Arc<dyn Store>, id: &str) -> FiledLetter {
    let filter = LetterFilter { ids: vec![id.to_owned()], standing: Standing::Any, ..LetterFilter::default() };
    let mut found = filed(store, &filter, Reading { with_bodies: true, ..Reading::default() }).await;
    assert_eq!(found.len(), 1, "{id}");
    found.remove(0)
}

pub(in super::super) async fn request(store: &Arc<dyn Store>, id: &str) -> bool {
    let letter = one(store, id).await;
    store.request_replay(&letter).await.expect("the store answers")
}

pub(in super::super) async fn take_up(store: &Arc<dyn Store>) -> Option<WaitingLetter> {
    store.take_up_requested(LONG).await.expect("the store answers")
}

async fn bury_again(store: &Arc<dyn Store>, letter: &WaitingLetter, reason: &'static str, replay: ReplayPolicy) {
    store.bury_again(letter, reason, "once more", replay, Some(&number(NUMBER))).await.expect("the store answers");
}

/// As if it had been filed that long ago.
async fn age(store: &Fresh, id: &str, hours: i64) {
    let then = DateTime::from_millis(DateTime::now().timestamp_millis() - hours * 3_600_000);
    store.change("dead_letters", id, doc! { "$set": { "buried_at": then } }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_found_by_its_id_and_by_a_handle_that_tells_nothing() {
    let store = Fresh::prepared("handle").await;
    let id = format!("{NUMBER}:wamid.HBgLMTY1MDM4Nzk0MzVF");
    let session = SessionId::from_stored("acme:16505551234");
    let mut whole = by_a_turn(&id);
    (whole.business_id, whole.session) = (Some(BusinessId("acme's id".to_owned())), Some(session.clone()));
    bury(&store, &whole).await;
    bury(&store, &letter("another", ReplayPolicy::ByHand)).await;
    let found = one(&store, &id).await;
    assert_eq!(found.handle.len(), 16);
    assert!(found.handle.bytes().all(|byte| byte.is_ascii_hexdigit()), "{}", found.handle);
    assert_eq!(one(&store, &found.handle).await, found);
    assert_eq!(found.body.as_deref(), Some(whole.body.as_slice()));
    assert_eq!((found.session, found.business_id), (Some(session), whole.business_id));
    assert_eq!((found.reason.as_str(), found.detail.as_str()), (whole.reason, whole.detail.as_str()));
    assert_eq!((found.burials, found.phone_number_id), (1, Some(number(NUMBER))));
    let left = found.expires_at.expect("it expires").duration_since(Timestamp::now());
    assert_eq!((left + SignedDuration::from_mins(1)).as_hours() / 24, 90);
    // One that was filed before there were handles goes by its id.
    store.change("dead_letters", "another", doc! { "$unset": { "handle": "" } }).await;
    assert_eq!(one(&store, "another").await.handle, "another");
    let nobody = LetterFilter { ids: vec!["nobody".to_owned()], standing: Standing::Any, ..LetterFilter::default() };
    assert_eq!(filed_ids(&store, &nobody).await, [""; 0]);
    let without = filed(&store, &LetterFilter::default(), Reading::default()).await;
    assert_eq!(without.into_iter().map(|letter| letter.body).collect::<Vec<_>>(), [None, None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_found_by_reason_age_and_business_the_newest_first() {
    let store = Fresh::prepared("filters").await;
    let ours = BusinessId("ours".to_owned());
    let of = |id: &str, reason, number_id: Option<&str>, business: Option<&str>| DeadLetter {
        reason,
        phone_number_id: number_id.map(number),
        business_id: business.map(|id| BusinessId(id.to_owned())),
        ..letter(id, ReplayPolicy::ByHand)
    };
    for (hours, letter) in [
        of("theirs", "refused", Some(OTHER_NUMBER), Some("theirs")),
        // The number was theirs when a turn filed it; now it is ours.
        of("moved", "refused", Some(NUMBER), Some("theirs")),
        of("by intake", "unknown_business", Some(NUMBER), None),
        of("by a turn", "refused", Some(NUMBER), Some("ours")),
        of("undecodable", "undecodable", None, None),
    ]
    .iter()
    .zip(1_i64..)
    .map(|(letter, hours)| (hours, letter))
    {
        bury(&store, letter).await;
        age(&store, &letter.id, hours).await;
    }
    let all = LetterFilter::default();
    assert_eq!(filed_ids(&store, &all).await, ["theirs", "moved", "by intake", "by a turn", "undecodable"]);
    let two = async |oldest_first| {
        let reading = Reading { oldest_first, most: Some(2), with_bodies: false };
        filed(&store, &all, reading).await.into_iter().map(|letter| letter.id).collect::<Vec<_>>()
    };
    assert_eq!(two(false).await, ["theirs", "moved"]);
    assert_eq!(two(true).await, ["undecodable", "by a turn"]);
    let refused = LetterFilter { reason: Some("refused".to_owned()), ..all.clone() };
    assert_eq!(filed_ids(&store, &refused).await, ["theirs", "moved", "by a turn"]);
    let owner = LetterOwner { businesses: vec![ours], numbers: vec![number(NUMBER)] };
    let ours = LetterFilter { owner: Some(owner), ..all.clone() };
    assert_eq!(filed_ids(&store, &ours).await, ["by intake", "by a turn"], "one business's letters are no other's");
    let nobodys = LetterFilter { owner: Some(LetterOwner::default()), ..all.clone() };
    assert_eq!(filed_ids(&store, &nobodys).await, [""; 0]);
    let ago = |minutes| Some(Timestamp::now() - SignedDuration::from_mins(minutes));
    let between = LetterFilter { until: ago(90), since: ago(210), ..all.clone() };
    assert_eq!(filed_ids(&store, &between).await, ["moved", "by intake"]);
    let both = LetterFilter { since: ago(210), ..ours };
    assert_eq!(filed_ids(&store, &both).await, ["by intake"]);
    let counts = store.count_letters(&all).await.expect("the store answers");
    let expected = [("refused", 3), ("undecodable", 1), ("unknown_business", 1)];
    assert_eq!(counts, expected.map(|(reason, count)| (reason.to_owned(), count)));
    let none = LetterFilter { reason: Some("$reason".to_owned()), ..all };
    assert_eq!(store.count_letters(&none).await.expect("the store answers"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_decided_about_a_letter_shows() {
    let store = Fresh::open("states").await;
    bury(&store, &letter("by hand", ReplayPolicy::ByHand)).await;
    bury(&store, &letter("served", ReplayPolicy::WhenServed)).await;
    bury(&store, &letter("a day", ReplayPolicy::WhenServedWithinADay)).await;
    assert_eq!(one(&store, "by hand").await.state, LetterState::Undecided);
    assert_eq!(one(&store, "served").await.state, LetterState::WaitsForBusiness { until: None });
    assert!(matches!(one(&store, "a day").await.state, LetterState::WaitsForBusiness { until: Some(_) }));
    pass_a_day(&store, "a day").await;
    assert_eq!(one(&store, "a day").await.state, LetterState::Undecided, "its time is over");
    assert!(request(&store, "a day").await);
    assert!(matches!(one(&store, "a day").await.state, LetterState::ReplayRequested { at: Some(_) }));
    store.mark_replayed(&take_up(&store).await.expect("it is requested")).await.expect("the store answers");
    assert!(matches!(one(&store, "a day").await.state, LetterState::Replayed { .. }));
    let served = one(&store, "served").await;
    assert!(store.discard(&served).await.expect("the store answers"));
    let of = async |standing| {
        let mut ids = filed_ids(&store, &LetterFilter { standing, ..LetterFilter::default() }).await;
        ids.sort();
        ids
    };
    assert_eq!(of(Standing::Open).await, ["by hand"]);
    assert_eq!(of(Standing::Replayed).await, ["a day"]);
    assert_eq!(of(Standing::Closed).await, ["a day", "served"]);
    assert_eq!(of(Standing::Any).await, ["a day", "by hand", "served"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_replay_is_one_workers_whatever_the_policy() {
    let store = Fresh::prepared("requested").await;
    for (id, policy) in [
        ("c", ReplayPolicy::ByHand),
        ("a", ReplayPolicy::WhenServed),
        ("b", ReplayPolicy::WhenServedWithinADay),
        ("d", ReplayPolicy::ByHand),
    ] {
        bury(&store, &letter(id, policy)).await;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    assert_eq!(take_up(&store).await, None, "nobody asked");
    pass_a_day(&store, "b").await;
    for id in ["a", "b", "c"] {
        // Two operators at once.
        assert!(request(&store, id).await);
        assert!(request(&store, id).await);
    }
    let mut taking = JoinSet::new();
    for _ in 0..16 {
        let store = Arc::clone(&store);
        taking.spawn(async move { take_up(&store).await.map(|letter| letter.id) });
    }
    let mut taken: Vec<String> = taking.join_all().await.into_iter().flatten().collect();
    taken.sort();
    assert_eq!(taken, ["a", "b", "c"], "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_letters_are_taken_up_longest_buried_first_and_again_after_their_worker_died() {
    let store = Fresh::open("died").await;
    for id in ["second", "first"] {
        bury(&store, &letter(id, ReplayPolicy::ByHand)).await;
        assert!(request(&store, id).await);
    }
    age(&store, "first", 1).await;
    let first = store.take_up_requested(Duration::from_millis(50)).await.expect("the store answers");
    assert_eq!(first.as_ref().map(|letter| letter.id.as_str()), Some("first"));
    tokio::time::sleep(Duration::from_millis(80)).await;
    assert_eq!(take_up(&store).await, first, "its worker did not finish");
    let second = take_up(&store).await.expect("the other one");
    assert_eq!(second.id, "second");
    store.mark_replayed(&second).await.expect("the store answers");
    store.mark_replayed(&second).await.expect("the store answers");
    assert_eq!(take_up(&store).await, None);
    assert!(!request(&store, "second").await, "it was replayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_fails_is_one_more_burial_whoever_replayed_it() {
    let store = Fresh::open("fails").await;
    let undecodable =
        DeadLetter { phone_number_id: None, reason: "undecodable", ..letter("queue:a", ReplayPolicy::ByHand) };
    bury(&store, &undecodable).await;
    assert!(request(&store, "queue:a").await);
    let replayed = take_up(&store).await.expect("it is requested");
    tokio::time::sleep(Duration::from_millis(3)).await;
    // Two workers, of which one had been taken for dead.
    for _ in 0..2 {
        bury_again(&store, &replayed, "unknown_business", ReplayPolicy::WhenServed).await;
    }
    let found = one(&store, "queue:a").await;
    assert_eq!((found.burials, found.reason.as_str(), found.detail.as_str()), (2, "unknown_business", "once more"));
    assert_eq!(found.state, LetterState::WaitsForBusiness { until: None });
    assert!(found.last_buried_at > found.buried_at);
    assert_eq!(take_up(&store).await, None, "the request is done with");
    // Its number is known now, so it comes back by itself.
    assert_eq!(waiting_ids(&store).await, ["queue:a"]);
    // The one that was too slow has landed it, and does not know of the new burial.
    store.mark_replayed(&replayed).await.expect("the store answers");
    assert_eq!(waiting_ids(&store).await, ["queue:a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_about_the_burial_that_was_seen() {
    let store = Fresh::open("seen").await;
    bury(&store, &by_a_turn("a")).await;
    let seen = one(&store, "a").await;
    bury(&store, &by_a_turn("a")).await;
    assert!(!store.request_replay(&seen).await.expect("the store answers"));
    assert!(!store.discard(&seen).await.expect("the store answers"));
    let seen = one(&store, "a").await;
    assert!(store.request_replay(&seen).await.expect("the store answers"));
    // It is buried again by a turn before a worker takes it up, and then its number is another.
    bury(&store, &by_a_turn("a")).await;
    assert_eq!(take_up(&store).await, None);
    assert!(request(&store, "a").await);
    assert_eq!(take_up(&store).await.expect("it is requested").replay_number, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn burials_by_turns_are_counted_apart_from_those_of_intake() {
    let store = Fresh::open("burials").await;
    bury(&store, &letter("intake", ReplayPolicy::WhenServed)).await;
    for _ in 0..2 {
        bury(&store, &by_a_turn("turn")).await;
    }
    let replayed = waiting(&store).await.remove(0);
    bury_again(&store, &replayed, "unknown_business", ReplayPolicy::WhenServed).await;
    let ids = ["intake", "nobody's", "turn"].map(str::to_owned);
    let burials = store.turn_burials(&ids).await.expect("the store answers");
    assert_eq!(burials.into_iter().collect::<Vec<_>>(), [("intake".to_owned(), 0), ("turn".to_owned(), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_discarded_letter_held_is_gone_and_its_reason_stays() {
    let store = Fresh::open("discard").await;
    bury(&store, &letter("a", ReplayPolicy::WhenServed)).await;
    let seen = one(&store, "a").await;
    assert!(store.discard(&seen).await.expect("the store answers"));
    assert!(!store.discard(&seen).await.expect("the store answers"), "once");
    assert!(!store.request_replay(&seen).await.expect("the store answers"));
    assert_eq!(waiting_ids(&store).await, [""; 0], "it does not come back by itself");
    let shell = one(&store, "a").await;
    assert_eq!((shell.body, shell.reason.as_str()), (None, "unknown_business"));
    assert!(!store.raw("dead_letters", "a").await.contains_key("body"));
    assert!(shell.expires_at.is_some());
    // The same message, buried anew, must not be a letter that holds nothing.
    bury(&store, &by_a_turn("a")).await;
    let again = one(&store, "a").await;
    assert_eq!((again.state, again.burials), (LetterState::WaitsForBusiness { until: None }, 2));
    assert_eq!(again.body, Some(letter("a", ReplayPolicy::WhenServed).body));
    assert_eq!(waiting_ids(&store).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_is_replaying_is_not_discarded_under_its_hands() {
    let store = Fresh::open("in_hand").await;
    bury(&store, &letter("a", ReplayPolicy::ByHand)).await;
    assert!(request(&store, "a").await);
    let seen = one(&store, "a").await;
    let in_hand = take_up(&store).await.expect("it is requested");
    assert!(!store.discard(&seen).await.expect("the store answers"));
    store.mark_replayed(&in_hand).await.expect("the store answers");
    assert!(store.discard(&seen).await.expect("the store answers"), "what was replayed may go");
    // A request that nobody has taken up can be taken back.
    bury(&store, &letter("b", ReplayPolicy::ByHand)).await;
    assert!(request(&store, "b").await);
    let seen = one(&store, "b").await;
    assert!(store.discard(&seen).await.expect("the store answers"));
    assert_eq!(take_up(&store).await, None);
}
