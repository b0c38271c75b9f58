//! Tokens and businesses that are not right yet: the messages are kept, and answered once it is.

use mongodb::bson::{Document, doc};
use secrecy::{ExposeSecret, SecretString};
use simulator::{
    Business,
    meta::{Fault, Refusal, Where},
};
use worker::{business::TokenCipher, settings::EncryptionSettings};

use super::harness::{Options, System, acme, cipher, customer, document};

#[tokio::test(flavor = "multi_thread")]
async fn both_stored_forms_of_a_token_work() {
    use base64::{Engine, engine::general_purpose::URL_SAFE};
    let mut system = System::start(Options::default()).await;
    let other = Business::new("other", "400400400400").with_token("EAAotherTOKENotherTOKEN");
    system.meta.register(other.clone());
    let text = hex::decode(cipher().encrypt(&other.token)).expect("hex");
    let bytes = hex::encode(URL_SAFE.decode(text).expect("base64"));
    let mut record = document(&other);
    record.insert("whatsappAccessToken", bytes);
    system.insert_business(record).await;
    let ana = customer(1);
    system.write(&other, &ana, "hello").await;
    system.answers(&other, &ana, 1).await;
    system.add_business(&Business::new("more", "500500500500").with_token("EAAmoreTOKENmoreTOKEN")).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_does_not_decrypt_keeps_the_messages_until_it_does() {
    let foreign =
        TokenCipher::new(&EncryptionSettings { current: SecretString::from("another secret"), previous: None });
    let plain = acme().token.expose_secret().to_owned();
    let whole = cipher().encrypt(&acme().token);
    let broken = [foreign.encrypt(&acme().token), whole.chars().take(whole.len() / 2).collect(), plain, String::new()];
    let mut system = System::start(Options::default()).await;
    for (n, value) in broken.iter().enumerate() {
        // A number of its own each: a business is cached for a minute.
        let business =
            Business::new(format!("broken{n}"), format!("60060060060{n}")).with_token("EAAacmeTOKENacmeTOKENacme");
        let mut record = document(&business);
        record.insert("whatsappAccessToken", value);
        system.insert_business(record).await;
        system.write(&business, &customer(1), "kept?").await;
        let waiting = doc! { "_id": format!("broken{n}:{}", customer(1).key()), "last_error.reason": "credentials" };
        let conversation = system.wait_for_document("conversations", waiting).await;
        assert_eq!(conversation.get_array("mailbox").expect("a mailbox").len(), 1);
    }
    assert!(system.journal.sends().is_empty(), "nothing was sent with an undecrypted value");
    for why in ["another secret", "whole Fernet token", "not hexadecimal", "no whatsappAccessToken"] {
        system.workers[0].wait_for_line(why, |line| line.to_string().contains(why)).await;
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_read_again_and_the_message_answered_once() {
    let system = System::start(Options::default()).await;
    let ana = customer(1);
    system.write(&acme(), &ana, "one").await;
    system.answers(&acme(), &ana, 1).await;
    // The owner replaces the token; the worker's cache still has the old one.
    let fresh = SecretString::from("EAAacmeNEWTOKENacmeNEWTOKEN");
    system.meta.grant("acme", &fresh);
    system.meta.revoke(&acme().token);
    system.update_business(&acme(), doc! { "whatsappAccessToken": cipher().encrypt(&fresh) }).await;
    system.write(&acme(), &ana, "two").await;
    assert_eq!(system.answers(&acme(), &ana, 2).await, ["ANS one", "ANS two"]);
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 2);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_an_unknown_number_are_answered_when_its_business_appears() {
    let mut system = System::start(Options::default()).await;
    let late = Business::new("late", "700700700700").with_token("EAAlateTOKENlateTOKEN");
    let ana = customer(1);
    for text in ["first", "second"] {
        system.write(&late, &ana, text).await;
    }
    for text in ["first", "second"] {
        system
            .wait_for_document("dead_letters", doc! { "reason": "unknown_business", "body": { "$regex": text } })
            .await;
    }
    system.add_business(&late).await;
    let answers = system.answers(&late, &ana, 1).await.concat();
    assert!(answers.contains("first"), "{answers}");
    for text in ["first", "second"] {
        let replayed = doc! { "body": { "$regex": text }, "replayed_at": { "$exists": true } };
        system.wait_for_document("dead_letters", replayed).await;
    }
    system.settled().await;
    let all = system.journal.texts_for(&late.phone_number_id, ana.key()).concat();
    assert_eq!((all.matches("first").count(), all.matches("second").count()), (1, 1), "{all}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_business_is_not_answered_for_and_catches_up_when_it_is_enabled() {
    let system = System::start(Options::default()).await;
    let off = Business::new("off", "800800800800").with_token("EAAoffTOKENoffTOKEN");
    system.meta.register(off.clone());
    let mut record: Document = document(&off);
    record.insert("isActive", false);
    system.insert_business(record).await;
    let ana = customer(1);
    system.write(&off, &ana, "anybody?").await;
    system.wait_for_document("dead_letters", doc! { "reason": "business_disabled" }).await;
    system.update_business(&off, doc! { "isActive": true }).await;
    assert_eq!(system.answers(&off, &ana, 1).await, ["ANS anybody?"]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fallback_business_answers_its_own_number_only_under_the_bare_customer() {
    let fallback = Business::new("fallback", "900900900900").with_token("EAAfallbackTOKENfallback");
    let options = Options::default()
        .with("WHATSAPP_PHONE_NUMBER_ID", fallback.phone_number_id.clone())
        .with("WHATSAPP_TOKEN", fallback.token.expose_secret());
    let system = System::start(options).await;
    system.meta.register(fallback.clone());
    let ana = customer(1);
    system.write(&fallback, &ana, "hello").await;
    system.answers(&fallback, &ana, 1).await;
    system.wait_for_document("conversations", doc! { "_id": ana.key() }).await;
    let stranger = Business::new("stranger", "900900900901");
    system.write(&stranger, &ana, "hello?").await;
    system.wait_for_document("dead_letters", doc! { "reason": "unknown_business" }).await;
    assert_eq!(system.journal.accepted().len(), 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_its_business_comes_before_what_is_written_to_it_then() {
    let mut system = System::start(Options::default()).await;
    let late = Business::new("late", "700700700701").with_token("EAAlateTOKENlateTOKEN");
    let ana = customer(1);
    for text in ["first", "second"] {
        system.write(&late, &ana, text).await;
        system.wait_for_document("dead_letters", doc! { "body": { "$regex": text } }).await;
    }
    system.kill_worker(0);
    system.add_business(&late).await;
    system.write(&late, &ana, "third").await;
    // The next worker lands that before it looks for letters by itself.
    system.start_worker().await;
    let all = || system.journal.texts_for(&late.phone_number_id, ana.key()).concat();
    while !all().contains("third") {
        system.answers(&late, &ana, system.journal.texts_for(&late.phone_number_id, ana.key()).len() + 1).await;
    }
    let all = all();
    let places: Vec<_> = ["first", "second", "third"].map(|text| all.find(text)).to_vec();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{all}");
    system.stop().await;
}

/// As where an agency has one token for all of its businesses.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_a_token_may_not_use_stops_no_other_number_with_that_token() {
    let mut system = System::start(Options::default()).await;
    let token = "EAAagencyTOKENagencyTOKEN";
    let [barred, free] = ["barred", "free"].map(|name| {
        let number = format!("60060060060{}", name.len());
        Business::new(name, number).with_token(token)
    });
    for business in [&barred, &free] {
        system.add_business(business).await;
    }
    let refusal = Fault::Refuse(Refusal::code(10).http(403));
    system.meta.faults().always(Where::any().from(&barred.phone_number_id), refusal);
    system.write(&barred, &customer(1), "hello").await;
    system.wait_for_document("conversations", doc! { "last_error.reason": "credentials" }).await;
    system.write(&free, &customer(2), "hello").await;
    assert_eq!(system.answers(&free, &customer(2), 1).await, ["ANS hello"]);
    assert!(system.journal.texts_for(&barred.phone_number_id, customer(1).key()).is_empty());
    system.stop().await;
}
