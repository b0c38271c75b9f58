//! Statuses, many at once: each is taken as it would be by itself.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use worker::{
    conversation::{BusinessId, PartState},
    store::{NewStatus, OnRecord, Outbound, SentPart, StatusUpdate},
};

use super::{Fresh, LONG, NUMBER, Talk, id, in_doubt, message, number, reply};

/// Of a message that was sent from [`NUMBER`].
fn status(wamid: &str, rank: i32, proves: Option<SentPart>) -> NewStatus {
    let update = StatusUpdate {
        number: number(NUMBER),
        wamid: id(wamid),
        status: format!("rank {rank}"),
        rank,
        at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(rank.into()),
        pricing: None,
        error_code: None,
    };
    NewStatus { update, proves }
}

/// A conversation that waits for evidence of both parts of its reply.
async fn doubtful(store: &Fresh, phone: &str) -> Talk {
    let talk = Talk::of(store, Some("acme"), phone);
    talk.receive(&[message(1)]).await;
    let claim = talk.claim().await;
    let outbox = reply("r1", &[message(1)], &["one", "two"]);
    talk.commit(&claim.lease, &outbox).await;
    talk.postpone(&claim.lease, &in_doubt(LONG)).await;
    talk
}

fn part(talk: &Talk, part: usize) -> Option<SentPart> {
    Some(SentPart { session: talk.session.clone(), reply_id: "r1".to_owned(), part })
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_are_taken_together_prove_and_record_what_each_of_them_says() {
    let store = Fresh::open("together").await;
    let [ana, ben] = [doubtful(&store, "1001").await, doubtful(&store, "1002").await];
    let business_id = BusinessId("b".to_owned());
    let (number, wamid) = (number(NUMBER), id("wamid.known"));
    let known = Outbound::by_a_person(&ana.session, &business_id, &number, &wamid, "hello");
    store.record_outbound(&known).await.expect("the store answers");

    let taken = store
        .take_statuses(&[
            status("wamid.ana.1", 2, part(&ana, 0)),
            // A lower one that was overtaken, of the same part: it proves nothing any more, and changes nothing.
            status("wamid.ana.1", 1, part(&ana, 0)),
            status("wamid.ben.1", 1, part(&ben, 0)),
            status("wamid.known", 3, None),
            // Of a reply that nobody waits for.
            status("wamid.old", 3, Some(SentPart { reply_id: "r0".to_owned(), ..part(&ben, 0).expect("a part") })),
        ])
        .await;
    assert_eq!(taken.proofs, 2);
    let each: Vec<_> = taken.each.into_iter().map(|each| each.expect("the store answers")).collect();
    let whose: Vec<_> =
        each.iter().map(|each| each.as_ref().map(|OnRecord { business, .. }| business.clone())).collect();
    assert_eq!(whose, [None, None, None, Some(business_id), None]);

    for (wamid, rank) in [("ana.1", 2), ("ben.1", 1), ("known", 3), ("old", 3)] {
        let row = store.raw("messages", &format!("{NUMBER}:wamid.{wamid}")).await;
        // A store of its own may know one kind of whole number only.
        let stored = row.get_i32("status_rank").map(i64::from).or_else(|_| row.get_i64("status_rank")).ok();
        assert_eq!(stored, Some(rank), "{wamid}");
        assert_eq!(row.get_str("status").ok(), Some(format!("rank {rank}").as_str()), "{wamid}");
    }
    for talk in [&ana, &ben] {
        let claim = talk.claim_when_free("worker", Duration::from_secs(60)).await;
        let parts = claim.conversation.outbox.expect("a reply is under way").parts;
        let states: Vec<_> = parts.iter().map(|part| part.state).collect();
        assert_eq!(states, [PartState::Sent, PartState::Waiting]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statuses_and_the_same_ones_again_change_nothing() {
    let store = Fresh::open("again").await;
    let talk = doubtful(&store, "1001").await;
    assert!(store.take_statuses(&[]).await.each.is_empty());
    let statuses = [status("wamid.a", 1, part(&talk, 0)), status("wamid.a", 3, part(&talk, 0))];
    assert_eq!(store.take_statuses(&statuses).await.proofs, 1);
    let conversation = store.raw("conversations", talk.session.expose()).await;
    let row = store.raw("messages", &format!("{NUMBER}:wamid.a")).await;
    let again = store.take_statuses(&statuses).await;
    assert_eq!(again.proofs, 0);
    assert!(again.each.iter().all(Result::is_ok));
    assert_eq!(store.raw("conversations", talk.session.expose()).await, conversation);
    assert_eq!(store.raw("messages", &format!("{NUMBER}:wamid.a")).await, row);
}
