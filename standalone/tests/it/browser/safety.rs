//! What the page lets nobody do, itself included: load from elsewhere, break, take orders from other pages.

use reqwest::Method;
use serde_json::Value;

use super::{
    demo::{BIKES, Demo, TAZA},
    driver::{Browser, Microphone},
    page::{Page, text},
};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_breaks_and_no_other_host_is_asked() {
    let demo = Demo::start(&[]).await;
    let browser = Browser::start(Microphone::Allowed).await;
    // What the browser's own first page asks for is none of ours.
    browser.goto("about:blank").await;
    browser.log("performance").await;
    let page = Page::open_in(browser, &demo, BIKES, "4915110000001").await;
    for (words, tab) in [("Hello *there* https://example.com <img src=x>", "wire"), ("menu", "conversation")] {
        let before = page.answers().await.len();
        page.say(words).await;
        page.answered(before + 1).await;
        page.look_behind(tab).await;
    }
    page.choose(TAZA).await;
    page.click("#theme").await;
    assert_eq!(page.value("document.querySelectorAll('#messages img').length").await, 0, "words are no markup");
    let console = page.log("browser").await;
    assert!(console.is_empty(), "{console:#?}");
    let own = format!("http://{}/", demo.addr);
    let mut asked = 0;
    for entry in page.log("performance").await {
        let told: Value = serde_json::from_str(entry["message"].as_str().expect("text")).expect("JSON");
        if told["message"]["method"] != "Network.requestWillBeSent" {
            continue;
        }
        let url = text(told["message"]["params"]["request"]["url"].clone());
        assert!(url.starts_with(&own), "{url}");
        asked += 1;
    }
    assert!(asked > 20, "{asked} requests were seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_the_page_holds_in_the_browser() {
    let demo = Demo::start(&[]).await;
    let answer = demo.ask(Method::GET, "/", &[]).await;
    let policy = answer.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let page = Page::open(&demo, BIKES, "4915110000001").await;
    let run = "window.broken = [];
        document.addEventListener('securitypolicyviolation', (event) => window.broken.push(event.effectiveDirective));
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
        return fetch('http://127.0.0.1:9/').then(() => false, () => true);";
    assert_eq!(page.run(run, &[]).await, true, "the page may ask nobody else");
    assert_eq!(page.value("window.ran === undefined").await, true, "no script inside the page runs");
    page.until("window.broken.includes('connect-src') && window.broken.includes('script-src-elem')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_page_can_write_in_a_customer_s_name() {
    let demo = Demo::start(&[]).await;
    let own = format!("http://{}", demo.addr);
    let json = ("content-type", "application/json");
    for (path, origin) in [
        ("/phone/messages", "http://evil.test"),
        ("/phone/faults", "http://127.0.0.1:1"),
        ("/phone/person", "null"),
        ("/phone/files", "https://evil.test"),
    ] {
        let refused = demo.ask(Method::POST, path, &[json, ("origin", origin)]).await;
        assert_eq!(refused.status(), 403, "{path} from {origin}");
    }
    assert_eq!(demo.ask(Method::POST, "/phone/messages", &[json]).await.status(), 403, "from nowhere");
    let rebound = demo.ask(Method::GET, "/phone/setup", &[("host", "evil.test")]).await;
    assert_eq!(rebound.status(), 403, "under another name");
    let taken = demo.ask(Method::POST, "/phone/messages", &[json, ("origin", &own)]).await;
    assert_ne!(taken.status(), 403, "from the page itself");
}
