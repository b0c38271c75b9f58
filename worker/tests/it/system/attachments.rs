//! Files that were made to do harm, and files that lie where no token may go: the customer is answered in words, no
//! token leaves for another host, and nobody else waits.

use std::time::Duration;

use mongodb::bson::doc;
use serde_json::{Value, json};
use simulator::{
    Business, Customer, Host, Journal,
    ai::{ChatReply, ChatRequest, Transcript},
    files::{pdf_saying, silent_voice_note, tiny_png},
    meta::{Call, Fault, Refusal, Where},
    webhook::{Body, Content, Media},
};

use super::harness::{Options, System, acme, bolt, corn, customer};
use crate::document::{bomb, endless};

/// Says what it was asked about, and takes only pictures that are some.
fn model(request: &ChatRequest) -> ChatReply {
    let is_picture = |bytes: &[u8]| bytes.starts_with(b"\x89PNG") || bytes.starts_with(&[0xff, 0xd8, 0xff]);
    match request.images().iter().all(|image| is_picture(&image.bytes)) {
        true => ChatReply::text(format!("ANS {}", request.last_user())),
        false => ChatReply::status(400),
    }
}

/// A business of one case alone, so that what happens to its files happens to nobody else's.
async fn shop(system: &mut System, n: u64) -> Business {
    let number = format!("4004004{n:05}");
    let shop = Business::new(format!("shop{n}"), number).with_token(format!("EAAshop{n}TOKENshop{n}TOKEN"));
    system.add_business(&shop).await;
    shop
}

async fn send(system: &System, business: &Business, who: &Customer, content: Content) {
    let message = system.meta.sender(business).message(who, content);
    system.meta.sender(business).deliver(&Body::of(business, &message).to_json()).await.expect("200");
}

fn hears(system: &System) {
    system.ai.on_transcription(|recording| match recording {
        [] => ChatReply::status(400),
        _ => Transcript::of("Do you hear me?").into(),
    });
}

fn downloads(journal: &Journal) -> usize {
    journal.graph_requests().iter().filter(|request| request.path.contains("media-download")).count()
}

/// Where a file may be said to lie; `{evil}` is a server that is there, on this very machine, under a name that is not
/// Graph's.
const FOREIGN: [&str; 12] = [
    "http://10.0.0.8/file",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]:9/file",
    "https://localhost:9/file",
    "file:///etc/passwd",
    "{evil}/file",
    "{evil}/graph.facebook.com/file",
    "http://graph.facebook.com/file",
    "https://graph.facebook.com:8443/file",
    "https://graph.facebook.com.evil.example/file",
    "https://graph.facebook.com@127.0.0.1:9/file",
    "https://evilfbsbx.com/file",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_token_goes_where_a_file_is_said_to_lie_and_the_customer_is_told() {
    let mut system = System::start(Options { workers: 0, ..Options::default() }).await;
    let evil = Host::start(&system.journal).await.expect("a free port");
    let by_name = evil.url().replace("127.0.0.1", "localhost");
    system.ai.on_chat(model);
    for text in ["Look!", "menu.pdf", "Soup", "/latest/meta-data", "do you deliver"] {
        system.keep_from_logs(text);
    }
    let mut asked = Vec::new();
    for (n, url) in (0..).zip(FOREIGN) {
        let shop = shop(&mut system, n).await;
        let lying = json!({"url": url.replace("{evil}", &by_name), "mime_type": "image/png", "file_size": 10});
        system.meta.faults().next(Where::call(Call::MediaUrl).from(&shop.phone_number_id), Fault::Answer(lying));
        let picture = system.meta.store_media(&shop, "image/png", tiny_png());
        asked.push((shop, Content::image(&picture, Some("Look!")), "could not be loaded"));
    }
    let led_away = shop(&mut system, 90).await;
    let place = Where::call(Call::Download).from(&led_away.phone_number_id);
    system.meta.faults().next(place, Fault::Redirect(format!("{}/file", evil.url())));
    let menu = system.meta.store_media(&led_away, "application/pdf", pdf_saying("Soup"));
    asked.push((led_away, Content::document(&menu, "menu.pdf"), "could not be loaded"));
    let asked_elsewhere = shop(&mut system, 91).await;
    let place = Where::call(Call::MediaUrl).from(&asked_elsewhere.phone_number_id);
    system.meta.faults().next(place, Fault::Redirect(format!("{}/file", evil.url())));
    let note = system.meta.store_media(&asked_elsewhere, "audio/ogg", silent_voice_note());
    // Who leads the question itself away is no Meta; the next one is.
    asked.push((asked_elsewhere, Content::voice(&note), "Hello, do you deliver on Saturdays?"));
    system.start_worker().await;

    for (shop, content, _) in &asked {
        send(&system, shop, &customer(7), content.clone()).await;
    }
    for (shop, _, told) in &asked {
        let answers = system.answers(shop, &customer(7), 1).await;
        assert!(answers.len() == 1 && answers[0].contains(told), "{}: {answers:?}", shop.name);
    }
    system.settled().await;
    assert_eq!(evil.requests(), [], "whoever got a request might have got a token");
    // One that was led away, and one that was found at last.
    assert_eq!(downloads(&system.journal), 2);
    system.stop().await;
}

