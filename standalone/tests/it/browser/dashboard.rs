//! The dashboard as an operator uses it, over the real program: signing in, numbers, a conversation, a dead letter.

use std::{fmt, net::SocketAddr, path::Path};

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rusqlite::Connection;
use serde_json::{Value, json};
use simulator::{
    Business, Customer,
    ai::ChatReply,
    meta::{Fault, Refusal, Where},
};

use super::{
    driver::{Browser, Microphone},
    page::{ENTER, TAB},
    pictures::{WINDOWS, directory, taken},
};
use crate::{
    process::{Process, free_addr},
    serving::Installation,
};

const SECRET: &str = "the-dashboard-secret-of-the-test";
/// What a customer writes who means no good, and what nobody may see unasked.
const WORDS: &str = "<b>Is there a table</b> for two tonight?";

/// An installation that has something to show, and a dashboard of it.
struct Desk {
    installation: Installation,
    dashboard: Process,
    addr: SocketAddr,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("addr", &self.addr).finish_non_exhaustive()
    }
}

fn lindenhof() -> Business {
    Business::new("lindenhof", "100100100100123").with_token("EAAlindenhofTOKENlindenhof")
}

fn velo() -> Business {
    Business::new("velo", "200200200200123").with_token("EAAveloTOKENveloTOKENvelo")
}

fn customer(n: u64) -> Customer {
    Customer::phone(format!("49151{:07}", 2_345_600 + n)).named(format!("Customer {n}"))
}

impl Desk {
    async fn start() -> Self {
        let businesses = [(lindenhof(), json!({})), (velo(), json!({ "colour": "blue" }))];
        let installation = Installation::start(&businesses, &[]).await;
        installation.ai.on_chat(|_| ChatReply::text("Yes, at seven or at half past eight. Which suits you?"));
        for (subdomain, name) in [("lindenhof", "Gasthaus Lindenhof"), ("velo", "Velo Werkstatt Nord")] {
            let named = installation.command(&["business", "set", subdomain, "name", name]);
            assert!(named.status.success(), "{}", String::from_utf8_lossy(&named.stderr));
        }
        talk(&installation).await;
        count(installation.directory());
        let addr = free_addr();
        let environment = [
            ("DASHBOARD_SECRET", SECRET.to_owned()),
            ("ENCRYPTION_SECRET", crate::serving::ENCRYPTION_SECRET.to_owned()),
            ("RUST_LOG", "debug".to_owned()),
        ];
        let arguments = ["dashboard", "--addr", &addr.to_string()];
        let mut dashboard = Process::start(&arguments, &environment, installation.directory());
        dashboard.wait_for("the dashboard is served").await;
        Self { installation, dashboard, addr }
    }

    async fn open(&self, path: &str) -> Browser {
        let browser = Browser::start(Microphone::Refused).await;
        browser.goto(&format!("http://{}{path}", self.addr)).await;
        browser
    }

    async fn signed_in(&self) -> Browser {
        let browser = self.open("/").await;
        sign_in(&browser, SECRET).await;
        title(&browser, "Overview").await;
        browser
    }
}

/// Conversations that were answered, and one message that never can be.
async fn talk(installation: &Installation) {
    for n in 1..4 {
        let who = customer(n);
        installation.write(&lindenhof(), &who, WORDS).await;
        installation.received(&lindenhof(), &who, 1).await;
    }
    let ana = customer(1);
    installation.write(&lindenhof(), &ana, "At seven, please. My name is Ana.").await;
    installation.received(&lindenhof(), &ana, 2).await;
    let eva = customer(9);
    installation.meta.faults().next(Where::any().to(eva.key()), Fault::Refuse(Refusal::code(131_026)));
    installation.write(&velo(), &eva, "Do you mend brakes?").await;
    let database = installation.directory().join("switchboard.db");
    until(|| rows(&database, "SELECT count(*) FROM dead_letters") == 1).await;
    until(|| {
        rows(&database, "SELECT count(*) FROM conversations WHERE lease_worker IS NOT NULL OR due_at IS NOT NULL") == 0
    })
    .await;
}

