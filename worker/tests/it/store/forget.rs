//! A customer who is forgotten leaves no text behind, whoever was at work, and begins anew.

use std::sync::Arc;

use std::time::Duration;

use futures_util::future::join_all;
use mongodb::bson::{DateTime, doc};
use shared::ids::SessionId;
use worker::{
    conversation::{LeaseKey, MailboxItem, MemoryTurn, Outbox, ReplyKind, Speaker},
    store::{
        CommitOutcome, DeadLetter, Forgotten, Inbound, Landed, Memory, MergeRequest, MergeStep, Outbound, ReplayPolicy,
        Store,
    },
};

use super::{
    AT_ONCE, Backend, Fresh, LONG, NUMBER, Talk,
    arrival::{Arrivals, acme, both, business, identities, phone, talk, user},
    failed, id, ids, lines, message, messages, number, reply, user_id, wa_id,
};

pub(super) const PHONE: &str = "16505551234";
pub(super) const ANA: &str = "US.1349";
/// In every text of the customer, and in every answer.
pub(super) const WORD: &str = "swordfish";

pub(super) fn secret(n: u32) -> MailboxItem {
    let mut item = message(n);
    item.message = Some(format!(r#"{{"type":"text","text":{{"body":"{WORD} {n}"}}}}"#));
    item
}

/// Where a word is found, in whatever field of whatever document.
pub(super) async fn traces(store: &Fresh, word: &str) -> Vec<String> {
    let mut traces = Vec::new();
    for name in store.backend.collections().await {
        for document in store.backend.all(&name).await {
            if format!("{document:?}").contains(word) {
                traces.push(format!("{name}: {document:?}"));
            }
        }
    }
    traces
}

pub(super) async fn assert_no_trace(store: &Fresh) {
    let traces = traces(store, WORD).await;
    assert!(traces.is_empty(), "{traces:#?}");
}

async fn forget(store: &Arc<dyn Store>, session: &SessionId) -> Forgotten {
    store.forget(session).await.expect("the store answers")
}

/// One customer with everything that is kept of one: two lines of memory, a transcript, a name, a message that waits.
pub(super) async fn customer(store: &Fresh) -> Talk {
    let arrivals = Arrivals::new(store);
    let sender = both(PHONE, ANA);
    let session = arrivals.take(&sender, &secret(1)).await.1;
    let talk = talk(store, &session, &sender);
    let claim = talk.claim().await;
    turn(&talk, &claim.lease, &[secret(1)], "r0").await;
    let name = doc! { "$set": { "customer.name": WORD } };
    store.change("conversations", session.expose(), name).await;
    arrivals.take(&sender, &secret(2)).await;
    talk
}

/// The rest of a turn, from the outbox to the end.
async fn turn(talk: &Talk, lease: &LeaseKey, items: &[MailboxItem], reply_id: &str) {
    let outbox = reply(reply_id, items, &[WORD]);
    assert_eq!(talk.commit(lease, &outbox).await, CommitOutcome::Committed);
    transcribe(talk, items, &outbox).await;
    assert!(talk.settle_and_remember(lease, items, &memory()).await.is_some());
}

async fn transcribe(talk: &Talk, items: &[MailboxItem], outbox: &Outbox) {
    for item in items {
        let (session, business_id) = (&talk.session, &talk.business);
        let inbound =
            Inbound { session, business_id, item, kind: "text", answered: true, words: None, taken_back: false };
        talk.store.record_inbound(&inbound).await.expect("the store answers");
    }
    for (n, part) in outbox.parts.iter().enumerate() {
        let wamid = id(&format!("wamid.{}.{n}", outbox.reply_id));
        let outbound = Outbound {
            session: &talk.session,
            business_id: &talk.business,
            number: &outbox.phone_number_id,
            wamid: &wamid,
            reply_id: Some(&outbox.reply_id),
            kind: "text",
            body: &part.body,
            usage: None,
            waited: None,
            trace: None,
        };
        talk.store.record_outbound(&outbound).await.expect("the store answers");
    }
}

fn memory() -> Memory {
    let line = |speaker| MemoryTurn { speaker, text: WORD.to_owned() };
    Memory {
        turns: vec![line(Speaker::Customer), line(Speaker::Companion)],
        reply: Some(ReplyKind::Answer),
        ..Memory::default()
    }
}

pub(super) fn letter(id: &str, session: Option<&SessionId>, body: &str) -> DeadLetter {
    DeadLetter {
        id: id.to_owned(),
        reason: "refused",
        detail: "Meta refused it".to_owned(),
        phone_number_id: Some(number(NUMBER)),
        business_id: session.map(|_| acme().id),
        session: session.cloned(),
        message_id: Some(format!("wamid.{id}")),
        body: body.as_bytes().to_vec(),
        replay: ReplayPolicy::WhenServed,
        counted_as_answered: session.is_some(),
    }
}

pub(super) async fn bury(store: &Arc<dyn Store>, letter: &DeadLetter) {
    store.bury(letter).await.expect("the store answers");
}

/// Everything that is known stays known, nothing of it is answered, and who writes again is a stranger.
async fn assert_begins_anew(store: &Fresh, known: &[MailboxItem], former: &SessionId) {
    for item in known {
        for sender in [phone(PHONE), user(ANA), both(PHONE, ANA)] {
            let again = Arrivals::new(store).take(&sender, item).await;
            assert_eq!(again.0, Landed::Duplicate, "{}", item.id);
        }
    }
    let (landed, session) = Arrivals::new(store).take(&both(PHONE, ANA), &message(50)).await;
    assert!(matches!(landed, Landed::New { .. }));
    assert_ne!(session, *former);
    let conversation = talk(store, &session, &both(PHONE, ANA)).claim().await.conversation;
    assert_eq!((&conversation.mailbox, lines(&conversation)), (&vec![message(50)], vec![]));
    assert_eq!((conversation.customer.wa_id, conversation.customer.name), (Some(wa_id(PHONE)), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_forgotten_customer_is_found_anywhere() {
    let store = Fresh::prepared("forget").await;
    let talk = customer(&store).await;
    let envelope = |field: &str, who: &str| format!(r#"{{"payload":{{"{field}" : "{who}","text":"{WORD}"}}}}"#);
    bury(&store, &letter("turn", Some(&talk.session), WORD)).await;
    bury(&store, &letter("intake", None, &envelope("from", PHONE))).await;
    bury(&store, &letter("hidden", None, &envelope("from_user_id", ANA))).await;
    let others = "of somebody else";
    for (name, field, who) in [
        ("longer", "from", format!("{PHONE}0")),
        ("mentioned", "body", PHONE.to_owned()),
        ("pattern", "from_user_id", ANA.replace('.', "x")),
    ] {
        bury(&store, &letter(name, None, &envelope(field, &who).replace(WORD, others))).await;
    }
    let mut elsewhere = letter("elsewhere", None, &envelope("from", PHONE).replace(WORD, others));
    elsewhere.phone_number_id = Some(number("999"));
    bury(&store, &elsewhere).await;
    let stranger = Talk::of(&store, Some("acme"), "16505550000");
    stranger.receive(&[message(9)]).await;

    let forgotten = forget(&store, &talk.session).await;
    let expected = Forgotten { conversations: 1, messages: 3, dead_letters: 3, events: 0, identities: 2 };
    assert_eq!(forgotten, expected);
    assert_no_trace(&store).await;
    assert_eq!(traces(&store, others).await.len(), 4, "other people's letters are untouched");
    assert_eq!(stranger.claim().await.conversation.mailbox, [message(9)]);
    assert_eq!(forget(&store, &talk.session).await, Forgotten::default(), "there is nothing left");
    assert!(store.waiting_numbers().await.expect("the store answers").contains(&number(NUMBER)));
    let waiting = store.waiting_letters(&number(NUMBER), 10).await.expect("the store answers");
    assert!(waiting.iter().all(|letter| !["turn", "intake", "hidden"].contains(&letter.id.as_str())));
    assert_begins_anew(&store, &[secret(1), secret(2)], &talk.session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_unknown_is_forgotten() {
    let store = Fresh::open("nobody").await;
    let talk = Talk::new(&store);
    assert_eq!(forget(&store, &talk.session).await, Forgotten::default());
    for name in store.backend.collections().await {
        assert_eq!(store.backend.all(&name).await, [], "{name}");
    }
    talk.receive(&[message(1)]).await;
}

/// How far a turn had come when the customer was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Progress {
    Claimed,
    Committed,
    PartSent,
    Transcribed,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_is_forgotten_under_way_leaves_nothing() {
    use Progress::{Claimed, Committed, PartSent, Transcribed};
    for progress in [Claimed, Committed, PartSent, Transcribed] {
        let store = Fresh::open("under_way").await;
        let talk = customer(&store).await;
        let claim = talk.claim().await;
        let outbox = reply("r1", &[secret(2)], &[WORD, WORD]);
        if progress >= Committed {
            assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Committed);
        }
        if progress >= PartSent {
            assert!(talk.part_sent(&claim.lease, &outbox, 0, "wamid.r1.0").await);
        }
        if progress >= Transcribed {
            transcribe(&talk, &[secret(2)], &outbox).await;
        }
        forget(&store, &talk.session).await;
        assert_no_trace(&store).await;

        // The turn knows nothing of it and goes on, wherever it was.
        assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Fenced, "{progress:?}");
        for part in 0..2 {
            assert!(!talk.begin_try(&claim.lease, &outbox, part, 0).await, "nothing more is sent, {progress:?}");
            assert!(!talk.part_sent(&claim.lease, &outbox, part, "wamid.late").await);
            assert!(!talk.evidence(&outbox, part, "wamid.late").await);
        }
        transcribe(&talk, &[secret(1), secret(2)], &outbox).await;
        bury(&store, &letter("late", Some(&talk.session), WORD)).await;
        assert!(talk.settle_and_remember(&claim.lease, &[secret(2)], &memory()).await.is_none());
        assert!(!talk.postpone(&claim.lease, &failed(Duration::ZERO)).await);
        assert!(store.reread(&claim.lease).await.expect("the store answers").is_none());
        assert!(store.renew(std::slice::from_ref(&claim.lease), LONG).await.expect("the store answers").is_empty());
        assert!(!store.hand_over(&talk.session, LONG, Some(WORD)).await.expect("the store answers"));
        assert!(talk.try_claim("another", LONG).await.is_none(), "nothing is left to do");
        assert_no_trace(&store).await;
        assert_begins_anew(&store, &[secret(1), secret(2)], &talk.session).await;
        assert_no_trace(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_turn_writes_before_it_dies_is_erased_later() {
    let store = Fresh::open("dies").await;
    let talk = customer(&store).await;
    forget(&store, &talk.session).await;
    // It wrote, and died before it looked.
    let row = doc! { "_id": "late", "direction": "out", "conversation": talk.session.expose(), "body": WORD };
    store.backend.put("messages", row).await;
    assert_eq!(traces(&store, WORD).await.len(), 1);
    let due = async || {
        let due = store.forgotten_to_look_after(10).await.expect("the store answers");
        due.into_iter().filter(|session| *session == talk.session).collect::<Vec<_>>()
    };
    assert_eq!(due().await, [], "not all the time");
    let time_passes = doc! { "$set": { "look_after_at": DateTime::from_millis(0) } };
    store.change("conversations", talk.session.expose(), time_passes).await;
    assert_eq!(due().await, std::slice::from_ref(&talk.session));
    assert_eq!(forget(&store, &talk.session).await, Forgotten { messages: 1, ..Forgotten::default() });
    assert_no_trace(&store).await;
    assert_eq!(due().await, []);
}

/// What is written first about a customer who is to be forgotten; then the worker dies.
async fn close(store: &Fresh, talk: &Talk, waiting: &[MailboxItem]) {
    let session = talk.session.expose();
    let item = |item: &MailboxItem| {
        let timestamp = DateTime::from_millis(item.timestamp.as_millisecond());
        doc! { "id": item.id.expose(), "phone_number_id": item.phone_number_id.expose(), "timestamp": timestamp }
    };
    let closed = doc! {
        "_id": session, "business_id": acme().id.0, "subdomain": "acme", "epoch": 9_i64, "merged_into": session,
        "customer": { "wa_id": PHONE, "user_id": ANA }, "mailbox": waiting.iter().map(item).collect::<Vec<_>>(),
        "forgotten_at": DateTime::now(), "look_after_at": DateTime::now(),
    };
    store.backend.put("conversations", closed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_while_forgetting_the_next_one_goes_on() {
    if !Backend::STEPWISE {
        // Nobody dies between closing and erasing where both are one transaction.
        return;
    }
    let store = Fresh::open("half").await;
    let talk = customer(&store).await;
    bury(&store, &letter("turn", Some(&talk.session), WORD)).await;
    close(&store, &talk, &[secret(2)]).await;
    assert_eq!(Arrivals::new(&store).take(&phone(PHONE), &secret(2)).await.0, Landed::Duplicate);
    assert_eq!(traces(&store, WORD).await.len(), 3, "question, answer, letter");
    // A new message waits for nobody, and leaves nothing behind.
    assert_begins_anew(&store, &[secret(2)], &talk.session).await;
    assert_no_trace(&store).await;
}

/// Looks until something is found: a look knows the database's clock to within the time of a request only.
async fn to_look_after(store: &Fresh) -> Vec<SessionId> {
    let looking = async {
        loop {
            let found = store.forgotten_to_look_after(10).await.expect("the store answers");
            if !found.is_empty() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, looking).await.expect("it is found")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_while_forgetting_one_of_two_conversations_the_next_one_forgets_the_other() {
    if !Backend::STEPWISE {
        // Both are forgotten in one transaction.
        return;
    }
    for steps in 0..3 {
        let store = Fresh::prepared("half_of_two").await;
        let (old, new) = two_of_one(&store).await;
        for _ in 0..steps {
            store.backend.merge_step(&old.session, AT_ONCE).await;
        }
        close(&store, &new, &[secret(4)]).await;
        assert_eq!(to_look_after(&store).await, std::slice::from_ref(&new.session));
        if steps % 2 == 0 {
            store.merge(&old.session, AT_ONCE).await.expect("the store answers");
        }
        forget(&store, &new.session).await;
        assert_no_trace(&store).await;
        assert_begins_anew(&store, &[secret(1), secret(2), secret(3), secret(4)], &new.session).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_lands_while_its_customer_is_forgotten_is_forgotten_or_begins_anew() {
    for n in 0..10 {
        let store = Fresh::open("at_once").await;
        let talk = customer(&store).await;
        let workers: Vec<_> = (0..4).map(|_| Arrivals::new(&store)).collect();
        for worker in &workers {
            worker.session(&both(PHONE, ANA)).await;
        }
        let taking = workers.iter().zip(10..).map(|(worker, n)| async move {
            tokio::time::sleep(Duration::from_millis(u64::from(n % 4) * 2)).await;
            worker.take(&both(PHONE, ANA), &message(n)).await
        });
        let forgetting = async {
            tokio::time::sleep(Duration::from_millis(n)).await;
            forget(&store, &talk.session).await
        };
        let (taken, _) = futures_util::future::join(join_all(taking), forgetting).await;
        let begun: Vec<_> = taken.iter().map(|(_, session)| session).filter(|to| **to != talk.session).collect();
        assert!(begun.iter().all(|session| *session == begun[0]), "one conversation: {begun:?}");
        assert_no_trace(&store).await;
        // Each of them waits in the new conversation, or is known and forgotten.
        let waiting = match begun.first() {
            Some(session) => {
                let state = store.state(session).await.expect("the store answers").expect("it is there");
                state.mailbox.into_iter().map(|waiting| waiting.item.id).collect()
            }
            None => Vec::new(),
        };
        for (item, (_, session)) in (10..14).map(message).zip(&taken) {
            let known = *session == talk.session;
            assert_eq!(waiting.contains(&item.id), !known, "{}", item.id);
            let again = Arrivals::new(&store).take(&both(PHONE, ANA), &item).await;
            assert_eq!(again.0, Landed::Duplicate, "{}", item.id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_was_too_large_for_the_mailbox_is_forgotten_too() {
    let store = Fresh::open("large").await;
    let talk = customer(&store).await;
    let mut large = secret(3);
    let (session, business_id) = (&talk.session, &talk.business);
    let inbound =
        Inbound { session, business_id, item: &large, kind: "text", answered: false, words: None, taken_back: false };
    store.record_inbound(&inbound).await.expect("the store answers");
    large.message = None;
    talk.receive(std::slice::from_ref(&large)).await;
    forget(&store, &talk.session).await;
    assert_no_trace(&store).await;
    assert_begins_anew(&store, &[secret(1), secret(2), secret(3)], &talk.session).await;
}

/// What a customer wrote with the number alone, and with the user id alone; and that they are to be one.
pub(super) async fn two_of_one(store: &Fresh) -> (Talk, Talk) {
    let arrivals = Arrivals::new(store);
    let mut talks = Vec::new();
    for (sender, n) in [(phone(PHONE), 1), (user(ANA), 3)] {
        let session = arrivals.take(&sender, &secret(n)).await.1;
        let talk = talk(store, &session, &sender);
        let claim = talk.claim().await;
        turn(&talk, &claim.lease, &[secret(n)], &format!("r{n}")).await;
        arrivals.take(&sender, &secret(n + 1)).await;
        talks.push(talk);
    }
    let (new, old) = (talks.pop().expect("two"), talks.pop().expect("two"));
    let (business, phone, user_id) = (acme(), wa_id(PHONE), user_id(ANA));
    let (business_id, subdomain) = (&business.id, business.subdomain.as_ref());
    let (from, into) = (&old.session, &new.session);
    let request = MergeRequest { business_id, subdomain, from, into, phone: Some(&phone), user_id: &user_id };
    store.request_merge(&request).await.expect("the store answers");
    (old, new)
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_that_are_being_merged_are_forgotten_together() {
    for steps in 0..4 {
        for either in 0..2 {
            let store = Fresh::prepared("together").await;
            let (old, new) = two_of_one(&store).await;
            for _ in 0..steps {
                store.backend.merge_step(&old.session, AT_ONCE).await;
            }
            let forgotten = forget(&store, [&old.session, &new.session][either]).await;
            assert_eq!((forgotten.conversations, forgotten.messages), (2, 6), "after {steps} steps");
            assert_no_trace(&store).await;
            let step = store.merge(&old.session, AT_ONCE).await.expect("the store answers");
            assert_eq!(step, MergeStep::Nothing);
            assert_begins_anew(&store, &[secret(1), secret(2), secret(3), secret(4)], &new.session).await;
            assert_no_trace(&store).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_races_with_forgetting_brings_nothing_back() {
    for n in 0..12 {
        let store = Fresh::prepared("race").await;
        let (old, new) = two_of_one(&store).await;
        let merging = join_all((0..3).map(|_| store.merge(&old.session, AT_ONCE)));
        let forgetting = async {
            tokio::time::sleep(Duration::from_millis(n * 2)).await;
            forget(&store, &new.session).await
        };
        futures_util::future::join(merging, forgetting).await;
        // As the loop that finishes merges and forgetting does.
        store.merge(&old.session, AT_ONCE).await.expect("the store answers");
        for session in [&old.session, &new.session] {
            forget(&store, session).await;
        }
        assert_no_trace(&store).await;
        assert_begins_anew(&store, &[secret(1), secret(2), secret(3), secret(4)], &new.session).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_nobody_can_read_can_be_forgotten() {
    let store = Fresh::open("unreadable").await;
    let talk = customer(&store).await;
    let unreadable = doc! { "$set": { "attempts": "many", "mailbox": WORD, "answered": [WORD], "windows": 5 } };
    store.change("conversations", talk.session.expose(), unreadable).await;
    assert_eq!(forget(&store, &talk.session).await.conversations, 1);
    assert_no_trace(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_businesss_conversation_with_the_same_customer_stays() {
    let store = Fresh::open("two").await;
    let talk = customer(&store).await;
    let beta = business("b2", Some("beta"));
    let resolved = identities(&store).resolve(&beta, &both(PHONE, ANA)).await.expect("the store answers");
    let theirs = Talk {
        session: resolved.expect("the sender has an id"),
        business: beta.id.clone(),
        ..Talk::of(&store, Some("beta"), PHONE)
    };
    theirs.receive(&messages(1..3)).await;
    forget(&store, &talk.session).await;
    assert_eq!(ids(&theirs.claim().await.conversation.mailbox), ids(&messages(1..3)));
    let again = identities(&store).resolve(&beta, &both(PHONE, ANA)).await.expect("the store answers");
    assert_eq!(again, Some(theirs.session));
}
