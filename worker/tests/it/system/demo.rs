//! The demo companion behind the real worker: whoever tries the system without an AI sees what it does.

use mongodb::bson::doc;
use simulator::{demo, files::voice_note_of};

use super::{
    harness::{Options, System, acme, customer},
    voice::say,
};

#[tokio::test(flavor = "multi_thread")]
async fn without_an_ai_the_demo_shows_memory_choices_places_voice_and_a_person() {
    let system = System::start(Options::default().speaking()).await;
    demo::install(&system.ai);
    let knowledge = doc! { "title": "Deposit", "text": "The deposit is 50 EUR for each bike." };
    let place = doc! { "name": "Hire desk", "latitude": 52.3791, "longitude": 4.9003 };
    let companion = doc! {
        "language": "English", "greeting": "Welcome!", "knowledge": [knowledge], "locations": [place],
        "handOver": { "hours": 2 },
    };
    system.update_business(&acme(), doc! { "companion": companion }).await;
    let ana = customer(1);
    let mut received = 0;
    for (wrote, expected) in [
        ("How much is the deposit?", vec!["Welcome! I am the built-in demo, not an AI"]),
        ("My name is Robin", vec!["I have noted “is called Robin”."]),
        ("What do you know about me?", vec!["In my notes about you it says: “is called Robin”."]),
        ("Menu", vec!["What would you like to know?"]),
        ("Deposit", vec!["The deposit is 50 EUR for each bike."]),
        ("Where are you?", vec!["You find it here on the map.", "Hire desk"]),
    ] {
        system.write(&acme(), &ana, wrote).await;
        received += expected.len();
        let all = system.received(&acme(), &ana, received).await;
        let answers = all.iter().rev().take(expected.len()).rev();
        for (answer, expected) in answers.zip(expected) {
            assert!(answer.body.to_string().contains(expected), "{wrote}: {}", answer.body);
        }
        system.settled().await;
    }
    let choices = system.received(&acme(), &ana, 4).await;
    assert_eq!(choices[3].body.pointer("/interactive/type").and_then(|kind| kind.as_str()), Some("list"));
    say(&system, &acme(), &ana, voice_note_of(50_000)).await;
    let answer = system.received(&acme(), &ana, received + 1).await.pop().expect("an answer");
    let spoken = system.journal.spoken(&answer);
    assert!(spoken.as_deref().is_some_and(|words| words.starts_with("Your voice message of 4 s")), "{spoken:?}");
    system.settled().await;
    system.write(&acme(), &ana, "I want to talk to a person").await;
    let answer = system.received(&acme(), &ana, received + 2).await.pop().expect("an answer");
    assert!(answer.body.to_string().contains("goes on from here"), "{}", answer.body);
    system.settled().await;
    system.write(&acme(), &ana, "Still there?").await;
    system.settled().await;
    assert_eq!(system.received(&acme(), &ana, received + 2).await.len(), received + 2, "a person has it now");
    system.stop().await;
}
