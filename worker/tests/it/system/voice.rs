//! Voice notes: heard in the customer's language, with the right keys, and answered in the way that the business wants.

use mongodb::bson::doc;
use secrecy::SecretString;
use serde_json::Value;
use simulator::{
    Business, Customer,
    ai::{AiCall, AiFault, ChatReply, SpeechReply, Transcript},
    files::{named_voice_note, silent_voice_note},
    journal::{AiRequest, Credential, GraphSend},
    webhook::{Body, Content},
};

use super::harness::{AI_KEY, Options, SPEECH_KEY, System, VOICE, acme, bolt, corn, customer};

pub(super) const OPUS: &str = "audio/ogg; codecs=opus";

/// A customer says something.
pub(super) async fn say(system: &System, business: &Business, customer: &Customer, recording: Vec<u8>) {
    let media = system.meta.store_media(business, OPUS, recording);
    system.send(business, customer, Content::voice(&media)).await;
}

pub(super) fn requests(system: &System, endpoint: &str) -> Vec<AiRequest> {
    let all = system.journal.ai_requests().into_iter().filter(|request| request.endpoint == endpoint);
    all.map(|request| request.fact).collect()
}

fn field<'a>(request: &'a AiRequest, pointer: &str) -> Option<&'a str> {
    request.body.pointer(pointer).and_then(Value::as_str)
}