/// What each hostile file is, and what the model is told about it.
fn hostile(system: &System) -> Vec<(Content, &'static str)> {
    let file = |mime_type: &str, bytes: Vec<u8>| system.meta.store_media(&acme(), mime_type, bytes);
    let document = |media: &Media, name| Content::document(media, name);
    let html = b"<html><script>alert(1)</script></html>".to_vec();
    vec![
        (document(&file("application/pdf", bomb()), "bomb.pdf"), "the document \"bomb.pdf\""),
        (document(&file("text/plain", bomb()), "bomb.txt"), "the document \"bomb.txt\""),
        (document(&file("application/pdf", b"%PDF-1.7".repeat(9)), "broken.pdf"), "the document \"broken.pdf\""),
        (document(&file("application/pdf", Vec::new()), "empty.pdf"), "the document \"empty.pdf\""),
        (document(&file("text/plain", Vec::new()), "empty.txt"), "no text in it"),
        (document(&file("text/plain", vec![0; 4_000]), "zeros.txt"), "the document \"zeros.txt\""),
        (document(&file("application/x-executable", b"\x7fELF".to_vec()), "menu.pdf.exe"), "cannot open this kind"),
        (document(&file("application/pdf", vec![b'x'; 11 << 20]), "large.pdf"), "too large"),
        (Content::image(&file("image/jpeg", html.clone()), None), "You cannot see this picture"),
        (Content::image(&file("text/html", html), None), "a kind that you cannot see"),
        (Content::image(&file("image/svg+xml", b"<svg/>".to_vec()), None), "a kind that you cannot see"),
        (Content::image(&file("image/png", Vec::new()), None), "You cannot see this picture"),
        (Content::image(&file("image/png", vec![0; 6 << 20]), None), "too large"),
        (Content::voice(&file("audio/ogg; codecs=opus", Vec::new())), "could not be understood"),
        (Content::voice(&file("no type of (anything)", silent_voice_note())), "Do you hear me?"),
        (Content::voice(&file("", silent_voice_note())), "Do you hear me?"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_made_to_do_harm_are_answered_in_words_and_delay_nobody_else() {
    let mut system = System::start(Options { workers: 1, ..Options::default() }.with("AI_GIVE_UP_SECS", "2")).await;
    system.ai.on_chat(model);
    hears(&system);
    for text in ["Do you hear me?", "bomb.pdf", "film.pdf", "Are you open?", "alert(1)"] {
        system.keep_from_logs(text);
    }
    let worker = system.worker_ids();
    let cases = hostile(&system);
    for (n, (content, _)) in (0..).zip(&cases) {
        send(&system, &acme(), &customer(100 + n), content.clone()).await;
    }
    // One that keeps its reader busy to the end of its time.
    let busy = system.meta.store_media(&acme(), "application/pdf", endless());
    send(&system, &acme(), &customer(99), Content::document(&busy, "endless.pdf")).await;
    // Sizes that are claimed, and one that is a lie.
    let large = shop(&mut system, 80).await;
    let claim = |size: Value| Fault::Answer(json!({"url": system.meta.graph_url(), "file_size": size}));
    let sized = || Where::call(Call::MediaUrl).from(&large.phone_number_id);
    system.meta.faults().schedule(sized(), [Some(claim(json!("62914560"))), Some(claim(json!(u64::MAX)))]);
    let film = system.meta.store_media(&large, "application/pdf", pdf_saying("Soup"));
    for n in [201, 202] {
        send(&system, &large, &customer(n), Content::document(&film, "film.pdf")).await;
    }
    // Meta never says where the file lies; and says that it is nowhere.
    system.meta.faults().always(Where::call(Call::MediaUrl).from(&bolt().phone_number_id), Fault::Answer(json!({})));
    let lost = system.meta.store_media(&bolt(), "application/pdf", pdf_saying("Soup"));
    send(&system, &bolt(), &customer(203), Content::document(&lost, "lost.pdf")).await;
    let gone = shop(&mut system, 81).await;
    let nowhere = Fault::Refuse(Refusal::code(100).subcode(33).http(404));
    system.meta.faults().always(Where::call(Call::Download).from(&gone.phone_number_id), nowhere);
    let note = system.meta.store_media(&gone, "audio/ogg", silent_voice_note());
    send(&system, &gone, &customer(204), Content::voice(&note)).await;

    for n in 0..10 {
        system.write(&corn(), &customer(300 + n), "Are you open?").await;
    }
    for n in 0..10 {
        assert_eq!(system.answers(&corn(), &customer(300 + n), 1).await, ["ANS Are you open?"]);
    }
    for (n, (_, told)) in (0..).zip(&cases) {
        let answers = system.answers(&acme(), &customer(100 + n), 1).await;
        assert!(answers.len() == 1 && answers[0].contains(told), "{told}: {answers:?}");
    }
    for (business, n, told) in [
        (&large, 201, "too large"),
        (&large, 202, "too large"),
        (&bolt(), 203, "could not be loaded"),
        (&gone, 204, "could not be loaded"),
        (&acme(), 99, "the document \"endless.pdf\""),
    ] {
        let answers = system.answers(business, &customer(n), 1).await;
        assert!(answers.len() == 1 && answers[0].contains(told), "{told}: {answers:?}");
    }
    system.settled().await;
    let place = |business: &Business, n| {
        let theirs = system.journal.accepted_for(&business.phone_number_id, customer(n).key());
        theirs.first().map(|send| send.seq)
    };
    assert!(place(&corn(), 300) < place(&acme(), 99), "others are answered while a document is being read");
    let sends = system.journal.accepted().len();
    assert_eq!(sends, cases.len() + 5 + 10, "everybody got one answer");
    assert_eq!(system.worker_ids(), worker, "the worker that began is the one that ends");
    assert_eq!(system.count("dead_letters", doc! {}).await, 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_meta_never_finds_keeps_nobody_in_silence() {
    let mut system = System::start(Options { workers: 1, ..Options::default() }.with("AI_GIVE_UP_SECS", "2")).await;
    system.ai.on_chat(model);
    // Refused, cut off, never answered.
    let faults = [500, 502, 401, 410].map(Fault::NonJson);
    let faults = faults.into_iter().chain([Fault::DropBeforeAccept, Fault::Delay(Duration::from_secs(300))]);
    let mut asked = Vec::new();
    for (n, fault) in (0..).zip(faults) {
        let shop = shop(&mut system, n).await;
        let place = Where::call(Call::MediaUrl).from(&shop.phone_number_id);
        system.meta.faults().always(place, fault.clone());
        let picture = system.meta.store_media(&shop, "image/png", tiny_png());
        send(&system, &shop, &customer(7), Content::image(&picture, Some("Is this right?"))).await;
        asked.push((shop, fault));
    }
    for (shop, fault) in asked {
        let answers = system.answers(&shop, &customer(7), 1).await;
        let told = answers.concat();
        assert!(told.contains("could not be loaded") && told.contains("Is this right?"), "{fault:?}: {answers:?}");
    }
    system.stop().await;
}
