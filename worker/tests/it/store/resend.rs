//! Sent once more: a part of the last reply that Meta could not deliver comes back into the mailbox, once, unless
//! something else was said since.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mongodb::bson::doc;
use shared::ids::MessageId;
use worker::{
    conversation::{MailboxItem, Outbox, QuietTime, ReplyKind, next_run},
    store::{CommitOutcome, Landed, Memory, Resend},
};

use super::{AT_ONCE, Fresh, LONG, Talk, failed, id, message, messages, number, reply};

impl Talk {
    async fn land_resend(&self, reply_id: &str, part: usize, wamid: &MessageId) -> Option<Duration> {
        self.land_resend_after(reply_id, part, wamid, AT_ONCE).await
    }

    async fn land_resend_after(
        &self,
        reply_id: &str,
        part: usize,
        wamid: &MessageId,
        quiet: QuietTime,
    ) -> Option<Duration> {
        let resend = Resend {
            session: &self.session,
            number: &number(super::NUMBER),
            reply_id,
            part,
            wamid,
            body: "$what was said",
            failed_at: failed_at(),
            quiet,
            trace: None,
        };
        self.store.land_resend(&resend).await.expect("the store answers")
    }
}

fn failed_at() -> Timestamp {
    Timestamp::from_second(1_790_000_000).expect("in range")
}

