//! Tokens while they change: one renews, and nothing that somebody else stored is overwritten.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use mongodb::bson::{Bson, DateTime, Document, doc};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinSet;
use worker::{
    conversation::BusinessId,
    store::{RefreshClaim, SecretPlace, Store, StoredSecret, TokenReplacement},
};

use super::{Fresh, LONG, SHORT, hours};

fn business(id: &str) -> BusinessId {
    BusinessId(id.to_owned())
}

fn ends_in(time: jiff::SignedDuration) -> DateTime {
    DateTime::from_millis((Timestamp::now() + time).as_millisecond())
}

/// A served business whose token ends in an hour, with these fields besides or instead.
async fn put(store: &Fresh, id: &str, fields: Document) {
    let mut document = doc! {
        "_id": id, "subDomain": id, "whatsappPhoneNumberIds": ["1"], "whatsappAccessToken": "67",
        "whatsappTokenExpiresAt": ends_in(hours(1)), "whatsappEnabled": true, "isActive": true, "__v": 3_i32,
    };
    document.extend(fields);
    store.backend.put("businesses", document).await;
}

async fn claim(store: &Arc<dyn Store>, token_id: &str, worker: &str, time: Duration) -> Option<u32> {
    let claim = RefreshClaim { business: &business("acme"), token_id, worker, time };
    store.claim_refresh(&claim).await.expect("the store answers")
}

async fn postpone(store: &Arc<dyn Store>, worker: &str, pause: Duration) -> bool {
    store.postpone_refresh(&business("acme"), worker, pause).await.expect("the store answers")
}

