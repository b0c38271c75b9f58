//! Files of customers: fetched from where a token may go, again where a URL ran out, and within bounds.

use simulator::{
    Host,
    files::{pdf_saying, silent_voice_note, tiny_jpeg, tiny_png},
    host::HostReply,
    journal::Credential,
    meta::{Call, Fault, Where},
    webhook::{Body, Content},
};

use super::{
    dialogue::asked,
    harness::{Options, System, acme, bolt, customer},
    voice::{OPUS, requests, say},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_lies_at_no_host_of_metas_is_not_asked_for() {
    let system = System::start(Options::default()).await;
    let host = Host::start(&system.journal).await.expect("a host");
    host.on_request(|_| HostReply::file("audio/ogg", silent_voice_note()));
    // The same machine by a name that is not Graph's.
    system.meta.serve_media_from(host.url().replace("127.0.0.1", "localhost"));
    let store = |mime_type: &str, bytes: Vec<u8>| system.meta.store_media(&acme(), mime_type, bytes);
    let contents = [
        Content::voice(&store(OPUS, silent_voice_note())),
        Content::image(&store("image/png", tiny_png()), Some("Look!")),
        Content::document(&store("application/pdf", pdf_saying("Hi")), "hi.pdf"),
    ];
    let told = [
        "[The customer sent a voice message, which could not be loaded. Say so kindly and ask them to write it, or \
         to say it again.]",
        "[The customer sent a picture, which could not be loaded. Say so kindly.] Look!",
        "[The customer sent the document \"hi.pdf\". That is a document which could not be loaded. Say so kindly and \
         ask them to write what it is about.]",
    ];
    for (n, content) in (0..).zip(contents) {
        system.send(&acme(), &customer(n), content).await;
    }
    for (n, told) in (0..).zip(told) {
        system.answers(&acme(), &customer(n), 1).await;
        assert_eq!(system.asked(&customer(n), 1).await.texts("user"), [told]);
    }
    system.settled().await;
    assert!(host.requests().is_empty(), "neither with the token nor without it");
    assert!(requests(&system, "transcription").is_empty());
    assert!(system.logs().concat().contains("which is not a host of Meta's"), "an operator is told");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_has_run_out_is_asked_for_again_and_a_broken_way_is_tried_again() {
    let system = System::start(Options::default()).await;
    let (ana, eva, kim) = (customer(1), customer(2), customer(3));
    system.meta.faults().expire_downloads(1);
    say(&system, &acme(), &ana, silent_voice_note()).await;
    assert_eq!(system.answers(&acme(), &ana, 1).await, ["ANS Hello, do you deliver on Saturdays?"]);
    let get = |prefix: &str| {
        let gets = system.journal.graph_requests().into_iter().filter(|request| request.method == "GET");
        gets.filter(|request| request.path.starts_with(prefix)).count()
    };
    assert_eq!((get("media-download/"), get("1")), (2, 2), "each time for a fresh URL");
    assert_eq!(system.journal.chats().len(), 1);

    // What is gone for good is said.
    system.meta.faults().expire_downloads(2);
    say(&system, &acme(), &eva, silent_voice_note()).await;
    system.answers(&acme(), &eva, 1).await;
    let told = system.asked(&eva, 1).await.last_user();
    assert!(told.starts_with("[The customer sent a voice message, which could not be loaded."), "{told}");

    // What may come back is waited for.
    for fault in [Fault::NonJson(503), Fault::DropBeforeAccept] {
        system.meta.faults().next(Where::call(Call::Download), fault);
    }
    system.meta.faults().next(Where::call(Call::MediaUrl), Fault::NonJson(502));
    say(&system, &acme(), &kim, silent_voice_note()).await;
    assert_eq!(system.answers(&acme(), &kim, 1).await, ["ANS Hello, do you deliver on Saturdays?"]);
    system.settled().await;
    assert_eq!(system.journal.accepted().len(), 3);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_business_and_one_that_is_too_large_are_not_shown() {
    let system = System::start(Options::default()).await;
    let (ana, eva) = (customer(1), customer(2));
    let bolts = system.meta.store_media(&bolt(), "image/png", tiny_png());
    system.send(&acme(), &ana, Content::image(&bolts, None)).await;
    let large = system.meta.store_media(&acme(), "image/png", vec![0; 5 * 1024 * 1024 + 1]);
    system.send(&acme(), &eva, Content::image(&large, None)).await;
    for (who, why) in [(&ana, "which could not be loaded."), (&eva, "which is too large to be opened.")] {
        system.answers(&acme(), who, 1).await;
        let asked = asked(&system.journal, who);
        assert_eq!(asked[0].last_user(), format!("[The customer sent a picture, {why} Say so kindly.]"));
        assert!(!asked[0].body.to_string().contains("image_url"));
    }
    let downloads = system.journal.graph_requests().into_iter().filter(|request| request.path.contains("download"));
    assert_eq!(downloads.count(), 0, "what Meta says about them is enough");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_album_is_seen_in_order_and_the_model_is_told_of_what_it_is_not_shown() {
    // Quiet for long enough that all of it has landed.
    let system = System::start(Options::default().with("QUIET_MILLIS", "3000")).await;
    let ana = customer(1);
    let sender = system.meta.sender(&acme());
    let now = jiff::Timestamp::now().as_second();
    let picture = |n: u8| match n {
        0 => system.meta.store_media(&acme(), "image/jpeg", tiny_jpeg()),
        // Bytes behind the end change the file and not the picture.
        n => system.meta.store_media(&acme(), "image/png", [tiny_png(), vec![n]].concat()),
    };
    let messages = (0..7_u8).map(|n| {
        let caption = format!("number {n}");
        sender.message(&ana, Content::image(&picture(n), Some(&caption))).at(now + i64::from(n))
    });
    let body = messages.fold(Body::default(), |body, message| body.message(&acme(), &message));
    sender.deliver(&body.to_json()).await.expect("200");
    system.answers(&acme(), &ana, 1).await;
    let asked = system.asked(&ana, 1).await;
    let content = asked.messages().next_back().and_then(|last| last.get("content")?.as_array().cloned());
    let parts: Vec<String> =
        content.expect("parts").iter().map(|part| part["type"].as_str().unwrap_or("?").to_owned()).collect();
    let expected = ["text", "image_url"].repeat(5).into_iter().chain(["text", "text"]).collect::<Vec<_>>();
    assert_eq!(parts, expected);
    let words = asked.last_user();
    let lines: Vec<&str> = words.lines().collect();
    assert_eq!(
        (lines[0], lines[4]),
        ("[The customer sent a picture.] number 0", "[The customer sent a picture.] number 4")
    );
    assert_eq!(lines[6], "[The customer sent one more picture, which you cannot see.] number 6");
    system.settled().await;
    assert_eq!(system.journal.chats().len(), 1, "one answer for all of it");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_of_ones_own_may_serve_its_files_on_another_port() {
    let system = System::start(Options::default()).await;
    let host = Host::start(&system.journal).await.expect("a host");
    host.add_key("acme", &acme().token);
    host.on_request(|_| HostReply::file("audio/ogg", silent_voice_note()));
    system.meta.serve_media_from(host.url());
    say(&system, &acme(), &customer(1), silent_voice_note()).await;
    assert_eq!(system.answers(&acme(), &customer(1), 1).await, ["ANS Hello, do you deliver on Saturdays?"]);
    system.settled().await;
    let credentials: Vec<_> = host.requests().into_iter().map(|request| request.fact.credential).collect();
    assert_eq!(credentials, [Credential::Of("acme".to_owned())]);
    system.stop().await;
}