async fn until(done: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + crate::process::PATIENCE;
    while !done() {
        assert!(std::time::Instant::now() < deadline, "it does not come true");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn rows(database: &Path, sql: &str) -> i64 {
    let connection = Connection::open(database).expect("the file is there");
    connection.busy_timeout(std::time::Duration::from_secs(20)).expect("a timeout");
    connection.query_row(sql, [], |row| row.get(0)).expect("a number")
}

/// Ninety days as somebody might have counted them.
fn count(directory: &Path) {
    let connection = Connection::open(directory.join("switchboard.db")).expect("the file is there");
    connection.busy_timeout(std::time::Duration::from_secs(20)).expect("a timeout");
    let now = Timestamp::now();
    let today = now.to_zoned(TimeZone::UTC).date();
    for (subdomain, size) in [("lindenhof", 9), ("velo", 4)] {
        let id: String = connection
            .query_row("SELECT id FROM businesses WHERE document ->> '$.subDomain' = ?1", [subdomain], |row| row.get(0))
            .expect("the business");
        for ago in 0..90_i64 {
            let day = today.checked_sub(ago.days()).expect("a day").to_string();
            let numbers = numbers(size, ago);
            let row = json!({ "_id": format!("{id}:{day}"), "business_id": id, "day": day, "numbers": numbers,
                "counted_at": now.to_string(), "expire_at": "2099-01-01T00:00:00.000Z" });
            let sql = "INSERT OR REPLACE INTO analytics (id, document) VALUES (?1, ?2)";
            connection.execute(sql, [format!("{id}:{day}"), row.to_string()]).expect("written");
        }
    }
}

fn numbers(size: i64, ago: i64) -> Value {
    let wave = [5, 9, 8, 12, 14, 6, 3][usize::try_from(ago % 7).expect("small")];
    let received = size * wave + ago % 5;
    let sent = received - ago % 3;
    json!({
        "inbound": { "text": received - 4, "audio": 3, "image": 1 },
        "outbound": { "text": sent - 2, "interactive": 2 },
        "answer_times": { "2048": received / 2, "3584": received / 3, "9216": 2 + ago % 3 },
        "delivered": sent - 1, "read": sent * 3 / 4,
        "failures": { "undelivered": { "131026": ago % 2 }, "dead_letters": { "refused": ago % 4 / 3 } },
        "priced": { "service": { "billable": 0, "free": sent }, "utility": { "billable": ago % 3, "free": 0 } },
        "models": { "openai/gpt-oss-120b": { "calls": sent, "tokens_in": sent * 1_450, "tokens_out": sent * 92 } },
        "cost_micros": sent * 412, "hand_overs": { "tool": ago % 2, "keyword": ago % 3 / 2 }, "opt_outs": ago % 5 / 4,
    })
}

async fn sign_in(browser: &Browser, secret: &str) {
    browser.type_into("#secret", &format!("{secret}{ENTER}")).await;
}

async fn title(browser: &Browser, title: &str) {
    browser.until(&format!("document.querySelector('h1')?.innerText === {}", json!(title))).await;
}

async fn text(browser: &Browser) -> String {
    browser.value("document.body.innerText").await.as_str().expect("text").to_owned()
}

async fn click_words(browser: &Browser, words: &str) {
    let found = "const words = arguments[0];
        document.querySelectorAll('[data-wanted]').forEach((one) => delete one.dataset.wanted);
        const all = [...document.querySelectorAll('a, button, summary')];
        const one = all.find((element) => element.innerText.trim().startsWith(words));
        if (one) one.dataset.wanted = '';
        return Boolean(one);";
    assert_eq!(browser.run(found, &[json!(words)]).await, true, "{words} in {}", text(browser).await);
    browser.click("[data-wanted]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_signs_in_sees_the_numbers_opens_a_conversation_and_replays_a_dead_letter() {
    let desk = Desk::start().await;
    let browser = desk.open("/letters").await;
    title(&browser, "Sign in").await;
    assert!(!text(&browser).await.contains("lindenhof"));
    sign_in(&browser, "a-wrong-secret-of-the-test").await;
    browser.until("document.querySelector('[role=alert]')?.innerText === 'That is not the secret.'").await;
    sign_in(&browser, SECRET).await;
    title(&browser, "Dead letters").await;

    click_words(&browser, "Overview").await;
    title(&browser, "Overview").await;
    browser.until("document.querySelectorAll('svg[role=img] .bar').length >= 14").await;
    browser
        .until("[...document.querySelectorAll('.bar')].every((bar) => bar.getBoundingClientRect().height > 0)")
        .await;
    let overview = text(&browser).await;
    for shown in ["Received", "Answer time", "Gasthaus Lindenhof", "fine", "1 to look at", "refused 1"] {
        assert!(overview.contains(shown), "{shown}: {overview}");
    }
    browser.goto(&format!("http://{}/businesses/lindenhof?days=30", desk.addr)).await;
    title(&browser, "Gasthaus Lindenhof").await;
    click_words(&browser, "all").await;
    title(&browser, "Conversations").await;
    click_words(&browser, "lindenhof:…").await;
    browser.until("document.querySelectorAll('.trace > li').length >= 2").await;
    assert!(!text(&browser).await.contains("table"), "what was said is hidden");
    click_words(&browser, "Show what was said").await;
    browser.until("document.querySelector('.trace .text') !== null").await;
    assert!(text(&browser).await.contains(WORDS), "words stay words");
    assert_eq!(browser.value("document.querySelector('.trace b b') === null").await, true);
    assert_eq!(browser.value("/491512345|%3A/.test(location.href)").await, false, "no number is in an address");
    click_words(&browser, "Hand over to a person").await;
    browser.until("document.querySelector('[role=status]')?.innerText.startsWith('A person has')").await;
    click_words(&browser, "Give it back").await;
    browser.until("document.querySelector('[role=status]')?.innerText.startsWith('The companion has')").await;

    click_words(&browser, "Dead letters").await;
    title(&browser, "Dead letters").await;
    browser.click("td a").await;
    browser.until("document.querySelector('h1')?.innerText.startsWith('Letter ')").await;
    click_words(&browser, "Replay it").await;
    browser.until("document.querySelector('[role=status]')?.innerText.startsWith('It is marked')").await;
    let answers = desk.installation.received(&velo(), &customer(9), 1).await;
    assert_eq!(answers.len(), 1, "a running worker replayed it");

    click_words(&browser, "Sign out").await;
    title(&browser, "Sign in").await;
    browser.goto(&format!("http://{}/conversations", desk.addr)).await;
    title(&browser, "Sign in").await;
    let log = desk.dashboard.log();
    // Of the numbers, what is common to all of them: fewer digits may be part of a time.
    for secret in [SECRET, "a-wrong-secret", "491512345", "table", "Ana"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    assert!(log.contains("somebody signed in") && log.contains("an operator replays a dead letter"), "{log}");
}

/// Every page, by a name for its picture.
async fn pages(browser: &Browser) -> Vec<(&'static str, String)> {
    let link = async |from: &str, selector: &str| {
        browser.goto(from).await;
        browser.until(&format!("document.querySelector({}) !== null", json!(selector))).await;
        let href = browser.value(&format!("document.querySelector({}).href", json!(selector))).await;
        href.as_str().expect("an address").to_owned()
    };
    let home = browser.value("location.origin").await.as_str().expect("an origin").to_owned();
    let at = |path: &str| format!("{home}{path}");
    let conversation = link(&at("/conversations?business=lindenhof"), "tbody tr:first-child td a").await;
    let letter = link(&at("/letters"), "td a").await;
    vec![
        ("overview", at("/?days=30")),
        ("business", at("/businesses/velo")),
        ("conversations", at("/conversations")),
        ("conversation", format!("{conversation}?texts=1")),
        ("letters", at("/letters?reason=refused")),
        ("letter", letter),
        ("replay", at("/letters/replay?reason=refused")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_is_drawn_in_light_and_dark_fits_every_window_and_is_easy_to_read() {
    std::fs::create_dir_all(directory()).expect("a directory");
    let desk = Desk::start().await;
    let browser = desk.open("/").await;
    browser.log("browser").await;
    for theme in ["light", "dark"] {
        wear(&browser, theme).await;
        taken(&browser, &format!("dashboard-{theme}-sign-in")).await;
    }
    sign_in(&browser, SECRET).await;
    title(&browser, "Overview").await;
    for (name, address) in pages(&browser).await {
        browser.goto(&address).await;
        for theme in ["light", "dark"] {
            wear(&browser, theme).await;
            for (window, width, height) in WINDOWS {
                let height = if window == "desktop" { height + 500 } else { height + 800 };
                browser.resize(width, height).await;
                taken(&browser, &format!("dashboard-{window}-{theme}-{name}")).await;
            }
            let told = browser.run(include_str!("contrast.js"), &[]).await;
            assert_eq!(told["found"], json!([]), "{name}, {theme}");
        }
        for width in [360, 700, 1_000] {
            browser.resize(width, 800).await;
            let wide = browser.value("document.documentElement.scrollWidth").await;
            assert!(wide.as_u64().is_some_and(|wide| wide <= u64::from(width)), "{name} is {wide} wide in {width}");
        }
    }
    readme(&browser, &desk).await;
    let console = browser.log("browser").await;
    assert!(console.is_empty(), "nothing breaks the policy: {console:#?}");
}

/// The picture of the README, docs/dashboard.png, which is made anew with SWITCHBOARD_SCREENSHOT=1.
async fn readme(browser: &Browser, desk: &Desk) {
    browser.goto(&format!("http://{}/?days=30", desk.addr)).await;
    wear(browser, "light").await;
    browser.resize(1_280, 960).await;
    let picture = taken(browser, "dashboard-readme").await;
    if std::env::var("SWITCHBOARD_SCREENSHOT").is_ok_and(|wanted| wanted == "1") {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        std::fs::write(docs.join("dashboard.png"), picture).expect("written");
    }
}

async fn wear(browser: &Browser, theme: &str) {
    let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
    browser.devtools("Emulation.setEmulatedMedia", features).await;
    browser.until(&format!("matchMedia('(prefers-color-scheme: {theme})').matches")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_is_used_by_keyboard_and_everything_has_a_name() {
    let desk = Desk::start().await;
    let browser = desk.signed_in().await;
    for (name, address) in pages(&browser).await {
        browser.goto(&address).await;
        browser.press(TAB).await;
        browser.until("document.activeElement.matches('.skip')").await;
        let expected = browser.run(include_str!("reach.js"), &[]).await;
        for place in 0..expected.as_array().expect("a list").len() {
            let reached = browser.value("window.reached()").await;
            assert_eq!(reached, json!(place), "{name}: {expected}");
            let is_seen = "getComputedStyle(document.activeElement).outlineStyle !== 'none'
                || document.activeElement.matches('.skip')";
            assert_eq!(browser.value(is_seen).await, true, "{name}: the focus on {reached} is seen");
            browser.press(TAB).await;
        }
        named(&browser, name).await;
    }
}

/// What the browser itself tells a screen reader.
async fn named(browser: &Browser, page: &str) {
    let tree = browser.devtools("Accessibility.getFullAXTree", json!({})).await;
    let roles = ["link", "button", "textbox", "combobox", "checkbox", "image", "navigation", "region", "spinbutton"];
    let mut count = 0;
    for node in tree["nodes"].as_array().expect("a list").iter().filter(|node| node["ignored"] == false) {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        if roles.contains(&role) {
            let name = node["name"]["value"].as_str().unwrap_or_default();
            assert!(!name.trim().is_empty(), "{page}: a {role} without a name: {node:#}");
            count += 1;
        }
    }
    assert!(count > 5, "{page}: {count} were looked at");
    let whole = "document.querySelectorAll('h1').length === 1
        && document.querySelectorAll('main, header, footer').length === 3";
    assert_eq!(browser.value(whole).await, true, "{page} has one heading and its landmarks");
}
