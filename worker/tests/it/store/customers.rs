//! A customer as an operator names one: everything that is theirs is found and erased, and nothing of anybody else's.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{Binary, DateTime, Document, doc, spec::BinarySubtype};
use shared::{
    envelope::{Envelope, Kind},
    ids::{PhoneNumberId, SessionId, WabaId},
};
use worker::store::{
    AccountEvent, BusinessRecord, CustomerKey, DeadLetter, Forgotten, Look, Remaining, Store, StoredCustomer,
};

use super::{
    Fresh, NUMBER, Talk,
    arrival::{Arrivals, acme, both, business, identities, phone, talk, user},
    forget::{ANA, PHONE, WORD, assert_no_trace, bury, customer, letter, secret, traces, two_of_one},
    hours, message, number, user_id, wa_id,
};

const WABA: &str = "215";
const MOST: u64 = 1_000;

/// A business's document, as far as it matters here.
async fn serve(store: &Fresh, id: &str, subdomain: &str, numbers: &[&str], waba: &str) -> BusinessRecord {
    let record = doc! { "_id": id, "subDomain": subdomain, "whatsappPhoneNumberIds": numbers, "wabaId": waba };
    store.backend.put("businesses", record).await;
    store.businesses_with_subdomain(subdomain).await.expect("the store answers").pop().expect("it is there")
}

async fn serve_acme(store: &Fresh) -> BusinessRecord {
    serve(store, &acme().id.0, "acme", &[NUMBER], WABA).await
}

fn by_phone() -> CustomerKey {
    CustomerKey::Phone(wa_id(PHONE))
}

async fn find(store: &Arc<dyn Store>, business: &BusinessRecord, key: &CustomerKey) -> StoredCustomer {
    store.find_customer(business, key).await.expect("the store answers")
}

async fn forget(store: &Arc<dyn Store>, business: &BusinessRecord, key: &CustomerKey) -> Forgotten {
    let found = find(store, business, key).await;
    store.forget_customer(&found).await.expect("the store answers")
}

/// What each collection holds, in the order of the documents.
async fn held(store: &Arc<dyn Store>, business: &BusinessRecord, key: &CustomerKey) -> Vec<u64> {
    let holdings = store.holdings(&find(store, business, key).await).await.expect("the store answers");
    holdings.iter().map(|holding| holding.documents).collect()
}

async fn look(store: &Arc<dyn Store>, business: &BusinessRecord, key: &CustomerKey) -> Look {
    store.look_for(&find(store, business, key).await, MOST).await.expect("the store answers")
}

/// What a look found in a collection: why it is there, and in how many documents.
fn found(look: &Look, collection: &str) -> Vec<(Remaining, u64)> {
    let looked = look.collections.iter().filter(|looked| looked.collection == collection);
    looked.flat_map(|looked| &looked.traces).map(|trace| (trace.remaining, trace.documents)).collect()
}

/// Records an event that had reached ingest by then.
async fn event_at(store: &Arc<dyn Store>, id: &str, to: Option<&str>, payload: &str, received_at: Timestamp) {
    let (number, waba) = (to.map(number), WabaId::parse(WABA).expect("an id"));
    let event = AccountEvent {
        id,
        field: "group_message",
        phone_number_id: number.as_ref(),
        waba_id: Some(&waba),
        received_at,
        payload,
    };
    store.record_event(&event).await.expect("the store answers");
}

async fn event(store: &Arc<dyn Store>, id: &str, to: Option<&str>, payload: &str) {
    event_at(store, id, to, payload, Timestamp::now()).await;
}

