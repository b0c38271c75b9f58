//! A second provider answers where the first one is away, with a key and a model of its own.

use std::time::Duration;

use secrecy::SecretString;
use simulator::{
    Ai, AiOptions, Journal,
    ai::{AiCall, AiFault, ChatReply},
    files::tiny_png,
    journal::Credential,
    webhook::Content,
};

use super::harness::{AI_KEY, Options, System, acme, customer};

const SECOND_KEY: &str = "the-key-of-the-second-provider";
const SECOND_MODEL: &str = "second-model";

/// A provider with a record of its own.
async fn second() -> (Ai, Journal) {
    let journal = Journal::in_memory();
    let ai = Ai::start(AiOptions::default().with_journal(&journal)).await.expect("the AI starts");
    ai.on_chat(|request| ChatReply::text(format!("SECOND {}", request.last_user())));
    ai.add_key("second", &SecretString::from(SECOND_KEY));
    (ai, journal)
}

async fn start(second: &Ai) -> System {
    let options = Options::default()
        .with("AI_FALLBACK_API_URL", second.url())
        .with("AI_FALLBACK_API_KEY", SECOND_KEY)
        .with("AI_FALLBACK_CHAT_MODEL", SECOND_MODEL);
    let mut system = System::start(options).await;
    system.keep_from_logs(SECOND_KEY);
    system.ai.add_key("first", &SecretString::from(AI_KEY));
    system
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_provider_answers_where_the_first_is_away_and_no_key_goes_astray() {
    let (second, theirs) = second().await;
    let system = start(&second).await;
    let wait = Some(Duration::from_secs(30));
    let faults = [
        AiFault::Status(503),
        AiFault::Throttled { retry_after: wait },
        AiFault::Drop,
        AiFault::Garbage,
        AiFault::Empty,
    ];
    for (n, fault) in (0..).zip(faults) {
        system.ai.faults().next(AiCall::Chat, fault);
        system.write(&acme(), &customer(n), "hello").await;
        assert_eq!(system.answers(&acme(), &customer(n), 1).await, ["SECOND hello"]);
        // One that answers in between is asked first again.
        system.write(&acme(), &customer(100 + n), "hello").await;
        assert_eq!(system.answers(&acme(), &customer(100 + n), 1).await, ["ANS hello"]);
    }
    let asked = theirs.ai_requests();
    let chats: Vec<_> = asked.iter().filter(|request| request.endpoint == "chat").collect();
    assert_eq!(chats.len(), 5);
    assert!(chats.iter().all(|chat| chat.model.as_deref() == Some(SECOND_MODEL)));
    assert!(asked.iter().all(|request| request.credential == Credential::Of("second".to_owned())), "{asked:?}");
    // The keys are known since the start is over, when the first was asked for its models.
    let first = system.journal.chats();
    assert!(first.iter().all(|request| request.credential == Credential::Of("first".to_owned())), "{first:?}");

    // A picture that the second one cannot look at is told to it.
    system.ai.faults().next(AiCall::Chat, AiFault::Status(500));
    let picture = system.meta.store_media(&acme(), "image/png", tiny_png());
    system.send(&acme(), &customer(50), Content::image(&picture, None)).await;
    system.answers(&acme(), &customer(50), 1).await;
    let told = theirs.chats().pop().expect("asked").body.to_string();
    assert!(told.contains("[You cannot see this picture.") && !told.contains("image_url"), "{told}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_failed_three_times_in_a_row_is_left_alone_for_a_while() {
    let (second, theirs) = second().await;
    let system = start(&second).await;
    system.ai.faults().always(AiCall::Chat, AiFault::Status(503));
    for n in 0..6 {
        system.write(&acme(), &customer(n), "hello").await;
        assert_eq!(system.answers(&acme(), &customer(n), 1).await, ["SECOND hello"]);
    }
    assert_eq!((system.journal.chats().len(), theirs.chats().len()), (3, 6));
    // Where the second one fails meanwhile, the first is asked all the same.
    system.ai.faults().clear();
    second.faults().next(AiCall::Chat, AiFault::Status(500));
    system.write(&acme(), &customer(10), "hello").await;
    assert_eq!(system.answers(&acme(), &customer(10), 1).await, ["ANS hello"]);
    assert_eq!((system.journal.chats().len(), theirs.chats().len()), (4, 7));
    // And has its place back.
    system.write(&acme(), &customer(11), "hello").await;
    assert_eq!(system.answers(&acme(), &customer(11), 1).await, ["ANS hello"]);
    assert_eq!(theirs.chats().len(), 7);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_of_its_own_a_second_provider_elsewhere_gets_none() {
    let journal = Journal::in_memory();
    let second = Ai::start(AiOptions::default().with_journal(&journal)).await.expect("the AI starts");
    let options =
        Options::default().with("AI_FALLBACK_API_URL", second.url()).with("AI_FALLBACK_CHAT_MODEL", SECOND_MODEL);
    let system = System::start(options).await;
    system.ai.faults().always(AiCall::Chat, AiFault::Status(503));
    system.write(&acme(), &customer(1), "hello").await;
    assert_eq!(system.answers(&acme(), &customer(1), 1).await, ["You said: hello"]);
    assert!(journal.ai_requests().iter().all(|request| request.credential == Credential::Missing));
    system.stop().await;
}
