//! The life of tokens and secrets: renewed ahead of their end, encrypted anew, while messages go on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mongodb::bson::{DateTime, Document, doc};
use secrecy::{ExposeSecret, SecretString};
use simulator::{
    Business, Meta, MetaOptions,
    meta::{App, Call, Fault, Refusal, Where},
};
use worker::{
    business::{Registry, TokenCipher, TokenKeeper},
    settings::{EncryptionSettings, MetaApp, MetaApps, StoreSettings},
    store::{MongoStore, Store},
    whatsapp::Graph,
};

use super::{
    harness::{APP_SECRET, ENCRYPTION_SECRET, Options, Servers, System, acme, bolt, cipher, corn, customer, document},
    process::run,
};

/// The stand-in's only app.
const APP: &str = "1000000000000001";
const NEW_SECRET: &str = "the-encryption-secret-after-the-rotation";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY_MILLIS: i64 = 24 * 3_600 * 1_000;

fn now_and(millis: i64) -> DateTime {
    DateTime::from_millis(DateTime::now().timestamp_millis() + millis)
}

/// Meta and the database say that the business's token ends in an hour.
async fn ends_soon(system: &System, meta: &Meta, business: &Business) {
    meta.grant_for(&business.name, &business.token, HOUR);
    system.update_business(business, doc! { "whatsappTokenExpiresAt": now_and(DAY_MILLIS / 24) }).await;
}

async fn renewed(system: &System, business: &Business) -> (SecretString, Document) {
    let filter = doc! { "subDomain": &business.name, "whatsappTokenExpiresAt": { "$gt": now_and(59 * DAY_MILLIS) } };
    let stored = system.wait_for_document("businesses", filter).await;
    let token = cipher().decrypt(&stored.get_str("whatsappAccessToken").expect("text").into()).expect("decrypts");
    (token, stored)
}