fn group_message(field: &str, who: &str, text: &str) -> String {
    format!(r#"{{"{field}":"{who}","id":"wamid.G","group_id":"Y2Fw","type":"text","text":{{"body":"{text}"}}}}"#)
}

/// A letter as intake files one that had reached ingest by then.
fn envelope_at(id: &str, who: &str, received_at: Timestamp) -> DeadLetter {
    let payload = format!(r#"{{"from":"{who}","type":"text","text":{{"body":"{WORD}"}}}}"#);
    let envelope = Envelope {
        kind: Kind::Message,
        phone_number_id: PhoneNumberId::parse(NUMBER).ok(),
        waba_id: None,
        contact: None,
        received_at: received_at.as_millisecond(),
        index: 0,
        payload: serde_json::value::RawValue::from_string(payload).expect("JSON"),
    };
    DeadLetter { body: envelope.encode(), ..letter(id, None, "") }
}

/// The next look of the housekeeping, whenever it is due.
async fn look_after(store: &Fresh) {
    for conversation in store.backend.all("conversations").await {
        if conversation.contains_key("forgotten_at") {
            let time_passes = doc! { "$set": { "look_after_at": DateTime::from_millis(0) } };
            store.change("conversations", conversation.get_str("_id").expect("a name"), time_passes).await;
        }
    }
    for session in store.forgotten_to_look_after(100).await.expect("the store answers") {
        store.forget(&session).await.expect("the store answers");
    }
}

/// Where a customer's number or user id still stands: in the names of closed conversations only.
async fn assert_only_names(store: &Fresh, ids: &[&str]) {
    for id in ids {
        for trace in traces(store, id).await {
            assert!(trace.starts_with("conversations: ") && trace.contains("forgotten_at"), "{id}: {trace}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_name_a_forgotten_customer_lose_what_they_say_and_stay_known() {
    let store = Fresh::prepared("events").await;
    let acme = serve_acme(&store).await;
    let talk = customer(&store).await;
    let number_change = format!(r#"{{"from":"49160","system":{{"body":"{WORD}","wa_id":"{PHONE}"}},"type":"system"}}"#);
    let id_change = format!(
        r#"{{"field":"user_id_update","value":{{"user_id_update":[{{"user_id":{{"previous":"{ANA}","current":"US.2"}},"x":"{WORD}"}}]}}}}"#
    );
    let theirs = [
        ("group", Some(NUMBER), group_message("from", PHONE, WORD)),
        ("hidden", Some(NUMBER), group_message("from_user_id", ANA, WORD)),
        ("plus", Some(NUMBER), group_message("from", &format!("+{PHONE}"), WORD)),
        ("a number", Some(NUMBER), format!(r#"{{"from": {PHONE}, "x": "{WORD}"}}"#)),
        ("number", Some(NUMBER), number_change),
        ("id", None, id_change),
        // As they were recorded before events knew the number.
        ("old", None, group_message("from", PHONE, WORD)),
    ];
    for (id, to, payload) in &theirs {
        event(&store, id, *to, payload).await;
    }
    let others = "of somebody else";
    for (id, to, who) in [
        ("elsewhere", Some("999"), PHONE.to_owned()),
        ("stranger", Some(NUMBER), format!("{PHONE}0")),
        ("pattern", Some(NUMBER), ANA.replace('.', "x")),
    ] {
        event(&store, id, to, &group_message("from", &who, others)).await;
    }
    event(&store, "mention", Some(NUMBER), &group_message("from", "49160", &format!("{others}: {PHONE}"))).await;
    let unset = doc! { "$unset": { "phone_number_id": "", "received_at": "" } };
    store.change("account_events", "old", unset).await;

    let forgotten = store.forget(&talk.session).await.expect("the store answers");
    assert_eq!(forgotten.events, 7);
    assert_no_trace(&store).await;
    assert_eq!(traces(&store, others).await.len(), 4, "other people's events are untouched");
    for (id, to, payload) in &theirs {
        assert!(store.has_event(id).await.expect("the store answers"), "{id}");
        event(&store, id, *to, payload).await;
    }
    assert_no_trace(&store).await;
    assert_eq!(store.forget(&talk.session).await.expect("the store answers"), Forgotten::default());
    let seen = look(&store, &acme, &by_phone()).await;
    assert_eq!(found(&seen, "account_events"), [(Remaining::OfOthers, 1)], "the one that mentions the number");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_intake_still_had_in_hand_is_erased_by_the_next_look_and_what_came_later_stays() {
    let store = Fresh::prepared("in_hand").await;
    let acme = serve_acme(&store).await;
    let talk = customer(&store).await;
    let known = find(&store, &acme, &by_phone()).await;
    store.forget_customer(&known).await.expect("the store answers");
    assert_no_trace(&store).await;
    let (before, after) = (Timestamp::now() - hours(1), Timestamp::now() + SignedDuration::from_mins(1));
    for (n, who) in [PHONE, ANA].into_iter().enumerate() {
        let payload = |text| group_message(if who == ANA { "from_user_id" } else { "from" }, who, text);
        event_at(&store, &format!("late {n}"), Some(NUMBER), &payload(WORD), before).await;
        event_at(&store, &format!("new {n}"), Some(NUMBER), &payload("another day"), after).await;
    }
    bury(&store, &envelope_at("late", PHONE, before)).await;
    assert_eq!(traces(&store, WORD).await.len(), 3);
    let seen = store.look_for(&known, MOST).await.expect("the store answers");
    assert_eq!(seen.left(), 5, "an operator sees them");
    assert_eq!(
        look(&store, &acme, &by_phone()).await.left(),
        3,
        "nothing tells any more that both ids are one customer's"
    );

    bury(&store, &envelope_at("new", PHONE, after)).await;
    look_after(&store).await;
    let left = traces(&store, WORD).await;
    assert!(left.len() == 1 && left[0].contains(r#""new""#), "{left:?}");
    assert_eq!(traces(&store, "another day").await.len(), 2);
    // The operator means them too.
    let again = store.forget_customer(&known).await.expect("the store answers");
    assert_eq!((again.conversations, again.dead_letters, again.events), (0, 1, 2));
    assert_no_trace(&store).await;
    assert_eq!(store.forget(&talk.session).await.expect("the store answers"), Forgotten::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_the_same_by_whatever_name_and_nothing_names_them_afterwards() {
    for steps in [0, 1, 4] {
        for key in 0..5 {
            let store = Fresh::prepared("names").await;
            let acme = serve_acme(&store).await;
            let (old, new) = two_of_one(&store).await;
            for _ in 0..steps {
                store.backend.merge_step(&old.session, super::AT_ONCE).await;
            }
            bury(&store, &letter("turn", Some(&new.session), WORD)).await;
            event(&store, "group", Some(NUMBER), &group_message("from", PHONE, WORD)).await;
            event(&store, "hidden", Some(NUMBER), &group_message("from_user_id", ANA, WORD)).await;
            let keys = [
                by_phone(),
                CustomerKey::User(user_id(ANA)),
                CustomerKey::Session(old.session.clone()),
                CustomerKey::Session(new.session.clone()),
                by_phone(),
            ];
            let key = &keys[key];
            assert_eq!(held(&store, &acme, key).await, [2, 4, 2, 1, 2], "{key:?} after {steps} steps");
            let forgotten = forget(&store, &acme, key).await;
            let (messages, identities) = (6, 2);
            let expected = Forgotten { conversations: 2, messages, dead_letters: 1, events: 2, identities };
            assert_eq!(forgotten, expected, "{key:?} after {steps} steps");
            assert_no_trace(&store).await;
            assert_only_names(&store, &[PHONE, ANA]).await;
            for key in [by_phone(), CustomerKey::User(user_id(ANA)), CustomerKey::Session(old.session.clone())] {
                assert_eq!(held(&store, &acme, &key).await, [0; 5]);
                assert!(find(&store, &acme, &key).await.forgotten_at.is_some(), "{key:?}");
                let seen = look(&store, &acme, &key).await;
                assert_eq!(seen.left(), 0, "{seen:?}");
                assert!(matches!(found(&seen, "conversations")[..], [(Remaining::Closed, _)]), "{seen:?}");
                assert_eq!(forget(&store, &acme, &key).await, Forgotten::default(), "once is enough");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_found_by_the_number_that_people_know_where_meta_writes_another() {
    let (known, metas) = ("5511987654321", "551187654321");
    let typed = CustomerKey::Phone(wa_id(known));
    let store = Fresh::prepared("forms").await;
    let acme = serve_acme(&store).await;
    let (_, session) = Arrivals::new(&store).take(&phone(metas), &secret(1)).await;
    assert_eq!(held(&store, &acme, &typed).await[0], 1);
    assert_eq!(forget(&store, &acme, &typed).await.conversations, 1);
    assert_no_trace(&store).await;
    assert!(find(&store, &acme, &typed).await.forgotten_at.is_some());
    Arrivals::new(&store).take(&phone(metas), &secret(4)).await;
    assert_eq!(forget(&store, &acme, &typed).await.conversations, 1, "whoever writes again can be forgotten again");
    assert_no_trace(&store).await;
    // Who is known by what was typed is meant, and nobody else.
    Arrivals::new(&store).take(&phone(known), &secret(2)).await;
    let (_, others) = Arrivals::new(&store).take(&phone(metas), &secret(3)).await;
    assert_ne!(others, session, "it was forgotten");
    let found = find(&store, &acme, &typed).await;
    assert!(!found.whose.sessions.contains(others.expose()), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_had_a_conversation_is_erased_from_letters_and_events() {
    let store = Fresh::prepared("none").await;
    let acme = serve_acme(&store).await;
    let now = Timestamp::now();
    bury(&store, &envelope_at("unserved", PHONE, now)).await;
    // Handling it panicked, so that nobody read the number.
    let panicked = DeadLetter { phone_number_id: None, ..envelope_at("panicked", PHONE, now) };
    bury(&store, &panicked).await;
    let failed = format!(
        r#"{{"v":1,"payload":{{"id":"wamid.F","status":"failed","biz_opaque_callback_data":"v1:acme:{PHONE}:r1:0:1","x":"{WORD}"}}}}"#
    );
    event(&store, "group", Some(NUMBER), &group_message("from", PHONE, WORD)).await;
    assert_eq!(held(&store, &acme, &by_phone()).await, [0, 0, 0, 2, 1]);
    let forgotten = forget(&store, &acme, &by_phone()).await;
    assert_eq!(forgotten, Forgotten { dead_letters: 2, events: 1, ..Forgotten::default() });
    assert_no_trace(&store).await;
    assert_only_names(&store, &[PHONE]).await;
    assert_eq!(look(&store, &acme, &by_phone()).await.left(), 0);
    // A status names the conversation at least.
    bury(&store, &letter("failed", None, &failed)).await;
    assert_eq!(forget(&store, &acme, &by_phone()).await.dead_letters, 1);
    assert_no_trace(&store).await;
    // Who writes again is a stranger, and is answered.
    let (_, session) = Arrivals::new(&store).take(&phone(PHONE), &message(1)).await;
    assert!(session.has_former_owner(), "{session}");
    assert_eq!(held(&store, &acme, &by_phone()).await, [1, 0, 1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_after_closing_the_names_of_a_customer_the_next_one_erases_the_rest() {
    let store = Fresh::prepared("names_only").await;
    let acme = serve_acme(&store).await;
    bury(&store, &envelope_at("unserved", PHONE, Timestamp::now())).await;
    event(&store, "group", Some(NUMBER), &group_message("from_user_id", ANA, WORD)).await;
    let session = format!("acme:{PHONE}");
    let closed = doc! {
        "_id": &session, "business_id": &acme.id, "subdomain": "acme", "customer": { "ids": [PHONE, ANA] },
        "numbers": [NUMBER], "epoch": 0_i64, "merged_into": &session,
        "forgotten_at": DateTime::now(), "look_after_at": DateTime::now(),
    };
    store.backend.put("conversations", closed).await;
    assert_eq!(held(&store, &acme, &by_phone()).await, [1, 0, 0, 1, 1], "what is not finished is not forgotten");
    look_after(&store).await;
    assert_no_trace(&store).await;
    assert_only_names(&store, &[PHONE, ANA]).await;
    assert_eq!(held(&store, &acme, &by_phone()).await, [0; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owners_of_one_number_are_forgotten_one_by_one() {
    const BEN: &str = "US.2222";
    for former in [true, false] {
        let store = Fresh::prepared("owners").await;
        let acme = serve_acme(&store).await;
        let talk_of_ana = customer(&store).await;
        let (_, of_ben) = Arrivals::new(&store).take(&both(PHONE, BEN), &message(20)).await;
        assert_ne!(of_ben, talk_of_ana.session);
        if former {
            let forgotten = forget(&store, &acme, &CustomerKey::User(user_id(ANA))).await;
            assert_eq!((forgotten.conversations, forgotten.identities), (1, 1));
            assert_no_trace(&store).await;
            // Nor does a later look take the number for theirs.
            event_at(&store, "ben", Some(NUMBER), &group_message("from", PHONE, "ben's"), Timestamp::UNIX_EPOCH).await;
            look_after(&store).await;
            assert_eq!(traces(&store, "ben's").await.len(), 1);
            let waiting = talk(&store, &of_ben, &both(PHONE, BEN)).claim().await.conversation.mailbox;
            assert_eq!(waiting, [message(20)]);
            let seen = look(&store, &acme, &CustomerKey::Session(talk_of_ana.session.clone())).await;
            assert_eq!(seen.left(), 0, "{seen:?}");
        } else {
            assert_eq!(forget(&store, &acme, &by_phone()).await.conversations, 1);
            assert_eq!(traces(&store, "message 20").await, [""; 0]);
            let seen = look(&store, &acme, &by_phone()).await;
            assert_eq!(seen.left(), 0, "{seen:?}");
            assert!(found(&seen, "conversations").contains(&(Remaining::OfOthers, 1)), "{seen:?}");
            assert_eq!(ids_in_mailbox(&store, &talk_of_ana.session).await, 1, "the former owner's waits");
            assert_eq!(forget(&store, &acme, &by_phone()).await, Forgotten::default());
            assert_eq!(ids_in_mailbox(&store, &talk_of_ana.session).await, 1);
        }
    }
}

async fn ids_in_mailbox(store: &Arc<dyn Store>, session: &SessionId) -> usize {
    store.state(session).await.expect("the store answers").expect("it is there").mailbox.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_of_another_business_with_the_same_number_keeps_everything() {
    let store = Fresh::prepared("another").await;
    let acme = serve_acme(&store).await;
    // Even of the same account.
    let beta = serve(&store, "b2", "beta", &["999"], WABA).await;
    customer(&store).await;
    let of_beta = business("b2", Some("beta"));
    let resolved = identities(&store).resolve(&of_beta, &both(PHONE, ANA)).await.expect("the store answers");
    let session = resolved.expect("the sender has an id");
    let theirs = Talk { session: session.clone(), business: of_beta.id, ..Talk::of(&store, Some("beta"), PHONE) };
    let mut item = message(1);
    item.phone_number_id = number("999");
    theirs.receive(&[item]).await;
    let mut filed = letter("beta's", None, &format!(r#"{{"from":"{PHONE}","x":"beta's"}}"#));
    filed.phone_number_id = Some(number("999"));
    bury(&store, &filed).await;
    bury(&store, &letter("beta's turn", Some(&session), "beta's")).await;
    event(&store, "beta's group", Some("999"), &group_message("from", PHONE, "beta's")).await;
    let invoice = doc! { "_id": "one", "business": "b2", "phone": format!("+{PHONE}") };
    store.backend.put("invoices", invoice).await;
    let before = held(&store, &beta, &by_phone()).await;
    assert_eq!(before, [1, 0, 2, 2, 1]);

    assert_eq!(forget(&store, &acme, &by_phone()).await.conversations, 1);
    assert_no_trace(&store).await;
    assert_eq!(held(&store, &beta, &by_phone()).await, before);
    let seen = look(&store, &acme, &by_phone()).await;
    assert_eq!(seen.left(), 0, "{seen:?}");
    assert_eq!(found(&seen, "invoices"), [(Remaining::OfAnotherBusiness, 1)]);
    assert_eq!(look(&store, &beta, &by_phone()).await.left(), 7, "and the invoice");
    // One business's operator does not reach another's customers by the name of a conversation.
    assert_eq!(forget(&store, &acme, &CustomerKey::Session(session)).await, Forgotten::default());
    assert_eq!(held(&store, &beta, &by_phone()).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_goes_through_collections_that_nobody_here_knows_and_says_where_it_stopped() {
    let store = Fresh::prepared("unknown").await;
    let acme = serve_acme(&store).await;
    customer(&store).await;
    let of_others = Arrivals::new(&store).take(&user("US.3333"), &mentioning(30)).await.1;
    forget(&store, &acme, &by_phone()).await;
    let strange: Vec<Document> = vec![
        doc! { "_id": "a", "who": { "phone": "+1 (650) 555-1234" } },
        doc! { "_id": "b", "notes": [{ "by": format!("user {ANA}") }] },
        doc! { "_id": "c", "business": &acme.id, "number": 16_505_551_234_i64 },
        doc! { "_id": "d", "of": "somebody else", "phone": "16505551235" },
    ];
    for document in strange {
        store.backend.put("crm", document).await;
    }
    let bytes = Binary { subtype: BinarySubtype::Generic, bytes: [b"\xff", PHONE.as_bytes()].concat() };
    let letter = doc! { "_id": "bytes", "reason": "undecodable", "body": bytes, "count": 1_i64 };
    store.backend.put("dead_letters", letter).await;

    let mut known = find(&store, &acme, &by_phone()).await;
    known.extend(find(&store, &acme, &CustomerKey::User(user_id(ANA))).await);
    let seen = store.look_for(&known, MOST).await.expect("the store answers");
    assert_eq!(found(&seen, "crm"), [(Remaining::Theirs, 3)], "{seen:?}");
    assert_eq!(found(&seen, "dead_letters"), [(Remaining::Theirs, 1)], "no pattern reads bytes");
    assert_eq!(found(&seen, "conversations"), [(Remaining::Closed, 2), (Remaining::OfOthers, 1)], "{of_others}");
    assert_eq!(seen.left(), 4);
    let crm = seen.collections.iter().find(|looked| looked.collection == "crm").expect("it was looked through");
    assert_eq!(crm.traces[0].fields.iter().collect::<Vec<_>>(), ["notes.by", "number", "who.phone"]);
    assert!(seen.collections.iter().all(|looked| looked.collection != "businesses" && !looked.stopped_early));

    let hasty = store.look_for(&known, 2).await.expect("the store answers");
    let crm = hasty.collections.iter().find(|looked| looked.collection == "crm").expect("it was looked through");
    assert!(crm.stopped_early && crm.documents == 2, "{crm:?}");
}

/// Somebody else writes of the customer's number.
fn mentioning(n: u32) -> worker::conversation::MailboxItem {
    let mut item = message(n);
    item.message = Some(format!(r#"{{"type":"text","text":{{"body":"call {PHONE}"}}}}"#));
    item
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_again_after_being_forgotten_is_seen_and_can_be_forgotten_again() {
    let store = Fresh::prepared("again").await;
    let acme = serve_acme(&store).await;
    customer(&store).await;
    forget(&store, &acme, &by_phone()).await;
    let (_, anew) = Arrivals::new(&store).take(&both(PHONE, ANA), &secret(40)).await;
    assert_eq!(held(&store, &acme, &by_phone()).await, [1, 0, 2, 0, 0]);
    look_after(&store).await;
    assert_eq!(ids_in_mailbox(&store, &anew).await, 1, "what came later is another story");
    assert_eq!(forget(&store, &acme, &by_phone()).await.conversations, 1);
    assert_no_trace(&store).await;
    assert_only_names(&store, &[PHONE, ANA]).await;
    let sessions: Vec<_> = find(&store, &acme, &by_phone()).await.sessions().collect();
    assert!(sessions.contains(&anew), "{sessions:?}");
}
