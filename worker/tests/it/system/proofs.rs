//! `appsecret_proof`: given with every request that Graph gets, by the right app's secret, and never what a message fails
//! for.

use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use mongodb::bson::doc;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use shared::{
    ids::{MessageId, PhoneNumberId, SessionId, WaId},
    testing,
};
use simulator::{
    Business, Journal, Meta, MetaOptions,
    files::tiny_png,
    journal::{Credential, GraphRequest},
    meta::{App, Call, Fault, Refusal, Where},
    webhook::Content,
};
use worker::{
    conversation::PartForm,
    settings::{MetaApp, MetaApps},
    whatsapp::{Callback, ErrorClass, Graph, Outgoing, Recipient, SendError},
};

use super::{
    harness::{APP_SECRET, Options, System, acme, bolt, cipher, corn, customer},
    process::run,
};

/// The stand-in's only app.
const APP: &str = "1000000000000001";
const APPS: [(&str, &str); 2] = [("1", "the-first-secret"), ("2", "the-second-secret")];

/// Another implementation's proofs are in the unit test; here it is what must be in no log.
fn proof(token: &SecretString, secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(token.expose_secret().as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// A worker of that app, whose proofs may be in no log.
async fn system(secret: &str, workers: usize) -> System {
    let options = Options { workers, ..Options::default() };
    let options = options.with("META_APP_ID", APP).with("WHATSAPP_APP_SECRET", secret).with("RUST_LOG", "debug");
    let mut system = System::start(options).await;
    for business in [acme(), bolt(), corn()] {
        system.keep_from_logs(proof(&business.token, secret));
    }
    system
}

fn requests(journal: &Journal, path: &str) -> Vec<GraphRequest> {
    journal
        .graph_requests()
        .into_iter()
        .map(|request| request.fact)
        .filter(|request| request.path.contains(path))
        .collect()
}

/// The codes that Graph answered with, none standing for success.
fn codes(journal: &Journal, asked: &[GraphRequest]) -> Vec<Option<i64>> {
    let answers = journal.graph_answers();
    let code = |request: &GraphRequest| answers.iter().find(|answer| answer.request == request.request).map(|a| a.code);
    asked.iter().map(|request| code(request).expect("it was answered")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_an_app_demands_proofs_every_request_has_one_and_downloads_have_none() {
    let system = system(APP_SECRET, 1).await;
    system.meta.require_proofs(true);
    let ana = customer(1);
    let picture = system.meta.store_media(&acme(), "image/png", tiny_png());
    system.send(&acme(), &ana, Content::image(&picture, Some("What is it?"))).await;
    system.answers(&acme(), &ana, 1).await;
    system.write(&bolt(), &ana, "hello").await;
    assert_eq!(system.answers(&bolt(), &ana, 1).await, ["ANS hello"]);
    system.settled().await;
    // A new token is proved by itself.
    let renewed = SecretString::from("EAAboltRENEWEDboltRENEWED");
    system.meta.grant("bolt", &renewed);
    system.meta.revoke(&bolt().token);
    system.update_business(&bolt(), doc! { "whatsappAccessToken": cipher().encrypt(&renewed) }).await;
    system.write(&bolt(), &ana, "again").await;
    assert_eq!(system.answers(&bolt(), &ana, 2).await[1], "ANS again");
    let asked = requests(&system.journal, "");
    let (downloads, others): (Vec<_>, Vec<_>) = asked.into_iter().partition(|one| one.path.contains("media-download"));
    assert!(!downloads.is_empty() && downloads.iter().all(|request| request.proof.is_none()), "{downloads:?}");
    // One of a token that counts no more has nothing to be held against.
    let proven = others.iter().filter(|request| request.credential != Credential::Unknown);
    assert!(proven.clone().count() >= 5 && proven.clone().all(|request| request.proof == Some(true)), "{others:?}");
    assert!(requests(&system.journal, "debug_token").is_empty(), "with one app there is nothing to ask");
    assert_eq!(system.journal.accepted().len(), 3, "each was sent once");
    let told = run("worker", &["doctor", "--json"], system.environment(), "").stdout;
    assert!(told.contains("its secret is right") && !told.contains("appsecret_proof"), "{told}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_meta_refuses_costs_one_request_and_no_message() {
    let system = system("not-the-secret-of-this-app", 1).await;
    let ana = customer(1);
    for (n, text) in ["one", "two", "three"].into_iter().enumerate() {
        system.write(&acme(), &ana, text).await;
        assert_eq!(system.answers(&acme(), &ana, n + 1).await[n], format!("ANS {text}"));
        system.settled().await;
    }
    let asked = requests(&system.journal, "");
    let refused: Vec<_> = asked.iter().filter(|request| request.proof == Some(false)).cloned().collect();
    // The indicator of the first message and its answer may have been under way together.
    assert!((1..=2).contains(&refused.len()), "{asked:?}");
    assert!(codes(&system.journal, &refused).iter().all(|code| *code == Some(100)));
    assert!(asked.iter().all(|request| request.proof != Some(true)));
    assert_eq!(system.journal.accepted().len(), 3, "each was sent once");
    assert_eq!(system.count("dead_letters", doc! {}).await, 0);
    let log = system.workers[0].log();
    assert!(log.contains("Meta does not take the appsecret_proof of a token"), "it is said");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_where_a_proof_is_demanded_that_nobody_here_can_give() {
    let system = System::start(Options::default()).await;
    system.meta.require_proofs(true);
    let ana = customer(1);
    system.write(&acme(), &ana, "hello").await;
    let waiting = doc! { "last_error.reason": "credentials" };
    let conversation = system.wait_for_document("conversations", waiting).await;
    let error = conversation.get_document("last_error").expect("it says why").to_string();
    assert!(error.contains("require an appsecret_proof"), "{error}");
    // Somebody switches the demand off; a new token says that it is worth another try.
    system.meta.require_proofs(false);
    let fresh = SecretString::from("EAAacmeFRESHacmeFRESH");
    system.meta.grant("acme", &fresh);
    system.update_business(&acme(), doc! { "whatsappAccessToken": cipher().encrypt(&fresh) }).await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS hello"]);
    system.settled().await;
    assert_eq!((system.journal.accepted().len(), system.count("dead_letters", doc! {}).await), (1, 0));
    system.stop().await;
}

/// A Meta with three apps, of which two are ours, and a client that proves.
async fn several(apps: &[(&str, &str)]) -> (Meta, Graph) {
    shared::install_tls_provider();
    let app = |(id, secret): (&str, &str)| App { id: id.to_owned(), secret: SecretString::from(secret) };
    let theirs = APPS.into_iter().chain([("3", "a-stranger's-secret")]).map(app).collect();
    let meta = Meta::start(MetaOptions { apps: theirs, ..MetaOptions::default() }).await.expect("Meta starts");
    for (business, app) in [(acme(), "1"), (bolt(), "2"), (corn(), "3")] {
        meta.register(business.with_app_id(app));
    }
    let ours = apps.iter().map(|(id, secret)| MetaApp { id: (*id).to_owned(), secret: SecretString::from(*secret) });
    let client = worker::http::client().expect("a client");
    let graph = Graph::new(client, meta.graph_url(), Duration::from_secs(15)).proving(MetaApps::new(ours));
    (meta, graph)
}

async fn send(graph: &Graph, business: &Business) -> Result<MessageId, SendError> {
    let reply_id = testing::unique("reply");
    let callback = Callback { session: SessionId::from_stored("acme:1"), reply_id, part: 0, attempt: 1 };
    let number = PhoneNumberId::parse(&business.phone_number_id).expect("an id");
    let to = Recipient::Phone(WaId::parse("4915112345678").expect("a number"));
    let message =
        Outgoing { from: &number, to: &to, body: "hello", form: &PartForm::Text, quotes: None, callback: &callback };
    // As a turn does.
    graph.learn_issuer(&business.token).await;
    graph.send(&business.token, &message, Instant::now() + Duration::from_secs(5)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_apps_meta_is_asked_once_for_each_token_which_one_issued_it() {
    let (meta, graph) = several(&APPS).await;
    for _ in 0..3 {
        for business in [acme(), bolt(), corn()] {
            send(&graph, &business).await.expect("it is sent");
        }
    }
    let proofs = |business: &Business| -> Vec<_> {
        let sent = requests(meta.journal(), &format!("{}/messages", business.phone_number_id));
        sent.iter().map(|request| request.proof).collect()
    };
    assert_eq!((proofs(&acme()), proofs(&bolt())), (vec![Some(true); 3], vec![Some(true); 3]));
    assert_eq!(proofs(&corn()), [None; 3], "nobody here has the third app's secret");
    // The first app's token fits at once; the others are tried with both secrets.
    assert_eq!(requests(meta.journal(), "debug_token").len(), 1 + 2 + 2);

    let (meta, graph) = several(&APPS).await;
    meta.require_proofs(true);
    send(&graph, &bolt()).await.expect("a proof is found also where nothing is told without one");
    let refused = send(&graph, &corn()).await.expect_err("it is demanded, and cannot be given");
    let SendError::Answered(refused) = refused else { panic!("{refused}") };
    assert_eq!((refused.class, refused.code), (ErrorClass::Credentials, 100), "it is not the message's fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_meta_does_not_say_whose_a_token_is_the_message_goes_without_a_proof() {
    for fault in [Fault::Refuse(Refusal::code(2)), Fault::Delay(Duration::from_secs(60)), Fault::DropBeforeAccept] {
        let (meta, graph) = several(&APPS).await;
        let slow = matches!(fault, Fault::Delay(_));
        meta.faults().always(Where::call(Call::Token), fault);
        let began = std::time::Instant::now();
        for _ in 0..3 {
            send(&graph, &acme()).await.expect("it is sent");
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it does not wait for long");
        assert!(!slow || began.elapsed() > Duration::from_secs(2));
        assert_eq!(requests(meta.journal(), "debug_token").len(), 1, "it is not asked again with each message");
        assert!(requests(meta.journal(), "messages").iter().all(|request| request.proof.is_none()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_app_than_the_only_one_is_used_without_a_proof_after_one_refusal() {
    let (meta, graph) = several(&APPS[..1]).await;
    for _ in 0..3 {
        send(&graph, &bolt()).await.expect("it is sent");
    }
    let sent = requests(meta.journal(), "messages");
    let proofs: Vec<_> = sent.iter().map(|request| request.proof).collect();
    assert_eq!(proofs, [Some(false), None, None, None]);
    let voice = bytes::Bytes::from(simulator::files::silent_voice_note());
    let number = PhoneNumberId::parse(&acme().phone_number_id).expect("an id");
    graph.upload_voice(&acme().token, &number, voice.clone()).await.expect("with a proof");
    let number = PhoneNumberId::parse(&corn().phone_number_id).expect("an id");
    graph.upload_voice(&corn().token, &number, voice).await.expect("a form is sent a second time as well");
    let proofs: Vec<_> = requests(meta.journal(), "/media").iter().map(|request| request.proof).collect();
    assert_eq!(proofs, [Some(true), Some(false), None]);
}
