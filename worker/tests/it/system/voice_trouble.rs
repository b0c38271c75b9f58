//! Whatever goes wrong with a spoken answer, its words arrive, once.

use mongodb::bson::doc;
use simulator::{
    ai::{SpeechReply, silent_mp3, stereo_voice_note, voice_note_of},
    meta::{Call, Fault, Refusal, Where},
};

use super::harness::{Options, System, acme, corn, customer};

/// Everything that this business says is spoken, if it can be.
async fn outspoken(options: Options) -> System {
    let system = System::start(options.speaking()).await;
    system.update_business(&corn(), doc! { "companion": { "voice": { "reply": "always" } } }).await;
    system
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_voice_note_or_comes_not_at_all_is_written() {
    let system = outspoken(Options::default()).await;
    system.ai.on_speech(|request| match request.text.trim_start_matches("ANS ") {
        "stereo" => SpeechReply::ogg(stereo_voice_note()),
        "mp3" => SpeechReply::mp3(silent_mp3()),
        "mp3 that says it is Ogg" => SpeechReply::ogg(silent_mp3()),
        "large" => SpeechReply::ogg(voice_note_of(512 * 1024 + 1)),
        "empty" => SpeechReply::ogg([]),
        "cut" => SpeechReply::Drop,
        "throttled" => SpeechReply::status(429),
        "down" => SpeechReply::status(500),
        _ => SpeechReply::ogg(voice_note_of(400 * 1024)),
    });
    let words = ["stereo", "mp3", "mp3 that says it is Ogg", "large", "empty", "cut", "throttled", "down", "well"];
    for (n, text) in (0..).zip(words) {
        system.write(&corn(), &customer(n), text).await;
    }
    for (n, text) in (0..).zip(words) {
        let received = system.received(&corn(), &customer(n), 1).await;
        if text == "well" {
            assert_eq!(received[0].message_type, "audio", "the others are not spoken for a reason");
        } else {
            assert_eq!(received[0].text(), Some(format!("ANS {text}").as_str()));
        }
    }
    system.settled().await;
    assert_eq!((system.journal.accepted().len(), system.journal.uploads().len()), (words.len(), 1));
    assert_eq!(system.journal.chats().len(), words.len(), "no answer is thought over again");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_note_that_meta_does_not_take_is_written() {
    let system = outspoken(Options::default()).await;
    let faults = [
        Fault::Refuse(Refusal::code(131_053)),
        Fault::Refuse(Refusal::code(190)),
        Fault::NonJson(502),
        Fault::DropBeforeAccept,
    ];
    for (n, fault) in (0..).zip(faults) {
        system.meta.faults().next(Where::call(Call::Upload), fault);
        system.write(&corn(), &customer(n), "hello").await;
        assert_eq!(system.answers(&corn(), &customer(n), 1).await, ["ANS hello"]);
    }
    assert!(system.journal.uploads().is_empty());

    // The file is there, and the message that names it is refused.
    let ana = customer(10);
    system.meta.faults().next(Where::any().to(ana.key()), Fault::Refuse(Refusal::code(131_053)));
    system.write(&corn(), &ana, "hello").await;
    assert_eq!(system.answers(&corn(), &ana, 1).await, ["ANS hello"]);
    system.settled().await;
    let theirs = system.journal.sends().into_iter().filter(|send| send.customer() == ana.key());
    let tried: Vec<_> = theirs.map(|send| (send.message_type.clone(), send.is_accepted())).collect();
    assert_eq!(tried, [("audio".to_owned(), false), ("text".to_owned(), true)]);
    assert_eq!(system.journal.chats().len(), 5);
    assert_eq!(system.count("dead_letters", doc! {}).await, 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_note_that_meta_takes_and_cannot_process_is_written_once() {
    let system = outspoken(Options::default()).await;
    let (ana, eva) = (customer(1), customer(2));
    for who in [&ana, &eva, &eva] {
        system.meta.faults().next(Where::any().to(who.key()), Fault::FailLater(Refusal::code(131_053)));
    }
    system.write(&corn(), &ana, "hello").await;
    let received = system.received(&corn(), &ana, 2).await;
    assert_eq!((received[0].message_type.as_str(), received[1].text()), ("audio", Some("ANS hello")));
    system.write(&corn(), &eva, "hello").await;
    system.wait_for_document("dead_letters", doc! { "reason": "delivery_failed" }).await;
    system.settled().await;
    let types: Vec<_> = system.received(&corn(), &eva, 2).await.into_iter().map(|send| send.message_type).collect();
    assert_eq!(types, ["audio", "text"], "once, and no more than that");
    assert_eq!(system.journal.chats().len(), 2);
    let remembered = system.remembered(&corn(), &ana, "hello").await;
    assert_eq!(remembered, ["hello", "ANS hello"], "it was said once");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_note_in_doubt_is_not_spoken_or_written_again() {
    let system = outspoken(Options::default().with("SEND_EVIDENCE_SECS", "20")).await;
    let ana = customer(1);
    system.meta.faults().next(Where::any().to(ana.key()), Fault::AcceptThenDrop);
    system.write(&corn(), &ana, "hello").await;
    system.received(&corn(), &ana, 1).await;
    system.settled().await;
    system.write(&acme(), &ana, "hello").await;
    system.answers(&acme(), &ana, 1).await;
    assert_eq!(system.received(&corn(), &ana, 1).await.len(), 1);
    assert_eq!((system.journal.speeches().len(), system.journal.uploads().len()), (1, 1));
    system.stop().await;
}