fn exchanges(meta: &Meta) -> usize {
    meta.journal().graph_requests().iter().filter(|request| request.path == "oauth/access_token").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_in_an_hour_is_refreshed_once_by_three_workers_and_messages_go_on() {
    let options = Options { workers: 0, ..Options::default() };
    let mut system = System::start(options.with("META_APP_ID", APP).with("WHATSAPP_APP_SECRET", APP_SECRET)).await;
    ends_soon(&system, &system.meta, &acme()).await;
    // Long enough for every worker to find the token while it is under way.
    system.meta.faults().always(Where::call(Call::Token), Fault::Delay(Duration::from_secs(2)));
    let mut started: Vec<_> = (0..3).map(|_| system.spawn_worker(&[])).collect();
    for worker in &mut started {
        worker.wait_for_message("consuming from RabbitMQ").await;
    }
    system.workers.extend(started);
    for n in 0..10 {
        system.write(&acme(), &customer(n), &format!("hello {n}")).await;
    }
    let (token, stored) = renewed(&system, &acme()).await;
    assert!(token.expose_secret() != acme().token.expose_secret() && !stored.contains_key("tokenRefresh"));
    system.keep_from_logs(token.expose_secret());
    for n in 10..20 {
        system.write(&acme(), &customer(n), &format!("hello {n}")).await;
    }
    for n in 0..20 {
        assert_eq!(system.answers(&acme(), &customer(n), 1).await, [format!("ANS hello {n}")]);
    }
    system.settled().await;
    assert_eq!(exchanges(&system.meta), 1);
    assert_eq!(system.journal.sends().len(), 20, "each was sent once");
    assert_eq!(system.journal.accepted().len(), 20, "and none was refused");
    for log in system.logs() {
        assert!(!log.contains(r#""level":"ERROR""#) && !log.contains(r#""level":"WARN""#), "{log}");
    }
    // Whoever still has the old one reads again.
    system.meta.revoke(&acme().token);
    for n in 0..6 {
        system.write(&acme(), &customer(n), "again").await;
        assert_eq!(system.answers(&acme(), &customer(n), 2).await[1], "ANS again");
    }
    system.stop().await;
}

async fn store(system: &System) -> Arc<dyn Store> {
    let uri = SecretString::from(Servers::default().mongodb_uri);
    let settings = StoreSettings { uri, database: system.db.name().to_owned() };
    Arc::new(MongoStore::open(&settings).await.expect("a valid URI"))
}

/// What a worker renews tokens with, in this process.
async fn keeper(system: &System, meta: &Meta, apps: &[(&str, &str)]) -> TokenKeeper {
    let store = store(system).await;
    let registry = Registry::new(Arc::clone(&store), cipher(), None);
    let graph = Graph::new(worker::http::client().expect("a client"), meta.graph_url(), Duration::from_secs(10));
    let app = |(id, secret): &(&str, &str)| MetaApp { id: (*id).to_owned(), secret: SecretString::from(*secret) };
    let apps = MetaApps::new(apps.iter().map(app));
    TokenKeeper::new(store, registry, cipher(), graph.proving(apps.clone()), apps, "keeper")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_exchange_is_tried_again_after_a_pause_and_the_old_token_stays() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    ends_soon(&system, &system.meta, &acme()).await;
    let keeper = keeper(&system, &system.meta, &[(APP, APP_SECRET)]).await;
    system.meta.faults().next(Where::call(Call::Token), Fault::Refuse(Refusal::code(2)));
    for _ in 0..3 {
        keeper.look().await.expect("MongoDB answers");
    }
    assert_eq!(exchanges(&system.meta), 1, "the pause is a minute");
    let waiting = doc! { "subDomain": "acme", "tokenRefresh.tries": 1, "tokenRefresh.worker": { "$exists": false } };
    let stored = system.wait_for_document("businesses", waiting).await;
    let until = stored.get_document("tokenRefresh").expect("it is noted").get_datetime("until").expect("a time");
    let millis = until.timestamp_millis() - DateTime::now().timestamp_millis();
    assert!((20_000..=60_000).contains(&millis), "{millis}");
    let token = cipher().decrypt(&stored.get_str("whatsappAccessToken").expect("text").into()).expect("decrypts");
    assert_eq!(token.expose_secret(), acme().token.expose_secret());
    system.update_business(&acme(), doc! { "tokenRefresh.until": now_and(-1) }).await;
    keeper.look().await.expect("MongoDB answers");
    assert_ne!(renewed(&system, &acme()).await.0.expose_secret(), acme().token.expose_secret());
    keeper.look().await.expect("MongoDB answers");
    assert_eq!(exchanges(&system.meta), 2, "nothing is left to do");
    system.stop().await;
}

/// Another Meta, of whose apps each issued one business's token, which ends soon.
async fn with_three_apps(system: &System) -> Meta {
    let app = |id: &str, secret: &str| App { id: id.to_owned(), secret: SecretString::from(secret) };
    let apps = vec![app("1", "one"), app("2", "two"), app("3", "three")];
    let meta = Meta::start(MetaOptions { apps, ..MetaOptions::default() }).await.expect("Meta starts");
    for (business, app) in [(acme(), "1"), (bolt(), "2"), (corn(), "3")] {
        meta.register(business.clone().with_app_id(app));
        ends_soon(system, &meta, &business).await;
    }
    meta
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_apps_the_one_that_issued_a_token_exchanges_it() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let meta = with_three_apps(&system).await;
    // What is exchanged of bolt's is another token than the one in use.
    let refresh = SecretString::from("EAAboltREFRESHboltREFRESH");
    meta.grant("bolt", &refresh);
    system.update_business(&bolt(), doc! { "whatsappRefreshToken": cipher().encrypt(&refresh) }).await;
    // Acme's has been forgotten there and is good no more.
    let stale = SecretString::from("EAAacmeSTALEacmeSTALE");
    system.update_business(&acme(), doc! { "whatsappRefreshToken": cipher().encrypt(&stale) }).await;
    keeper(&system, &meta, &[("1", "one"), ("2", "two")]).await.look().await.expect("MongoDB answers");
    for business in [acme(), bolt()] {
        let (token, stored) = renewed(&system, &business).await;
        let refresh = stored.get_str("whatsappRefreshToken").expect("text");
        let refresh = cipher().decrypt(&refresh.into()).expect("decrypts");
        assert_eq!(refresh.expose_secret(), token.expose_secret(), "the next exchange begins with it");
    }
    let foreign = doc! { "subDomain": "corn", "tokenRefresh.tries": 1 };
    let foreign = system.wait_for_document("businesses", foreign).await;
    let token = cipher().decrypt(&foreign.get_str("whatsappAccessToken").expect("text").into()).expect("decrypts");
    assert_eq!(token.expose_secret(), corn().token.expose_secret(), "nobody here may exchange it");
    meta.stop().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_takes_no_form_and_tells_no_end_exchanges_a_token_for_sixty_days() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let keeper = keeper(&system, &system.meta, &[(APP, APP_SECRET)]).await;
    ends_soon(&system, &system.meta, &acme()).await;
    system.meta.exchange_for(None);
    let (token, not_found) = (Where::call(Call::Token), Fault::NonJson(404));
    // The form, not the query, and then the question about the new one.
    system.meta.faults().schedule(token, [Some(not_found.clone()), None, Some(not_found)]);
    keeper.look().await.expect("MongoDB answers");
    assert_ne!(renewed(&system, &acme()).await.0.expose_secret(), acme().token.expose_secret());
    assert_eq!(exchanges(&system.meta), 2);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_nobody_can_use_gives_way_to_the_access_token() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let meta = with_three_apps(&system).await;
    // Acme's was encrypted with a secret that nobody has any more; bolt's is of an app that is not ours.
    let lost = TokenCipher::new(&EncryptionSettings { current: SecretString::from("lost".repeat(8)), previous: None });
    let unreadable = lost.encrypt(&SecretString::from("EAAacmeREFRESHacmeREFRESH"));
    system.update_business(&acme(), doc! { "whatsappRefreshToken": unreadable }).await;
    let foreign = SecretString::from("EAAcornREFRESHcornREFRESH");
    meta.grant("corn", &foreign);
    system.update_business(&bolt(), doc! { "whatsappRefreshToken": cipher().encrypt(&foreign) }).await;
    keeper(&system, &meta, &[("1", "one"), ("2", "two")]).await.look().await.expect("MongoDB answers");
    for business in [acme(), bolt()] {
        let (token, stored) = renewed(&system, &business).await;
        assert_ne!(token.expose_secret(), business.token.expose_secret());
        let refresh =
            cipher().decrypt(&stored.get_str("whatsappRefreshToken").expect("text").into()).expect("decrypts");
        assert_eq!(refresh.expose_secret(), token.expose_secret(), "{}", business.name);
    }
    meta.stop().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_lasts_no_longer_is_not_exchanged_again_and_again_and_an_endless_one_never() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let keeper = keeper(&system, &system.meta, &[(APP, APP_SECRET)]).await;
    ends_soon(&system, &system.meta, &acme()).await;
    system.meta.exchange_for(Some(HOUR));
    for _ in 0..3 {
        keeper.look().await.expect("MongoDB answers");
    }
    assert_eq!(exchanges(&system.meta), 1);
    system.meta.exchange_for(None);
    system.update_business(&acme(), doc! { "tokenRefresh.until": now_and(-1) }).await;
    for _ in 0..3 {
        keeper.look().await.expect("MongoDB answers");
    }
    assert_eq!(exchanges(&system.meta), 2);
    let endless = doc! { "subDomain": "acme", "whatsappTokenExpiresAt": { "$exists": false } };
    system.wait_for_document("businesses", endless).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_app_a_worker_says_once_that_tokens_end() {
    let mut system = System::start(Options { workers: 0, ..Options::default() }).await;
    ends_soon(&system, &system.meta, &acme()).await;
    system.start_worker().await;
    let said = system.workers[0].wait_for_message("are not renewed: META_APP_ID is not set").await;
    assert_eq!(said["businesses"], 1, "{said}");
    assert_eq!(exchanges(&system.meta), 0);
    system.stop().await;
}

/// The worker's environment with other secrets.
fn with_secrets(system: &System, current: &str, previous: &str) -> Vec<(String, String)> {
    let mut environment = system.environment().to_vec();
    environment.retain(|(name, _)| !name.starts_with("ENCRYPTION_SECRET"));
    let secrets = [("ENCRYPTION_SECRET", current), ("ENCRYPTION_SECRET_PREVIOUS", previous)];
    environment.extend(secrets.map(|(name, value)| (name.to_owned(), value.to_owned())));
    environment
}

/// Replaces every worker by one with these secrets, one after the other.
async fn roll(system: &mut System, current: &str, previous: &str) {
    for _ in 0..system.workers.len() {
        let secrets = [("ENCRYPTION_SECRET", current), ("ENCRYPTION_SECRET_PREVIOUS", previous)];
        system.start_worker_with(&secrets).await;
        let mut old = system.workers.remove(0);
        old.signal("TERM");
        assert!(old.ended(Duration::from_secs(50)).await.success());
        system.keep_log(old);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_of_the_encryption_secret_under_traffic_loses_nothing() {
    let mut system = System::start(Options { workers: 2, ..Options::default() }).await;
    system.keep_from_logs(NEW_SECRET);
    let (meta, over) = (Arc::clone(&system.meta), Arc::new(AtomicBool::new(false)));
    let businesses = [acme(), bolt(), corn()];
    let traffic = {
        let (over, businesses) = (Arc::clone(&over), businesses.clone());
        tokio::spawn(async move {
            let mut written = 0;
            while !over.load(Ordering::Relaxed) {
                for business in &businesses {
                    let sent = meta.sender(business).text(business, &customer(written), "hello").await;
                    sent.expect("it is acknowledged");
                }
                written += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            written
        })
    };
    roll(&mut system, NEW_SECRET, ENCRYPTION_SECRET).await;
    let environment = with_secrets(&system, NEW_SECRET, ENCRYPTION_SECRET);
    for told in ["encrypted anew: 3, already new: 0", "encrypted anew: 0, already new: 3"] {
        let rotated = run("worker", &["token", "rotate"], &environment, "");
        assert!(rotated.status.success() && rotated.stdout.contains(told), "{}{}", rotated.stdout, rotated.stderr);
    }
    roll(&mut system, NEW_SECRET, "").await;
    over.store(true, Ordering::Relaxed);
    let written = traffic.await.expect("no panic");
    for n in 0..written {
        for business in &businesses {
            assert_eq!(system.answers(business, &customer(n), 1).await, ["ANS hello"]);
        }
    }
    system.settled().await;
    let (sends, accepted) = (system.journal.sends().len(), system.journal.accepted().len());
    assert_eq!((sends as u64, accepted as u64), (3 * written, 3 * written), "each once, and none refused");
    assert_eq!(system.count("dead_letters", doc! {}).await, 0);
    assert!(system.logs().iter().all(|log| !log.contains("token cannot be used")));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_encrypts_every_secret_anew_and_names_what_it_cannot() {
    let system = System::start(Options { workers: 0, ..Options::default() }).await;
    let of =
        |secret: &str| TokenCipher::new(&EncryptionSettings { current: SecretString::from(secret), previous: None });
    let header = SecretString::from("Bearer PLAIN of a tool");
    let tool = doc! { "name": "t", "header": { "name": "Authorization", "value": cipher().encrypt(&header) } };
    let set = doc! { "whatsappRefreshToken": cipher().encrypt(&acme().token), "companion": { "tools": [tool] } };
    system.update_business(&acme(), set).await;
    let lost = Business::new("lost", "400400400400");
    let mut record = document(&lost);
    record.insert("whatsappAccessToken", of("nobody knows").encrypt(&lost.token));
    system.insert_business(record).await;
    let environment = with_secrets(&system, NEW_SECRET, ENCRYPTION_SECRET);
    let rotate = |more: &[&str]| {
        let arguments: Vec<_> = ["token", "rotate"].iter().chain(more).copied().collect();
        let done = run("worker", &arguments, &environment, "");
        assert_eq!(done.status.code(), Some(1), "{}", done.stdout);
        assert!(done.stdout.contains("lost: whatsappAccessToken: the stored token was encrypted with another secret"));
        assert!(done.stderr.contains("1 secrets cannot be decrypted"), "{}", done.stderr);
        done.stdout
    };
    let told = rotate(&["--dry-run"]);
    assert!(told.contains("would be encrypted anew: 5, already new: 0, undecryptable: 1"), "{told}");
    // As if it was interrupted: one is done.
    system.update_business(&bolt(), doc! { "whatsappAccessToken": of(NEW_SECRET).encrypt(&bolt().token) }).await;
    let told = rotate(&[]);
    assert!(told.contains("encrypted anew: 4, already new: 1, undecryptable: 1"), "{told}");
    assert!(rotate(&[]).contains("encrypted anew: 0, already new: 5, undecryptable: 1"));
    let stored = system.wait_for_document("businesses", doc! { "subDomain": "acme" }).await;
    for field in ["whatsappAccessToken", "whatsappRefreshToken"] {
        let token = of(NEW_SECRET).decrypt(&stored.get_str(field).expect("text").into()).expect("decrypts");
        assert_eq!(token.expose_secret(), acme().token.expose_secret());
    }
    let tools = stored.get_document("companion").expect("it is there").get_array("tools").expect("a list");
    let value = tools[0].as_document().and_then(|tool| tool.get_document("header").ok()?.get_str("value").ok());
    let value = of(NEW_SECRET).decrypt_header(&value.expect("text").into()).expect("decrypts");
    assert_eq!(value.expose_secret(), header.expose_secret());
    system.stop().await;
}
