//! Customers who want to hear no more: nothing is committed to them but that they will hear again.

use std::time::Duration;

use worker::{
    conversation::{Aftermath, Consent, MailboxItem, Outbox},
    store::{CommitOutcome, Landed, Memory, Resend},
};

use super::{AT_ONCE, Fresh, LONG, Talk, id, message, number, replies::claimed, reply};

fn confirming(reply_id: &str, consent: Consent, item: &MailboxItem) -> Outbox {
    let aftermath = Aftermath { consent: Some(consent), ..Aftermath::default() };
    Outbox { aftermath, ..reply(reply_id, std::slice::from_ref(item), &["$confirmed"]) }
}

/// A conversation whose customer wants to hear no more, and was told so.
async fn opted_out(store: &Fresh) -> Talk {
    let (talk, claim) = claimed(store, &[message(1)]).await;
    let outbox = confirming("r1", Consent::Withdrawn, &message(1));
    assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Committed);
    assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Committed, "the same again");
    let memory = Memory { aftermath: outbox.aftermath.clone(), ..Memory::default() };
    talk.settle_and_remember(&claim.lease, &[message(1)], &memory).await.expect("the lease is held");
    talk
}

#[tokio::test(flavor = "multi_thread")]
async fn to_whom_wants_silence_nothing_is_committed_but_that_they_will_hear_again() {
    let store = Fresh::open("silence").await;
    let talk = opted_out(&store).await;
    assert!(matches!(talk.land(&message(2)).await, Landed::New { first: false, .. }), "nobody seems to type");
    let claim = talk.claim().await;
    let since = claim.conversation.opted_out_at.expect("it is known");
    let answer = reply("r2", &[message(2)], &["hello"]);
    for seen in [Some(answer.answers.as_slice()), None] {
        assert_eq!(talk.commit_having_seen(&claim.lease, &answer, seen).await, CommitOutcome::OptedOut);
    }
    let again = confirming("r2", Consent::Withdrawn, &message(2));
    assert_eq!(talk.commit(&claim.lease, &again).await, CommitOutcome::OptedOut, "it is confirmed once");
    // Whether a person has it counts first.
    assert!(store.hand_over(&talk.session, Duration::from_millis(1), None).await.expect("the store answers"));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let state = store.state(&talk.session).await.expect("the store answers").expect("it is there");
    assert_eq!(state.opted_out_at, Some(since));
    let back = confirming("r3", Consent::Given, &message(2));
    assert_eq!(talk.commit(&claim.lease, &back).await, CommitOutcome::Committed);
    let reread = store.reread(&claim.lease).await.expect("the store answers").expect("the lease is held");
    assert_eq!(reread.opted_out_at, None);
    let consent = reread.outbox.expect("a reply is under way").aftermath.consent;
    assert_eq!(consent, Some(Consent::Given), "whoever goes on knows what it confirms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_is_not_confirmed_counts_when_the_turn_is_settled() {
    let store = Fresh::open("settled").await;
    let talk = Talk::new(&store);
    for (n, consent, silent) in
        [(1, Consent::Withdrawn, true), (2, Consent::Withdrawn, true), (3, Consent::Given, false)]
    {
        talk.receive(&[message(n)]).await;
        let claim = talk.claim().await;
        let memory =
            Memory { aftermath: Aftermath { consent: Some(consent), ..Aftermath::default() }, ..Memory::default() };
        talk.settle_and_remember(&claim.lease, &[message(n)], &memory).await.expect("the lease is held");
        let state = store.state(&talk.session).await.expect("the store answers").expect("it is there");
        assert_eq!(state.opted_out_at.is_some(), silent, "{n}");
        if n == 2 {
            assert_eq!(state.opted_out_at, claim.conversation.opted_out_at, "since the first time");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_once_more_to_whom_wants_silence() {
    let store = Fresh::open("resend").await;
    let talk = opted_out(&store).await;
    let (session, number, wamid) = (&talk.session, &number(super::NUMBER), &id("wamid.out"));
    let failed_at = message(1).timestamp;
    let resend =
        Resend { session, number, reply_id: "r1", part: 0, wamid, body: "$x", failed_at, quiet: AT_ONCE, trace: None };
    assert_eq!(store.land_resend(&resend).await.expect("the store answers"), None);
    assert!(talk.try_claim("worker", LONG).await.is_none(), "there is nothing to do");
}
