//! Leases: one holder at a time, and nothing that a former holder writes has any effect.

use std::sync::Arc;

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use worker::{
    conversation::{Claim, Holder, LeaseKey},
    store::{CommitOutcome, DueBusinesses, Landed, Memory, Postponement, Renewed, Store, StoreError},
    turn::Leases,
};

use mongodb::bson::doc;

use super::{AT_ONCE, Fresh, LONG, NUMBER, SHORT, Talk, failed, id, in_doubt, message, messages, number, reply};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_claims_what_is_not_due() {
    let store = Fresh::open("undue").await;
    let talk = Talk::new(&store).quiet(LONG, LONG);
    assert!(talk.try_claim("worker", LONG).await.is_none(), "there is no such conversation");
    talk.receive(&[message(1)]).await;
    assert!(talk.try_claim("worker", LONG).await.is_none(), "the customer may go on");
    let talk = Talk::new(&store);
    talk.receive(&[message(2)]).await;
    talk.answer(&messages(1..3)).await;
    assert!(talk.try_claim("worker", LONG).await.is_none(), "all is answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_sixteen_claimers_wins() {
    let store = Fresh::open("sixteen").await;
    for customer in 0..8 {
        let talk = Talk::of(&store, Some("acme"), &format!("1650555{customer:04}"));
        talk.receive(&[message(1)]).await;
        let mut claiming = JoinSet::new();
        for worker in 0..16 {
            let talk = talk.clone();
            claiming.spawn(async move { talk.try_claim(&format!("worker {worker}"), LONG).await });
        }
        let claims: Vec<_> = claiming.join_all().await.into_iter().flatten().collect();
        assert_eq!(claims.len(), 1);
        assert_eq!((&claims[0].lease.session, claims[0].lease.holder.epoch), (&talk.session, 1));
        assert!(talk.try_claim("late", LONG).await.is_none(), "not while it is held");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_lease_is_taken_over_and_counted() {
    let store = Fresh::open("expired").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let dead = talk.try_claim("dead", SHORT).await.expect("it is due and free");
    assert_eq!((dead.lease.holder.epoch, dead.conversation.takeovers), (1, 0));
    let next = talk.claim_when_free("next", SHORT).await;
    assert_eq!((next.lease.holder.epoch, next.conversation.takeovers), (2, 1));
    assert_eq!(next.conversation.mailbox, [message(1)]);
    assert!(next.conversation.claimed_at >= dead.conversation.claimed_at + jiff::SignedDuration::from_millis(300));
    let third = talk.claim_when_free("third", LONG).await;
    assert_eq!((third.lease.holder.epoch, third.conversation.takeovers), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_claim_that_found_a_lease_run_out_took_it_over() {
    let store = Fresh::open("takeover").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    assert!(!talk.try_claim("dead", SHORT).await.expect("it is due and free").taken_over);
    let next = talk.claim_when_free("next", LONG).await;
    assert_eq!((next.taken_over, next.conversation.takeovers), (true, 1));
    assert!(talk.postpone(&next.lease, &in_doubt(Duration::ZERO)).await);
    let third = talk.claim_when_free("third", LONG).await;
    assert_eq!(
        (third.taken_over, third.conversation.takeovers),
        (false, 1),
        "the death counts on, and is no second one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_only_ever_count_up() {
    let store = Fresh::open("epochs").await;
    let talk = Talk::new(&store);
    for epoch in 1..4 {
        talk.receive(&[message(u32::try_from(epoch).expect("small"))]).await;
        let claim = talk.claim().await;
        assert_eq!(claim.lease.holder.epoch, epoch);
        talk.settle(&claim.lease, &claim.conversation.mailbox).await.expect("the lease is held");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_is_due_at_once_and_counts_as_nothing() {
    let store = Fresh::open("release").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let first = talk.claim().await;
    assert!(store.release(&first.lease).await.expect("the store answers"));
    assert!(!store.release(&first.lease).await.expect("the store answers"), "it is not mine any more");
    let second = talk.claim().await;
    assert_eq!((second.lease.holder.epoch, second.conversation.takeovers, second.conversation.attempts), (2, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_gives_back_its_own_leases_only() {
    let store = Fresh::open("stop").await;
    let talks = ["1001", "1002", "1003"].map(|phone| Talk::of(&store, Some("acme"), phone));
    for (talk, worker) in talks.iter().zip(["mine", "mine", "other"]) {
        talk.receive(&[message(1)]).await;
        talk.try_claim(worker, LONG).await.expect("it is due and free");
    }
    assert_eq!(store.release_all("mine").await.expect("the store answers"), 2);
    assert_eq!(store.release_all("mine").await.expect("the store answers"), 0);
    assert_eq!(talks[0].claim().await.conversation.takeovers, 0);
    talks[1].claim().await;
    assert!(talks[2].try_claim("mine", LONG).await.is_none());
}

async fn renew(store: &Arc<dyn Store>, leases: &[LeaseKey], lease: Duration) -> Vec<Renewed> {
    store.renew(leases, lease).await.expect("the store answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_prolongs_what_is_held_and_tells_what_came() {
    let store = Fresh::open("renew").await;
    let talks = ["1001", "1002"].map(|phone| Talk::of(&store, Some("acme"), phone));
    let mut leases = Vec::new();
    for talk in &talks {
        talk.receive(&[message(1)]).await;
        leases.push(talk.try_claim("worker", SHORT).await.expect("it is due and free").lease);
    }
    talks[1].receive(&messages(2..4)).await;
    let mut renewed = renew(&store, &leases, LONG).await;
    renewed.sort_by_key(|renewed| renewed.mailbox);
    let expected = [Renewed { lease: leases[0].clone(), mailbox: 1 }, Renewed { lease: leases[1].clone(), mailbox: 3 }];
    assert_eq!(renewed, expected);
    tokio::time::sleep(SHORT).await;
    assert!(talks[0].try_claim("other", LONG).await.is_none(), "it would have expired");
    assert_eq!(renew(&store, &[], LONG).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_made_durable_once_and_one_that_was_lost_is_noticed() {
    let store = Fresh::open("durable").await;
    let [mine, gone, written] = ["1001", "1002", "1003"].map(|phone| Talk::of(&store, Some("acme"), phone));
    let leases = Leases::new(Arc::clone(&store), "worker", LONG);
    let hold = async |talk: &Talk| {
        talk.receive(&[message(1)]).await;
        let Claim { lease, conversation, .. } = talk.claim().await;
        leases.hold(lease, Instant::now(), &conversation.mailbox)
    };
    let (mine, lost) = (hold(&mine).await, hold(&gone).await);
    mine.make_durable().await.expect("it is still mine");
    assert!(store.release(lost.key()).await.expect("the store answers"));
    gone.try_claim("another", LONG).await.expect("it is due and free");
    assert!(matches!(lost.make_durable().await, Err(StoreError::LeaseLost)));
    // What was written under it has made it durable: the store is not asked again.
    let sure = hold(&written).await;
    sure.has_written();
    assert!(store.release(sure.key()).await.expect("the store answers"));
    sure.make_durable().await.expect("nothing is asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_renews_what_another_holds() {
    let store = Fresh::open("foreign").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let stale = talk.try_claim("worker", SHORT).await.expect("it is due and free").lease;
    let current = talk.claim_when_free("worker", SHORT).await.lease;
    assert_eq!(renew(&store, std::slice::from_ref(&stale), LONG).await, [], "an old epoch");
    assert_eq!(renew(&store, &[of_another(&current)], LONG).await, [], "another worker");
    let missing = LeaseKey { session: shared::ids::SessionId::from_stored("acme:nobody"), ..stale };
    assert_eq!(renew(&store, &[missing], LONG).await, []);
    // None of them prolonged it.
    let next = talk.claim_when_free("next", LONG).await;
    assert_eq!(next.lease.holder.epoch, current.holder.epoch + 1);
}

/// The same taking, as another worker would name it.
fn of_another(lease: &LeaseKey) -> LeaseKey {
    let holder = Holder { worker: "another".into(), ..lease.holder.clone() };
    LeaseKey { session: lease.session.clone(), holder }
}

/// A taking that the database lost, and that had the number of this one.
fn lost(lease: &LeaseKey) -> LeaseKey {
    let holder = Holder { nonce: lease.holder.nonce + 1, ..lease.holder.clone() };
    LeaseKey { session: lease.session.clone(), holder }
}

/// Everything that a holder can do, done by one who is no longer it.
async fn every_write_of(talk: &Talk, stale: &LeaseKey) {
    let store = &talk.store;
    let outbox = reply("stale", &[message(1)], &["one", "two"]);
    for seen in [Some(outbox.answers.as_slice()), None] {
        assert_eq!(talk.commit_having_seen(stale, &outbox, seen).await, CommitOutcome::Fenced);
    }
    // Also of the reply that is really under way.
    for reply_id in ["stale", "current"] {
        for tries in 0..3 {
            assert!(!store.begin_try(stale, reply_id, 0, tries, false).await.expect("the store answers"));
        }
        assert!(!store.part_sent(stale, reply_id, 0, &id("wamid.out")).await.expect("the store answers"));
    }
    let settled = store.settle(stale, &number(NUMBER), &[message(1).id], &Memory::default(), AT_ONCE).await;
    assert_eq!(settled.expect("the store answers"), None);
    for (not_sent, for_evidence, token) in [(None, true, None), (Some(0), false, Some("token".to_owned()))] {
        let postponement = Postponement { not_sent, for_evidence, token, ai: Some(Duration::ZERO), ..failed(LONG) };
        assert!(!talk.postpone(stale, &postponement).await);
    }
    assert!(!store.release(stale).await.expect("the store answers"));
    assert!(store.reread(stale).await.expect("the store answers").is_none());
    assert_eq!(renew(store, std::slice::from_ref(stale), LONG).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_former_holder_writes_has_any_effect() {
    let store = Fresh::open("stale").await;
    let talk = Talk::new(&store);
    let collection = "conversations";
    talk.receive(&messages(1..3)).await;

    // Its lease expired while it was frozen, and another answers.
    let stale = talk.try_claim("zombie", SHORT).await.expect("it is due and free").lease;
    let current = talk.claim_when_free("current", LONG).await.lease;
    let before = store.raw(collection, talk.session.expose()).await;
    every_write_of(&talk, &stale).await;
    // Whose claim was lost with the database's primary has the epoch of the next one.
    every_write_of(&talk, &of_another(&current)).await;
    every_write_of(&talk, &lost(&current)).await;
    assert_eq!(store.raw(collection, talk.session.expose()).await, before);

    let outbox = reply("current", &messages(1..3), &["one", "two"]);
    assert_eq!(talk.commit(&current, &outbox).await, CommitOutcome::Committed);
    let before = store.raw(collection, talk.session.expose()).await;
    every_write_of(&talk, &stale).await;
    every_write_of(&talk, &of_another(&current)).await;
    every_write_of(&talk, &lost(&current)).await;
    assert_eq!(store.raw(collection, talk.session.expose()).await, before);

    // It gave the lease back, and nobody holds it.
    talk.postpone(&current, &failed(LONG)).await;
    let before = store.raw(collection, talk.session.expose()).await;
    every_write_of(&talk, &stale).await;
    every_write_of(&talk, &current).await;
    assert_eq!(store.raw(collection, talk.session.expose()).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settled_turn_cannot_be_settled_again() {
    let store = Fresh::open("settled").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let lease = talk.claim().await.lease;
    assert!(talk.settle(&lease, &[message(1)]).await.is_some());
    talk.receive(&[message(2)]).await;
    let before = store.raw("conversations", talk.session.expose()).await;
    assert!(talk.settle(&lease, &[message(2)]).await.is_none());
    every_write_of(&talk, &lease).await;
    assert_eq!(store.raw("conversations", talk.session.expose()).await, before);
}

async fn due(store: &Arc<dyn Store>, businesses: usize, each: i64) -> DueBusinesses {
    let mut due = store.due(businesses, each).await.expect("the store answers");
    due.retain(|(_, sessions)| !sessions.is_empty());
    due.sort();
    due
}

/// Looks until so many conversations are found: a scan knows the database's clock to within the time of a request only.
async fn due_in_time(store: &Arc<dyn Store>, businesses: usize, each: i64, count: usize) -> DueBusinesses {
    let looking = async {
        loop {
            let found = due(store, businesses, each).await;
            if found.iter().map(|(_, sessions)| sessions.len()).sum::<usize>() >= count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.expect("what is due is found")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_counted_by_how_long_it_has_been_in_somebodys_hand_or_not() {
    let store = Fresh::prepared("backlog").await;
    let hour = Duration::from_secs(3_600);
    let counted = async |ends: &[Duration]| store.count_due(ends).await.expect("the store answers");
    assert_eq!(counted(&[hour]).await, [0, 0]);
    for phone in ["1001", "1002", "1003"] {
        Talk::of(&store, Some("acme"), phone).receive(&[message(1)]).await;
    }
    let later = Talk::of(&store, Some("acme"), "1004").quiet(LONG, LONG);
    later.receive(&[message(1)]).await;
    due_in_time(&store, 10, 10, 3).await;
    assert_eq!(counted(&[hour, hour * 2]).await, [3, 0, 0]);
    Talk::of(&store, Some("acme"), "1001").claim().await;
    assert_eq!(counted(&[hour]).await, [3, 0], "in hand");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(counted(&[Duration::from_millis(1), hour]).await, [0, 3, 0]);
    assert_eq!(counted(&[]).await, [3]);
    Talk::of(&store, Some("acme"), "1002").answer(&[message(1)]).await;
    assert_eq!(counted(&[]).await, [2], "answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn due_conversations_are_found_by_business_and_the_longest_due_first() {
    let store = Fresh::prepared("scan").await;
    assert_eq!(due(&store, 10, 10).await, []);
    let talk = |subdomain: Option<&str>, phone: &str| Talk::of(&store, subdomain, phone);
    let bare = talk(None, "1001");
    let acme = ["1003", "1002", "1004"].map(|phone| talk(Some("acme"), phone));
    let beta = talk(Some("beta"), "1001");
    for talk in [&bare, &acme[0], &acme[1], &acme[2], &beta] {
        talk.receive(&[message(1)]).await;
        // The database's clock counts milliseconds.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let sessions = |talks: &[Talk]| talks.iter().map(|talk| talk.session.clone()).collect::<Vec<_>>();
    let expected = vec![
        (None, sessions(std::slice::from_ref(&bare))),
        (acme[0].subdomain.clone(), sessions(&acme)),
        (beta.subdomain.clone(), sessions(std::slice::from_ref(&beta))),
    ];
    assert_eq!(due_in_time(&store, 10, 10, 5).await, expected);
    let first_of_each = due(&store, 10, 1).await;
    assert_eq!(first_of_each[1], (acme[0].subdomain.clone(), sessions(&acme[..1])));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_due_and_free_is_found() {
    let store = Fresh::prepared("free").await;
    let held = Talk::of(&store, Some("held"), "1001");
    let dead = Talk::of(&store, Some("dead"), "1001");
    let later = Talk::of(&store, Some("later"), "1001").quiet(LONG, LONG);
    let answered = Talk::of(&store, Some("answered"), "1001");
    let postponed = Talk::of(&store, Some("postponed"), "1001");
    for talk in [&held, &dead, &later, &answered, &postponed] {
        talk.receive(&[message(1)]).await;
    }
    held.claim().await;
    answered.answer(&[message(1)]).await;
    postponed.postpone(&postponed.claim().await.lease, &failed(LONG)).await;
    dead.try_claim("dead", SHORT).await.expect("it is due and free");
    // What a dead worker left.
    let found = due_in_time(&store, 10, 10, 1).await;
    assert_eq!(found, [(dead.subdomain.clone(), vec![dead.session.clone()])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_at_one_business_hides_no_other() {
    let store = Fresh::prepared("flood").await;
    for customer in 0..100 {
        Talk::of(&store, Some("flood"), &format!("1650555{customer:04}")).receive(&[message(1)]).await;
    }
    let quiet = Talk::of(&store, Some("quiet"), "1001");
    quiet.receive(&[message(1)]).await;
    let found = due_in_time(&store, 16, 8, 9).await;
    assert_eq!(found.iter().map(|(_, sessions)| sessions.len()).collect::<Vec<_>>(), [8, 1]);
    assert_eq!(found[1], (quiet.subdomain.clone(), vec![quiet.session.clone()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_business_has_its_turn_where_a_scan_cannot_hold_them_all() {
    let store = Fresh::prepared("many").await;
    for business in 0..6 {
        Talk::of(&store, Some(&format!("b{business}")), "1001").receive(&[message(1)]).await;
    }
    due_in_time(&store, 6, 8, 6).await;
    let mut seen = std::collections::BTreeSet::new();
    // A business is missed 200 times in a row once in 10^35 runs.
    for _ in 0..200 {
        let found = due(&store, 2, 8).await;
        assert_eq!(found.len(), 2);
        seen.extend(found.into_iter().map(|(subdomain, _)| subdomain));
        if seen.len() == 6 {
            return;
        }
    }
    panic!("only {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_lands_during_a_turn_waits_for_its_end() {
    let store = Fresh::open("during").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let claim = talk.claim().await;
    assert_eq!(talk.land(&message(2)).await, Landed::New { due_in: Duration::ZERO, first: false });
    assert!(talk.try_claim("other", LONG).await.is_none());
    let reread = store.reread(&claim.lease).await.expect("the store answers").expect("the lease is held");
    assert_eq!(reread.mailbox, messages(1..3));
    let settled = talk.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");
    assert_eq!(settled.due_in, Some(Duration::ZERO));
    assert_eq!(talk.claim().await.conversation.mailbox, [message(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_cannot_be_read_is_set_aside() {
    let store = Fresh::open("corrupt").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    store.change("conversations", talk.session.expose(), doc! { "$set": { "attempts": "many" } }).await;
    let claimed = store.claim(&talk.session, "worker", super::NONCE, super::LONG).await;
    assert!(matches!(claimed, Err(StoreError::Corrupt { .. })), "{claimed:?}");
    assert!(talk.try_claim("worker", super::LONG).await.is_none(), "it is set aside");
    // Once it is mended, it goes on with all that it held.
    store.change("conversations", talk.session.expose(), doc! { "$set": { "attempts": 0 } }).await;
    talk.receive(&[message(2)]).await;
    assert_eq!(talk.claim().await.conversation.mailbox, [message(1), message(2)]);
}
