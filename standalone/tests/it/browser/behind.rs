//! Behind the scenes: what went over the wire, and what is kept of a conversation.

use super::{
    demo::{BIKES, Demo},
    page::{Page, text},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_wire_shows_the_way_of_a_message_with_its_times() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.say("How much is a city bike?").await;
    page.answered(1).await;
    page.look_behind("wire").await;
    for what in ["webhook", "status", "graph", "ai"] {
        let outcome = format!("document.querySelector('#scenes [data-what={what}] .outcome.fine')");
        page.until(&format!("{outcome} !== null")).await;
    }
    for step in ["acknowledged", "read", "answered"] {
        page.until(&format!("document.querySelector('#timings [data-step={step}].done') !== null")).await;
    }
    // A webhook can be opened, with its signature and its body.
    page.click("[data-what=webhook] summary").await;
    let opened =
        text(page.until("document.querySelector('[data-what=webhook] details[open]')?.innerText ?? null").await);
    assert!(opened.contains("sha256=") && opened.contains("How much is a city bike?"), "{opened}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_panel_shows_what_is_kept_of_the_conversation() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    // What it has no words for stays in the mailbox.
    page.turn("ai_down", true).await;
    page.look_behind("conversation").await;
    page.until("document.getElementById('pane-conversation').innerText.includes('no conversation yet')").await;
    page.say("My name is Robin and I am allergic to nuts").await;
    let part = |name: &str| format!("document.querySelector('#pane-conversation [data-part={name}]')?.innerText");
    page.until(&format!("{}?.includes('Robin')", part("mailbox"))).await;
    page.turn("ai_down", false).await;
    page.look_behind("conversation").await;
    page.answered(1).await;
    page.until(&format!("{}?.includes('empty')", part("mailbox"))).await;
    page.until(&format!("{}?.includes('allergic to nuts')", part("memory"))).await;
    let shown = page.value("document.getElementById('pane-conversation').innerText").await.to_string();
    assert!(!shown.contains("token-of-bikes"), "{shown}");
}
