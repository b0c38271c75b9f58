//! Two conversations of one customer become one, whoever dies in between and whatever comes meanwhile.

mod walk;

use std::sync::Arc;

use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{DateTime, Document, doc};
use shared::ids::SessionId;
use worker::{
    conversation::{
        Aftermath, Announcement, BusinessId, CustomerIdChange, HandOverReason, Holder, LeaseKey, MailboxItem,
        MemoryTurn, Speaker,
    },
    message::Sender,
    store::{
        CommitOutcome, DeadLetter, Landed, Memory, MergeRequest, MergeRequested, MergeStep, Outbound, ReplayPolicy,
        Store,
    },
};

use super::{
    AT_ONCE, Backend, Fresh, LONG, NONCE, NUMBER, OTHER_NUMBER, SHORT, Talk,
    arrival::{Arrivals, acme, both, phone, record, talk, user},
    hours, id, ids, lines, message, message_at, number, reply, to_the_other_number, user_id, wa_id,
};

const PHONE: &str = "16505551234";
const ANA: &str = "US.1349";

/// A customer who wrote with the number alone, and with the user id alone.
struct Pair {
    store: Fresh,
    /// The number's.
    old: Talk,
    /// The user id's.
    new: Talk,
}

impl Pair {
    async fn begin(what: &str) -> Self {
        Self::of(Fresh::open(what).await).await
    }

    async fn of(store: Fresh) -> Self {
        let arrivals = Arrivals::new(&store);
        let (old, new) = (arrivals.session(&phone(PHONE)).await, arrivals.session(&user(ANA)).await);
        let (old, new) = (talk(&store, &old, &phone(PHONE)), talk(&store, &new, &user(ANA)));
        Self { store, old, new }
    }

    /// What intake does first about a message with both ids; then it dies.
    async fn want(&self) {
        assert_eq!(want(&self.store, &self.old.session, &self.new.session).await, MergeRequested::Recorded);
        let linked = self.store.link_alias(&acme().id, PHONE, &self.old.session, &user_id(ANA)).await;
        assert!(linked.expect("the store answers"));
    }

    async fn step(&self) -> MergeStep {
        // A worker that knows of nothing that happened before.
        self.store.backend.merge_step(&self.old.session, AT_ONCE).await
    }

    async fn merge(&self) -> MergeStep {
        self.store.merge(&self.old.session, AT_ONCE).await.expect("the store answers")
    }

    async fn take(&self, sender: &Sender, item: &MailboxItem) -> Landed {
        Arrivals::new(&self.store).take(sender, item).await.0
    }

    async fn raw(&self, talk: &Talk) -> Document {
        self.store.raw("conversations", talk.session.expose()).await
    }
}

async fn want(store: &Arc<dyn Store>, from: &SessionId, into: &SessionId) -> MergeRequested {
    want_for(store, from, into, &acme().id).await
}

async fn want_for(
    store: &Arc<dyn Store>,
    from: &SessionId,
    into: &SessionId,
    business_id: &BusinessId,
) -> MergeRequested {
    let (phone, user_id, business) = (wa_id(PHONE), user_id(ANA), acme());
    let subdomain = business.subdomain.as_ref();
    let request = MergeRequest { business_id, subdomain, from, into, phone: Some(&phone), user_id: &user_id };
    store.request_merge(&request).await.expect("the store answers")
}

fn said(text: &str) -> Memory {
    Memory { turns: vec![MemoryTurn { speaker: Speaker::Customer, text: text.to_owned() }], ..Memory::default() }
}

/// Answers what waits, as a turn does.
async fn answer(talk: &Talk, items: &[MailboxItem], text: &str) {
    let claim = talk.claim().await;
    record(talk, items).await;
    talk.settle_and_remember(&claim.lease, items, &said(text)).await.expect("the lease is held");
}

