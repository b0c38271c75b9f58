//! Identities: one customer, one conversation; two customers, or two businesses, never share one.

use std::sync::Arc;

use std::time::Duration;

use shared::ids::SessionId;
use tokio::task::JoinSet;
use worker::{business::Business, conversation::Customer, message::Sender, store::Store};

use super::{
    Fresh, Talk,
    arrival::{acme, both, business, identities, phone, user},
    message,
};

const PHONE: &str = "16505551234";
const OTHER_PHONE: &str = "16505559876";
const ANA: &str = "US.1349";
const BEN: &str = "US.2718";

/// As another worker would, which has nothing cached.
async fn session(store: &Arc<dyn Store>, business: &Business, sender: &Sender) -> String {
    let resolved = identities(store).resolve(business, sender).await.expect("the store answers");
    resolved.expect("the sender has an id").expose().to_owned()
}

async fn rename(store: &Arc<dyn Store>, business: &Business, old: &Sender, new: &Sender) {
    identities(store).rename(business, old, new).await.expect("the store answers");
}

async fn find(store: &Arc<dyn Store>, business: &Business, sender: &Sender) -> Option<SessionId> {
    identities(store).find(business, sender).await.expect("the store answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_with_a_phone_number_has_the_session_of_that_name() {
    let store = Fresh::open("phone").await;
    for _ in 0..2 {
        assert_eq!(session(&store, &acme(), &phone(PHONE)).await, "acme:16505551234");
        assert_eq!(session(&store, &business("none", None), &phone(PHONE)).await, "16505551234");
    }
    let found = find(&store, &acme(), &phone(PHONE)).await.expect("it was begun");
    assert_eq!(found.expose(), "acme:16505551234");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ids_lead_to_one_session_whichever_comes_later() {
    let store = Fresh::open("both").await;
    for _ in 0..2 {
        assert_eq!(session(&store, &acme(), &both(PHONE, ANA)).await, "acme:16505551234");
        assert_eq!(session(&store, &acme(), &user(ANA)).await, "acme:16505551234");
        assert_eq!(session(&store, &acme(), &phone(PHONE)).await, "acme:16505551234");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_number_that_gets_a_user_id_keeps_its_session() {
    let store = Fresh::open("gets").await;
    assert_eq!(session(&store, &acme(), &phone(PHONE)).await, "acme:16505551234");
    assert_eq!(session(&store, &acme(), &both(PHONE, ANA)).await, "acme:16505551234");
    assert_eq!(session(&store, &acme(), &user(ANA)).await, "acme:16505551234");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_hid_the_number_keeps_the_session_when_showing_it() {
    let store = Fresh::open("hidden").await;
    assert_eq!(session(&store, &acme(), &user(ANA)).await, "acme:US.1349");
    assert_eq!(session(&store, &acme(), &both(PHONE, ANA)).await, "acme:US.1349");
    assert_eq!(session(&store, &acme(), &phone(PHONE)).await, "acme:US.1349");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_with_a_second_phone_keeps_the_session() {
    let store = Fresh::open("second").await;
    assert_eq!(session(&store, &acme(), &both(PHONE, ANA)).await, "acme:16505551234");
    assert_eq!(session(&store, &acme(), &both(OTHER_PHONE, ANA)).await, "acme:16505551234");
    assert_eq!(session(&store, &acme(), &phone(OTHER_PHONE)).await, "acme:16505551234");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recycled_number_is_a_new_person() {
    let store = Fresh::open("recycled").await;
    assert_eq!(session(&store, &acme(), &both(PHONE, ANA)).await, "acme:16505551234");
    for _ in 0..2 {
        assert_eq!(session(&store, &acme(), &both(PHONE, BEN)).await, "acme:US.2718");
        assert_eq!(session(&store, &acme(), &phone(PHONE)).await, "acme:US.2718", "the number is Ben's now");
        assert_eq!(session(&store, &acme(), &user(ANA)).await, "acme:16505551234", "Ana keeps her conversation");
    }
    assert_eq!(session(&store, &acme(), &both(OTHER_PHONE, ANA)).await, "acme:16505551234");
}

/// What the conversation of this customer would be answered to.
async fn recipient(store: &Arc<dyn Store>, sender: &Sender) -> (Option<String>, Option<String>) {
    let talk = talk(store, sender).await;
    let customer = talk.claim_when_free("worker", Duration::from_millis(1)).await.conversation.customer;
    (customer.wa_id.map(|id| id.expose().to_owned()), customer.user_id.map(|id| id.expose().to_owned()))
}

async fn talk(store: &Arc<dyn Store>, sender: &Sender) -> Talk {
    let mut talk = Talk::of(store, Some("acme"), PHONE);
    talk.session = SessionId::from_stored(session(store, &acme(), sender).await);
    talk.customer =
        Customer { wa_id: sender.wa_id.clone(), user_id: sender.user_id.clone(), name: None, language: None };
    talk
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_former_owner_is_still_to_be_told_does_not_go_to_the_new_one() {
    let store = Fresh::open("former").await;
    talk(&store, &both(PHONE, ANA)).await.receive(&[message(1)]).await;
    talk(&store, &both(PHONE, BEN)).await.receive(&[message(1)]).await;
    talk(&store, &user(ANA)).await.receive(&[message(2)]).await;
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(recipient(&store, &user(ANA)).await, (None, some(ANA)));
    assert_eq!(recipient(&store, &user(BEN)).await, (some(PHONE), some(BEN)));

    // Ben changes to a number that was another customer's.
    talk(&store, &both(OTHER_PHONE, "US.3")).await.receive(&[message(1)]).await;
    rename(&store, &acme(), &both(PHONE, BEN), &both(OTHER_PHONE, "US.4")).await;
    assert_eq!(recipient(&store, &user("US.4")).await, (some(OTHER_PHONE), some("US.4")));
    assert_eq!(recipient(&store, &user("US.3")).await, (None, some("US.3")));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_customer_of_two_businesses_has_two_sessions() {
    let store = Fresh::open("two").await;
    let beta = business("b2", Some("beta"));
    for sender in [phone(PHONE), user(ANA), both(OTHER_PHONE, BEN)] {
        let (one, other) = (session(&store, &acme(), &sender).await, session(&store, &beta, &sender).await);
        assert!(one.starts_with("acme:") && other.starts_with("beta:"), "{one} {other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_number_leads_to_the_old_conversation_and_the_old_number_to_none() {
    let store = Fresh::open("number").await;
    let begun = session(&store, &acme(), &both(PHONE, ANA)).await;
    // Meta may tell it twice.
    for _ in 0..2 {
        rename(&store, &acme(), &both(PHONE, ANA), &phone(OTHER_PHONE)).await;
        assert_eq!(session(&store, &acme(), &phone(OTHER_PHONE)).await, begun);
        assert_eq!(session(&store, &acme(), &user(ANA)).await, begun);
        assert_eq!(find(&store, &acme(), &phone(PHONE)).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_new_user_id_with_a_new_number_goes_on_in_their_conversation() {
    for old in [both(PHONE, ANA), phone(PHONE)] {
        for new in [both(OTHER_PHONE, BEN), both(OTHER_PHONE, ANA)] {
            let store = Fresh::open("moved").await;
            let begun = session(&store, &acme(), &old).await;
            rename(&store, &acme(), &old, &phone(OTHER_PHONE)).await;
            for known_by in [&new, &phone(OTHER_PHONE), &new] {
                assert_eq!(session(&store, &acme(), known_by).await, begun, "{old:?} {new:?} {known_by:?}");
            }
            // The same news of another of the business's numbers.
            rename(&store, &acme(), &old, &phone(OTHER_PHONE)).await;
            // The number's next owner is somebody else all the same.
            let next = session(&store, &acme(), &both(OTHER_PHONE, "DE.3333")).await;
            assert_ne!(next, begun);
            assert_eq!(session(&store, &acme(), &user(new.user_id.as_ref().expect("one").expose())).await, begun);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_somebody_who_had_the_number_later_change_nothing_of_its_former_owners() {
    let store = Fresh::open("news").await;
    let ana = session(&store, &acme(), &both(PHONE, ANA)).await;
    // Ben has her number by now, and has never written to acme.
    let (old, new) = (both(PHONE, BEN), both(PHONE, "US.3141"));
    assert_eq!(find(&store, &acme(), &old).await, None);
    rename(&store, &acme(), &old, &new).await;
    assert_ne!(session(&store, &acme(), &new).await, ana);
    assert_eq!(session(&store, &acme(), &user(ANA)).await, ana);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_a_number_that_somebody_gave_up_begins_a_conversation_of_their_own() {
    for known_by in [phone(PHONE), both(PHONE, ANA)] {
        for newcomer in [phone(PHONE), both(PHONE, BEN)] {
            let store = Fresh::open("given_up").await;
            let old = session(&store, &acme(), &known_by).await;
            rename(&store, &acme(), &phone(PHONE), &phone(OTHER_PHONE)).await;
            let new = session(&store, &acme(), &newcomer).await;
            assert_ne!(new, old, "{known_by:?} {newcomer:?}");
            assert_eq!(session(&store, &acme(), &newcomer).await, new, "and keeps it");
            assert_eq!(session(&store, &acme(), &phone(PHONE)).await, new);
            assert_eq!(session(&store, &acme(), &phone(OTHER_PHONE)).await, old);
            assert!(new.starts_with("acme:"), "{new}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_no_id_leads_to_any_more_is_nobody_elses() {
    let store = Fresh::open("orphan").await;
    // Ana was known by her number, then by her id alone, then by both: the later session wins.
    let orphan = session(&store, &acme(), &phone(PHONE)).await;
    Talk::of(&store, Some("acme"), PHONE).receive(&[message(1)]).await;
    let ana = session(&store, &acme(), &user(ANA)).await;
    assert_eq!(session(&store, &acme(), &both(PHONE, ANA)).await, ana);
    rename(&store, &acme(), &both(PHONE, ANA), &phone(OTHER_PHONE)).await;
    let newcomer = session(&store, &acme(), &phone(PHONE)).await;
    assert!(newcomer != orphan && newcomer != ana, "{newcomer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_id_leads_to_the_old_conversation_and_the_old_id_to_none() {
    let store = Fresh::open("user").await;
    let begun = session(&store, &acme(), &both(PHONE, ANA)).await;
    rename(&store, &acme(), &both(PHONE, ANA), &both(PHONE, BEN)).await;
    assert_eq!(session(&store, &acme(), &user(BEN)).await, begun);
    assert_eq!(find(&store, &acme(), &user(ANA)).await, None);
    assert_eq!(session(&store, &acme(), &both(PHONE, BEN)).await, begun, "the number is known to go with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_somebody_unknown_begins_nothing() {
    let store = Fresh::open("unknown").await;
    rename(&store, &acme(), &both(PHONE, ANA), &both(OTHER_PHONE, BEN)).await;
    for sender in [phone(PHONE), phone(OTHER_PHONE), user(ANA), user(BEN)] {
        assert_eq!(find(&store, &acme(), &sender).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_told_late_takes_nothing_from_the_numbers_new_owner() {
    let store = Fresh::open("late").await;
    let ana = session(&store, &acme(), &both(PHONE, ANA)).await;
    let ben = session(&store, &acme(), &both(PHONE, BEN)).await;
    rename(&store, &acme(), &both(PHONE, ANA), &phone(OTHER_PHONE)).await;
    assert_eq!(session(&store, &acme(), &phone(PHONE)).await, ben);
    assert_eq!(session(&store, &acme(), &phone(OTHER_PHONE)).await, ana);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_forgets_what_it_cached_when_a_customer_changes() {
    let store = Fresh::open("cached").await;
    let worker = identities(&store);
    let resolve = async |sender: &Sender| worker.resolve(&acme(), sender).await.expect("the store answers");
    let begun = resolve(&phone(PHONE)).await;
    worker.rename(&acme(), &phone(PHONE), &phone(OTHER_PHONE)).await.expect("the store answers");
    assert_eq!(resolve(&phone(OTHER_PHONE)).await, begun);
    assert_ne!(resolve(&phone(PHONE)).await, begun);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_who_meet_a_new_customer_agree_on_one_session() {
    let store = Fresh::open("sixteen").await;
    for round in 0..6 {
        let (number, id) = (format!("1650555{round:04}"), format!("US.{round}"));
        // What shows the number and what does not may arrive together only where one of them came before.
        let senders = match round % 3 {
            0 => vec![phone(&number)],
            1 => vec![both(&number, &id)],
            _ => vec![phone(&number), both(&number, &id)],
        };
        let mut resolving = JoinSet::new();
        for n in 0..16 {
            let (store, sender) = (Arc::clone(&store), senders[n % senders.len()].clone());
            resolving.spawn(async move { session(&store, &acme(), &sender).await });
        }
        let sessions = resolving.join_all().await;
        assert!(sessions.iter().all(|session| *session == format!("acme:{number}")), "{sessions:?}");
        for sender in &senders {
            assert_eq!(session(&store, &acme(), sender).await, sessions[0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_who_meet_the_new_owner_of_a_number_agree_on_one_session() {
    let store = Fresh::open("newcomer").await;
    let old = session(&store, &acme(), &phone(PHONE)).await;
    rename(&store, &acme(), &phone(PHONE), &phone(OTHER_PHONE)).await;
    let mut resolving = JoinSet::new();
    for n in 0..16 {
        let store = Arc::clone(&store);
        let sender = if n % 2 == 0 { phone(PHONE) } else { both(PHONE, BEN) };
        resolving.spawn(async move { session(&store, &acme(), &sender).await });
    }
    let sessions = resolving.join_all().await;
    assert!(sessions.iter().all(|session| *session == sessions[0] && *session != old), "{sessions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_subdomain_keeps_its_sessions() {
    let store = Fresh::open("renamed").await;
    for sender in [both(PHONE, ANA), phone(OTHER_PHONE), user(BEN)] {
        let begun = session(&store, &acme(), &sender).await;
        assert_eq!(session(&store, &business("b1", Some("renamed")), &sender).await, begun);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_a_subdomain_takes_over_no_conversation() {
    let store = Fresh::open("taken").await;
    let successor = business("b2", Some("acme"));
    for sender in [both(PHONE, ANA), phone(OTHER_PHONE), user(BEN)] {
        let old = session(&store, &acme(), &sender).await;
        let new = session(&store, &successor, &sender).await;
        assert_ne!(new, old);
        assert_eq!(session(&store, &successor, &sender).await, new, "and keeps it");
        assert_eq!(session(&store, &business("b1", Some("renamed")), &sender).await, old);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_without_an_id_has_no_session() {
    let store = Fresh::open("nobody").await;
    let resolved = identities(&store).resolve(&acme(), &Sender::default()).await.expect("the store answers");
    assert_eq!(resolved, None);
    assert_eq!(find(&store, &acme(), &Sender::default()).await, None);
}
