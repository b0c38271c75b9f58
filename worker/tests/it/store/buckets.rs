//! Buckets: how many messages each of the business's numbers may send to a customer at once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mongodb::bson::doc;
use worker::{
    conversation::{BUCKET_MOST, BUCKET_REFILL, LeaseKey, bucket_wait},
    store::CommitOutcome,
};

use super::{Fresh, LONG, NUMBER, OTHER_NUMBER, Talk, message, messages, number, reply, to_the_other_number};

/// A day: a refill is not waited for.
fn long_ago() -> mongodb::bson::DateTime {
    mongodb::bson::DateTime::from_millis(Timestamp::now().as_millisecond() - 24 * 60 * 60 * 1_000)
}

impl Talk {
    /// When a number's bucket is full again, from the time of the last update.
    async fn owed(&self, lease: &LeaseKey, number: &str, now: Timestamp) -> Option<SignedDuration> {
        let conversation = self.store.reread(lease).await.expect("the store answers").expect("the lease is held");
        conversation.buckets.get(&super::number(number)).map(|full_at| full_at.duration_since(now))
    }

    /// When the last try of a part began.
    async fn tried_at(&self, lease: &LeaseKey, part: usize) -> Timestamp {
        self.parts(lease).await[part].last_try_at.expect("it was tried")
    }
}

fn refills(count: u32) -> SignedDuration {
    SignedDuration::try_from(BUCKET_REFILL * count).expect("in range")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_begin_of_a_try_takes_one_message_from_the_bucket() {
    let store = Fresh::open("bucket").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let lease = talk.claim().await.lease;
    assert_eq!(talk.owed(&lease, NUMBER, Timestamp::now()).await, None, "it is full");
    let outbox = reply("r1", &[message(1)], &["one", "two"]);
    talk.commit(&lease, &outbox).await;
    let first = talk.tried_at(&lease, 0).await;
    assert_eq!(talk.owed(&lease, NUMBER, first).await, Some(refills(1)), "the commit began the first part");
    talk.commit(&lease, &outbox).await;
    assert_eq!(talk.owed(&lease, NUMBER, first).await, Some(refills(1)), "a repeated commit begins nothing");
    assert!(talk.begin_try(&lease, &outbox, 0, 1).await);
    assert_eq!(talk.owed(&lease, NUMBER, first).await, Some(refills(2)), "the same part once more");
    assert!(!talk.begin_try(&lease, &outbox, 0, 1).await);
    assert_eq!(talk.owed(&lease, NUMBER, first).await, Some(refills(2)), "that try was made already");
    for _ in 0..2 {
        assert!(talk.part_sent(&lease, &outbox, 0, "wamid.a").await);
        assert_eq!(talk.owed(&lease, NUMBER, first).await, Some(refills(3)), "the next part began, once");
    }
    assert!(talk.part_sent(&lease, &outbox, 1, "wamid.b").await);
    assert_eq!(talk.owed(&lease, NUMBER, first).await, Some(refills(3)), "no part is left to begin");
    // Nor does a turn's end give anything back.
    talk.settle(&lease, &[message(1)]).await.expect("the lease is held");
    talk.receive(&[message(2)]).await;
    let lease = talk.claim().await.lease;
    assert_eq!(talk.owed(&lease, NUMBER, first).await, Some(refills(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_fits_into_the_bucket_and_the_next_message_waits() {
    let store = Fresh::open("burst").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let lease = talk.claim().await.lease;
    let outbox = reply("r1", &[message(1)], &["one"]);
    talk.commit(&lease, &outbox).await;
    let first = talk.tried_at(&lease, 0).await;
    let full_at = async || talk.owed(&lease, NUMBER, Timestamp::UNIX_EPOCH).await.map(|at| Timestamp::UNIX_EPOCH + at);
    for tries in 1..BUCKET_MOST {
        assert_eq!(bucket_wait(full_at().await, first), None, "after {tries} tries");
        assert!(talk.begin_try(&lease, &outbox, 0, tries).await);
    }
    assert_eq!(bucket_wait(full_at().await, first), Some(BUCKET_REFILL));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_full_again_counts_from_now_and_one_of_another_number_is_forgotten() {
    let store = Fresh::open("refilled").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let lease = talk.claim().await.lease;
    let past = doc! { "$set": { "buckets": { NUMBER: long_ago(), OTHER_NUMBER: long_ago() } } };
    store.change("conversations", talk.session.expose(), past).await;
    talk.commit(&lease, &reply("r1", &[message(1)], &["one"])).await;
    let first = talk.tried_at(&lease, 0).await;
    assert_eq!(talk.owed(&lease, NUMBER, first).await, Some(refills(1)));
    assert_eq!(talk.owed(&lease, OTHER_NUMBER, first).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_number_has_a_bucket_of_its_own() {
    let store = Fresh::open("own").await;
    let talk = Talk::new(&store);
    let items = [message(1), to_the_other_number(message(2))];
    talk.receive(&items).await;
    for (item, reply_id) in items.iter().zip(["r1", "r2"]) {
        let claim = talk.claim_when_free("worker", LONG).await;
        let outbox = reply(reply_id, std::slice::from_ref(item), &["one"]);
        assert_eq!(talk.commit_having_seen(&claim.lease, &outbox, None).await, CommitOutcome::Committed);
        talk.settle(&claim.lease, std::slice::from_ref(item)).await.expect("the lease is held");
    }
    talk.receive(&[message(3)]).await;
    let buckets = talk.claim().await.conversation.buckets;
    assert_eq!(buckets.keys().cloned().collect::<Vec<_>>(), [number(NUMBER), number(OTHER_NUMBER)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_and_waiting_leave_the_bucket_alone() {
    let store = Fresh::open("alone").await;
    let talk = Talk::new(&store);
    talk.receive(&messages(1..3)).await;
    let lease = talk.claim().await.lease;
    let outbox = reply("r1", &messages(1..3), &["one", "two"]);
    talk.commit(&lease, &outbox).await;
    let first = talk.tried_at(&lease, 0).await;
    assert!(talk.evidence(&outbox, 0, "wamid.a").await);
    assert_eq!(talk.owed(&lease, NUMBER, first).await, Some(refills(1)));
    assert!(talk.postpone(&lease, &super::failed(Duration::ZERO)).await);
    let lease = talk.claim_when_free("worker", LONG).await.lease;
    assert_eq!(talk.owed(&lease, NUMBER, first).await, Some(refills(1)));
}