fn texts(turns: &[MemoryTurn]) -> Vec<&str> {
    turns.iter().map(|turn| turn.text.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_after_whichever_step_the_next_one_goes_on() {
    for deaths in 0..4 {
        let pair = Pair::begin("steps").await;
        for n in 1..4 {
            let (talk, item) = if n % 2 == 1 { (&pair.old, message(n)) } else { (&pair.new, message(n)) };
            talk.receive(std::slice::from_ref(&item)).await;
            answer(talk, &[item], &format!("line {n}")).await;
        }
        pair.old.receive(&[message(4), message(7)]).await;
        pair.new.receive(&[message(6)]).await;
        pair.want().await;
        // Where a merge is made at once there is one step, and nobody dies within it.
        let steps: &[MergeStep] = if Backend::STEPWISE {
            &[MergeStep::Closed, MergeStep::Copied, MergeStep::Finished]
        } else {
            &[MergeStep::Finished; 3]
        };
        for (death, expected) in steps.iter().copied().take(deaths).enumerate() {
            let is_over = !Backend::STEPWISE && death > 0;
            assert_eq!(pair.step().await, if is_over { MergeStep::Nothing } else { expected });
            // What is known stays known, and what is new lands, whichever way it comes.
            for n in [1, 3, 4, 7] {
                assert_eq!(pair.take(&phone(PHONE), &message(n)).await, Landed::Duplicate, "{n} after {expected:?}");
            }
            for n in [2, 6] {
                assert_eq!(pair.take(&user(ANA), &message(n)).await, Landed::Duplicate, "{n} after {expected:?}");
            }
        }
        assert!(matches!(pair.take(&phone(PHONE), &message(5)).await, Landed::New { .. }));
        assert_eq!(pair.take(&phone(PHONE), &message(5)).await, Landed::Duplicate);
        let ended = pair.merge().await;
        let is_left = deaths < if Backend::STEPWISE { 3 } else { 1 };
        assert_eq!(ended, if is_left { MergeStep::Finished } else { MergeStep::Nothing });
        assert_eq!(pair.step().await, MergeStep::Nothing, "it is over");

        let conversation = pair.new.claim().await.conversation;
        assert_eq!(ids(&conversation.mailbox), ids(&super::messages(4..8)), "in the customer's order");
        assert_eq!(texts(&lines(&conversation)), ["line 1", "line 2", "line 3"]);
        assert_eq!(pair.take(&phone(PHONE), &message(3)).await, Landed::Duplicate);
        assert_eq!(Arrivals::new(&pair.store).session(&phone(PHONE)).await, pair.new.session);
        assert!(pair.old.try_claim("worker", LONG).await.is_none(), "nothing is due there");
        let bare = pair.raw(&pair.old).await;
        assert_eq!(bare.get_str("merged_into").ok(), Some(pair.new.session.expose()));
        for gone in ["memory", "answered", "customer", "merge", "due_at"] {
            assert!(!bare.contains_key(gone), "{gone}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_who_merge_at_once_merge_once() {
    for _ in 0..4 {
        let pair = Pair::of(Fresh::prepared("sixteen_merge").await).await;
        pair.old.receive(&[message(1), message(3)]).await;
        answer(&pair.old, &[message(1)], "old").await;
        pair.new.receive(&[message(2)]).await;
        answer(&pair.new, &[message(2)], "new").await;
        pair.want().await;
        join_all((0..16).map(|_| pair.merge())).await;
        while pair.merge().await != MergeStep::Nothing {}
        let conversation = pair.new.claim().await.conversation;
        assert_eq!(conversation.mailbox, [message(3)]);
        assert_eq!(texts(&lines(&conversation)), ["old", "new"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_in_hand_or_with_a_reply_under_way_is_merged_later() {
    let pair = Pair::of(Fresh::prepared("busy").await).await;
    let (old, new) = (&pair.old, &pair.new);
    old.receive(&[message(1)]).await;
    let claim = old.claim().await;
    pair.want().await;
    assert_eq!(pair.merge().await, MergeStep::Waits, "somebody answers it now");
    let outbox = reply("r1", &[message(1)], &["one"]);
    assert_eq!(old.commit(&claim.lease, &outbox).await, CommitOutcome::Committed, "undisturbed");
    assert!(pair.store.release(&claim.lease).await.expect("the store answers"));
    assert_eq!(pair.merge().await, MergeStep::Waits, "its reply may be on the way");
    assert_eq!(old.claim().await.conversation.outbox.expect("it is under way").reply_id, "r1");
    let waiting = pair.store.merges_under_way(10).await.expect("the store answers");
    assert_eq!(waiting, [], "not at once again");
    let try_at = doc! { "$set": { "merge.try_at": DateTime::from_millis(0) } };
    pair.store.change("conversations", old.session.expose(), try_at).await;
    let waiting = pair.store.merges_under_way(10).await.expect("the store answers");
    assert_eq!(waiting, std::slice::from_ref(&old.session));

    let lease =
        LeaseKey { session: old.session.clone(), holder: Holder { worker: "worker".into(), epoch: 2, nonce: NONCE } };
    old.settle(&lease, &[message(1)]).await.expect("the lease is held");
    new.receive(&[message(2)]).await;
    let claim = new.claim().await;
    assert_eq!(pair.merge().await, MergeStep::Waits);
    old.receive(&[message(3)]).await;
    assert_eq!(old.claim().await.conversation.mailbox, [message(3)], "nothing waits for what has to wait itself");
    let lease =
        LeaseKey { session: old.session.clone(), holder: Holder { worker: "worker".into(), epoch: 3, nonce: NONCE } };
    assert!(pair.store.release(&lease).await.expect("the store answers"));
    new.settle(&claim.lease, &[message(2)]).await.expect("the lease is held");
    if !Backend::STEPWISE {
        assert_eq!(pair.merge().await, MergeStep::Finished);
        assert_eq!(new.claim().await.conversation.mailbox, [message(3)]);
        return;
    }
    assert_eq!(pair.step().await, MergeStep::Closed);

    // Taken in hand after the tombstone was written.
    new.receive(&[message(4)]).await;
    let claim = new.claim().await;
    assert_eq!(pair.merge().await, MergeStep::Waits);
    assert_eq!(new.commit(&claim.lease, &reply("r2", &[message(4)], &["two"])).await, CommitOutcome::Committed);
    assert!(pair.store.release(&claim.lease).await.expect("the store answers"));
    assert_eq!(pair.merge().await, MergeStep::Waits);
    let claim = new.claim().await;
    new.settle(&claim.lease, &[message(4)]).await.expect("the lease is held");
    assert_eq!(pair.merge().await, MergeStep::Finished);
    assert_eq!(new.claim().await.conversation.mailbox, [message(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_had_the_old_conversation_in_hand_writes_nothing_more() {
    let pair = Pair::begin("zombie").await;
    pair.old.receive(&[message(1)]).await;
    let zombie = pair.old.try_claim("zombie", Duration::from_millis(1)).await.expect("it is due and free").lease;
    tokio::time::sleep(Duration::from_millis(20)).await;
    pair.want().await;
    let first = if Backend::STEPWISE { MergeStep::Closed } else { MergeStep::Finished };
    assert_eq!(pair.step().await, first, "its lease has run out");
    for _ in 0..2 {
        let before = pair.raw(&pair.old).await;
        let outbox = reply("r1", &[message(1)], &["late"]);
        assert_eq!(pair.old.commit(&zombie, &outbox).await, CommitOutcome::Fenced);
        assert!(pair.old.settle_and_remember(&zombie, &[message(1)], &said("late")).await.is_none());
        assert!(!pair.old.postpone(&zombie, &super::failed(Duration::ZERO)).await);
        assert!(pair.store.reread(&zombie).await.expect("the store answers").is_none());
        assert!(pair.store.renew(std::slice::from_ref(&zombie), LONG).await.expect("the store answers").is_empty());
        assert_eq!(pair.raw(&pair.old).await, before);
        pair.merge().await;
    }
    let conversation = pair.new.claim().await.conversation;
    assert_eq!((&conversation.mailbox, lines(&conversation)), (&vec![message(1)], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_transcript_knows_is_known_after_the_merge() {
    let pair = Pair::begin("long_ago").await;
    let old_ones: Vec<_> = (0..130).map(|n| message_at(n, Timestamp::now() - hours(60 - i64::from(n) / 10))).collect();
    for chunk in old_ones.chunks(40) {
        pair.old.receive(chunk).await;
        answer(&pair.old, chunk, "long ago").await;
    }
    pair.want().await;
    assert_eq!(pair.merge().await, MergeStep::Finished);
    assert_eq!(pair.new.land(&old_ones[0]).await, Landed::AskTranscript);
    for item in [&old_ones[0], &old_ones[29], &old_ones[31], &old_ones[129]] {
        assert_eq!(pair.take(&phone(PHONE), item).await, Landed::Duplicate, "{}", item.id);
    }
    let unknown = message_at(500, Timestamp::now() - hours(60));
    assert!(matches!(pair.take(&phone(PHONE), &unknown).await, Landed::New { .. }), "late, but never answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_together_keep_the_bounds_and_the_later_times() {
    let pair = Pair::begin("bounds").await;
    for (talk, name, first) in [(&pair.old, "old", 0), (&pair.new, "new", 1)] {
        for n in 0..30 {
            let item = message(2 * n + first);
            let item = if n == 0 && name == "old" { to_the_other_number(item) } else { item };
            talk.receive(std::slice::from_ref(&item)).await;
            answer(talk, &[item], &format!("{name} {n}")).await;
        }
    }
    let date = |seconds: i64| DateTime::from_millis(1_900_000_000_000 + seconds * 1_000);
    let old = doc! {
        "windows": { NUMBER: date(5), OTHER_NUMBER: date(1) },
        "buckets": { NUMBER: date(1), OTHER_NUMBER: date(7) },
        "handed_over_until": date(9),
        "opted_out_at": date(3),
        "customer.name": "$Ana",
        "attempts": 3,
    };
    let new = doc! {
        "windows": { NUMBER: date(4) },
        "buckets": { NUMBER: date(2) },
        "handed_over_until": date(8),
        "takeovers": 2,
    };
    for (talk, set) in [(&pair.old, old), (&pair.new, new)] {
        pair.store.change("conversations", talk.session.expose(), doc! { "$set": set }).await;
    }
    pair.want().await;
    assert_eq!(pair.merge().await, MergeStep::Finished);
    let merged = pair.raw(&pair.new).await;
    assert_eq!(merged.get_document("windows").ok(), Some(&doc! { NUMBER: date(5), OTHER_NUMBER: date(1) }));
    assert_eq!(merged.get_document("buckets").ok(), Some(&doc! { NUMBER: date(2), OTHER_NUMBER: date(7) }));
    assert_eq!(merged.get_datetime("handed_over_until").ok(), Some(&date(9)));
    assert_eq!(merged.get_datetime("opted_out_at").ok(), Some(&date(3)), "who wants silence has it");
    assert!(!merged.contains_key("due_at"), "nothing waits");
    let state = pair.store.state(&pair.new.session).await.expect("the store answers").expect("it is there");
    assert_eq!((state.attempts, state.takeovers, state.answered.len()), (3, 2, 60));
    assert_eq!(state.customer.name.as_deref(), Some("$Ana"));
    assert_eq!(state.customer.user_id, Some(user_id(ANA)));
    let lines: Vec<_> = state.memory.iter().map(|line| line.text.clone()).collect();
    let expected = (20..30).map(|n| format!("old {n}")).chain((0..30).map(|n| format!("new {n}")));
    assert_eq!(lines, expected.collect::<Vec<_>>(), "the last forty");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_after_a_merge_is_due_by_the_rule() {
    let pair = Pair::begin("due").await;
    pair.old.receive(&[message(1)]).await;
    pair.new.receive(&[message(2)]).await;
    let landed_at = async |talk: &Talk| {
        let state = pair.store.state(&talk.session).await.expect("the store answers").expect("it is there");
        state.first_landed_at.expect("something waits")
    };
    let (first, last) = (landed_at(&pair.old).await, landed_at(&pair.new).await);
    pair.want().await;
    let quiet = worker::conversation::QuietTime { quiet: Duration::from_secs(3), ceiling: Duration::from_secs(600) };
    assert_eq!(pair.store.merge(&pair.old.session, quiet).await.expect("the store answers"), MergeStep::Finished);
    let state = pair.store.state(&pair.new.session).await.expect("the store answers").expect("it is there");
    assert_eq!((state.first_landed_at, state.last_landed_at), (Some(first), Some(last)));
    assert_eq!(state.due_at, Some(last + SignedDuration::from_secs(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_either_has_answered_waits_in_neither() {
    let pair = Pair::begin("crossed").await;
    // As it may have been left by a version that pointed the number elsewhere at once.
    for (talk, answered, waiting) in [(&pair.old, 1, 2), (&pair.new, 2, 1)] {
        talk.receive(&[message(answered)]).await;
        answer(talk, &[message(answered)], "hello").await;
        talk.receive(&[message(waiting), message(3)]).await;
    }
    pair.want().await;
    assert_eq!(pair.merge().await, MergeStep::Finished);
    assert_eq!(pair.new.claim().await.conversation.mailbox, [message(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_the_old_conversation_names_the_new_one() {
    let pair = Pair::begin("names").await;
    pair.old.receive(&[message(1)]).await;
    answer(&pair.old, &[message(1)], "hello").await;
    let (number, wamid, business_id) = (number(NUMBER), id("wamid.out"), acme().id);
    let outbound = Outbound {
        session: &pair.old.session,
        business_id: &business_id,
        number: &number,
        wamid: &wamid,
        reply_id: Some("r"),
        kind: "text",
        body: "answer",
        usage: None,
        waited: None,
        trace: None,
    };
    pair.store.record_outbound(&outbound).await.expect("the store answers");
    let letter = DeadLetter {
        id: "letter".to_owned(),
        reason: "refused",
        detail: String::new(),
        phone_number_id: Some(number),
        business_id: Some(business_id),
        session: Some(pair.old.session.clone()),
        message_id: None,
        body: b"{}".to_vec(),
        replay: ReplayPolicy::ByHand,
        counted_as_answered: true,
    };
    pair.store.bury(&letter).await.expect("the store answers");
    pair.want().await;
    assert_eq!(pair.merge().await, MergeStep::Finished);
    for collection in ["messages", "dead_letters", "identities"] {
        let count = async |talk: &Talk| {
            let rows = pair.store.backend.all(collection).await;
            let theirs = |row: &&Document| row.get_str("conversation").is_ok_and(|name| name == talk.session.expose());
            rows.iter().filter(theirs).count()
        };
        assert_eq!(count(&pair.old).await, 0, "{collection}");
        assert!(count(&pair.new).await > 0, "{collection}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_customers_are_never_one() {
    let pair = Pair::begin("strangers").await;
    let (old, new) = (&pair.old.session, &pair.new.session);
    pair.old.receive(&[message(1)]).await;
    pair.new.receive(&[message(2)]).await;
    let untouched = [pair.raw(&pair.old).await, pair.raw(&pair.new).await];
    let other_business = BusinessId("b2".to_owned());
    assert_eq!(want_for(&pair.store, old, new, &other_business).await, MergeRequested::OtherCustomer);
    for (talk, set) in [
        (&pair.old, doc! { "customer.user_id": "US.2718" }),
        (&pair.new, doc! { "customer.wa_id": "16505559876" }),
        (&pair.new, doc! { "customer.user_id": "US.2718" }),
    ] {
        let before = pair.raw(talk).await.get_document("customer").cloned().expect("a customer");
        pair.store.change("conversations", talk.session.expose(), doc! { "$set": set }).await;
        assert_eq!(want(&pair.store, old, new).await, MergeRequested::OtherCustomer);
        let back = doc! { "$set": { "customer": before } };
        pair.store.change("conversations", talk.session.expose(), back).await;
    }
    assert_eq!([pair.raw(&pair.old).await, pair.raw(&pair.new).await], untouched);
    assert_eq!(pair.merge().await, MergeStep::Nothing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_both_ids_makes_one_conversation_of_two() {
    let store = Fresh::open("shown").await;
    let arrivals = Arrivals::new(&store);
    let old = arrivals.take(&phone(PHONE), &message(1)).await.1;
    let new = arrivals.take(&user(ANA), &message(2)).await.1;
    assert_ne!(old, new);
    for (session, n) in [(&old, 1), (&new, 2)] {
        answer(&talk(&store, session, &phone(PHONE)), &[message(n)], &format!("line {n}")).await;
    }
    let third = arrivals.take(&both(PHONE, ANA), &message(3)).await;
    assert_eq!(third.1, new);
    for n in 1..4 {
        for sender in [phone(PHONE), user(ANA), both(PHONE, ANA)] {
            let again = Arrivals::new(&store).take(&sender, &message(n)).await;
            assert_eq!(again, (Landed::Duplicate, new.clone()), "{n} from {sender:?}");
        }
        // Another worker's cache still leads to the old one.
        assert_eq!(arrivals.take(&phone(PHONE), &message(n)).await, (Landed::Duplicate, new.clone()));
    }
    let conversation = talk(&store, &new, &phone(PHONE)).claim().await.conversation;
    assert_eq!(texts(&lines(&conversation)), ["line 1", "line 2"]);
    assert_eq!(conversation.mailbox, [message(3)]);
    assert_eq!((conversation.customer.wa_id, conversation.customer.user_id), (Some(wa_id(PHONE)), Some(user_id(ANA))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_both_ids_waits_for_nobody() {
    let pair = Pair::begin("both_busy").await;
    pair.old.receive(&[message(1)]).await;
    let claim = pair.old.claim().await;
    assert!(matches!(pair.take(&both(PHONE, ANA), &message(2)).await, Landed::New { .. }));
    assert_eq!(pair.new.claim().await.conversation.mailbox, [message(2)], "it is answered now");
    // The number's own messages are known where they are, until that is merged.
    assert_eq!(pair.take(&phone(PHONE), &message(1)).await, Landed::Duplicate);
    pair.old.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");
    let lease = LeaseKey {
        session: pair.new.session.clone(),
        holder: Holder { worker: "worker".into(), epoch: 1, nonce: NONCE },
    };
    pair.new.settle(&lease, &[message(2)]).await.expect("the lease is held");
    assert_eq!(pair.merge().await, MergeStep::Finished);
    assert_eq!(pair.take(&phone(PHONE), &message(1)).await, Landed::Duplicate);
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_whose_first_messages_are_on_their_way_are_merged_all_the_same() {
    let pair = Pair::begin("unborn").await;
    pair.want().await;
    assert_eq!(pair.merge().await, MergeStep::Finished);
    for (talk, n) in [(&pair.old, 1), (&pair.new, 2)] {
        let landed = talk.land(&message(n)).await;
        let expected = [Landed::Moved(pair.new.session.clone()), Landed::New { due_in: Duration::ZERO, first: true }];
        assert!(expected.contains(&landed), "{landed:?}");
    }
    assert!(matches!(pair.take(&phone(PHONE), &message(1)).await, Landed::New { .. }));
    assert_eq!(pair.new.claim().await.conversation.mailbox, [message(1), message(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_owner_of_a_number_sees_nothing_of_a_merge_under_way() {
    for steps in 0..4 {
        let pair = Pair::begin("recycled_merge").await;
        pair.old.receive(&[message(1)]).await;
        answer(&pair.old, &[message(1)], "swordfish").await;
        pair.old.receive(&[message(2)]).await;
        pair.new.receive(&[message(3)]).await;
        pair.want().await;
        for _ in 0..steps {
            pair.step().await;
        }
        let (landed, ben) = Arrivals::new(&pair.store).take(&both(PHONE, "US.2718"), &message(4)).await;
        assert!(matches!(landed, Landed::New { .. }));
        assert!(ben != pair.old.session && ben != pair.new.session);
        let conversation = talk(&pair.store, &ben, &phone(PHONE)).claim().await.conversation;
        assert_eq!((&conversation.mailbox, lines(&conversation)), (&vec![message(4)], vec![]));
        pair.merge().await;
        let conversation = pair.new.claim().await.conversation;
        assert_eq!(conversation.customer.wa_id, None, "Ana is not answered at Ben's number, after {steps} steps");
        assert_eq!(conversation.customer.user_id, Some(user_id(ANA)));
        assert_eq!(
            (texts(&lines(&conversation)), conversation.mailbox),
            (vec!["swordfish"], vec![message(2), message(3)])
        );
        assert_eq!(Arrivals::new(&pair.store).session(&phone(PHONE)).await, ben);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_a_conversation_that_moved_takes_over_the_one_that_goes_on() {
    for steps in 0..4 {
        let pair = Pair::begin("moved_hand_over").await;
        pair.old.receive(&[message(1)]).await;
        pair.new.receive(&[message(2)]).await;
        pair.want().await;
        for _ in 0..steps {
            pair.step().await;
        }
        let handed_over = pair.store.hand_over(&pair.old.session, LONG, Some("It is me")).await;
        assert!(handed_over.expect("the store answers"));
        let change = CustomerIdChange::User { old: user_id(ANA), new: user_id("US.9") };
        pair.store.replace_customer_id(&pair.old.session, &change).await.expect("the store answers");
        pair.merge().await;
        let conversation = pair.new.claim().await.conversation;
        assert!(conversation.handed_over_until.is_some(), "after {steps} steps");
        assert_eq!(texts(&lines(&conversation)), ["It is me"]);
        assert_eq!(conversation.customer.user_id, Some(user_id("US.9")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_of_a_conversation_that_moved_is_delivered_from_the_one_that_goes_on() {
    let pair = Pair::begin("moved_notice").await;
    pair.old.receive(&[message(1)]).await;
    pair.new.receive(&[message(2)]).await;
    let claim = pair.old.claim().await;
    let announcement = Some(Box::new(Announcement { id: "n1".to_owned(), reason: HandOverReason::Tool }));
    let aftermath = Aftermath { hand_over: Some(LONG), announcement, ..Aftermath::default() };
    let memory = Memory { aftermath, ..Memory::default() };
    pair.old.settle_and_remember(&claim.lease, &[message(1)], &memory).await.expect("the lease is held");
    pair.want().await;
    pair.merge().await;
    let take = async |talk: &Talk| pair.store.take_notice(&talk.session, LONG).await.expect("the store answers");
    assert!(take(&pair.old).await.is_none());
    assert_eq!(take(&pair.new).await.expect("due").notice.id, "n1");
}

/// Conversations of one customer, each with one answered and one waiting message.
async fn several(store: &Arc<dyn Store>, count: u32) -> Vec<Talk> {
    let mut talks = Vec::new();
    for n in 0..count {
        let session = SessionId::new(acme().subdomain.as_ref(), &format!("{n}"));
        let talk = talk(store, &session, &user(ANA));
        talk.receive(&[message(n)]).await;
        answer(&talk, &[message(n)], &format!("line {n}")).await;
        talk.receive(&[message(100 + n)]).await;
        talks.push(talk);
    }
    talks
}

/// Merges whatever is wanted, in that order, until nothing is left to do.
async fn merge_all(store: &Arc<dyn Store>, talks: &[&Talk]) {
    for _ in 0..20 {
        let mut over = true;
        for talk in talks {
            let step = store.merge(&talk.session, AT_ONCE).await.expect("the store answers");
            over &= step == MergeStep::Nothing;
        }
        if over {
            return;
        }
    }
    panic!("it never ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_merges_ends_in_the_last_conversation_in_whatever_order() {
    for (n, order) in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].into_iter().enumerate() {
        let store = Fresh::open("chain").await;
        let talks = several(&store, 4).await;
        for pair in talks.windows(2) {
            assert_eq!(want(&store, &pair[0].session, &pair[1].session).await, MergeRequested::Recorded);
        }
        if n % 2 == 0 {
            // All are closed before anything is copied.
            for talk in order.map(|n| &talks[n]) {
                store.backend.merge_step(&talk.session, AT_ONCE).await;
            }
        }
        merge_all(&store, &order.map(|n| &talks[n])).await;
        let conversation = talks[3].claim().await.conversation;
        assert_eq!(ids(&conversation.mailbox), ids(&super::messages(100..104)), "{order:?}");
        assert_eq!(texts(&lines(&conversation)), ["line 0", "line 1", "line 2", "line 3"], "{order:?}");
        for talk in &talks[..3] {
            let mut landed = talk.land(&message(0)).await;
            if let Landed::Moved(target) = landed {
                landed = self::talk(&store, &target, &user(ANA)).land(&message(0)).await;
            }
            let end = [Landed::Duplicate, Landed::Moved(talks[3].session.clone())];
            assert!(end.contains(&landed), "two moves at most: {landed:?} {order:?}");
        }
        assert_eq!(want(&store, &talks[0].session, &talks[3].session).await, MergeRequested::Done);
        assert_eq!(want(&store, &talks[3].session, &talks[1].session).await, MergeRequested::Done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_in_a_circle_leave_every_message_in_a_conversation_that_goes_on() {
    for count in [2, 3] {
        for _ in 0..4 {
            let store = Fresh::open("circle").await;
            let talks = several(&store, count).await;
            for (n, from) in talks.iter().enumerate() {
                let into = &talks[(n + 1) % talks.len()];
                assert_eq!(want(&store, &from.session, &into.session).await, MergeRequested::Recorded);
            }
            join_all(talks.iter().map(|talk| store.merge(&talk.session, AT_ONCE))).await;
            merge_all(&store, &talks.iter().collect::<Vec<_>>()).await;
            let mut waiting = Vec::new();
            for talk in &talks {
                if let Some(claim) = talk.try_claim("worker", LONG).await {
                    waiting.extend(ids(&claim.conversation.mailbox));
                }
            }
            waiting.sort();
            assert_eq!(waiting, ids(&super::messages(100..100 + count)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_into_a_conversation_that_nobody_can_read_harms_neither() {
    let pair = Pair::begin("unreadable").await;
    pair.old.receive(&[message(1)]).await;
    pair.new.receive(&[message(2)]).await;
    pair.want().await;
    let unreadable = doc! { "$set": { "attempts": "many" } };
    pair.store.change("conversations", pair.old.session.expose(), unreadable).await;
    pair.store.merge(&pair.old.session, AT_ONCE).await.expect_err("it cannot be read");
    assert!(!pair.raw(&pair.old).await.contains_key("merged_into"));
    assert_eq!(pair.new.claim().await.conversation.mailbox, [message(2)]);
    let lease = LeaseKey {
        session: pair.new.session.clone(),
        holder: Holder { worker: "worker".into(), epoch: 1, nonce: NONCE },
    };
    pair.new.settle(&lease, &[message(2)]).await.expect("the lease is held");
    pair.store.change("conversations", pair.old.session.expose(), doc! { "$set": { "attempts": 0 } }).await;
    assert_eq!(pair.merge().await, MergeStep::Finished);
    assert_eq!(pair.new.claim_when_free("worker", SHORT).await.conversation.mailbox, [message(1)]);
}
