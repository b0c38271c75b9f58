//! A reply: committed before it is sent, sent part by part, settled once.

use std::time::Duration;

use shared::trace::TraceParent;
use worker::{
    conversation::{MailboxItem, MemoryTurn, Outbox, PartState, ReplyKind, Speaker},
    store::{Claim, CommitOutcome, Memory, Postponement},
};

use super::{
    Fresh, LONG, SHORT, Talk, failed, id, ids, in_doubt, lines, message, messages, number, reply, to_the_other_number,
};

/// A conversation with these messages, claimed.
pub(in super::super) async fn claimed(store: &Fresh, items: &[MailboxItem]) -> (Talk, Claim) {
    let talk = Talk::new(store);
    talk.receive(items).await;
    let claim = talk.claim().await;
    (talk, claim)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_reply_has_its_first_part_under_way() {
    let store = Fresh::open("commit").await;
    let (talk, claim) = claimed(&store, &messages(1..3)).await;
    let outbox = reply("r1", &messages(1..3), &["one", "two", "three"]);
    assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Committed);
    let stored = store.reread(&claim.lease).await.expect("the store answers").expect("the lease is held");
    let stored = stored.outbox.expect("it was committed");
    assert_eq!((&stored.reply_id, &stored.phone_number_id), (&outbox.reply_id, &outbox.phone_number_id));
    assert_eq!(stored.answers, outbox.answers);
    let parts: Vec<_> = stored.parts.iter().map(|part| (part.body.as_str(), part.state, part.tries)).collect();
    let expected = [("one", PartState::Sending, 1), ("two", PartState::Waiting, 0), ("three", PartState::Waiting, 0)];
    assert_eq!(parts, expected);
    assert!(stored.parts[0].last_try_at.is_some_and(|at| at >= claim.conversation.claimed_at));
    assert!(stored.parts[1..].iter().all(|part| part.last_try_at.is_none() && part.wamid.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_on_its_way_out_tells_its_trace_and_no_other_reply_does() {
    let store = Fresh::open("trace").await;
    let trace = TraceParent::random();
    let (talk, claim) = claimed(&store, &[MailboxItem { trace: Some(trace), ..message(1) }]).await;
    assert_eq!(claim.conversation.mailbox[0].trace, Some(trace), "with the message");
    let told = async |reply_id| store.trace_of_reply(&talk.session, reply_id).await.expect("the store answers");
    assert_eq!(told("r1").await, None);
    let turn = TraceParent::random();
    let outbox = Outbox { trace: Some(turn), ..reply("r1", &[message(1)], &["hello"]) };
    assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Committed);
    assert_eq!((told("r1").await, told("r2").await), (Some(turn), None));
    talk.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");
    assert_eq!(told("r1").await, None, "its messages tell from now on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_does_not_answer_the_newest_message_is_not_committed() {
    let store = Fresh::open("newer").await;
    let (talk, claim) = claimed(&store, &messages(1..3)).await;
    talk.receive(&[message(3)]).await;
    let outbox = reply("r1", &messages(1..3), &["hello"]);
    assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::NewerMessages);
    let reread = store.reread(&claim.lease).await.expect("the store answers").expect("the lease is held");
    assert_eq!((reread.outbox, reread.mailbox), (None, messages(1..4)));
    let wider = reply("r2", &messages(1..4), &["hello"]);
    assert_eq!(talk.commit(&claim.lease, &wider).await, CommitOutcome::Committed);
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_messages_may_be_left_for_the_next_turn() {
    let store = Fresh::open("insist").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    talk.receive(&[message(2)]).await;
    let outbox = reply("r1", &[message(1)], &["hello"]);
    assert_eq!(talk.commit_having_seen(&claim.lease, &outbox, None).await, CommitOutcome::Committed);
    talk.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");
    assert_eq!(talk.claim().await.conversation.mailbox, [message(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_were_seen_may_be_left_for_the_next_turn_but_not_those_that_came_since() {
    let store = Fresh::open("seen").await;
    let (talk, claim) = claimed(&store, &messages(1..4)).await;
    let outbox = reply("r1", &[message(1)], &["hello"]);
    let seen = ids(&messages(1..4));
    talk.receive(&[message(4)]).await;
    let commit = talk.commit_having_seen(&claim.lease, &outbox, Some(&seen)).await;
    assert_eq!(commit, CommitOutcome::NewerMessages);
    let seen = ids(&messages(1..5));
    assert_eq!(talk.commit_having_seen(&claim.lease, &outbox, Some(&seen)).await, CommitOutcome::Committed);
    talk.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");
    assert_eq!(talk.claim().await.conversation.mailbox, messages(2..5));
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_messages_to_another_number_do_not_hold_a_reply_up() {
    let store = Fresh::open("other").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    // Also one that shares its id with an answered one.
    let others = [to_the_other_number(message(1)), to_the_other_number(message(2))];
    talk.receive(&others).await;
    let outbox = reply("r1", &[message(1)], &["hello"]);
    assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Committed);
    talk.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");
    assert_eq!(talk.claim().await.conversation.mailbox, others);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_may_be_repeated() {
    let store = Fresh::open("repeat").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    let outbox = reply("r1", &[message(1)], &["hello"]);
    assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Committed);
    // Something newer came since; the reply is committed nevertheless.
    talk.receive(&[message(2)]).await;
    assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Committed);
    assert_eq!(talk.parts(&claim.lease).await[0].tries, 1, "it was not begun again");
    let another = reply("r2", &messages(1..3), &["hello again"]);
    assert_eq!(talk.commit(&claim.lease, &another).await, CommitOutcome::Fenced, "one reply at a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_committed_while_a_person_has_the_conversation() {
    let store = Fresh::open("person").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    assert!(store.hand_over(&talk.session, LONG, Some("I take over")).await.expect("the store answers"));
    let outbox = reply("r1", &[message(1)], &["hello"]);
    for seen in [Some(outbox.answers.as_slice()), None] {
        assert_eq!(talk.commit_having_seen(&claim.lease, &outbox, seen).await, CommitOutcome::HandedOver);
    }
    let reread = store.reread(&claim.lease).await.expect("the store answers").expect("the lease is held");
    let said = MemoryTurn { speaker: Speaker::Person, text: "I take over".to_owned() };
    assert_eq!(lines(&reread), [said]);
    assert!(reread.handed_over_until.is_some_and(|until| until > reread.claimed_at));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_ends_and_is_never_shortened() {
    let store = Fresh::open("handover").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    let hand_over = async |length| store.hand_over(&talk.session, length, None).await.expect("the store answers");
    assert!(hand_over(Duration::from_millis(1)).await);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let outbox = reply("r1", &[message(1)], &["hello"]);
    assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Committed);
    talk.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");

    assert!(hand_over(LONG).await);
    assert!(hand_over(Duration::ZERO).await);
    talk.receive(&[message(2)]).await;
    let lease = talk.claim().await.lease;
    assert_eq!(talk.commit(&lease, &reply("r2", &[message(2)], &["hello"])).await, CommitOutcome::HandedOver);
    let nobody = shared::ids::SessionId::from_stored("acme:nobody");
    assert!(!store.hand_over(&nobody, LONG, None).await.expect("the store answers"), "none is begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_begins_only_where_the_count_is_right() {
    let store = Fresh::open("tries").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    let outbox = reply("r1", &[message(1)], &["one", "two"]);
    talk.commit(&claim.lease, &outbox).await;
    let lease = &claim.lease;
    assert!(!talk.begin_try(lease, &outbox, 0, 0).await, "the commit began the first");
    assert!(!talk.begin_try(lease, &outbox, 0, 2).await);
    let first = talk.parts(lease).await[0].last_try_at;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(talk.begin_try(lease, &outbox, 0, 1).await);
    assert!(!talk.begin_try(lease, &outbox, 0, 1).await, "not twice");
    let part = talk.parts(lease).await[0].clone();
    assert_eq!((part.state, part.tries), (PartState::Sending, 2));
    assert!(part.last_try_at > first);
    assert!(!talk.begin_try(lease, &outbox, 2, 0).await, "there is no such part");
    assert!(!talk.begin_try(lease, &reply("r2", &[], &[]), 0, 2).await, "there is no such reply");
    assert!(talk.part_sent(lease, &outbox, 0, "wamid.out").await);
    assert!(!talk.begin_try(lease, &outbox, 0, 2).await, "what was sent is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_sent_begins_the_next() {
    let store = Fresh::open("parts").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    let outbox = reply("r1", &[message(1)], &["one", "two", "three"]);
    talk.commit(&claim.lease, &outbox).await;
    let states = async || {
        let parts = talk.parts(&claim.lease).await;
        parts.iter().map(|part| (part.state, part.tries, part.wamid.clone())).collect::<Vec<_>>()
    };
    use PartState::{Sending, Sent, Waiting};
    // The answer of the first call was lost, so it is repeated.
    for _ in 0..2 {
        assert!(talk.part_sent(&claim.lease, &outbox, 0, "wamid.a").await);
        assert_eq!(states().await, [(Sent, 1, Some(id("wamid.a"))), (Sending, 1, None), (Waiting, 0, None)]);
    }
    assert!(talk.part_sent(&claim.lease, &outbox, 1, "wamid.b").await);
    assert!(talk.part_sent(&claim.lease, &outbox, 2, "wamid.c").await);
    let sent = ["wamid.a", "wamid.b", "wamid.c"].map(|wamid| (Sent, 1, Some(id(wamid))));
    assert_eq!(states().await, sent);
    assert!(!talk.part_sent(&claim.lease, &reply("r2", &[], &[]), 0, "wamid.d").await, "another reply");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_worker_sent_is_known_to_the_next() {
    let store = Fresh::open("handed").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let dead = talk.try_claim("dead", SHORT).await.expect("it is due and free").lease;
    let outbox = reply("r1", &[message(1)], &["one", "two"]);
    talk.commit(&dead, &outbox).await;
    talk.part_sent(&dead, &outbox, 0, "wamid.a").await;
    let next = talk.claim_when_free("next", LONG).await;
    let inherited = next.conversation.outbox.expect("a reply is under way");
    assert_eq!((inherited.reply_id.as_str(), &inherited.answers), ("r1", &ids(&[message(1)])));
    assert_eq!((inherited.parts[0].state, &inherited.parts[0].wamid), (PartState::Sent, &Some(id("wamid.a"))));
    assert_eq!((inherited.parts[1].state, inherited.parts[1].tries), (PartState::Sending, 1));
    assert_eq!(talk.commit(&next.lease, &reply("r2", &[message(1)], &["x"])).await, CommitOutcome::Fenced);
    assert!(talk.begin_try(&next.lease, &inherited, 1, 1).await, "silence: once more");
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_takes_out_exactly_what_was_answered() {
    let store = Fresh::open("settle").await;
    let mut items = messages(1..5);
    items.push(to_the_other_number(message(1)));
    let (talk, claim) = claimed(&store, &items).await;
    let answered = [message(1).id, message(3).id, id("wamid.unknown")];
    let quiet = talk.quiet;
    let settled = store.settle(&claim.lease, &message(1).phone_number_id, &answered, &Memory::default(), quiet).await;
    assert_eq!(settled.expect("the store answers").expect("the lease is held").due_in, Some(Duration::ZERO));
    let left = talk.claim().await.conversation.mailbox;
    assert_eq!(left, [to_the_other_number(message(1)), message(2), message(4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_leaves_no_trace_of_trouble() {
    let store = Fresh::open("clean").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    // A failure of the AI, and a worker that died.
    let failed = Postponement { reason: "ai", ai: Some(Duration::ZERO), ..failed(Duration::ZERO) };
    assert!(talk.postpone(&talk.claim().await.lease, &failed).await);
    talk.claim_when_free("dead", SHORT).await;
    tokio::time::sleep(SHORT / 10).await;
    let claim = talk.claim_when_free("worker", LONG).await;
    assert_eq!((claim.conversation.attempts, claim.conversation.takeovers), (1, 1));
    assert!(claim.conversation.ai_failing_since.is_some());
    talk.commit(&claim.lease, &reply("r1", &[message(1)], &["hello"])).await;
    let settled = talk.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");
    assert_eq!(settled.due_in, None);

    talk.receive(&[message(2)]).await;
    let conversation = talk.claim().await.conversation;
    assert_eq!((conversation.attempts, conversation.takeovers), (0, 0));
    assert_eq!((conversation.ai_failing_since, conversation.outbox), (None, None));
    assert_eq!(conversation.mailbox, [message(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_due_by_its_own_quiet_time() {
    let store = Fresh::open("left").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    talk.receive(&[message(2)]).await;
    let talk = talk.quiet(Duration::from_secs(60), LONG);
    let settled = talk.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");
    let due_in = settled.due_in.expect("one is left");
    assert!(due_in > Duration::from_secs(50) && due_in <= Duration::from_secs(60), "{due_in:?}");
    assert!(talk.try_claim("worker", LONG).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_was_waited_for_does_not_outlive_its_turn() {
    let store = Fresh::open("retried").await;
    let (talk, claim) = claimed(&store, &messages(1..3)).await;
    talk.postpone(&claim.lease, &failed(Duration::from_millis(1))).await;
    let claim = talk.claim_when_free("worker", LONG).await;
    let settled = talk.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");
    assert_eq!(settled.due_in, Some(Duration::ZERO));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_grows_line_by_line_and_is_bounded() {
    let store = Fresh::open("memory").await;
    let talk = Talk::new(&store);
    let line = |n: usize| MemoryTurn { speaker: Speaker::Customer, text: format!("line {n}") };
    for turn in 0..15_usize {
        let item = message(u32::try_from(turn).expect("small"));
        talk.receive(std::slice::from_ref(&item)).await;
        let lease = talk.claim().await.lease;
        let memory = Memory { turns: (turn * 3..turn * 3 + 3).map(line).collect(), ..Memory::default() };
        talk.settle_and_remember(&lease, &[item], &memory).await.expect("the lease is held");
    }
    talk.receive(&[message(100)]).await;
    assert_eq!(lines(&talk.claim().await.conversation), (5..45).map(line).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_line_is_cut_between_characters() {
    let store = Fresh::open("lines").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    let turn = |speaker, text: String| MemoryTurn { speaker, text };
    let turns = vec![
        turn(Speaker::Customer, "a".repeat(5_000)),
        turn(Speaker::Companion, format!("a{}", "é".repeat(3_000))),
        turn(Speaker::Person, format!("{}{}", "a".repeat(4_094), "🙂")),
        turn(Speaker::Companion, "🙂".repeat(1_024)),
    ];
    let memory = Memory { turns, ..Memory::default() };
    talk.settle_and_remember(&claim.lease, &[message(1)], &memory).await.expect("the lease is held");
    talk.receive(&[message(2)]).await;
    let expected = vec![
        turn(Speaker::Customer, "a".repeat(4_096)),
        turn(Speaker::Companion, format!("a{}", "é".repeat(2_047))),
        turn(Speaker::Person, "a".repeat(4_094)),
        turn(Speaker::Companion, "🙂".repeat(1_024)),
    ];
    assert_eq!(lines(&talk.claim().await.conversation), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_writes_during_a_turn_is_remembered_beside_it() {
    let store = Fresh::open("beside").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    store.hand_over(&talk.session, Duration::ZERO, Some("person")).await.expect("the store answers");
    let said = MemoryTurn { speaker: Speaker::Customer, text: "customer".to_owned() };
    let memory = Memory { turns: vec![said.clone()], ..Memory::default() };
    talk.settle_and_remember(&claim.lease, &[message(1)], &memory).await.expect("the lease is held");
    talk.receive(&[message(2)]).await;
    let person = MemoryTurn { speaker: Speaker::Person, text: "person".to_owned() };
    assert_eq!(lines(&talk.claim().await.conversation), [person, said]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_one_cause_are_counted_and_waiting_for_evidence_is_not() {
    let store = Fresh::open("attempts").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    talk.commit(&claim.lease, &reply("r1", &[message(1)], &["one"])).await;
    store.release(&claim.lease).await.expect("the store answers");
    let now = Duration::ZERO;
    for (postponement, attempts) in [
        (failed(now), 1),
        (failed(now), 2),
        (in_doubt(now), 2),
        (Postponement { reason: "credentials", ..failed(now) }, 1),
        (Postponement { reason: "credentials", ..failed(now) }, 2),
        (failed(now), 1),
    ] {
        assert!(talk.postpone(&talk.claim_when_free("worker", LONG).await.lease, &postponement).await);
        let claim = talk.claim_when_free("worker", LONG).await;
        assert_eq!(claim.conversation.attempts, attempts, "after {}", postponement.reason);
        store.release(&claim.lease).await.expect("the store answers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ai_fails_since_its_first_failure_until_something_else_does() {
    let store = Fresh::open("since").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let ai = Postponement { reason: "ai", ai: Some(Duration::ZERO), ..failed(Duration::ZERO) };
    let since = async |postponement: &Postponement| {
        assert!(talk.postpone(&talk.claim_when_free("worker", LONG).await.lease, postponement).await);
        let claim = talk.claim_when_free("worker", LONG).await;
        store.release(&claim.lease).await.expect("the store answers");
        claim.conversation.ai_failing_since
    };
    let first = since(&ai).await;
    assert!(first.is_some());
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(since(&ai).await, first);
    assert_eq!(since(&failed(Duration::ZERO)).await, None);
    assert!(since(&ai).await > first);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apology_is_remembered_until_something_is_answered() {
    let store = Fresh::open("apology").await;
    let talk = Talk::new(&store);
    let mut n = 0;
    let mut after = async |kind: Option<ReplyKind>| {
        let item = message(n);
        talk.receive(std::slice::from_ref(&item)).await;
        let claim = talk.claim().await;
        if let Some(kind) = kind {
            let outbox = Outbox { kind, ..reply(&format!("r{n}"), std::slice::from_ref(&item), &["hello"]) };
            assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Committed);
            let stored = store.reread(&claim.lease).await.expect("the store answers").expect("the lease is held");
            assert_eq!(stored.outbox.expect("it was committed").kind, kind);
        }
        let memory = Memory { reply: kind, ..Memory::default() };
        talk.settle_and_remember(&claim.lease, &[item], &memory).await.expect("the lease is held");
        n += 1;
        // What the next turn will know.
        talk.receive(&[message(1_000 + n)]).await;
        let claim = talk.claim().await;
        talk.settle(&claim.lease, &claim.conversation.mailbox).await.expect("the lease is held");
        claim.conversation.apologised_at
    };
    assert_eq!(after(None).await, None);
    let apologised = after(Some(ReplyKind::Apology)).await;
    assert!(apologised.is_some());
    assert_eq!(after(None).await, apologised, "nothing was answered");
    assert_eq!(after(Some(ReplyKind::Resend)).await, apologised, "nothing new was said");
    assert_eq!(after(Some(ReplyKind::Answer)).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postponed_conversation_waits_and_keeps_everything() {
    let store = Fresh::open("wait").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    let outbox = reply("r1", &[message(1)], &["one"]);
    talk.commit(&claim.lease, &outbox).await;
    assert!(talk.postpone(&claim.lease, &in_doubt(SHORT)).await);
    let claim = talk.claim_when_free("worker", LONG).await;
    assert_eq!((claim.lease.holder.epoch, claim.conversation.takeovers), (2, 0));
    let part = &claim.conversation.outbox.expect("a reply is under way").parts[0];
    assert_eq!((part.state, part.tries), (PartState::Sending, 1), "still in doubt");
    assert_eq!(claim.conversation.mailbox, [message(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_postpones_has_not_died_of_it() {
    let store = Fresh::open("alive").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    talk.try_claim("dead", SHORT).await.expect("it is due and free");
    let claim = talk.claim_when_free("worker", LONG).await;
    assert_eq!(claim.conversation.takeovers, 1);
    talk.postpone(&claim.lease, &failed(Duration::ZERO)).await;
    assert_eq!(talk.claim_when_free("worker", LONG).await.conversation.takeovers, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_not_sent_waits_again_but_never_one_that_was() {
    let store = Fresh::open("unsent").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    let outbox = reply("r1", &[message(1)], &["one", "two"]);
    talk.commit(&claim.lease, &outbox).await;
    let not_sent = |part| Postponement { not_sent: Some(part), ..failed(Duration::ZERO) };
    assert!(talk.postpone(&claim.lease, &not_sent(0)).await);
    let claim = talk.claim_when_free("worker", LONG).await;
    let part = talk.parts(&claim.lease).await[0].clone();
    assert_eq!((part.state, part.tries), (PartState::Waiting, 1), "the try stays on record");
    assert!(talk.begin_try(&claim.lease, &outbox, 0, 1).await);

    // A status proved the send while the worker took it for refused.
    assert!(talk.evidence(&outbox, 0, "wamid.a").await);
    assert!(talk.postpone(&claim.lease, &not_sent(0)).await);
    let claim = talk.claim_when_free("worker", LONG).await;
    let states: Vec<_> = talk.parts(&claim.lease).await.iter().map(|part| part.state).collect();
    assert_eq!(states, [PartState::Sent, PartState::Waiting]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_not_sent_of_no_reply_is_none() {
    let store = Fresh::open("none").await;
    let (talk, claim) = claimed(&store, &[message(1)]).await;
    let not_sent = Postponement { not_sent: Some(0), ..failed(Duration::ZERO) };
    assert!(talk.postpone(&claim.lease, &not_sent).await);
    let conversation = talk.claim_when_free("worker", LONG).await.conversation;
    assert_eq!((conversation.outbox, conversation.mailbox), (None, vec![message(1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_whose_lease_ran_out_may_go_on_until_another_takes_it() {
    let store = Fresh::open("overdue").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let lease = talk.try_claim("slow", Duration::from_millis(1)).await.expect("it is due and free").lease;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(talk.commit(&lease, &reply("r1", &[message(1)], &["x"])).await, CommitOutcome::Committed);
    assert!(talk.settle(&lease, &[message(1)]).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_to_another_number_is_sent_from_that_number() {
    let store = Fresh::open("from").await;
    let item = to_the_other_number(message(1));
    let (talk, claim) = claimed(&store, std::slice::from_ref(&item)).await;
    let outbox = reply("r1", std::slice::from_ref(&item), &["x"]);
    assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Committed);
    let stored = store.reread(&claim.lease).await.expect("the store answers").expect("the lease is held");
    assert_eq!(stored.outbox.expect("it was committed").phone_number_id, number(super::OTHER_NUMBER));
}
