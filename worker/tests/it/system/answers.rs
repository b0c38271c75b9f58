//! Every message is answered once, in order, by its own business; whatever Meta does to the webhooks.

use std::time::Duration;

use serde_json::Value;
use simulator::{
    Business, Customer,
    journal::Credential,
    webhook::{Body, Content, Message},
};

use super::harness::{Options, PATIENCE, System, acme, bolt, corn, customer};

const CUSTOMERS: u64 = 60;
const MESSAGES: usize = 4;

fn business_of(n: u64) -> Business {
    match n % 3 {
        0 => acme(),
        1 => bolt(),
        _ => corn(),
    }
}

/// A word that stands in one message only.
fn word(n: u64, message: usize) -> String {
    format!("word-{n}-{message}.")
}

/// The words in what a customer got, in order.
fn words_in(texts: &[String]) -> Vec<String> {
    texts
        .iter()
        .flat_map(|text| text.split_whitespace())
        .filter(|word| word.starts_with("word-"))
        .map(str::to_owned)
        .collect()
}

async fn everything_is_answered_once_and_in_order(system: &System) {
    for n in 0..CUSTOMERS {
        let (business, customer) = (business_of(n), customer(n));
        let expected: Vec<String> = (0..MESSAGES).map(|message| word(n, message)).collect();
        let all = |journal: &simulator::Journal| {
            words_in(&journal.texts_for(&business.phone_number_id, customer.key())).len() >= MESSAGES
        };
        let waited = system.journal.wait_until(all, PATIENCE).await;
        let got = words_in(&system.journal.texts_for(&business.phone_number_id, customer.key()));
        assert_eq!(got, expected, "customer {n}: {waited:?}");
    }
    system.settled().await;
    // Late duplicates would come now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for n in 0..CUSTOMERS {
        let (business, customer) = (business_of(n), customer(n));
        let got = words_in(&system.journal.texts_for(&business.phone_number_id, customer.key()));
        assert_eq!(got.len(), MESSAGES, "customer {n} got something twice: {got:?}");
    }
    for request in system.journal.graph_requests() {
        let number = request.path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
        let owner = [acme(), bolt(), corn()].into_iter().find(|business| business.phone_number_id == number);
        let owner = owner.expect("only registered numbers are used").name;
        assert!(matches!(&request.credential, Credential::Of(name) if *name == owner), "{request:?}");
    }
    assert_eq!(system.count("dead_letters", mongodb::bson::doc! {}).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_customers_of_three_businesses_are_answered_once_in_order_by_their_own_business() {
    let system = System::start(Options { workers: 2, ..Options::default() }).await;
    let writing = (0..CUSTOMERS).map(|n| {
        let (system, business, customer) = (&system, business_of(n), customer(n));
        async move {
            for message in 0..MESSAGES {
                system.write(&business, &customer, &word(n, message)).await;
            }
        }
    });
    futures_util::future::join_all(writing).await;
    everything_is_answered_once_and_in_order(&system).await;
    let texts = system.journal.texts_for(&acme().phone_number_id, customer(0).key());
    assert!(texts.iter().all(|text| text.starts_with("ANS ")), "{texts:?}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicated_batched_and_reordered_webhooks_change_nothing() {
    // Quiet for long enough that what was reordered is together again.
    let options = Options { workers: 2, ..Options::default() }.with("QUIET_MILLIS", "10000");
    let system = System::start(options).await;
    let sender = system.meta.sender(&acme());
    let now = jiff::Timestamp::now().as_second();
    let mut messages: Vec<(Business, Message)> = Vec::new();
    for n in 0..CUSTOMERS {
        for message in 0..MESSAGES {
            let content = Content::text(word(n, message));
            let at = now - 60 + i64::try_from(message).expect("small");
            messages.push((business_of(n), sender.message(&customer(n), content).at(at)));
        }
    }
    // Any order, in bodies that mix the businesses, each body two or three times.
    let shuffled = sender.shuffle(messages);
    let bodies: Vec<Value> = shuffled
        .chunks(7)
        .map(|chunk| {
            let (first_business, first) = &chunk[0];
            let body = chunk[1..]
                .iter()
                .fold(Body::of(first_business, first), |body, (business, m)| body.message(business, m));
            body.to_json()
        })
        .collect();
    let posting = bodies.iter().enumerate().map(|(n, body)| sender.duplicate(body, if n % 2 == 0 { 2 } else { 3 }));
    for posted in futures_util::future::join_all(posting).await {
        posted.expect("200");
    }
    everything_is_answered_once_and_in_order(&system).await;
    // Days later Meta may send a body again.
    sender.deliver(&bodies[0]).await.expect("200");
    tokio::time::sleep(Duration::from_secs(2)).await;
    everything_is_answered_once_and_in_order(&system).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_quick_messages_get_one_answer_that_quotes_the_last_and_was_typed() {
    let system = System::start(Options::default().with("QUIET_MILLIS", "3000")).await;
    let ana = customer(1);
    for text in ["Hello", "do you have", "red shoes?"] {
        system.write(&acme(), &ana, text).await;
    }
    let answers = system.answers(&acme(), &ana, 1).await;
    assert_eq!(answers, ["ANS Hello\ndo you have\nred shoes?"]);
    let sends = system.journal.accepted();
    let posts = system.journal.posts();
    let last_message =
        posts.iter().flat_map(|post| &post.updates).filter(|update| update.id.starts_with("wamid")).nth(2);
    assert_eq!(sends[0].context_id.as_deref(), last_message.map(|update| update.id.as_str()));
    let reads = system.journal.reads();
    assert!(reads.iter().any(|read| read.typing), "{reads:?}");
    system.settled().await;
    assert_eq!(system.journal.texts_for(&acme().phone_number_id, ana.key()).len(), 1);
    assert_eq!(system.journal.chats().len(), 1, "one answer costs one AI call");

    // A single message is answered without a quote, and the companion remembers.
    system.write(&acme(), &ana, "And blue ones?").await;
    system.answers(&acme(), &ana, 2).await;
    assert_eq!(system.journal.accepted()[1].context_id, None);
    let chats = system.journal.chats();
    let prompt = chats[1].body.to_string();
    assert!(
        prompt.contains("red shoes?") && prompt.contains("Customer 1") && prompt.contains("The acme company"),
        "{prompt}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_two_numbers_of_one_business_share_a_session_and_are_answered_from_each() {
    let system = System::start(Options::default()).await;
    let second = Business::new("acme", "100100100101").with_token("EAAacmeTOKENacmeTOKENacme");
    system.meta.register(second.clone());
    let numbers = mongodb::bson::doc! { "whatsappPhoneNumberIds": [&acme().phone_number_id, &second.phone_number_id] };
    system.update_business(&acme(), numbers).await;
    let ana = customer(1);
    system.write(&acme(), &ana, "to the first").await;
    system.answers(&acme(), &ana, 1).await;
    system.write(&second, &ana, "to the second").await;
    assert_eq!(system.answers(&second, &ana, 1).await, ["ANS to the second"]);
    let chats = system.journal.chats();
    assert!(chats[1].body.to_string().contains("to the first"), "one session, one memory");
    assert_eq!(system.count("conversations", mongodb::bson::doc! {}).await, 1);
    let id = format!("acme:{}", ana.key());
    system.wait_for_document("conversations", mongodb::bson::doc! { "_id": id }).await;

    // To and fro: each run of messages to one number is one answer from it, and one AI call.
    system.settled().await;
    let sender = system.meta.sender(&acme());
    let now = jiff::Timestamp::now().as_second();
    let said = |text: &str, at| sender.message(&ana, Content::text(text)).at(now + at);
    let body = Body::of(&acme(), &said("one", 1)).message(&second, &said("two", 2)).message(&acme(), &said("three", 3));
    sender.deliver(&body.to_json()).await.expect("200");
    let from_first = system.answers(&acme(), &ana, 3).await;
    assert_eq!(from_first[1..], ["ANS one", "ANS three"]);
    assert_eq!(system.answers(&second, &ana, 2).await[1..], ["ANS two"]);
    assert_eq!(system.journal.chats().len(), 5);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_markdown_answer_arrives_in_parts_of_whatsapps_markup() {
    let system = System::start(Options::default()).await;
    let paragraph = "**Opening hours**\n\n- Monday: 9–17\n- Tuesday: 10–18\n\nSee [our page](https://acme.example). ";
    let answer = format!("# Welcome\n\n{}", format!("{paragraph}\n\n").repeat(80));
    system.ai.on_chat(move |_| simulator::ai::ChatReply::text(answer.clone()));
    let ana: Customer = customer(1);
    system.write(&acme(), &ana, "Tell me everything").await;
    let parts = system.answers(&acme(), &ana, 2).await;
    system.settled().await;
    let parts = system.journal.texts_for(&acme().phone_number_id, ana.key()).len().max(parts.len());
    let texts = system.journal.texts_for(&acme().phone_number_id, ana.key());
    assert!(parts >= 2 && texts.iter().all(|text| text.encode_utf16().count() <= 4_096));
    let all = texts.concat();
    assert!(
        all.starts_with("*Welcome*")
            && all.contains("*Opening hours*")
            && all.contains("our page: https://acme.example")
    );
    assert!(!all.contains("**") && !all.contains("](") && !all.contains("# "));
    assert_eq!(all.matches("Monday").count(), 80, "nothing is lost between the parts");
    system.stop().await;
}
