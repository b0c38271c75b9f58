//! The program is killed and started again while somebody is at the page.

use super::{
    demo::{BIKES, Demo},
    page::Page,
};

/// So that the next process does not wait long for the one that was killed.
const IMPATIENT: [(&str, &str); 2] = [("LEASE_SECS", "2"), ("SEND_EVIDENCE_SECS", "3")];

/// Kills it and starts it again; the page finds that out, and comes back by itself.
async fn killed_and_started_again(demo: &mut Demo, page: &Page) {
    page.run("window.wasHere = true;", &[]).await;
    demo.kill();
    page.until("document.body.dataset.connection === 'lost'").await;
    page.until("document.getElementById('connection').innerText.includes('Reconnecting')").await;
    demo.start_again().await;
    page.is_connected().await;
    assert_eq!(page.value("window.wasHere").await, true, "nobody reloaded the page");
}

/// The earlier chat, and one answer to what was written since.
async fn is_answered_once(demo: &Demo, page: &Page, answer: &str) {
    page.until("document.querySelectorAll('[data-from=business]').length >= 2").await;
    demo.at_rest(BIKES, page.number).await;
    let shown = page.messages().await;
    let from: Vec<&str> = shown.iter().map(|message| message.from.as_str()).collect();
    assert_eq!(from, ["customer", "business", "customer", "business"], "{shown:?}\n{}", demo.log());
    assert!(shown[1].words.starts_with("Welcome to Harbour Bikes!"), "{shown:?}");
    assert!(shown[3].words.contains(answer), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_it_has_thought_it_answers_once_after_its_restart() {
    let mut demo = Demo::start(&[&IMPATIENT[..], &[("QUIET_MILLIS", "2000")]].concat()).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.say("Hello").await;
    page.answered(1).await;
    page.say("How much is a city bike?").await;
    page.is_taken(2).await;
    killed_and_started_again(&mut demo, &page).await;
    is_answered_once(&demo, &page, "18 EUR").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_asks_the_ai_it_answers_once_after_its_restart() {
    let mut demo = Demo::start(&IMPATIENT).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.say("Hello").await;
    page.answered(1).await;
    // It asks again and again; who starts anew has no faults.
    page.turn("ai_down", true).await;
    page.say("How much is a city bike?").await;
    page.seen("ai_down").await;
    killed_and_started_again(&mut demo, &page).await;
    is_answered_once(&demo, &page, "18 EUR").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_meta_took_the_answer_it_does_not_answer_again() {
    let mut demo = Demo::start(&IMPATIENT).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.say("Hello").await;
    page.answered(1).await;
    page.turn("lose_answer", true).await;
    page.say("How much is a city bike?").await;
    page.answered(2).await;
    killed_and_started_again(&mut demo, &page).await;
    is_answered_once(&demo, &page, "18 EUR").await;
}
