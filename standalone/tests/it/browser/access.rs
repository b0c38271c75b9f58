//! For everybody: by keyboard alone, by ear, with little contrast vision, on a small screen.

use serde_json::{Value, json};

use super::{
    demo::{BIKES, Demo, TAZA},
    page::{ENTER, ESCAPE, Page, TAB, text},
};

const FOCUSED: &str = "document.activeElement.id";
/// Roles of what can be used or seen, and so must have a name.
const NAMED: [&str; 12] = [
    "button",
    "link",
    "textbox",
    "switch",
    "tab",
    "slider",
    "checkbox",
    "spinbutton",
    "image",
    "dialog",
    "tabpanel",
    "log",
];

#[tokio::test(flavor = "multi_thread")]
async fn tab_reaches_everything_in_the_order_in_which_it_is_seen() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    for with_chat in [false, true] {
        if with_chat {
            page.say("menu").await;
            page.until("document.querySelector('[data-list]') !== null").await;
            demo.at_rest(BIKES, page.number).await;
            page.look_behind("faults").await;
        }
        let expected = page.run(include_str!("reach.js"), &[]).await;
        let expected = expected.as_array().expect("a list");
        page.run(
            "document.activeElement.blur(); getSelection().removeAllRanges(); document.querySelector('.skip').focus();",
            &[],
        )
        .await;
        for (place, name) in expected.iter().enumerate() {
            let reached = page.value("window.reached()").await;
            assert_eq!(reached, json!(place), "{name} of {expected:?}");
            let outline = page.value("getComputedStyle(document.activeElement).outlineStyle !== 'none' || document.activeElement.matches('.skip, .quote')");
            assert_eq!(outline.await, true, "the focus on {name} is seen");
            page.press(TAB).await;
        }
        for id in ["theme", "person", "panel-toggle", "log", "attach", "text", "record"] {
            assert!(expected.iter().any(|name| name == id), "{id}: {expected:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn enter_sends_and_escape_closes_whatever_is_open() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    // Who opens a chat can write at once.
    page.until(&format!("{FOCUSED} === 'text'")).await;
    page.press(&format!("menu{ENTER}")).await;
    page.until("document.querySelector('[data-list]') !== null").await;
    for opener in ["#attach", "#person", "[data-list]"] {
        page.run("document.querySelector(arguments[0]).focus();", &[json!(opener)]).await;
        page.press(ENTER).await;
        page.until("document.getElementById('sheet').open && document.getElementById('sheet').contains(document.activeElement)")
            .await;
        page.press(ESCAPE).await;
        page.until("!document.getElementById('sheet').open").await;
        page.until(&format!("document.activeElement === document.querySelector('{opener}')")).await;
    }
    page.look_behind("faults").await;
    page.press(ESCAPE).await;
    page.until("document.body.dataset.panel === 'closed'").await;
    assert_eq!(page.value(FOCUSED).await, "panel-toggle");
    // A choice, without a mouse.
    page.run("document.querySelector('[data-list]').focus();", &[]).await;
    page.press(ENTER).await;
    page.until("document.activeElement.dataset.choice !== undefined").await;
    page.press(ENTER).await;
    page.until("document.querySelector('[data-from=customer][data-type=interactive]') !== null").await;
    // Tabs turn by arrows.
    page.look_behind("wire").await;
    page.press("\u{e014}").await;
    page.until(
        "document.activeElement.id === 'tab-conversation' && !document.getElementById('pane-conversation').hidden",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_has_a_name_a_language_and_is_read_out_as_it_comes() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, TAZA, "34600100001").await;
    page.say("menú").await;
    page.until("document.querySelector('[data-list]') !== null").await;
    demo.at_rest(TAZA, page.number).await;
    for tab in ["wire", "conversation", "faults"] {
        page.look_behind(tab).await;
        names(&page).await;
    }
    for opener in ["#attach", "#person", "[data-list]"] {
        page.click(opener).await;
        page.until("document.getElementById('sheet').open").await;
        names(&page).await;
        page.click("#sheet-close").await;
    }
    assert_eq!(page.value("document.documentElement.lang").await, "en");
    assert!(page.answers().await.iter().all(|answer| answer.language == "es"));
    assert_eq!(page.value("document.querySelector('.choices').lang").await, "es");
    page.until("document.getElementById('messages').getAttribute('aria-live') === 'polite'").await;
    for (id, role) in [("notice", "alert"), ("connection", "status"), ("messages", "log"), ("chat-state", "status")] {
        assert_eq!(page.value(&format!("document.getElementById('{id}').getAttribute('role')")).await, role);
    }
}

/// What the browser itself tells a screen reader.
async fn names(page: &Page) {
    let tree = page.devtools("Accessibility.getFullAXTree", json!({})).await;
    let nodes = tree["nodes"].as_array().expect("a list");
    let role = |node: &Value| node["role"]["value"].as_str().unwrap_or_default().to_owned();
    let shown = nodes.iter().filter(|node| node["ignored"] == false && NAMED.contains(&role(node).as_str()));
    let mut count = 0;
    for node in shown {
        let name = node["name"]["value"].as_str().unwrap_or_default();
        assert!(!name.trim().is_empty(), "a {} without a name: {node:#}", role(node));
        count += 1;
    }
    assert!(count > 3, "{count} were looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_stand_out_in_light_and_dark() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.turn("duplicate", true).await;
    page.say("menu, and *Where* _are_ `you`?").await;
    page.until("document.querySelector('[data-list]') !== null").await;
    demo.at_rest(BIKES, page.number).await;
    for theme in ["dark", "light"] {
        page.click("#theme").await;
        page.until(&format!("document.documentElement.dataset.theme === '{theme}'")).await;
        for tab in ["wire", "conversation", "faults"] {
            page.look_behind(tab).await;
            contrast(&page, &format!("{theme}, {tab}")).await;
        }
        page.click("[data-list]").await;
        contrast(&page, &format!("{theme}, a sheet")).await;
        page.click("#sheet-close").await;
        page.choose(TAZA).await;
        contrast(&page, &format!("{theme}, an empty chat")).await;
        page.choose(BIKES).await;
    }
}

async fn contrast(page: &Page, place: &str) {
    let told = page.run(include_str!("contrast.js"), &[]).await;
    assert!(told["looked"].as_u64().is_some_and(|looked| looked > 10), "{told}");
    assert_eq!(told["found"], json!([]), "{place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_smallest_phone_nothing_scrolls_sideways() {
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    page.resize(360, 640).await;
    page.run("location.reload();", &[]).await;
    page.until("document.body?.dataset.panel === 'closed'").await;
    page.is_connected().await;
    page.say(&"Rindfleischetikettierung".repeat(12)).await;
    page.answered(1).await;
    page.say("menu").await;
    page.until("document.querySelector('[data-list]') !== null").await;
    page.say("Where are you?").await;
    page.until("document.querySelector('[data-from=business][data-type=location]') !== null").await;
    demo.at_rest(BIKES, page.number).await;
    fits(&page, "the chat").await;
    for opener in ["#attach", "[data-list]"] {
        page.click(opener).await;
        fits(&page, opener).await;
        page.click("#sheet-close").await;
    }
    for tab in ["wire", "conversation", "faults"] {
        page.look_behind(tab).await;
        page.until("document.getElementById('panel').getAnimations().length === 0").await;
        fits(&page, tab).await;
    }
    page.click("#panel-close").await;
    page.until("document.getElementById('panel').getAnimations().length === 0").await;
    page.click("#back").await;
    page.until("document.body.dataset.view === 'chats'").await;
    fits(&page, "the list of chats").await;
    assert_eq!(text(page.value("getComputedStyle(document.getElementById('chat')).display").await), "none");
}

async fn fits(page: &Page, place: &str) {
    assert_eq!(page.run(include_str!("overflow.js"), &[]).await, json!([]), "{place}");
}
