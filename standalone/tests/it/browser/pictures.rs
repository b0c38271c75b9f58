//! Pictures of the page, for whoever wants to look: target/screenshots has them after a run.
//!
//! With SWITCHBOARD_SCREENSHOT=1 the one of the README, docs/phone.png, is made anew.

use std::path::{Path, PathBuf};

use super::{
    demo::{BIKES, Demo, TAZA},
    driver::Browser,
    page::Page,
};

/// About what a README may weigh.
const README_MOST_BYTES: usize = 300_000;
const PNG: &[u8] = b"\x89PNG";
pub(crate) const WINDOWS: [(&str, u32, u32); 2] = [("desktop", 1280, 800), ("phone", 390, 844)];

pub(crate) fn directory() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target directory");
    target.join("screenshots")
}

pub(crate) async fn taken(page: &Browser, name: &str) -> Vec<u8> {
    page.point_nowhere().await;
    // What moves has come to rest, and what is drawn is there.
    page.until("document.getAnimations().every((one) => one.playState !== 'running')").await;
    let picture = page.picture().await;
    assert!(picture.starts_with(PNG) && picture.len() > 10_000, "{name}: {} bytes", picture.len());
    std::fs::write(directory().join(format!("{name}.png")), &picture).expect("written");
    picture
}

async fn chatted(demo: &Demo, page: &Page) {
    for words in ["Hi! How much is an electric bike?", "", "menu"] {
        let before = page.answers().await.len();
        if words.is_empty() {
            page.click("#record").await;
            page.until("document.getElementById('record-time').textContent >= '0:02'").await;
            page.click("#record-send").await;
        } else {
            page.say(words).await;
        }
        page.answered(before + 1).await;
        demo.at_rest(BIKES, page.number).await;
    }
    page.until("document.querySelector('[data-list]') !== null").await;
    page.until("[...document.querySelectorAll('.player .time')].every((time) => time.textContent !== '0:00')").await;
}

async fn turned_to(page: &Page, theme: &str) {
    let dark = page.value("document.getElementById('theme').getAttribute('aria-pressed')").await;
    if (dark == "true") != (theme == "dark") {
        page.click("#theme").await;
    }
    page.until(&format!("document.documentElement.dataset.theme === '{theme}'")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_drawn_in_light_and_dark_on_desktop_and_phone() {
    std::fs::create_dir_all(directory()).expect("a directory");
    let demo = Demo::start(&[]).await;
    let page = Page::open(&demo, BIKES, "4915112340016").await;
    chatted(&demo, &page).await;
    for theme in ["dark", "light"] {
        for (window, width, height) in WINDOWS {
            page.resize(width, height).await;
            if window == "desktop" {
                turned_to(&page, theme).await;
            }
            for tab in ["wire", "conversation", "faults"] {
                page.look_behind(tab).await;
                page.until(&format!("document.getElementById('pane-{tab}').childElementCount > 1")).await;
                page.run("document.activeElement.blur();", &[]).await;
                taken(&page, &format!("{window}-{theme}-{tab}")).await;
            }
            page.click("#panel-close").await;
            if window == "phone" {
                small(&page, theme).await;
            } else {
                large(&page, theme).await;
            }
        }
    }
    readme(&page).await;
}

async fn small(page: &Page, theme: &str) {
    taken(page, &format!("phone-{theme}-chat")).await;
    page.click("[data-list]").await;
    taken(page, &format!("phone-{theme}-list")).await;
    page.click("#sheet-close").await;
    page.click("#back").await;
    taken(page, &format!("phone-{theme}-chats")).await;
    page.choose(BIKES).await;
}

async fn large(page: &Page, theme: &str) {
    taken(page, &format!("desktop-{theme}-chat")).await;
    page.click("#person").await;
    taken(page, &format!("desktop-{theme}-person")).await;
    page.click("#sheet-close").await;
    page.choose(TAZA).await;
    taken(page, &format!("desktop-{theme}-empty")).await;
    page.choose(BIKES).await;
}

/// Light, on a desktop, with what happens behind the scenes beside it.
async fn readme(page: &Page) {
    let (_, width, height) = WINDOWS[0];
    page.resize(width, height).await;
    turned_to(page, "light").await;
    page.look_behind("wire").await;
    page.run("document.activeElement.blur();", &[]).await;
    let picture = taken(page, "readme").await;
    assert!(picture.len() < README_MOST_BYTES, "{} bytes", picture.len());
    if std::env::var("SWITCHBOARD_SCREENSHOT").is_ok_and(|wanted| wanted == "1") {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        std::fs::create_dir_all(&docs).expect("a directory");
        std::fs::write(docs.join("phone.png"), picture).expect("written");
    }
}
