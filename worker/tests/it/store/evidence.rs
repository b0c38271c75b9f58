//! Evidence: a status proves that a part reached Meta, whoever holds the conversation.

use std::time::Duration;

use worker::{
    conversation::{Outbox, PartState},
    store::Claim,
};

use super::{Fresh, LONG, Talk, id, in_doubt, message, number, reply};

/// A reply of two parts, of which the first is in doubt.
async fn doubtful(store: &Fresh) -> (Talk, Claim, Outbox) {
    let talk = Talk::new(store);
    talk.receive(&[message(1)]).await;
    let claim = talk.claim().await;
    let outbox = reply("r1", &[message(1)], &["one", "two"]);
    talk.commit(&claim.lease, &outbox).await;
    (talk, claim, outbox)
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_wakes_a_conversation_that_waits_for_it() {
    let store = Fresh::open("wakes").await;
    let (talk, claim, outbox) = doubtful(&store).await;
    talk.postpone(&claim.lease, &in_doubt(LONG)).await;
    assert!(talk.try_claim("worker", LONG).await.is_none());
    assert!(talk.evidence(&outbox, 0, "wamid.a").await);
    let claim = talk.claim().await;
    assert_eq!(claim.conversation.takeovers, 0);
    let parts = claim.conversation.outbox.expect("a reply is under way").parts;
    assert_eq!((parts[0].state, parts[0].wamid.clone()), (PartState::Sent, Some(id("wamid.a"))));
    assert_eq!((parts[1].state, parts[1].tries), (PartState::Waiting, 0), "the next holder sends it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_evidence_ends_with_it_also_for_what_lands_next() {
    let store = Fresh::open("ends").await;
    let (talk, claim, outbox) = doubtful(&store).await;
    talk.postpone(&claim.lease, &in_doubt(LONG)).await;
    talk.evidence(&outbox, 0, "wamid.a").await;
    talk.receive(&[message(2)]).await;
    talk.claim().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_during_a_turn_leaves_the_lease_and_the_time_alone() {
    let store = Fresh::open("held").await;
    let (talk, claim, outbox) = doubtful(&store).await;
    let time_of = |document: &mongodb::bson::Document| *document.get_datetime("due_at").expect("it is due");
    let before = store.raw("conversations", talk.session.expose()).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(talk.evidence(&outbox, 0, "wamid.a").await);
    let after = store.raw("conversations", talk.session.expose()).await;
    assert_eq!(time_of(&after), time_of(&before));
    assert!(talk.try_claim("other", LONG).await.is_none());
    assert_eq!(talk.parts(&claim.lease).await[0].state, PartState::Sent);
    assert!(!talk.begin_try(&claim.lease, &outbox, 0, 1).await, "it must not be sent again");
    // The holder's own record of the same send begins the next part as ever.
    assert!(talk.part_sent(&claim.lease, &outbox, 0, "wamid.a").await);
    assert_eq!(talk.parts(&claim.lease).await[1].state, PartState::Sending);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_counts_once_and_for_its_own_part_only() {
    let store = Fresh::open("own").await;
    let (talk, claim, outbox) = doubtful(&store).await;
    talk.postpone(&claim.lease, &in_doubt(LONG)).await;
    let before = store.raw("conversations", talk.session.expose()).await;
    let evidence = async |number: &str, reply_id: &str, part| {
        let number = super::number(number);
        store.evidence(&talk.session, &number, reply_id, part, &id("wamid.x")).await.expect("the store answers")
    };
    assert!(!evidence(super::OTHER_NUMBER, "r1", 0).await, "another number");
    assert!(!evidence(super::NUMBER, "r2", 0).await, "another reply");
    assert!(!evidence(super::NUMBER, "r1", 2).await, "no such part");
    assert_eq!(store.raw("conversations", talk.session.expose()).await, before);
    assert!(talk.evidence(&outbox, 0, "wamid.a").await);
    assert!(!talk.evidence(&outbox, 0, "wamid.b").await, "it is known");
    let parts = talk.claim().await.conversation.outbox.expect("a reply is under way").parts;
    assert_eq!(parts[0].wamid, Some(id("wamid.a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_for_what_is_over_or_unknown_changes_nothing() {
    let store = Fresh::open("over").await;
    let (talk, claim, outbox) = doubtful(&store).await;
    talk.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");
    let before = store.raw("conversations", talk.session.expose()).await;
    assert!(!talk.evidence(&outbox, 0, "wamid.a").await);
    assert_eq!(store.raw("conversations", talk.session.expose()).await, before);
    let stranger = Talk::of(&store, Some("acme"), "1999");
    assert!(!stranger.evidence(&outbox, 0, "wamid.a").await);
    assert!(stranger.try_claim("worker", LONG).await.is_none(), "no conversation was begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_may_be_proved_before_it_is_its_turn() {
    let store = Fresh::open("early").await;
    let (talk, claim, outbox) = doubtful(&store).await;
    talk.postpone(&claim.lease, &in_doubt(LONG)).await;
    assert!(talk.evidence(&outbox, 1, "wamid.b").await);
    let parts = talk.claim().await.conversation.outbox.expect("a reply is under way").parts;
    assert_eq!((parts[0].state, parts[1].state), (PartState::Sending, PartState::Sent));
    assert_eq!(number(super::NUMBER), outbox.phone_number_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_came_during_the_turn_is_not_waited_for() {
    let store = Fresh::open("came").await;
    let (talk, claim, outbox) = doubtful(&store).await;
    assert!(talk.evidence(&outbox, 0, "wamid.a").await);
    assert!(talk.postpone(&claim.lease, &in_doubt(LONG)).await);
    let claim = talk.claim().await;
    let states: Vec<_> = talk.parts(&claim.lease).await.iter().map(|part| part.state).collect();
    assert_eq!(states, [PartState::Sent, PartState::Waiting]);

    // The next part is in doubt now: this wait is a wait.
    assert!(talk.begin_try(&claim.lease, &outbox, 1, 0).await);
    assert!(talk.postpone(&claim.lease, &in_doubt(LONG)).await);
    assert!(talk.try_claim("worker", LONG).await.is_none());
    assert!(talk.evidence(&outbox, 1, "wamid.b").await);
    talk.claim().await;
}
