//! Landing: into the mailbox once, in the customer's order, due when the customer has finished.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use worker::{
    conversation::{Customer, MailboxItem, MemoryTurn, Speaker},
    store::{Inbound, Landed, Memory},
};

use super::{
    Fresh, LONG, NUMBER, Talk, failed, hours, id, ids, lines, message, message_at, messages, number, reply,
    to_the_other_number, user_id, wa_id,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_message_begins_the_conversation() {
    let store = Fresh::open("first").await;
    let talk = Talk::new(&store);
    let item = message(1);
    assert_eq!(talk.land(&item).await, Landed::New { due_in: Duration::ZERO, first: true });
    let before = Timestamp::now() - SignedDuration::from_mins(1);
    let conversation = talk.claim().await.conversation;
    assert_eq!(conversation.id, talk.session);
    assert_eq!(conversation.business_id, talk.business);
    assert_eq!(conversation.subdomain, talk.subdomain);
    assert_eq!(conversation.customer, talk.customer);
    assert_eq!(conversation.mailbox, [item]);
    assert_eq!((&conversation.outbox, lines(&conversation)), (&None, vec![]));
    assert_eq!((conversation.attempts, conversation.takeovers), (0, 0));
    assert_eq!((conversation.ai_failing_since, conversation.handed_over_until), (None, None));
    assert!(conversation.claimed_at > before, "{}", conversation.claimed_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_deliveries_of_a_body_that_land_interleaved_keep_its_order() {
    let store = Fresh::open("interleaved").await;
    let talk = Talk::new(&store);
    let written = message(1).timestamp;
    let of = |n: u32, position: u32, delivery: i64| {
        let received_at = message(1).received_at + SignedDuration::from_millis(delivery);
        MailboxItem { timestamp: written, received_at, index: position, ..message(n) }
    };
    // The second message is taken from the earlier delivery, the first one from the later.
    for item in [of(1, 0, 5), of(1, 0, 0), of(2, 1, 0), of(2, 1, 5)] {
        talk.land(&item).await;
    }
    assert_eq!(ids(&talk.claim().await.conversation.mailbox), ids(&[of(1, 0, 0), of(2, 1, 0)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_or_was_answered_does_not_land_again() {
    let store = Fresh::open("again").await;
    let talk = Talk::new(&store);
    let items = messages(0..3);
    talk.receive(&items).await;
    assert_eq!(talk.land(&items[1]).await, Landed::Duplicate);
    talk.answer(&items[..2]).await;
    assert_eq!(talk.land(&items[0]).await, Landed::Duplicate, "answered");
    assert_eq!(talk.land(&items[1]).await, Landed::Duplicate, "answered");
    assert_eq!(talk.land(&items[2]).await, Landed::Duplicate, "waits");
    assert_eq!(talk.claim().await.conversation.mailbox, items[2..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_makes_nothing_due() {
    let store = Fresh::open("duplicate").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    talk.answer(&[message(1)]).await;
    assert_eq!(talk.land(&message(1)).await, Landed::Duplicate);
    assert!(talk.try_claim("worker", LONG).await.is_none());
    assert_eq!(store.due(10, 10).await.expect("the store answers"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_us_is_no_flood() {
    let store = Fresh::open("backlog").await;
    let talk = Talk::new(&store);
    talk.receive(&messages(0..5)).await;
    talk.receive(&[message_at(7, Timestamp::now()), message_at(8, Timestamp::now())]).await;
    let minute = talk.claim().await.conversation.minute.expect("it began");
    assert_eq!(minute.messages, 2, "by when they were written");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_messages_that_meet_all_land() {
    let store = Fresh::open("meet").await;
    for customer in 0..8 {
        let talk = Talk::of(&store, Some("acme"), &format!("1650555{customer:04}"));
        let mut landing = JoinSet::new();
        for item in messages(0..16) {
            let talk = talk.clone();
            landing.spawn(async move { talk.land(&item).await });
        }
        let landed = landing.join_all().await;
        assert!(landed.iter().all(|landed| matches!(landed, Landed::New { .. })), "{landed:?}");
        assert_eq!(ids(&talk.claim().await.conversation.mailbox), ids(&messages(0..16)), "in the customer's order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_that_sixteen_land_at_once_lands_once() {
    let store = Fresh::open("once").await;
    for customer in 0..8 {
        let talk = Talk::of(&store, Some("acme"), &format!("1650555{customer:04}"));
        let mut landing = JoinSet::new();
        for _ in 0..16 {
            let talk = talk.clone();
            landing.spawn(async move { talk.land(&message(1)).await });
        }
        let landed = landing.join_all().await;
        assert_eq!(landed.iter().filter(|landed| matches!(landed, Landed::New { .. })).count(), 1, "{landed:?}");
        assert_eq!(landed.iter().filter(|landed| matches!(landed, Landed::Duplicate)).count(), 15, "{landed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_at_two_numbers_is_two_messages() {
    let store = Fresh::open("numbers").await;
    let talk = Talk::new(&store);
    let (one, other) = (message(1), to_the_other_number(message(1)));
    talk.receive(&[one.clone(), other.clone()]).await;
    assert_eq!(talk.land(&other).await, Landed::Duplicate);
    talk.answer(std::slice::from_ref(&one)).await;
    assert_eq!(talk.land(&one).await, Landed::Duplicate);
    assert_eq!(talk.claim().await.conversation.mailbox, [other]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mailbox_is_read_in_the_customers_order() {
    let store = Fresh::open("order").await;
    let talk = Talk::new(&store);
    let first = message(1);
    let mut second = first.clone();
    (second.id, second.index) = (id("wamid.second"), 1);
    let mut third = first.clone();
    (third.id, third.received_at) = (id("wamid.third"), first.received_at + SignedDuration::from_millis(1));
    let fourth = message(2);
    let order = [first, second, third, fourth];
    for n in [3, 1, 0, 2] {
        talk.receive(&order[n..=n]).await;
    }
    assert_eq!(talk.claim().await.conversation.mailbox, order);
}

/// A database must not read what people write as its own language.
#[tokio::test(flavor = "multi_thread")]
async fn texts_that_look_like_expressions_stay_what_they_are() {
    let store = Fresh::open("dollars").await;
    let mut talk = Talk::new(&store);
    talk.business.0 = "$business".to_owned();
    talk.customer.name = Some("$$REMOVE".to_owned());
    let mut item = message(1);
    item.id = id("$mailbox");
    let json = r#"{"$set":{"a.b":1},"":{"$":"$$NOW"},"text":{"body":"$5 off"},"n":1.0,"big":12345678901234567890}"#;
    item.message = Some(json.to_owned());
    let items = [item];
    talk.receive(&items).await;
    assert_eq!(talk.land(&items[0]).await, Landed::Duplicate);
    let claim = talk.claim().await;
    assert_eq!(claim.conversation.mailbox, items, "byte for byte");
    assert_eq!(claim.conversation.business_id.0, "$business");
    assert_eq!(claim.conversation.customer.name.as_deref(), Some("$$REMOVE"));

    let outbox = reply("$reply", &items, &["$outbox", "$$NOW"]);
    talk.commit(&claim.lease, &outbox).await;
    assert!(talk.part_sent(&claim.lease, &outbox, 0, "$wamid").await);
    let parts = talk.parts(&claim.lease).await;
    assert_eq!(parts.iter().map(|part| part.body.as_str()).collect::<Vec<_>>(), ["$outbox", "$$NOW"]);
    assert_eq!(parts[0].wamid, Some(id("$wamid")));
    let postponement = worker::store::Postponement { detail: "$memory".to_owned(), ..failed(Duration::ZERO) };
    assert!(talk.postpone(&claim.lease, &postponement).await);

    let said = vec![MemoryTurn { speaker: Speaker::Customer, text: "$$ROOT".to_owned() }];
    let memory = Memory { turns: said.clone(), ..Memory::default() };
    let lease = talk.claim_when_free("worker", LONG).await.lease;
    talk.settle_and_remember(&lease, &items, &memory).await.expect("the lease is held");
    assert_eq!(talk.land(&items[0]).await, Landed::Duplicate);
    talk.receive(&[message(2)]).await;
    assert_eq!(lines(&talk.claim().await.conversation), said);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_large_messages_fit_and_further_ones_leave_their_content_elsewhere() {
    let store = Fresh::open("large").await;
    let talk = Talk::new(&store);
    let large = |n: u32| {
        let mut item = message(n);
        item.message = Some(format!("{{\"body\":\"{}\"}}", "é".repeat(31 * 1024 / 2)));
        item
    };
    let items: Vec<_> = (0..200).map(large).collect();
    talk.receive(&items).await;
    assert_eq!(talk.land(&items[7]).await, Landed::Duplicate);
    let mut further = large(200);
    assert_eq!(talk.land(&further).await, Landed::NoRoomForContent);
    assert_eq!(talk.land(&further).await, Landed::NoRoomForContent, "nothing was changed");
    further.message = None;
    talk.receive(std::slice::from_ref(&further)).await;
    let claim = talk.claim().await;
    assert_eq!(claim.conversation.mailbox.len(), 201);
    assert_eq!(claim.conversation.mailbox[..200], items);
    assert_eq!(claim.conversation.mailbox[200], further);

    talk.settle(&claim.lease, &items[..50]).await.expect("the lease is held");
    assert!(matches!(talk.land(&large(201)).await, Landed::New { .. }), "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_transcript_tells_whether_an_old_message_was_answered() {
    let store = Fresh::open("floor").await;
    let talk = Talk::new(&store);
    // A day and a bit ago, each a second after the one before.
    let begin = Timestamp::now() - hours(25);
    let items: Vec<_> = (0..150).map(|n| message_at(n, begin + SignedDuration::from_secs(n.into()))).collect();
    talk.receive(&items).await;
    talk.answer(&items).await;

    for remembered in [50, 100, 149] {
        assert_eq!(talk.land(&items[remembered]).await, Landed::Duplicate, "{remembered}");
    }
    for forgotten in [0, 20, 49] {
        assert_eq!(talk.land(&items[forgotten]).await, Landed::AskTranscript, "{forgotten}");
    }
    assert!(talk.try_claim("worker", LONG).await.is_none(), "nothing was changed");

    let (session, business_id, number) = (&talk.session, &talk.business, number(NUMBER));
    let inbound =
        Inbound { session, business_id, item: &items[0], kind: "text", answered: true, words: None, taken_back: false };
    store.record_inbound(&inbound).await.expect("the store answers");
    assert!(store.was_answered(&number, &items[0].id).await.expect("the store answers"));

    // One that was delivered so late, and which the transcript does not know.
    let late = message_at(999, begin);
    assert_eq!(talk.land(&late).await, Landed::AskTranscript);
    assert!(!store.was_answered(&number, &late.id).await.expect("the store answers"));
    assert!(matches!(talk.land_again(&late, true).await, Landed::New { .. }));
    assert_eq!(talk.land_again(&late, true).await, Landed::Duplicate, "known is known");

    // The floor stays where it is while other messages come and go.
    talk.answer(&[late]).await;
    talk.receive(&[message(1_000)]).await;
    talk.answer(&[message(1_000)]).await;
    assert_eq!(talk.land(&items[49]).await, Landed::AskTranscript);
    let between = message_at(1_001, begin + SignedDuration::from_secs(200));
    assert!(matches!(talk.land(&between).await, Landed::New { .. }), "newer than all that is forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_within_a_day_is_remembered_however_much_it_is() {
    let store = Fresh::open("young").await;
    let talk = Talk::new(&store);
    let begin = Timestamp::now() - hours(23);
    let items: Vec<_> = (0..250).map(|n| message_at(n, begin + SignedDuration::from_secs(n.into()))).collect();
    for items in items.chunks(50) {
        talk.receive(items).await;
        talk.answer(items).await;
    }
    for item in [&items[0], &items[149], &items[249]] {
        assert_eq!(talk.land(item).await, Landed::Duplicate);
    }
    let older = message_at(999, begin - hours(1));
    assert!(matches!(talk.land(&older).await, Landed::New { .. }), "nothing was forgotten, so nothing is asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_message_is_forgotten_before_a_young_one() {
    let store = Fresh::open("mixed").await;
    let talk = Talk::new(&store);
    let old = message_at(0, Timestamp::now() - hours(30));
    let young: Vec<_> = (1..121).map(|n| message_at(n, Timestamp::now() - hours(2))).collect();
    talk.receive(&young[..10]).await;
    talk.receive(std::slice::from_ref(&old)).await;
    talk.receive(&young[10..]).await;
    // In this order, so that the old one stands among the young ones.
    talk.answer(&young[..10]).await;
    talk.answer(std::slice::from_ref(&old)).await;
    talk.answer(&young[10..]).await;
    assert_eq!(talk.land(&old).await, Landed::AskTranscript);
    for item in [&young[0], &young[9], &young[10], &young[119]] {
        assert_eq!(talk.land(item).await, Landed::Duplicate);
    }
}

/// A flood within a day: the ids are bounded, and what falls out is asked for, never answered again.
#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_ids_are_remembered_at_most() {
    let store = Fresh::open("bounded").await;
    let talk = Talk::new(&store);
    let begin = Timestamp::now() - hours(3);
    let at = |n: u32| message_at(n, begin + SignedDuration::from_secs(n.into()));
    talk.receive(&[at(0)]).await;
    talk.answer(&[at(0)]).await;
    // As if 5,000 had been answered since; landing them one by one would take a minute.
    let remembered: Vec<_> = (1..=5_000)
        .map(|n| {
            let timestamp = mongodb::bson::DateTime::from_millis(at(n).timestamp.as_millisecond());
            mongodb::bson::doc! { "id": at(n).id.expose(), "phone_number_id": NUMBER, "timestamp": timestamp }
        })
        .collect();
    let push = mongodb::bson::doc! { "$push": { "answered": { "$each": remembered } } };
    store.change("conversations", talk.session.expose(), push).await;

    talk.receive(&[at(5_001)]).await;
    talk.answer(&[at(5_001)]).await;
    assert_eq!(talk.land(&at(0)).await, Landed::AskTranscript);
    assert_eq!(talk.land(&at(1)).await, Landed::AskTranscript);
    assert_eq!(talk.land(&at(2)).await, Landed::Duplicate);
    assert_eq!(talk.land(&at(5_001)).await, Landed::Duplicate);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_due_after_the_quiet_time_and_at_the_ceiling_at_the_latest() {
    let store = Fresh::open("due").await;
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let quiet = Talk::of(&store, Some("acme"), "1001").quiet(minutes(5), minutes(20));
    assert_eq!(quiet.land(&message(1)).await, Landed::New { due_in: minutes(5), first: true });
    // Whoever lands within the same millisecond is the first one, too.
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(
        quiet.land(&message(2)).await,
        Landed::New { due_in: minutes(5), first: false },
        "the quiet time begins again"
    );
    assert!(quiet.try_claim("worker", LONG).await.is_none(), "not due yet");

    let impatient = Talk::of(&store, Some("acme"), "1002").quiet(minutes(5), minutes(2));
    assert_eq!(impatient.land(&message(1)).await, Landed::New { due_in: minutes(2), first: true });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let Landed::New { due_in, .. } = impatient.land(&message(2)).await else { panic!("it is new") };
    assert!(due_in <= minutes(2) - Duration::from_millis(50), "the ceiling counts from the first: {due_in:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_message_makes_no_retry_earlier() {
    let store = Fresh::open("retry").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    assert!(talk.postpone(&talk.claim().await.lease, &failed(LONG)).await);
    let Landed::New { due_in, .. } = talk.land(&message(2)).await else { panic!("it is new") };
    assert!(due_in > LONG - Duration::from_secs(60) && due_in <= LONG, "{due_in:?}");
    assert!(talk.try_claim("worker", LONG).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_retry_holds_nothing_up() {
    let store = Fresh::open("passed").await;
    let talk = Talk::new(&store).quiet(LONG, LONG);
    talk.receive(&[message(1)]).await;
    let talk = Talk::new(&store);
    talk.receive(&[message(2)]).await;
    assert!(talk.postpone(&talk.claim().await.lease, &failed(Duration::ZERO)).await);
    talk.claim_when_free("worker", LONG).await;
    let talk = talk.quiet(Duration::from_secs(60), LONG);
    assert_eq!(talk.land(&message(3)).await, Landed::New { due_in: Duration::from_secs(60), first: false });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_a_customer_grows() {
    let store = Fresh::open("customer").await;
    let mut talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    talk.customer =
        Customer { user_id: Some(user_id("US.1349")), name: Some("Ana".to_owned()), wa_id: None, language: None };
    talk.receive(&[message(2)]).await;
    talk.customer = Customer { name: Some("Ana B".to_owned()), ..Customer::default() };
    talk.receive(&[message(3)]).await;
    let known = talk.claim().await.conversation.customer;
    assert_eq!(known.wa_id, Some(wa_id("16505551234")));
    assert_eq!(known.user_id, Some(user_id("US.1349")));
    assert_eq!(known.name.as_deref(), Some("Ana B"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_stays_with_the_business_that_it_began_with() {
    let store = Fresh::open("stays").await;
    let talk = Talk::new(&store);
    talk.receive(&[message(1)]).await;
    let mut other = talk.clone();
    other.business.0 = "another business".to_owned();
    other.receive(&[message(2)]).await;
    let conversation = talk.claim().await.conversation;
    assert_eq!((conversation.business_id, conversation.mailbox.len()), (talk.business, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_without_a_subdomain_is_one_too() {
    let store = Fresh::open("bare").await;
    let talk = Talk::of(&store, None, "16505551234");
    talk.receive(&[message(1)]).await;
    let conversation = talk.claim().await.conversation;
    assert_eq!((conversation.id.expose(), conversation.subdomain), ("16505551234", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_follows_a_conversation_that_moved() {
    let store = Fresh::open("moved").await;
    let (old, new) = (Talk::of(&store, Some("acme"), "1001"), Talk::of(&store, Some("acme"), "1002"));
    old.receive(&[message(1)]).await;
    old.answer(&[message(1)]).await;
    let merged = mongodb::bson::doc! { "$set": { "merged_into": new.session.expose() } };
    store.change("conversations", old.session.expose(), merged).await;
    assert_eq!(old.land(&message(2)).await, Landed::Moved(new.session.clone()));
    assert!(old.try_claim("worker", LONG).await.is_none(), "nothing is due there");
}
