//! What changes before one's eyes: ticks, typing, another window of the same person, a hidden number.

use super::{
    demo::{BIKES, Demo},
    driver::{Browser, Microphone},
    page::{Page, text},
};
use crate::process::PATIENCE;

/// Notes every state of the ticks, and whether somebody was seen typing.
const WATCH: &str = "window.seen = [];
    const look = () => {
        const ticks = [...document.querySelectorAll('.ticks')].at(-1)?.dataset.state;
        const typing = !document.getElementById('typing').hidden && document.getElementById('typing').offsetHeight > 0;
        for (const state of [ticks, typing && 'typing']) if (state && !window.seen.includes(state)) window.seen.push(state);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });";

/// What the ticks of the newest message say to who cannot see them.
const FATE: &str = "[...document.querySelectorAll('.ticks')].at(-1).getAttribute('aria-label')";

#[tokio::test(flavor = "multi_thread")]
async fn ticks_and_typing_are_seen_as_they_happen() {
    let demo = Demo::start(&[("QUIET_MILLIS", "600")]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.run(WATCH, &[]).await;
    // It stays typing for as long as it has no words.
    page.turn("ai_down", true).await;
    // And on its way for as long as nothing can be stored.
    let file = rusqlite::Connection::open(demo.database()).expect("a database");
    file.busy_timeout(PATIENCE).expect("a timeout");
    file.execute_batch("BEGIN IMMEDIATE").expect("the file is locked");
    page.say("Hello").await;
    page.until("window.seen.includes('sending')").await;
    file.execute_batch("ROLLBACK").expect("the file is free");
    page.until("window.seen.includes('typing')").await;
    assert_eq!(page.value("document.getElementById('chat-state').textContent").await, "typing …");
    page.turn("ai_down", false).await;
    page.answered(1).await;
    page.until("document.getElementById('typing').hidden").await;
    let seen = page.value("window.seen").await.to_string();
    assert!(seen.starts_with("[\"sending\"") && seen.contains("read"), "{seen}");
    assert_eq!(text(page.value(FATE).await), "Read by the business");
    // Where it cannot be marked as read, it is still known to be safe.
    page.turn("refuse_token", true).await;
    page.say("And again").await;
    page.until("[...document.querySelectorAll('.ticks')].at(-1).dataset.state === 'taken'").await;
    assert_eq!(text(page.value(FATE).await), "Taken: Switchboard has it safe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_window_of_the_same_person_shows_the_same_chat_at_once() {
    let demo = Demo::start(&[]).await;
    let one = Page::open(&demo, BIKES, "4915110000001").await;
    let other = Page::open(&demo, BIKES, "4915110000001").await;
    one.say("Hello from here").await;
    let (here, there) = tokio::join!(one.answered(1), other.answered(1));
    assert_eq!(here[0].id, there[0].id);
    assert_eq!(other.messages().await[0].words, "Hello from here");
    // And with the chat closed, the list says that something is new.
    other.choose("1002").await;
    one.say("Are you open on Sunday?").await;
    other.until("document.querySelector('[data-business=\"1001\"] .badge')?.innerText === '1'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_hidden_number_the_business_sees_a_user_id_only() {
    let demo = Demo::start(&[]).await;
    let browser = Browser::start(Microphone::Allowed).await;
    let page = Page::open_in(browser, &demo, BIKES, "4915110000001").await;
    page.click("#person").await;
    page.click("#hidden-number").await;
    page.click("#sheet .primary").await;
    page.until("document.getElementById('person').dataset.hidden === 'true'").await;
    page.until("!document.getElementById('sheet').open").await;
    page.say("Hello").await;
    page.answered(1).await;
    page.look_behind("wire").await;
    let webhook = "[...document.querySelectorAll('[data-what=webhook] pre')].map((body) => body.textContent).join()";
    let webhook = text(page.until(&format!("{webhook} || null")).await);
    assert!(webhook.contains("user_id") && !webhook.contains(page.number), "{webhook}");
    // It is not forgotten by a reload, and the business knows who writes again.
    page.run("window.stale = true; location.reload();", &[]).await;
    page.until("!window.stale").await;
    page.until("document.getElementById('person')?.dataset.hidden === 'true'").await;
    page.is_connected().await;
    assert_eq!(page.messages().await.len(), 2);
    page.say("What did I say before?").await;
    let answers = page.answered(2).await;
    assert!(answers[1].words.contains("Hello"), "{answers:?}");
}
