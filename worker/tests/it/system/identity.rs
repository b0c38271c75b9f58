//! Customers without a phone number, with a new one, or with somebody's old one; and who are forgotten.

use std::{sync::Arc, time::Duration};

use mongodb::bson::{Document, doc};
use secrecy::SecretString;
use serde_json::json;
use shared::{ids::SessionId, testing};
use simulator::{
    Customer,
    ai::ChatReply,
    webhook::{Body, Content},
};
use tokio::sync::Notify;
use worker::{
    settings::StoreSettings,
    store::{Forgetting, MongoStore},
};

use super::harness::{Options, PATIENCE, System, acme, bolt};

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_hides_the_number_is_answered_by_user_id() {
    let system = System::start(Options::default()).await;
    let hidden = Customer::hidden("DE.13491208655302741918");
    system.write(&acme(), &hidden, "Hello").await;
    assert_eq!(system.answers(&acme(), &hidden, 1).await, ["ANS Hello"]);
    let send = &system.journal.accepted()[0];
    assert_eq!((send.to.as_deref(), send.recipient.as_deref()), (None, Some("DE.13491208655302741918")));
    system.wait_for_document("conversations", doc! { "_id": "acme:DE.13491208655302741918" }).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_shows_the_number_later_keeps_the_conversation() {
    let system = System::start(Options::default()).await;
    let hidden = Customer::hidden("DE.777");
    system.write(&acme(), &hidden, "first").await;
    system.answers(&acme(), &hidden, 1).await;
    let shown = Customer::phone("4915155500001").with_user_id("DE.777");
    system.write(&acme(), &shown, "second").await;
    assert_eq!(system.answers(&acme(), &shown, 1).await, ["ANS second"]);
    assert_eq!(system.journal.accepted()[1].to.as_deref(), Some("+4915155500001"), "the number, with its plus");
    assert!(system.journal.chats()[1].body.to_string().contains("first"), "one memory");
    assert_eq!(system.count("conversations", doc! {}).await, 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recycled_number_begins_a_conversation_of_its_own() {
    let system = System::start(Options::default()).await;
    let before = Customer::phone("4915155500002").with_user_id("DE.old");
    system.write(&acme(), &before, "my secret is swordfish").await;
    system.answers(&acme(), &before, 1).await;
    let after = Customer::phone("4915155500002").with_user_id("DE.new");
    system.write(&acme(), &after, "what do you know of me?").await;
    system.answers(&acme(), &after, 2).await;
    assert!(!system.journal.chats()[1].body.to_string().contains("swordfish"), "another person's memory");
    assert_eq!(system.count("conversations", doc! {}).await, 2);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_changes_the_number_takes_the_conversation_along() {
    let system = System::start(Options::default()).await;
    let old = Customer::phone("4915155500003");
    system.write(&acme(), &old, "remember me").await;
    system.answers(&acme(), &old, 1).await;
    let sender = system.meta.sender(&acme());
    let change = sender.message(&old, Content::number_change("4915155500003", "4915155500004"));
    sender.deliver(&Body::of(&acme(), &change).to_json()).await.expect("200");
    system.wait_for_document("account_events", doc! { "field": "system" }).await;
    let new = Customer::phone("4915155500004");
    system.write(&acme(), &new, "it is me").await;
    system.answers(&acme(), &new, 1).await;
    assert!(system.journal.chats()[1].body.to_string().contains("remember me"));

    // The old number's next owner is somebody else; but what Meta sends again of the former one is not theirs.
    let first = system.journal.posts().into_iter().find(|post| post.updates.iter().any(|u| u.id.starts_with("wamid")));
    let first_id = first.expect("a post").updates[0].id.clone();
    let again = sender.message(&old, Content::text("remember me")).with_id(first_id);
    sender.deliver(&Body::of(&acme(), &again).to_json()).await.expect("200");
    system.write(&acme(), &old, "who am I?").await;
    let answers = system.answers(&acme(), &old, 2).await;
    assert_eq!(answers, ["ANS remember me", "ANS who am I?"]);
    assert!(!system.journal.chats()[2].body.to_string().contains("it is me"), "another person's memory");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_customer_of_two_businesses_has_two_conversations() {
    let system = System::start(Options::default()).await;
    let ana = Customer::phone("4915155500005").with_user_id("DE.ana");
    system.write(&acme(), &ana, "my secret at acme is swordfish").await;
    system.answers(&acme(), &ana, 1).await;
    system.write(&bolt(), &ana, "hello bolt").await;
    system.answers(&bolt(), &ana, 1).await;
    let prompt = system.journal.chats()[1].body.to_string();
    assert!(!prompt.contains("swordfish") && prompt.contains("The bolt company"), "{prompt}");
    for id in ["acme:4915155500005", "bolt:4915155500005"] {
        system.wait_for_document("conversations", doc! { "_id": id }).await;
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_known_by_number_and_by_user_id_is_one_as_soon_as_both_are_shown() {
    let system = System::start(Options::default()).await;
    let (number, hidden) = (Customer::phone("4915155500010"), Customer::hidden("DE.1010"));
    let first = system.write(&acme(), &number, "my dog is called Rex").await;
    system.answers(&acme(), &number, 1).await;
    system.write(&acme(), &hidden, "my cat is called Tom").await;
    system.answers(&acme(), &hidden, 1).await;
    assert!(!system.journal.chats()[1].body.to_string().contains("Rex"), "nobody knows yet who that is");
    system.settled().await;

    let shown = Customer::phone("4915155500010").with_user_id("DE.1010");
    system.write(&acme(), &shown, "what are my pets called?").await;
    let answers = system.answers(&acme(), &shown, 2).await;
    assert_eq!(answers, ["ANS my dog is called Rex", "ANS what are my pets called?"]);
    let prompt = system.journal.chats()[2].body.to_string();
    let (rex, tom) = (prompt.find("my dog is called Rex"), prompt.find("my cat is called Tom"));
    assert!(rex.is_some() && rex < tom, "both memories, in the order of time: {prompt}");

    // What Meta sends again is known, whichever conversation it came to.
    let again = system.meta.sender(&acme()).message(&number, Content::text("my dog is called Rex")).with_id(first);
    system.meta.sender(&acme()).deliver(&Body::of(&acme(), &again).to_json()).await.expect("200");
    system.write(&acme(), &number, "thank you").await;
    assert_eq!(system.answers(&acme(), &number, 3).await[2..], ["ANS thank you"]);
    assert!(system.journal.chats()[3].body.to_string().contains("Tom"), "the number alone leads there too");
    system.settled().await;
    assert_eq!(system.count("conversations", doc! { "merged_into": { "$exists": false } }).await, 1);
    let tombstone = system.wait_for_document("conversations", doc! { "merged_at": { "$exists": true } }).await;
    assert!(!tombstone.to_string().contains("Rex"), "{tombstone}");
    assert_eq!(system.journal.chats().len(), 4);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_whose_worker_died_is_finished_by_the_others() {
    let system = System::start(Options::default()).await;
    let customer = Customer::phone("4915155500011");
    system.write(&acme(), &customer, "my dog is called Rex").await;
    system.answers(&acme(), &customer, 1).await;
    system.settled().await;
    // As it is left by one that died right after the tombstone.
    let (old, new) = ("acme:4915155500011", "acme:DE.1111");
    let conversations = system.db.collection::<Document>("conversations");
    let begun = conversations.find_one(doc! { "_id": old }).await.expect("found").expect("it is there");
    let business = begun.get_str("business_id").expect("a business");
    let goes_on = doc! {
        "_id": new, "business_id": business, "subdomain": "acme", "customer": { "user_id": "DE.1111" }, "attempts": 0,
    };
    conversations.insert_one(goes_on).await.expect("inserted");
    let long_ago = mongodb::bson::DateTime::from_millis(0);
    let merge = doc! { "into": new, "request": "r", "requested_at": long_ago, "try_at": long_ago };
    let tombstone = doc! { "$set": { "merge": merge, "merged_into": new }, "$unset": { "due_at": "" } };
    conversations.update_one(doc! { "_id": old }, tombstone).await.expect("updated");

    system.wait_for_document("conversations", doc! { "_id": old, "merged_at": { "$exists": true } }).await;
    system.write(&acme(), &customer, "and now?").await;
    assert_eq!(system.answers(&acme(), &customer, 2).await[1..], ["ANS and now?"]);
    assert!(system.journal.chats()[1].body.to_string().contains("Rex"), "one memory");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_is_forgotten_while_an_answer_is_thought_over_gets_none_and_begins_anew() {
    let system = System::start(Options::default()).await;
    let customer = Customer::phone("4915155500012").with_user_id("DE.1212").named("Swordfish");
    system.write(&acme(), &customer, "the first swordfish").await;
    system.answers(&acme(), &customer, 1).await;
    system.settled().await;
    let asked = Arc::new(Notify::new());
    let thinking = Arc::clone(&asked);
    system.ai.on_chat(move |request| {
        let answer = ChatReply::text(format!("ANS {}", request.last_user()));
        if request.last_user().contains("swordfish") {
            thinking.notify_one();
            return answer.after(Duration::from_secs(10));
        }
        answer
    });
    let uri = SecretString::from(testing::server("MONGODB_URI"));
    let store =
        MongoStore::open(&StoreSettings { uri, database: system.db.name().to_owned() }).await.expect("a valid URI");
    let second = system.write(&acme(), &customer, "the second swordfish").await;
    tokio::time::timeout(PATIENCE, asked.notified()).await.expect("the AI is asked");
    let session = SessionId::from_stored("acme:4915155500012");
    let forgotten = store.forget(&session).await.expect("the store answers");
    assert_eq!((forgotten.conversations, forgotten.identities), (1, 2));

    let again = system.meta.sender(&acme()).message(&customer, Content::text("the second swordfish")).with_id(second);
    system.meta.sender(&acme()).deliver(&Body::of(&acme(), &again).to_json()).await.expect("200");
    let stranger = Customer::phone("4915155500012").with_user_id("DE.1212");
    system.write(&acme(), &stranger, "do you know me?").await;
    let answers = system.answers(&acme(), &customer, 2).await;
    assert_eq!(answers, ["ANS the first swordfish", "ANS do you know me?"]);
    // The turn that was under way has its answer too late, and does nothing with it.
    let all_asked = |journal: &simulator::Journal| (journal.chats().len() == 3).then_some(());
    system.journal.wait_for(all_asked, PATIENCE).await.expect("the AI is asked three times");
    let all_answered = |journal: &simulator::Journal| journal.ai_answers().len() == 3;
    system.journal.wait_until(all_answered, PATIENCE).await.expect("and answers, or nobody waits for that any more");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(system.answers(&acme(), &customer, 2).await.len(), 2);
    let chats = system.journal.chats();
    let prompt = chats.iter().find(|chat| chat.body.to_string().contains("do you know me?")).expect("it was asked");
    assert!(!prompt.body.to_string().to_lowercase().contains("swordfish"), "no memory, no name");
    for name in system.db.list_collection_names().await.expect("MongoDB answers") {
        let mut cursor = system.db.collection::<Document>(&name).find(doc! {}).await.expect("MongoDB answers");
        while cursor.advance().await.expect("MongoDB answers") {
            let document = format!("{:?}", cursor.deserialize_current().expect("a document")).to_lowercase();
            assert!(!document.contains("swordfish"), "{name}: {document}");
        }
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_a_changed_user_id_reach_the_business_of_the_number_that_they_name() {
    let system = System::start(Options::default()).await;
    // As where its account was moved, and the back end does not know yet.
    system.update_business(&acme(), doc! { "wabaId": "1" }).await;
    let phone = "4915155500014";
    let (old, new) = (Customer::phone(phone).with_user_id("DE.1"), Customer::phone(phone).with_user_id("DE.2"));
    system.write(&acme(), &old, "remember me").await;
    system.answers(&acme(), &old, 1).await;
    let news = json!({
        "metadata": { "phone_number_id": acme().phone_number_id },
        "user_id_update": [{ "wa_id": phone, "user_id": { "previous": "DE.1", "current": "DE.2" } }],
    });
    let news = Body::default().other(&acme(), "user_id_update", news.as_object().cloned().expect("an object"));
    system.meta.sender(&acme()).deliver(&news.to_json()).await.expect("200");
    system.wait_for_document("account_events", doc! { "field": "user_id_update" }).await;
    system.write(&acme(), &new, "and now?").await;
    system.answers(&acme(), &new, 2).await;
    assert!(system.journal.chats()[1].body.to_string().contains("remember me"), "one memory");
    assert_eq!(system.count("conversations", doc! {}).await, 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_and_a_user_id_that_change_together_take_the_conversation_along() {
    let system = System::start(Options::default()).await;
    let old = Customer::phone("4915155500015").with_user_id("DE.15");
    let new = Customer::phone("4915155500016").with_user_id("DE.16");
    system.write(&acme(), &old, "remember me").await;
    system.answers(&acme(), &old, 1).await;
    let sender = system.meta.sender(&acme());
    let change = sender.message(&old, Content::number_change("4915155500015", "4915155500016"));
    sender.deliver(&Body::of(&acme(), &change).to_json()).await.expect("200");
    system.wait_for_document("account_events", doc! { "field": "system" }).await;
    system.write(&acme(), &new, "and now?").await;
    system.answers(&acme(), &new, 1).await;
    assert!(system.journal.chats()[1].body.to_string().contains("remember me"), "one memory");
    assert_eq!(system.count("conversations", doc! {}).await, 1);
    // Who hides the number from then on is known by the new id.
    system.write(&acme(), &Customer::hidden("DE.16"), "and still?").await;
    assert_eq!(system.answers(&acme(), &new, 2).await, ["ANS and now?", "ANS and still?"]);
    assert_eq!(system.count("conversations", doc! {}).await, 1);
    system.stop().await;
}

/// Statuses and news travel by other queues than messages: what is written under a new id may come before the news of it.
#[tokio::test(flavor = "multi_thread")]
async fn news_of_a_changed_user_id_that_come_late_make_one_conversation_of_two() {
    let system = System::start(Options::default()).await;
    let (old, new) = (Customer::hidden("DE.before"), Customer::hidden("DE.after"));
    system.write(&acme(), &old, "remember me").await;
    system.answers(&acme(), &old, 1).await;
    let sender = system.meta.sender(&acme());
    let early = sender.message(&new, Content::text("it is me"));
    sender.deliver(&Body::of(&acme(), &early).to_json()).await.expect("200");
    assert_eq!(system.answers(&acme(), &new, 1).await, ["ANS it is me"]);
    system.settled().await;
    let news = sender.message(&old, Content::user_id_change("", "DE.after"));
    sender.deliver(&Body::of(&acme(), &news).to_json()).await.expect("200");
    system.wait_for_document("account_events", doc! { "field": "system" }).await;
    system.wait_for_document("conversations", doc! { "merged_into": "acme:DE.before" }).await;
    sender.deliver(&Body::of(&acme(), &early).to_json()).await.expect("200");
    system.write(&acme(), &new, "and now?").await;
    assert_eq!(system.answers(&acme(), &new, 2).await, ["ANS it is me", "ANS and now?"], "nothing is answered twice");
    let asked = system.journal.chats().last().expect("asked").body.to_string();
    assert!(asked.contains("remember me") && asked.contains("it is me"), "one memory: {asked}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_meta_sends_again_of_a_former_owner_does_not_take_the_number_back() {
    let system = System::start(Options::default()).await;
    let ana = Customer::phone("4915155500009").with_user_id("DE.ana");
    let ben = Customer::phone("4915155500009").with_user_id("DE.ben");
    let sender = system.meta.sender(&acme());
    let first = sender.message(&ana, Content::text("my secret is swordfish"));
    sender.deliver(&Body::of(&acme(), &first).to_json()).await.expect("200");
    system.answers(&acme(), &ana, 1).await;
    system.write(&acme(), &ben, "hello").await;
    system.answers(&acme(), &ben, 2).await;
    system.settled().await;
    // Beyond what a worker remembers of who wrote.
    let mut system = system;
    system.kill_worker(0);
    system.start_worker().await;
    sender.deliver(&Body::of(&acme(), &first).to_json()).await.expect("200");
    system.write(&acme(), &Customer::phone("4915155500009"), "what do you know of me?").await;
    system.answers(&acme(), &ben, 3).await;
    let asked = system.journal.chats().last().expect("asked").body.to_string();
    assert!(asked.contains("hello") && !asked.contains("swordfish"), "another person's memory: {asked}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_meta_sends_again_of_a_former_owner_does_not_take_a_number_that_the_news_gave_somebody() {
    let mut system = System::start(Options::default()).await;
    let ana = Customer::phone("4915155500017").with_user_id("DE.ana");
    let (ben, bens_new) = ("4915155500018", Customer::phone("4915155500017").with_user_id("DE.new"));
    let ben = Customer::phone(ben).with_user_id("DE.ben");
    let sender = system.meta.sender(&acme());
    let first = sender.message(&ana, Content::text("my secret is swordfish"));
    sender.deliver(&Body::of(&acme(), &first).to_json()).await.expect("200");
    system.answers(&acme(), &ana, 1).await;
    system.write(&acme(), &ben, "I like oranges").await;
    system.answers(&acme(), &ben, 1).await;
    let news = sender.message(&ben, Content::number_change("4915155500018", "4915155500017"));
    sender.deliver(&Body::of(&acme(), &news).to_json()).await.expect("200");
    system.wait_for_document("account_events", doc! { "field": "system" }).await;
    system.settled().await;
    system.kill_worker(0);
    system.start_worker().await;
    sender.deliver(&Body::of(&acme(), &first).to_json()).await.expect("200");
    system.write(&acme(), &bens_new, "what do you know of me?").await;
    system.answers(&acme(), &bens_new, 2).await;
    let asked = system.journal.chats().last().expect("asked").body.to_string();
    assert!(asked.contains("oranges") && !asked.contains("swordfish"), "whose memory? {asked}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_meta_sends_again_of_somebody_whose_ids_are_all_gone_is_not_answered_to_whoever_has_the_number_now() {
    let mut system = System::start(Options::default()).await;
    let before = Customer::phone("4915155500019").with_user_id("DE.ana");
    let after = Customer::phone("4915155500020").with_user_id("DE.anas_new");
    let ben = Customer::phone("4915155500019").with_user_id("DE.ben");
    let sender = system.meta.sender(&acme());
    let first = sender.message(&before, Content::text("my secret is swordfish"));
    sender.deliver(&Body::of(&acme(), &first).to_json()).await.expect("200");
    system.answers(&acme(), &before, 1).await;
    system.settled().await;
    let change = Content::number_change("4915155500019", "4915155500020").with_new_user_id("DE.anas_new");
    sender.deliver(&Body::of(&acme(), &sender.message(&before, change)).to_json()).await.expect("200");
    system.wait_for_document("account_events", doc! { "field": "system" }).await;
    system.write(&acme(), &ben, "hello").await;
    system.answers(&acme(), &ben, 2).await;
    system.settled().await;
    system.kill_worker(0);
    system.start_worker().await;
    sender.deliver(&Body::of(&acme(), &first).to_json()).await.expect("200");
    system.write(&acme(), &ben, "what do you know of me?").await;
    system.answers(&acme(), &ben, 3).await;
    system.write(&acme(), &after, "and of me?").await;
    system.answers(&acme(), &after, 1).await;
    system.settled().await;
    let asked = |words: &str| {
        let chats = system.journal.chats();
        chats.iter().map(|chat| chat.body.to_string()).find(|body| body.contains(words)).expect("asked")
    };
    assert!(!asked("what do you know of me?").contains("swordfish"), "another person's memory");
    assert!(asked("and of me?").contains("swordfish"), "her own");
    assert_eq!(system.journal.accepted().len(), 4, "nothing was answered twice");
    system.stop().await;
}