/// Claims as soon as nobody else does, and says which try it is.
async fn claim_when_free(store: &Arc<dyn Store>, worker: &str) -> u32 {
    let claiming = async {
        loop {
            if let Some(tries) = claim(store, "a", worker, LONG).await {
                return tries;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), claiming).await.expect("it becomes free")
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_end_soon_are_found_the_first_to_end_first() {
    let store = Fresh::open("expiring").await;
    put(&store, "soon", doc! {}).await;
    put(&store, "ended", doc! { "whatsappTokenExpiresAt": ends_in(hours(-1)) }).await;
    put(&store, "text", doc! { "whatsappTokenExpiresAt": (Timestamp::now() + hours(2)).to_string() }).await;
    put(&store, "later", doc! { "whatsappTokenExpiresAt": ends_in(hours(30)) }).await;
    put(&store, "text later", doc! { "whatsappTokenExpiresAt": (Timestamp::now() + hours(30)).to_string() }).await;
    put(&store, "off", doc! { "isActive": false }).await;
    put(&store, "disabled", doc! { "whatsappEnabled": false }).await;
    put(&store, "never", doc! { "whatsappTokenExpiresAt": Bson::Null }).await;
    let found = store.tokens_expiring(Timestamp::now() + hours(24)).await.expect("the store answers");
    let ids: Vec<_> = found.iter().map(|token| token.business.id.as_str()).collect();
    assert_eq!(ids, ["ended", "soon", "text"]);
    assert!(found.iter().all(|token| token.taken.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_sixteen_renews_a_token() {
    let store = Fresh::open("renewal").await;
    put(&store, "acme", doc! {}).await;
    let mut claiming = JoinSet::new();
    for worker in 0..16 {
        let store = Arc::clone(&store);
        claiming.spawn(async move { claim(&store, "a", &format!("worker {worker}"), LONG).await });
    }
    let claims: Vec<_> = claiming.join_all().await.into_iter().flatten().collect();
    assert_eq!(claims, [1]);
    let found = store.tokens_expiring(Timestamp::now() + hours(24)).await.expect("the store answers");
    let taken = found[0].taken.as_ref().expect("it is taken");
    assert!(taken.token_id == "a" && taken.until > Timestamp::now() + hours(0), "{taken:?}");
    let nobody = RefreshClaim { business: &business("nobody"), token_id: "a", worker: "w", time: LONG };
    assert_eq!(store.claim_refresh(&nobody).await.expect("the store answers"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_runs_out_and_tries_count_for_each_token_by_itself() {
    let store = Fresh::open("claims").await;
    put(&store, "acme", doc! {}).await;
    assert_eq!(claim(&store, "a", "dead", SHORT).await, Some(1));
    assert_eq!(claim_when_free(&store, "next").await, 2);
    assert!(!postpone(&store, "dead", Duration::ZERO).await, "it is another's by now");
    assert_eq!(claim(&store, "a", "third", LONG).await, None);
    assert_eq!(claim(&store, "$b", "third", LONG).await, Some(1), "its owner stored another token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_keeps_everybody_away_until_it_is_over() {
    let store = Fresh::open("pause").await;
    put(&store, "acme", doc! {}).await;
    assert_eq!(claim(&store, "a", "one", LONG).await, Some(1));
    assert!(postpone(&store, "one", SHORT).await);
    assert!(!postpone(&store, "one", LONG).await, "it gave the claim away");
    assert_eq!(claim_when_free(&store, "two").await, 2);
    assert!(postpone(&store, "two", LONG).await);
    assert_eq!(claim(&store, "a", "two", LONG).await, None);
}

fn replacement<'a>(
    id: &'a BusinessId,
    seen: &'a SecretString,
    seen_refresh: Option<&'a SecretString>,
) -> TokenReplacement<'a> {
    let (access_token, refresh_token) = ("new", seen_refresh.map(|_| "new too"));
    TokenReplacement { business: id, seen, seen_refresh, access_token, refresh_token, expires_at: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_replaced_only_where_it_is_still_the_one_that_was_read() {
    let store = Fresh::open("replaced").await;
    put(&store, "acme", doc! { "whatsappAccessToken": " 67 ", "whatsappRefreshToken": "68" }).await;
    let id = business("acme");
    let [seen, refresh, other] = ["67", "68", "69"].map(SecretString::from);
    for wrong in [
        replacement(&id, &other, Some(&refresh)),
        replacement(&id, &seen, Some(&other)),
        replacement(&id, &seen, None),
        replacement(&business("nobody"), &seen, Some(&refresh)),
    ] {
        assert!(!store.replace_token(&wrong).await.expect("the store answers"));
    }
    assert_eq!(claim(&store, "a", "one", LONG).await, Some(1));
    let end = Timestamp::from_second(1_900_000_000).expect("in range");
    let right = TokenReplacement { expires_at: Some(end), ..replacement(&id, &seen, Some(&refresh)) };
    assert!(store.replace_token(&right).await.expect("the store answers"));
    assert!(!store.replace_token(&right).await.expect("the store answers"), "once");
    let expected = doc! {
        "_id": "acme", "subDomain": "acme", "whatsappPhoneNumberIds": ["1"], "whatsappAccessToken": "new",
        "whatsappTokenExpiresAt": DateTime::from_millis(1_900_000_000_000), "whatsappEnabled": true, "isActive": true,
        "__v": 3_i32, "whatsappRefreshToken": "new too",
    };
    assert_eq!(store.raw("businesses", "acme").await, expected, "the claim is over, and all else as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_never_ends_has_no_end_in_the_database_and_no_refresh_token_appears() {
    let store = Fresh::open("endless").await;
    put(&store, "acme", doc! {}).await;
    let (id, seen) = (business("acme"), SecretString::from("67"));
    assert!(store.replace_token(&replacement(&id, &seen, None)).await.expect("the store answers"));
    let stored = store.raw("businesses", "acme").await;
    assert!(!stored.contains_key("whatsappTokenExpiresAt") && !stored.contains_key("whatsappRefreshToken"));
    assert_eq!(stored.get("whatsappAccessToken"), Some(&"new".into()));
}

fn tool(header: impl Into<Bson>) -> Document {
    doc! { "name": "t", "header": { "name": "Authorization", "value": header.into() } }
}

fn notify(secret: &str) -> Document {
    doc! { "hours": 4, "notify": { "url": "https://acme.example/hook", "secret": secret } }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_is_found_where_it_stands_and_replaced_only_while_it_does() {
    let store = Fresh::open("secrets").await;
    let tools = vec![tool("h0"), doc! { "name": "open" }, tool(" h2 "), tool(7)];
    put(
        &store,
        "acme",
        doc! { "whatsappRefreshToken": "68", "companion": { "tools": tools, "handOver": notify("n") } },
    )
    .await;
    // Without WhatsApp as yet.
    let bare = doc! { "_id": "bare", "whatsappAccessToken": "  ", "companion": { "tools": [tool("h")] } };
    store.backend.put("businesses", bare).await;
    let mut found = store.stored_secrets().await.expect("the store answers");
    found.sort_by_key(|secret| (secret.business.0.clone(), secret.place.to_string()));
    let seen: Vec<_> = found.iter().map(|s| (s.business.0.as_str(), s.place, s.value.expose_secret())).collect();
    assert_eq!(
        seen,
        [
            ("acme", SecretPlace::NotifySecret, "n"),
            ("acme", SecretPlace::ToolHeader(0), "h0"),
            ("acme", SecretPlace::ToolHeader(2), " h2 "),
            ("acme", SecretPlace::AccessToken, "67"),
            ("acme", SecretPlace::RefreshToken, "68"),
            ("bare", SecretPlace::ToolHeader(0), "h"),
        ]
    );
    assert_eq!((found[0].subdomain.as_deref(), found[5].subdomain.as_deref()), (Some("acme"), None));
    let replace = async |secret: &StoredSecret| store.replace_secret(secret, "new").await.expect("the store answers");
    for secret in &found {
        let other = StoredSecret { value: SecretString::from("another"), ..secret.clone() };
        assert!(!replace(&other).await, "{} is not what was read", secret.place);
        assert!(replace(secret).await, "{}", secret.place);
        assert!(!replace(secret).await, "once");
    }
    let gone = StoredSecret { place: SecretPlace::ToolHeader(9), ..found[0].clone() };
    assert!(!replace(&gone).await, "there is no such tool");
    let stored = store.raw("businesses", "acme").await;
    let tools = vec![tool("new"), doc! { "name": "open" }, tool("new"), tool(7)];
    assert_eq!(stored.get("companion"), Some(&doc! { "tools": tools, "handOver": notify("new") }.into()));
    for field in ["whatsappAccessToken", "whatsappRefreshToken"] {
        assert_eq!(stored.get(field), Some(&"new".into()));
    }
    assert!(!format!("{found:?}").contains("h0"), "no secret prints");
}
