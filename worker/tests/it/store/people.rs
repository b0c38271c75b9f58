//! A person takes a conversation over, the business is told, and the companion has it again.

use std::time::Duration;

use mongodb::bson::{DateTime, doc};
use shared::ids::SessionId;
use worker::{
    conversation::{Announcement, Beginning, HandOverReason, NOTICES_MOST, NoticeTaken, Speaker},
    store::ConversationFilter,
};

use super::*;

/// Settles a message with a reply that hands over and announces it.
async fn hand_over_with(talk: &Talk, item: &MailboxItem, id: &str) {
    talk.receive(std::slice::from_ref(item)).await;
    let claim = talk.claim_when_free("worker", LONG).await;
    let announcement = Some(Box::new(Announcement { id: id.to_owned(), reason: HandOverReason::Keyword }));
    let aftermath = Aftermath { hand_over: Some(LONG), announcement, ..Aftermath::default() };
    let memory = Memory { aftermath, ..Memory::default() };
    talk.settle_and_remember(&claim.lease, std::slice::from_ref(item), &memory).await.expect("the lease is held");
}

async fn take(store: &Fresh, session: &SessionId, length: Duration) -> Option<NoticeTaken> {
    store.take_notice(session, length).await.expect("the store answers")
}

async fn due(store: &Fresh) -> Vec<SessionId> {
    store.ping().await.expect("the store answers");
    store.notices_due(10, 10).await.expect("the store answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_comes_with_the_hand_over_and_one_of_sixteen_takes_it() {
    let store = Fresh::prepared("notice").await;
    let talk = Talk::new(&store);
    hand_over_with(&talk, &message(1), "$n1").await;
    assert_eq!(due(&store).await, std::slice::from_ref(&talk.session));
    let taking = (0..16).map(|_| take(&store, &talk.session, LONG));
    let taken: Vec<NoticeTaken> = futures_util::future::join_all(taking).await.into_iter().flatten().collect();
    let [taken] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!((taken.notice.id.as_str(), taken.notice.reason), ("$n1", HandOverReason::Keyword));
    assert_eq!((&taken.session, &taken.business_id, taken.notice.tries), (&talk.session, &talk.business, 1));
    assert_eq!(taken.customer.wa_id, talk.customer.wa_id);
    assert!(taken.until.is_some_and(|until| until > taken.taken_at) && taken.notice.at <= taken.taken_at);
    assert!(due(&store).await.is_empty());
    assert!(store.end_notice(&talk.session, "$n1").await.expect("the store answers"));
    assert!(!store.end_notice(&talk.session, "$n1").await.expect("the store answers"), "once");
    let raw = store.raw("conversations", talk.session.expose()).await;
    assert!(!raw.contains_key("notices"), "nothing is left of it: {raw}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_whose_deliverer_died_is_taken_again_and_a_late_failure_changes_nothing() {
    let store = Fresh::prepared("again").await;
    let talk = Talk::new(&store);
    hand_over_with(&talk, &message(1), "n1").await;
    let first = take(&store, &talk.session, Duration::ZERO).await.expect("due");
    let second = take(&store, &talk.session, LONG).await.expect("due again");
    assert_eq!((first.notice.id, second.notice.id, second.notice.tries), ("n1".to_owned(), "n1".to_owned(), 2));
    let put_off = async |tries, delay| store.postpone_notice(&talk.session, "n1", tries, delay).await.expect("answers");
    assert!(!put_off(1, Duration::ZERO).await, "another try was begun since");
    assert!(put_off(2, Duration::ZERO).await);
    assert_eq!(take(&store, &talk.session, LONG).await.expect("due").notice.tries, 3);
    assert!(put_off(3, LONG).await && take(&store, &talk.session, LONG).await.is_none());
    assert!(!put_off(4, LONG).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_overdue_a_day_after_its_hand_over() {
    let store = Fresh::prepared("overdue").await;
    let talk = Talk::new(&store);
    hand_over_with(&talk, &message(1), "n1").await;
    let taken = take(&store, &talk.session, Duration::ZERO).await.expect("due");
    assert!(!taken.notice.is_overdue(taken.taken_at));
    let yesterday = DateTime::from_millis((taken.taken_at - hours(25)).as_millisecond());
    let notice = doc! { "id": "n1", "reason": "keyword", "at": yesterday, "tries": 30_i64, "try_at": yesterday };
    store.change("conversations", talk.session.expose(), doc! { "$set": { "notices": [notice] } }).await;
    assert_eq!(due(&store).await, std::slice::from_ref(&talk.session));
    let taken = take(&store, &talk.session, LONG).await.expect("due");
    assert!(taken.notice.is_overdue(taken.taken_at) && taken.notice.tries == 31);
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_are_few_and_follow_a_conversation_but_not_a_forgotten_customer() {
    let store = Fresh::prepared("few").await;
    let talk = Talk::new(&store);
    let count = u32::try_from(NOTICES_MOST).expect("few") + 2;
    for n in 0..count {
        hand_over_with(&talk, &message(n), &format!("n{n}")).await;
    }
    let state = store.state(&talk.session).await.expect("the store answers").expect("it is there");
    let ids: Vec<&str> = state.notices.iter().map(|notice| notice.id.as_str()).collect();
    assert_eq!((ids.len(), ids[0]), (NOTICES_MOST, "n2"), "the oldest go");
    store.forget(&talk.session).await.expect("the store answers");
    assert!(take(&store, &talk.session, LONG).await.is_none() && due(&store).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_resumes_has_the_companion_answer_what_waits_and_what_was_said_is_known() {
    let store = Fresh::open("resume").await;
    let talk = Talk::new(&store).quiet(LONG, LONG);
    talk.receive(&[message(1)]).await;
    assert!(store.hand_over(&talk.session, LONG, Some("I see to it")).await.expect("the store answers"));
    assert!(talk.try_claim("worker", LONG).await.is_none(), "it is quiet for long");
    assert!(store.resume(&talk.session).await.expect("the store answers"));
    let claim = talk.claim().await;
    assert_eq!(claim.conversation.handed_over_until, None);
    assert_eq!(claim.conversation.memory.lines.iter().map(|line| line.speaker).collect::<Vec<_>>(), [Speaker::Person]);
    let outbox = reply("r1", &[message(1)], &["hello"]);
    assert_eq!(talk.commit(&claim.lease, &outbox).await, CommitOutcome::Committed);
    // Who has it in hand is not disturbed, and where nothing waits nothing is due.
    assert!(store.resume(&talk.session).await.expect("the store answers"));
    talk.settle(&claim.lease, &[message(1)]).await.expect("the lease is held");
    assert!(store.resume(&talk.session).await.expect("the store answers"));
    assert!(talk.try_claim("worker", LONG).await.is_none());
    let nobody = SessionId::from_stored("acme:nobody");
    assert!(!store.resume(&nobody).await.expect("the store answers"), "none is begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_are_listed_by_how_they_stand_and_without_what_was_said() {
    let store = Fresh::prepared("listed").await;
    store.ping().await.expect("the store answers");
    let talks: Vec<Talk> = [(Some("acme"), "1650555001"), (Some("acme"), "1650555002"), (Some("bolt"), "1650555003")]
        .into_iter()
        .map(|(subdomain, phone)| Talk::of(&store, subdomain, phone))
        .collect();
    for (n, talk) in (0..).zip(&talks) {
        talk.receive(&[message(n)]).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let listed = async |filter: ConversationFilter, most| {
        let listed = store.list_conversations(&filter, most).await.expect("the store answers");
        assert_eq!(listed.unreadable, 0);
        listed.conversations
    };
    let names = |states: &[worker::conversation::state::State]| -> Vec<SessionId> {
        states.iter().map(|state| state.id.clone()).collect()
    };
    let session = |n: usize| talks[n].session.clone();
    let all = listed(ConversationFilter::default(), 10).await;
    assert_eq!(names(&all), [session(2), session(1), session(0)]);
    assert!(all.iter().all(|state| state.mailbox.len() == 1 && state.mailbox[0].item.message.is_none()));
    assert_eq!(names(&listed(ConversationFilter::default(), 1).await), [session(2)]);
    let of = |businesses: Vec<BusinessId>| ConversationFilter { businesses: Some(businesses), ..Default::default() };
    assert_eq!(names(&listed(of(vec![talks[0].business.clone()]), 10).await), [session(1), session(0)]);
    assert!(listed(of(Vec::new()), 10).await.is_empty());
    store.hand_over(&session(0), LONG, Some("secret")).await.expect("the store answers");
    store.hand_over(&session(2), Duration::ZERO, None).await.expect("the store answers");
    // A store whose idea of the clock lags behind would not take the second one for over.
    store.ping().await.expect("the store answers");
    let claim = talks[1].claim().await;
    assert!(talks[1].postpone(&claim.lease, &failed(LONG)).await);
    let handed_over = listed(ConversationFilter { handed_over: true, ..Default::default() }, 10).await;
    assert_eq!(names(&handed_over), [session(0)]);
    assert!(handed_over[0].memory.is_empty());
    let waiting = listed(ConversationFilter { waiting: true, ..Default::default() }, 10).await;
    assert_eq!(names(&waiting), [session(1)]);
    // One that cannot be read does not hide the others.
    store.change("conversations", session(0).expose(), doc! { "$set": { "mailbox": "odd" } }).await;
    let listed = store.list_conversations(&ConversationFilter::default(), 10).await.expect("the store answers");
    assert_eq!((names(&listed.conversations), listed.unreadable), (vec![session(2), session(1)], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_begins_with_a_person_once_and_takes_messages_like_any_other() {
    let store = Fresh::open("begun").await;
    let talk = Talk::new(&store);
    let beginning = Beginning {
        session: &talk.session,
        business_id: &talk.business,
        subdomain: talk.subdomain.as_ref(),
        customer: &talk.customer,
    };
    assert!(!store.hand_over(&talk.session, LONG, Some("hello")).await.expect("the store answers"));
    store.begin(&beginning).await.expect("the store answers");
    assert!(store.hand_over(&talk.session, LONG, Some("hello")).await.expect("the store answers"));
    store.begin(&beginning).await.expect("the store answers");
    let state = store.state(&talk.session).await.expect("the store answers").expect("it is there");
    assert!(state.handed_over_until.is_some() && state.memory.len() == 1 && state.customer == talk.customer);
    let landed = talk.land(&message(1)).await;
    assert!(matches!(landed, Landed::New { first: false, .. }), "a person has it: {landed:?}");
}
