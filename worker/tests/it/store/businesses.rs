//! Businesses as another program writes them: read leniently, changed field by field.

use std::sync::Arc;

use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use worker::{
    conversation::BusinessId,
    store::{BusinessRecord, Store},
};

use super::{Fresh, NUMBER, number};

async fn insert(store: &Fresh, document: Document) {
    store.backend.put("businesses", document).await;
}

async fn with_number(store: &Arc<dyn Store>, id: &str) -> Vec<BusinessRecord> {
    store.businesses_with_number(&number(id)).await.expect("the store answers")
}

fn fields(value: Value) -> Map<String, Value> {
    let Value::Object(fields) = value else { panic!("an object") };
    fields
}

async fn put(store: &Arc<dyn Store>, subdomain: &str, value: Value) -> bool {
    store.put_business(subdomain, &fields(value)).await.expect("the store answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_is_read_as_the_back_end_writes_it() {
    let store = Fresh::open("business").await;
    let id = ObjectId::new();
    insert(&store, doc! {
        "_id": id, "name": "Acme Flowers", "subDomain": "acme", "wabaId": "215589313246017",
        "whatsappPhoneNumberIds": [NUMBER, "2"], "whatsappAccessToken": "67414141", "whatsappRefreshToken": "67",
        "whatsappTokenExpiresAt": DateTime::from_millis(1_800_000_000_000), "whatsappEnabled": true, "isActive": true,
        "companion": { "persona": "Lina", "quietMillis": 1200.0 }, "createdAt": DateTime::now(),
    })
    .await;
    let found = with_number(&store, NUMBER).await.remove(0);
    assert_eq!(found.id, id.to_hex());
    assert_eq!((found.name.as_deref(), found.subdomain.as_deref()), (Some("Acme Flowers"), Some("acme")));
    assert_eq!(
        (found.waba_id.as_deref(), found.phone_number_ids),
        (Some("215589313246017"), vec![NUMBER.to_owned(), "2".to_owned()])
    );
    assert_eq!(found.access_token.expect("it has one").expose_secret(), "67414141");
    assert_eq!(found.refresh_token.expect("it has one").expose_secret(), "67");
    assert!(found.whatsapp_enabled && found.is_active);
    assert_eq!(found.token_expires_at.expect("it ends").as_second(), 1_800_000_000);
    assert_eq!(found.companion, json!({"persona": "Lina", "quietMillis": 1200.0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_of_another_type_counts_as_absent() {
    let store = Fresh::open("lenient").await;
    insert(&store, doc! { "_id": "only an id", "whatsappPhoneNumberIds": [NUMBER] }).await;
    insert(
        &store,
        doc! {
            "_id": 7, "whatsappPhoneNumberIds": [NUMBER, Bson::Null, { "a": 1 }, " 3 "], "name": [], "subDomain": "  ",
            "wabaId": 42_i64, "whatsappAccessToken": Bson::Null, "whatsappRefreshToken": "",
            "whatsappTokenExpiresAt": "2027-01-15T08:00:00Z", "whatsappEnabled": "yes", "isActive": Bson::Null,
            "companion": "none",
        },
    )
    .await;
    let mut found = with_number(&store, NUMBER).await;
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let (odd, bare) = (&found[0], &found[1]);
    assert_eq!((odd.id.as_str(), bare.id.as_str()), ("7", "only an id"));
    for record in [odd, bare] {
        assert!(record.name.is_none() && record.subdomain.is_none() && record.access_token.is_none());
        assert!(record.refresh_token.is_none() && !record.whatsapp_enabled && !record.is_active);
    }
    assert_eq!(odd.waba_id.as_deref(), Some("42"));
    assert_eq!(odd.phone_number_ids, [NUMBER, "3"]);
    assert_eq!(odd.token_expires_at.expect("a text is a time too").as_second(), 1_800_000_000);
    assert_eq!((bare.token_expires_at, &bare.companion), (None, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_found_however_it_was_stored() {
    let store = Fresh::prepared("numbers").await;
    insert(&store, doc! { "_id": "text", "whatsappPhoneNumberIds": ["1", "106540352242922"] }).await;
    insert(&store, doc! { "_id": "long", "whatsappPhoneNumberIds": [106_540_352_242_922_i64] }).await;
    insert(&store, doc! { "_id": "double", "whatsappPhoneNumberIds": [106_540_352_242_922_f64] }).await;
    insert(&store, doc! { "_id": "int", "whatsappPhoneNumberIds": [77_i32] }).await;
    let mut found: Vec<_> = with_number(&store, NUMBER).await.into_iter().map(|record| record.id).collect();
    found.sort();
    assert_eq!(found, ["double", "long", "text"]);
    for record in with_number(&store, NUMBER).await {
        assert!(record.phone_number_ids.contains(&NUMBER.to_owned()), "{}", record.id);
    }
    assert_eq!(with_number(&store, "77").await[0].phone_number_ids, ["77"]);
    // An id need not be a number.
    for unknown in ["10654035224292", "1065403522429221", "abc", &"9".repeat(64)] {
        assert!(with_number(&store, unknown).await.is_empty(), "{unknown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_and_a_business_are_found_however_their_ids_were_stored() {
    const ACCOUNT: &str = "2155893132460171";
    let store = Fresh::prepared("ids").await;
    insert(&store, doc! { "_id": "text", "wabaId": ACCOUNT }).await;
    insert(&store, doc! { "_id": 7_i32, "wabaId": 2_155_893_132_460_171_i64 }).await;
    insert(&store, doc! { "_id": 106_540_352_242_922_i64, "wabaId": 2_155_893_132_460_171_f64 }).await;
    insert(&store, doc! { "_id": "other", "wabaId": 2_155_893_132_460_172_f64 }).await;
    let found = store.businesses_of_account(ACCOUNT).await.expect("the store answers");
    let mut ids: Vec<_> = found.iter().map(|record| record.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [NUMBER, "7", "text"]);
    for record in &found {
        assert_eq!(record.waba_id.as_deref(), Some(ACCOUNT), "{}", record.id);
        let again = store.business(&BusinessId(record.id.clone())).await.expect("the store answers");
        assert_eq!(again.map(|again| again.id), Some(record.id.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn businesses_are_found_by_account_and_subdomain_and_all_with_whatsapp_are_listed() {
    let store = Fresh::prepared("lists").await;
    put(&store, "beta", json!({"wabaId": "1", "whatsappPhoneNumberIds": ["11"]})).await;
    put(&store, "acme", json!({"wabaId": "1", "whatsappEnabled": true})).await;
    put(&store, "corner", json!({"wabaId": "2", "whatsappAccessToken": "67"})).await;
    put(&store, "none", json!({"name": "without WhatsApp", "whatsappPhoneNumberIds": []})).await;
    let names = |records: Vec<BusinessRecord>| records.into_iter().filter_map(|r| r.subdomain).collect::<Vec<_>>();
    assert_eq!(names(store.businesses().await.expect("the store answers")), ["acme", "beta", "corner"]);
    assert_eq!(names(store.businesses_of_account("1").await.expect("the store answers")), ["acme", "beta"]);
    assert!(store.businesses_of_account("3").await.expect("the store answers").is_empty());
    assert_eq!(names(store.businesses_with_subdomain("none").await.expect("the store answers")), ["none"]);
    assert!(store.businesses_with_subdomain("nobody").await.expect("the store answers").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_leaves_what_it_does_not_name() {
    let store = Fresh::open("change").await;
    let (id, since) = (ObjectId::new(), DateTime::from_millis(1_700_000_000_123));
    let document = doc! {
        "_id": id, "subDomain": "acme", "name": "Acme", "owner": ObjectId::new(), "since": since, "__v": 3_i32,
        "plan": { "seats": 5_i32, "tags": ["a", 1.0] }, "whatsappEnabled": false, "isActive": true,
    };
    insert(&store, document.clone()).await;
    let changes = json!({
        "whatsappEnabled": true, "whatsappPhoneNumberIds": ["11"], "whatsappTokenExpiresAt": "2027-01-15T08:00:00Z",
        "_id": "another", "subDomain": "stolen",
    });
    assert!(!put(&store, "acme", changes).await, "it was there");
    let mut stored = store.backend.find("businesses", id).await;
    let stored = stored.as_mut().expect("the business is there");
    assert_eq!(stored.remove("whatsappEnabled"), Some(Bson::Boolean(true)));
    assert_eq!(stored.remove("whatsappPhoneNumberIds"), Some(Bson::Array(vec!["11".into()])));
    let expires = DateTime::from_millis(1_800_000_000_000);
    assert_eq!(
        stored.remove("whatsappTokenExpiresAt"),
        Some(Bson::DateTime(expires)),
        "a date, as the back end writes"
    );
    let mut rest = document;
    rest.remove("whatsappEnabled");
    assert_eq!(*stored, rest, "every other field as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_that_is_not_there_is_added() {
    let store = Fresh::open("added").await;
    assert!(put(&store, "acme", json!({"name": "Acme"})).await);
    assert!(!put(&store, "acme", json!({})).await);
    let found = store.businesses_with_subdomain("acme").await.expect("the store answers").remove(0);
    assert_eq!(found.name.as_deref(), Some("Acme"));
    assert!(ObjectId::parse_str(&found.id).is_ok(), "an id such as the back end's: {}", found.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_shows_in_what_is_printed() {
    let store = Fresh::open("secret").await;
    put(&store, "acme", json!({"whatsappAccessToken": "TOKEN7", "whatsappRefreshToken": "TOKEN8"})).await;
    let printed = format!("{:?}", store.businesses().await.expect("the store answers"));
    assert!(printed.contains("acme") && !printed.contains("TOKEN"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_dots_reaches_into_objects_and_leaves_what_stands_beside() {
    let store = Fresh::open("dotted").await;
    put(&store, "acme", json!({"companion": {"voice": {"reply": "never", "theirs": 1}, "persona": "Lina"}})).await;
    let added =
        put(&store, "acme", json!({"companion.voice.reply": "always", "companion.handOver": {"hours": 3}})).await;
    assert!(!added);
    let found = store.businesses_with_subdomain("acme").await.expect("the store answers").remove(0);
    let expected = json!({"voice": {"reply": "always", "theirs": 1}, "persona": "Lina", "handOver": {"hours": 3}});
    assert_eq!(found.companion, expected);
}
