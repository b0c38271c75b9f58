//! The page as a person at it uses it: choose a business, write, read what comes.

use std::ops::Deref;

use serde::Deserialize;
use serde_json::Value;

use super::{
    demo::Demo,
    driver::{Browser, Microphone},
};

/// The Enter key, as WebDriver has it.
pub(crate) const ENTER: &str = "\u{e007}";
/// The Escape key.
pub(crate) const ESCAPE: &str = "\u{e00c}";
/// The Tab key.
pub(crate) const TAB: &str = "\u{e004}";

/// All messages of the open chat.
const MESSAGES: &str = "[...document.querySelectorAll('#messages li.message')].map((item) => ({
    id: item.dataset.id, from: item.dataset.from, kind: item.dataset.type,
    words: item.querySelector('.content').innerText, language: item.querySelector('.content').lang }))";

/// Somebody at the page.
#[derive(Debug)]
pub(crate) struct Page {
    browser: Browser,
    pub(crate) number: &'static str,
}

/// A message as it is shown.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Shown {
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) kind: String,
    pub(crate) words: String,
    pub(crate) language: String,
}

impl Deref for Page {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        &self.browser
    }
}

impl Page {
    /// Opens the page as somebody, in a browser of their own.
    pub(crate) async fn open(demo: &Demo, business: &str, number: &'static str) -> Self {
        Self::open_in(Browser::start(Microphone::Allowed).await, demo, business, number).await
    }

    /// Opens the page in this browser.
    pub(crate) async fn open_in(browser: Browser, demo: &Demo, business: &str, number: &'static str) -> Self {
        let page = Self { browser, number };
        page.goto(&format!("http://{}/#/{business}/{number}", demo.addr)).await;
        page.is_connected().await;
        page
    }

    /// Waits until the page gets what happens as it happens.
    pub(crate) async fn is_connected(&self) {
        self.until("document.body?.dataset.connection === 'open'").await;
    }

    /// Turns to another business.
    pub(crate) async fn choose(&self, business: &str) {
        self.click(&format!("#businesses [data-business='{business}']")).await;
        self.until(&format!("location.hash.startsWith('#/{business}/')")).await;
    }

    /// Writes something and sends it.
    pub(crate) async fn say(&self, words: &str) {
        self.type_into("#text", &format!("{words}{ENTER}")).await;
    }

    /// The open chat.
    pub(crate) async fn messages(&self) -> Vec<Shown> {
        serde_json::from_value(self.value(MESSAGES).await).expect("as it was asked for")
    }

    /// What the business has said in the open chat.
    pub(crate) async fn answers(&self) -> Vec<Shown> {
        self.messages().await.into_iter().filter(|message| message.from == "business").collect()
    }

    /// Waits for that many answers, and gives them all.
    pub(crate) async fn answered(&self, count: usize) -> Vec<Shown> {
        self.until(&format!("document.querySelectorAll('[data-from=business]').length >= {count}")).await;
        self.answers().await
    }

    /// Waits until so many messages are written, and the last of them was taken.
    pub(crate) async fn is_taken(&self, count: usize) {
        let written = "[...document.querySelectorAll('[data-from=customer]')]";
        let last = format!("{written}.at(-1).querySelector('.ticks')?.dataset.state");
        self.until(&format!("{written}.length === {count} && ['taken', 'read'].includes({last})")).await;
    }

    /// Opens a tab of what happens behind the scenes.
    pub(crate) async fn look_behind(&self, tab: &str) {
        if self.value("document.body.dataset.panel").await != "open" {
            self.click("#panel-toggle").await;
        }
        self.click(&format!("#tab-{tab}")).await;
    }

    /// Turns a fault on or off, and waits until it is.
    pub(crate) async fn turn(&self, fault: &str, on: bool) {
        self.look_behind("faults").await;
        self.click(&format!("[data-fault={fault}][aria-checked={}]", !on)).await;
        self.until(&format!("document.querySelector('[data-fault={fault}][aria-checked={on}]') !== null")).await;
    }

    /// What the page says came of a fault.
    pub(crate) async fn seen(&self, fault: &str) -> String {
        let value = self.until(&format!("document.querySelector('[data-seen={fault}]')?.innerText ?? null")).await;
        text(value)
    }
}

/// A value that is text.
pub(crate) fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => panic!("{other} is no text"),
    }
}