fn is_voice_note(send: &GraphSend) -> bool {
    send.message_type == "audio" && send.body.pointer("/audio/voice") == Some(&Value::Bool(true))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_note_is_heard_in_the_customers_language_and_answered_by_one() {
    let system = System::start(Options::default().speaking()).await;
    system.ai.add_key("chat", &SecretString::from(AI_KEY));
    system.ai.add_key("speech", &SecretString::from(SPEECH_KEY));
    system
        .update_business(&bolt(), doc! { "companion": { "language": "German", "voice": { "voiceId": "lina" } } })
        .await;
    system.ai.on_transcription(|_| Transcript::of("¿Abren el sábado?").in_language("Spanish").into());
    let ana = customer(1);
    system.write(&acme(), &ana, "Hola, soy Ana.").await;
    system.answers(&acme(), &ana, 1).await;
    system.settled().await;
    for n in [2, 3] {
        say(&system, &acme(), &ana, silent_voice_note()).await;
        let received = system.received(&acme(), &ana, n).await;
        let answer = received.last().expect("an answer");
        assert!(is_voice_note(answer), "{answer:?}");
        assert_eq!(system.journal.spoken(answer).as_deref(), Some("ANS ¿Abren el sábado?"));
        system.settled().await;
    }
    say(&system, &bolt(), &ana, silent_voice_note()).await;
    system.received(&bolt(), &ana, 1).await;
    system.settled().await;

    let heard = requests(&system, "transcription");
    let languages: Vec<_> = heard.iter().map(|request| field(request, "/language")).collect();
    assert_eq!(
        languages,
        [None, Some("es"), Some("de")],
        "unknown at first, then the customer's, or the business's own"
    );
    for request in &heard {
        assert_eq!(request.credential, Credential::Of("chat".to_owned()));
        let said =
            ["/model", "/file/name", "/file/type", "/response_format", "/temperature"].map(|at| field(request, at));
        let expected = ["whisper-large-v3-turbo", "voice.ogg", "audio/ogg", "verbose_json", "0"];
        assert_eq!(said, expected.map(Some));
    }
    assert_eq!(field(&heard[0], "/prompt"), Some("Hola, soy Ana.\nANS Hola, soy Ana."), "what was said before helps");
    assert_eq!(field(&heard[2], "/prompt"), None, "at bolt nothing was said before");

    let spoken = requests(&system, "speech");
    let asked: Vec<_> =
        spoken.iter().map(|request| (field(request, "/voice_id"), field(request, "/output_format"))).collect();
    let opus = Some("opus_48000_32");
    assert_eq!(asked, [(Some(VOICE), opus), (Some(VOICE), opus), (Some("lina"), opus)]);
    assert!(spoken.iter().all(|request| request.credential == Credential::Of("speech".to_owned())));

    // Every file was fetched and stored with the token of the business that it belongs to.
    for (upload, owner) in system.journal.uploads().iter().zip(["acme", "acme", "bolt"]) {
        assert_eq!((upload.business.as_deref(), upload.credential.owner()), (Some(owner), Some(owner)));
        assert_eq!(upload.mime_type, OPUS);
    }
    let fetched = system.journal.graph_requests().into_iter().filter(|request| request.method == "GET");
    let owners: Vec<_> = fetched.map(|request| request.credential.owner().map(str::to_owned)).collect();
    assert_eq!(owners, ["acme", "acme", "acme", "acme", "bolt", "bolt"].map(|name| Some(name.to_owned())));
    let stored = doc! { "type": "audio", "direction": "out", "body": "ANS ¿Abren el sábado?" };
    assert_eq!(system.count("messages", stored).await, 3, "the transcript knows the words");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_business_decides_when_its_companion_speaks() {
    let system = System::start(Options::default().speaking()).await;
    for (business, reply) in [(bolt(), "never"), (corn(), "always")] {
        system.update_business(&business, doc! { "companion": { "voice": { "reply": reply } } }).await;
    }
    // What is better read is never spoken.
    system.ai.on_chat(|request| match request.last_user().as_str() {
        "link" => ChatReply::text("ANS see https://corn.example"),
        other => ChatReply::text(format!("**ANS** {other} 😀")),
    });
    let cases = [
        (acme(), None, "audio"),
        (acme(), Some("text"), "text"),
        (bolt(), None, "text"),
        (corn(), Some("text"), "audio"),
        (corn(), Some("link"), "text"),
    ];
    for (n, (business, text, expected)) in (0..).zip(cases) {
        let who = customer(n);
        match text {
            Some(text) => drop(system.write(&business, &who, text).await),
            None => say(&system, &business, &who, silent_voice_note()).await,
        }
        let received = system.received(&business, &who, 1).await;
        assert_eq!(received[0].message_type, expected, "{} {text:?}", business.name);
        if expected == "audio" {
            let words = text.unwrap_or("Hello, do you deliver on Saturdays?");
            let spoken = system.journal.spoken(&received[0]);
            assert_eq!(spoken, Some(format!("ANS {words}")), "marks and pictures have no sound");
        }
    }
    // A voice note behind a text is the last word; a text behind a voice note is, too.
    let sender = system.meta.sender(&acme());
    let note = system.meta.store_media(&acme(), OPUS, silent_voice_note());
    let now = jiff::Timestamp::now().as_second();
    let (text, voice) = (Content::text("and this"), Content::voice(&note));
    for (who, contents, expected) in
        [(customer(20), [text.clone(), voice.clone()], "audio"), (customer(21), [voice, text], "text")]
    {
        let messages = (0..).zip(contents).map(|(at, content)| sender.message(&who, content).at(now + at));
        let body = messages.fold(Body::default(), |body, message| body.message(&acme(), &message));
        sender.deliver(&body.to_json()).await.expect("200");
        assert_eq!(system.received(&acme(), &who, 1).await[0].message_type, expected);
    }
    system.settled().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_of_speech_doubts_is_asked_back_and_silence_is_said() {
    let system = System::start(Options::default().speaking()).await;
    system.ai.on_transcription(|recording| {
        let is = |name: &str| recording.windows(name.len()).any(|bytes| bytes == name.as_bytes());
        match () {
            () if is("unsure") => Transcript::unsure("two or ten").into(),
            () if is("silence") => Transcript::silence().into(),
            () if is("nothing") => Transcript::of("").into(),
            () => ChatReply::status(400),
        }
    });
    let ask = "Say so kindly and ask them to write it, or to say it again.]";
    let cases = [
        (
            "unsure",
            "[The customer sent a voice message that was hard to understand. Say what you understood, and ask \
             whether it is right:] two or ten"
                .to_owned(),
            "audio",
        ),
        ("silence", format!("[The customer sent a voice message, in which no words could be made out. {ask}"), "text"),
        ("nothing", format!("[The customer sent a voice message, in which no words could be made out. {ask}"), "text"),
        ("refused", format!("[The customer sent a voice message, which could not be understood. {ask}"), "text"),
    ];
    for (n, (name, told, form)) in (0..).zip(cases) {
        let who = customer(n);
        say(&system, &acme(), &who, named_voice_note(name)).await;
        let received = system.received(&acme(), &who, 1).await;
        assert_eq!(system.asked(&who, 1).await.texts("user"), [told.as_str()], "{name}");
        assert_eq!(received[0].message_type, form, "{name}");
        system.settled().await;
        let conversation = system.conversation(&acme(), &who).await;
        let language = conversation.get_document("customer").expect("a customer").get_str("language");
        assert!(language.is_err(), "{name}: a language that nobody is sure of is none");
    }
    assert_eq!(requests(&system, "transcription").len(), 4, "none of it is paid for twice");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_heard_once_is_not_paid_for_again() {
    let system = System::start(Options::default().speaking()).await;
    system.ai.on_transcription(|_| Transcript::of("¿Abren el sábado?").in_language("Spanish").into());
    let ana = customer(1);
    // The chat fails after the recording was heard, and the way to hear it fails before that.
    system.ai.faults().next(AiCall::Transcription, AiFault::Status(503));
    system.ai.faults().next(AiCall::Chat, AiFault::Status(503));
    let media = system.meta.store_media(&acme(), OPUS, silent_voice_note());
    let message = system.send(&acme(), &ana, Content::voice(&media)).await;
    let received = system.received(&acme(), &ana, 1).await;
    assert!(is_voice_note(&received[0]), "it is still an answer to spoken words");
    assert_eq!(system.journal.spoken(&received[0]).as_deref(), Some("ANS ¿Abren el sábado?"));
    let stored = system.wait_for_document("messages", doc! { "id": &message.id }).await;
    assert_eq!(stored.get_str("words").expect("kept"), "¿Abren el sábado?");
    system.deliver(&acme(), &message).await;
    system.settled().await;
    let conversation = system.conversation(&acme(), &ana).await;
    let language = conversation.get_document("customer").expect("a customer").get_str("language");
    assert_eq!(language.expect("known"), "es", "what was learned on the way is not lost with the try");

    say(&system, &acme(), &ana, silent_voice_note()).await;
    system.received(&acme(), &ana, 2).await;
    system.settled().await;
    let heard = requests(&system, "transcription");
    assert_eq!(heard.len(), 3, "one that failed, and one for each recording");
    assert_eq!(field(&heard[2], "/language"), Some("es"));
    assert_eq!((system.journal.chats().len(), system.journal.accepted().len()), (3, 2));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_voice_or_a_model_of_speech_everything_is_answered_in_writing() {
    let system = System::start(Options::default().with("AI_TRANSCRIPTION_MODEL", "none")).await;
    system.ai.on_speech(|_| SpeechReply::status(500));
    system.update_business(&acme(), doc! { "companion": { "voice": { "reply": "always" } } }).await;
    let ana = customer(1);
    say(&system, &acme(), &ana, silent_voice_note()).await;
    system.answers(&acme(), &ana, 1).await;
    let told = system.asked(&ana, 1).await.last_user();
    assert!(told.starts_with("[The customer sent a voice message, which you cannot hear."), "{told}");
    let others = system.journal.ai_requests().into_iter().filter(|request| request.endpoint != "chat");
    assert!(others.into_iter().all(|request| request.endpoint == "models"), "nobody else is asked");
    system.stop().await;
}