/// A conversation in which this was answered with a reply of two parts.
async fn answered(store: &Fresh, n: u32, reply_id: &str, kind: ReplyKind) -> Talk {
    let talk = Talk::new(store);
    talk.receive(&[message(n)]).await;
    let lease = talk.claim().await.lease;
    let outbox = Outbox { kind, ..reply(reply_id, &[message(n)], &["one", "two"]) };
    assert_eq!(talk.commit(&lease, &outbox).await, CommitOutcome::Committed);
    let memory = Memory { reply: Some(kind), ..Memory::default() };
    talk.settle_and_remember(&lease, &[message(n)], &memory).await.expect("the lease is held");
    talk
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_last_reply_comes_back_with_its_words() {
    let store = Fresh::open("back").await;
    for (n, kind) in [(1, ReplyKind::Answer), (2, ReplyKind::Apology)] {
        let talk = answered(&store, n, "$r", kind).await;
        let wamid = id(&format!("$wamid.{n}"));
        assert_eq!(talk.land_resend("$r", 1, &wamid).await, Some(Duration::ZERO));
        let claim = talk.claim().await;
        let [item] = claim.conversation.mailbox.as_slice() else { panic!("it is alone in the mailbox") };
        let now = claim.conversation.claimed_at;
        assert!(now.duration_since(item.received_at) < SignedDuration::from_mins(1), "{}", item.received_at);
        let expected = MailboxItem {
            id: id(&format!("resend:{}", wamid.expose())),
            phone_number_id: number(super::NUMBER),
            timestamp: failed_at(),
            received_at: item.received_at,
            index: 1,
            message: Some("$what was said".to_owned()),
            resend_of: Some(wamid),
            trace: None,
        };
        assert_eq!(*item, expected);
        talk.settle(&claim.lease, &[expected]).await.expect("the lease is held");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failure_that_is_told_again_comes_back_once() {
    let store = Fresh::open("once").await;
    let talk = answered(&store, 1, "r1", ReplyKind::Answer).await;
    let wamid = id("wamid.out");
    let telling = (0..16).map(|_| talk.land_resend("r1", 0, &wamid));
    let told = futures_util::future::join_all(telling).await;
    assert_eq!(told.iter().flatten().count(), 1, "{told:?}");
    // Also after it was sent, and that was settled without a reply, as when it went to the dead letters.
    let claim = talk.claim().await;
    talk.settle(&claim.lease, &claim.conversation.mailbox).await.expect("the lease is held");
    assert_eq!(talk.land_resend("r1", 0, &wamid).await, None);
    assert_eq!(
        talk.land_resend("r1", 1, &id("wamid.other")).await,
        Some(Duration::ZERO),
        "the other part may fail too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_once_more_is_not_sent_a_third_time() {
    let store = Fresh::open("third").await;
    let talk = answered(&store, 1, "r1", ReplyKind::Answer).await;
    talk.land_resend("r1", 0, &id("wamid.out")).await.expect("it comes back");
    let claim = talk.claim().await;
    let items = claim.conversation.mailbox;
    let again = Outbox { kind: ReplyKind::Resend, ..reply("r2", &items, &["one"]) };
    assert_eq!(talk.commit(&claim.lease, &again).await, CommitOutcome::Committed);
    let stored = store.reread(&claim.lease).await.expect("the store answers").expect("the lease is held");
    assert_eq!(stored.outbox.expect("it was committed").kind, ReplyKind::Resend);
    assert_eq!(talk.land_resend("r1", 1, &id("wamid.other")).await, None, "a reply is under way");
    let memory = Memory { reply: Some(ReplyKind::Resend), ..Memory::default() };
    talk.settle_and_remember(&claim.lease, &items, &memory).await.expect("the lease is held");
    for (reply_id, part) in [("r1", 0), ("r1", 1), ("r2", 0)] {
        assert_eq!(talk.land_resend(reply_id, part, &id("wamid.again")).await, None, "{reply_id} {part}");
    }
    assert!(talk.try_claim("worker", LONG).await.is_none(), "nothing waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_since_is_not_followed_by_what_was_said_before() {
    let store = Fresh::open("since").await;
    let talk = answered(&store, 1, "r1", ReplyKind::Answer).await;
    // A reaction needs no reply, and changes nothing.
    talk.receive(&[message(2)]).await;
    talk.answer(&[message(2)]).await;
    assert!(talk.land_resend("r1", 0, &id("wamid.out")).await.is_some());
    let claim = talk.claim().await;
    talk.settle(&claim.lease, &claim.conversation.mailbox).await.expect("the lease is held");

    let talk = answered(&store, 3, "r2", ReplyKind::Answer).await;
    let before = store.raw("conversations", talk.session.expose()).await;
    assert_eq!(talk.land_resend("r1", 1, &id("wamid.other")).await, None);
    assert_eq!(store.raw("conversations", talk.session.expose()).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_back_to_a_person_or_to_a_conversation_that_went_on_elsewhere() {
    let store = Fresh::open("gone").await;
    let talk = answered(&store, 1, "r1", ReplyKind::Answer).await;
    let wamid = id("wamid.out");
    store.hand_over(&talk.session, LONG, None).await.expect("the store answers");
    assert_eq!(talk.land_resend("r1", 0, &wamid).await, None);
    let back = doc! { "$unset": { "handed_over_until": "" }, "$set": { "merged_into": "acme:elsewhere" } };
    store.change("conversations", talk.session.expose(), back).await;
    assert_eq!(talk.land_resend("r1", 0, &wamid).await, None);
    store.change("conversations", talk.session.expose(), doc! { "$unset": { "merged_into": "" } }).await;
    assert!(talk.land_resend("r1", 0, &wamid).await.is_some());
    let stranger = Talk::of(&store, Some("acme"), "1999");
    assert_eq!(stranger.land_resend("r1", 0, &wamid).await, None);
    assert!(stranger.try_claim("worker", LONG).await.is_none(), "no conversation was begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_due_by_the_quiet_time_and_not_before_a_retry() {
    let store = Fresh::open("due").await;
    let talk = answered(&store, 1, "r1", ReplyKind::Answer).await;
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let quiet = |quiet, ceiling| QuietTime { quiet: minutes(quiet), ceiling: minutes(ceiling) };
    assert_eq!(talk.land_resend_after("r1", 0, &id("wamid.a"), quiet(5, 20)).await, Some(minutes(5)));
    let due_in = talk.land_resend_after("r1", 1, &id("wamid.b"), quiet(5, 2)).await.expect("it comes back");
    assert!(due_in <= minutes(2) && due_in > minutes(1), "the ceiling counts from the first: {due_in:?}");

    talk.receive(&[message(2)]).await;
    assert!(talk.postpone(&talk.claim().await.lease, &failed(LONG)).await);
    let retry = doc! { "$set": { "last_reply.resent": [] } };
    store.change("conversations", talk.session.expose(), retry).await;
    let due_in = talk.land_resend("r1", 0, &id("wamid.c")).await.expect("it comes back");
    assert!(due_in > LONG - minutes(1) && due_in <= LONG, "{due_in:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_lands_beside_messages_and_is_a_run_of_its_own() {
    let store = Fresh::open("beside").await;
    let talk = answered(&store, 1, "r1", ReplyKind::Answer).await;
    talk.receive(&[message(2)]).await;
    let claim = talk.claim().await;
    talk.land_resend("r1", 0, &id("wamid.out")).await.expect("nothing is under way yet");
    // A reply that was thought over too often already is not kept waiting by it.
    let outbox = reply("r2", &[message(2)], &["hello"]);
    let committed = store.commit_reply(&claim.lease, &outbox, None).await.expect("the store answers");
    assert_eq!(committed, CommitOutcome::Committed);
    talk.settle(&claim.lease, &[message(2)]).await.expect("the lease is held");
    talk.receive(&[message(3)]).await;
    let mailbox = talk.claim().await.conversation.mailbox;
    assert_eq!(mailbox.len(), 2);
    assert_eq!(next_run(&mailbox, 50), &mailbox[..1]);
    assert_eq!(mailbox[0].resend_of, Some(id("wamid.out")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_would_be_too_long_is_refused_at_once() {
    let store = Fresh::open("long").await;
    let talk = answered(&store, 1, "r1", ReplyKind::Answer).await;
    assert_eq!(talk.land_resend("r1", 0, &id(&"w".repeat(512))).await, None);
    assert_eq!(talk.land(&message(1)).await, Landed::Duplicate);
    talk.receive(&messages(2..3)).await;
    assert_eq!(talk.claim().await.conversation.mailbox, [message(2)], "the document can be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_before_an_answer_that_is_thought_over_when_it_comes() {
    let store = Fresh::open("before").await;
    let talk = answered(&store, 1, "r1", ReplyKind::Answer).await;
    talk.receive(&[message(2)]).await;
    let claim = talk.claim().await;
    talk.land_resend("r1", 0, &id("wamid.out")).await.expect("nothing else was said yet");
    let outbox = reply("r2", &[message(2)], &["two"]);
    let seen = [message(2).id];
    let committed = store.commit_reply(&claim.lease, &outbox, Some(&seen)).await.expect("the store answers");
    assert_eq!(committed, CommitOutcome::NewerMessages);
    let mailbox = store.reread(&claim.lease).await.expect("the store answers").expect("the lease is held").mailbox;
    let first: Vec<_> = next_run(&mailbox, 10).iter().map(|item| item.resend_of.is_some()).collect();
    assert_eq!(first, [true]);
}
