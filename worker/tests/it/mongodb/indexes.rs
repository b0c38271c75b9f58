//! What is read along an index, and what from an index alone.

use jiff::Timestamp;
use mongodb::bson::{Document, doc};
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
