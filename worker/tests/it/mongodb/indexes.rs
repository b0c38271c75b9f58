//! What is read along an index, what from an index alone, and what becomes of an index that somebody else made.

use jiff::Timestamp;
use mongodb::{
    IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};
use worker::{
    conversation::BusinessId,
    store::{LetterFilter, LetterOwner, Reading, ReplayPolicy},
};

use super::suite::{
    Fresh, NUMBER,
    dead_letters::{bury, filed, letter, request, take_up},
    hours,
    knowledge::{business, many, put, size},
    number,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_size_is_read_from_an_index_alone() {
    let store = Fresh::prepared("covered").await;
    let scope = business(&store, "acme").await;
    put(&store, &scope, "menu.md", &many("word", 20), Some("en")).await;
    let database = store.backend.database();
    database.run_command(doc! { "profile": 2 }).await.expect("every operation is recorded");
    assert_eq!(size(&store, &scope).await.passages, 20);
    database.run_command(doc! { "profile": 0 }).await.expect("no more is recorded");
    let profile = database.collection::<Document>("system.profile");
    let seen = profile.find_one(doc! { "command.aggregate": "knowledge" }).await.expect("MongoDB answers");
    let seen = seen.expect("the request was noted");
    let count = |field| seen.get_i32(field).expect("a count");
    assert_eq!((count("keysExamined"), count("docsExamined")), (20, 0), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_read_along_an_index_however_they_are_chosen() {
    let store = Fresh::prepared("indexes").await;
    for n in 0..20 {
        bury(&store, &letter(&n.to_string(), ReplayPolicy::ByHand)).await;
    }
    assert!(request(&store, "7").await);
    let database = store.backend.database();
    let profile = database.collection::<Document>("system.profile");
    database.run_command(doc! { "profile": 2 }).await.expect("every operation is recorded");
    let owner = LetterOwner { businesses: vec![BusinessId("ours".to_owned())], numbers: vec![number(NUMBER)] };
    let of_owner = LetterFilter { owner: Some(owner), ..LetterFilter::default() };
    let reason = Some("unknown_business".to_owned());
    let (since, until) = (Some(Timestamp::now() - hours(1)), Some(Timestamp::now()));
    for filter in [
        LetterFilter::default(),
        LetterFilter { reason: reason.clone(), ..LetterFilter::default() },
        LetterFilter { since, until, ..LetterFilter::default() },
        LetterFilter { since, until, reason, ..of_owner.clone() },
        of_owner,
    ] {
        for oldest_first in [false, true] {
            let reading = Reading { oldest_first, ..Reading::default() };
            assert_eq!(filed(&store, &filter, reading).await.len(), 20, "{filter:?}");
        }
    }
    assert!(take_up(&store).await.is_some());
    database.run_command(doc! { "profile": 0 }).await.expect("no more is recorded");
    let bad = doc! { "$or": [{ "planSummary": { "$regex": "COLLSCAN" } }, { "hasSortStage": true }] };
    assert_eq!(profile.find_one(bad).await.expect("found"), None);
    // MongoDB itself looks for letters that expire, under no name.
    let ours = doc! { "ns": format!("{}.dead_letters", database.name()), "appName": { "$exists": true } };
    assert!(profile.count_documents(ours).await.expect("counted") >= 11, "all were recorded");
}

/// Makes an index behind the store's back.
async fn make(store: &Fresh, collection: &str, keys: Document, options: IndexOptions) {
    let index = IndexModel::builder().keys(keys).options(options).build();
    let made = store.backend.database().collection::<Document>(collection).create_index(index).await;
    made.expect("MongoDB answers");
}

fn named(name: &str) -> IndexOptions {
    IndexOptions::builder().name(name.to_owned()).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_somebody_else_made_over_the_same_fields_stays_and_keeps_nobody_from_starting() {
    let store = Fresh::open("theirs").await;
    let unique = IndexOptions::builder().unique(true).build();
    make(&store, "businesses", doc! { "whatsappPhoneNumberIds": 1 }, unique).await;
    make(&store, "businesses", doc! { "whatsappTokenExpiresAt": 1 }, named("by_expiry")).await;
    make(&store, "identities", doc! { "conversation": 1 }, named("by_conversation")).await;
    for _ in 0..2 {
        store.prepare().await.expect("it is ready all the same");
    }
    let names = async |collection: &str| {
        let listed = store.backend.database().collection::<Document>(collection).list_index_names().await;
        let mut names = listed.expect("MongoDB answers");
        names.sort();
        names
    };
    assert_eq!(names("businesses").await, ["_id_", "by_expiry", "whatsappPhoneNumberIds_1"]);
    assert_eq!(names("identities").await, ["_id_", "by_conversation"]);
    assert_eq!(store.condition().await.expect("MongoDB answers").faults, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_would_keep_what_is_to_be_deleted_or_take_the_name_of_ours_is_named() {
    for (keys, options) in
        [(doc! { "expire_at": 1 }, IndexOptions::default()), (doc! { "id": 1 }, named("expire_at_1"))]
    {
        let store = Fresh::open("in_the_way").await;
        make(&store, "messages", keys, options).await;
        let error = format!("{:#}", store.prepare().await.expect_err("messages would be kept for ever"));
        for told in ["expire_at_1 of messages", "drop", "Conflict"] {
            assert!(error.contains(told), "{told}: {error}");
        }
        let faults = store.condition().await.expect("MongoDB answers").faults;
        let of_messages = faults.iter().filter(|fault| fault.subject == "messages");
        let told: Vec<_> = of_messages.map(|fault| (fault.problem.as_str(), fault.mend.as_str())).collect();
        let in_place = told.iter().find(|(problem, _)| problem.contains("in the place of expire_at_1"));
        assert!(in_place.is_some_and(|(_, mend)| mend.starts_with("drop it")), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_indexes_of_one_name_in_the_collection_of_the_back_end_theirs_stays() {
    let store = Fresh::open("same_name").await;
    make(&store, "businesses", doc! { "owner": 1 }, named("whatsappPhoneNumberIds_1")).await;
    store.prepare().await.expect("it is ready all the same");
    assert_eq!(store.condition().await.expect("MongoDB answers").faults, []);
}
