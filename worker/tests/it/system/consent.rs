//! STOP and START: one confirmation each, and silence in between.

use mongodb::bson::doc;
use serde_json::json;
use simulator::webhook::{Body, Content};

use super::harness::{Options, System, acme, bolt, customer};

const STOPPED: &str =
    "You will get no more messages from us here. Write START if you would like to hear from us again.";
const STARTED: &str = "Welcome back! We answer you here again. Write STOP if you would like no more messages.";

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_confirmed_once_and_silence_lasts_until_a_start() {
    let system = System::start(Options { workers: 2, ..Options::default() }).await;
    let (ana, eva) = (customer(1), customer(2));
    system.write(&acme(), &ana, "please don't stop").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS please don't stop"]);
    let sender = system.meta.sender(&acme());
    let stop = sender.message(&ana, Content::text("Stop!"));
    let body = Body::of(&acme(), &stop).to_json();
    sender.deliver(&body).await.expect("200");
    assert_eq!(system.answers(&acme(), &ana, 2).await[1], STOPPED);
    system.settled().await;
    let (chats, requests) = (system.journal.chats().len(), system.journal.sends().len());
    sender.duplicate(&body, 2).await.expect("200");
    for text in ["Are you there?", "STOP", "What does it cost?"] {
        let id = system.write(&acme(), &ana, text).await;
        let recorded = doc! { "id": &id, "answered_at": { "$exists": true } };
        system.wait_for_document("messages", recorded).await;
        assert!(system.journal.reads().iter().all(|read| read.message_id != id), "nobody seems to read it");
    }
    system.settled().await;
    assert_eq!((system.journal.chats().len(), system.journal.sends().len()), (chats, requests));
    // Another customer, and the same one at another business, are not meant.
    system.write(&acme(), &eva, "one").await;
    system.write(&bolt(), &ana, "two").await;
    assert_eq!(system.answers(&acme(), &eva, 1).await, ["ANS one"]);
    assert_eq!(system.answers(&bolt(), &ana, 1).await, ["ANS two"]);

    system.write(&acme(), &ana, "start").await;
    assert_eq!(system.answers(&acme(), &ana, 3).await[2], STARTED);
    system.write(&acme(), &ana, "And now?").await;
    assert_eq!(system.answers(&acme(), &ana, 4).await[3], "ANS And now?");
    system.settled().await;
    let chat = system.journal.chats().pop().expect("the AI was asked").body.to_string();
    assert!(!chat.contains("What does it cost?"), "what was said in silence is not remembered");
    system.write(&acme(), &ana, "START").await;
    assert_eq!(system.answers(&acme(), &ana, 5).await[4], "ANS START", "there is nothing to start");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_confirmed_in_its_language_and_the_business_may_take_it_for_a_message() {
    let system = System::start(Options::default()).await;
    system.update_business(&bolt(), doc! { "companion": { "optOut": false } }).await;
    let (ana, eva) = (customer(1), customer(2));
    system.write(&acme(), &ana, "Darme de baja").await;
    let told = system.answers(&acme(), &ana, 1).await;
    assert!(told[0].starts_with("No recibirá más mensajes") && told[0].contains("START"), "{told:?}");
    system.settled().await;
    let of = ["customer", "show", "--business", "acme", "--phone", ana.key()];
    let shown = super::process::run("worker", &of, system.environment(), "");
    assert!(shown.stdout.contains("wants to hear no more, since"), "{}{}", shown.stdout, shown.stderr);
    system.write(&bolt(), &eva, "STOP").await;
    assert_eq!(system.answers(&bolt(), &eva, 1).await, ["ANS STOP"]);
    assert_eq!(system.journal.chats().len(), 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_about_marketing_is_kept_and_silences_no_answer() {
    let system = System::start(Options::default()).await;
    let ana = customer(1);
    let wish = json!([{ "wa_id": ana.key(), "category": "marketing_messages", "value": "stop", "timestamp": 1 }]);
    let fields = [("messaging_product", json!("whatsapp")), ("user_preferences", wish)];
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let body = Body::default().other(&acme(), "user_preferences", fields).to_json();
    system.meta.sender(&acme()).deliver(&body).await.expect("200");
    system.wait_for_document("account_events", doc! { "field": "user_preferences" }).await;
    system.write(&acme(), &ana, "hello").await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS hello"]);
    let listed = super::process::run("worker", &["account", "list", "--json"], system.environment(), "");
    assert!(listed.stdout.contains("marketing_messages stop"), "{}", listed.stdout);
    assert!(!listed.stdout.contains(ana.key()), "whose wish it is stays in the event");
    system.stop().await;
}
