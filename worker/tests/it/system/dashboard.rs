//! The dashboard over a real database, as a browser and as somebody who means no good ask it.

use std::{collections::BTreeMap, time::Duration};

use mongodb::bson::{DateTime, Document, doc};
use reqwest::{Client, Method, Response, StatusCode, header, redirect::Policy};
use simulator::meta::{Fault, Refusal, Where};

use super::{
    harness::{Options, PATIENCE, System, acme, bolt, customer},
    process::{Process, run},
};

const SECRET: &str = "the-dashboard-secret-of-the-test";
const WRONG: &str = "not-the-secret-of-any-dashboard";
/// Would do harm in a page that took it for its own.
const WORDS: &str = "<script>alert(1)</script> swordfish";
const ESCAPED: &str = "&lt;script&gt;alert(1)&lt;/script&gt; swordfish";
const FORM: &str = "application/x-www-form-urlencoded";

/// What a browser says besides.
type Headers<'a> = &'a [(&'a str, &'a str)];

/// A running dashboard.
struct Dashboard {
    process: Process,
    base: String,
    client: Client,
}

/// Somebody at it, with what their browser keeps.
struct Visitor<'a> {
    dashboard: &'a Dashboard,
    cookies: BTreeMap<String, String>,
    host: Option<&'static str>,
}

/// An answer, read whole.
struct Told {
    status: StatusCode,
    headers: header::HeaderMap,
    body: String,
}

impl Dashboard {
    async fn start(environment: &[(String, String)]) -> Self {
        let kept = |(name, _): &&(String, String)| {
            name.starts_with("MONGODB_") || matches!(name.as_str(), "LOG_FORMAT" | "RUST_LOG" | "ENCRYPTION_SECRET")
        };
        let mut environment: Vec<_> = environment.iter().filter(kept).cloned().collect();
        environment.push(("DASHBOARD_SECRET".to_owned(), SECRET.to_owned()));
        let mut process = Process::start_with("worker", &["dashboard", "--addr", "127.0.0.1:0"], &environment);
        let line = process.wait_for_message("the dashboard is served").await;
        let base = format!("http://{}", line["addr"].as_str().expect("an address"));
        let client = Client::builder().no_proxy().redirect(Policy::none()).timeout(PATIENCE).build().expect("a client");
        Self { process, base, client }
    }

    fn visitor(&self) -> Visitor<'_> {
        Visitor { dashboard: self, cookies: BTreeMap::new(), host: None }
    }

    async fn signed_in(&self) -> Visitor<'_> {
        let mut visitor = self.visitor();
        let told = visitor.sign_in(SECRET).await;
        assert_eq!(told.status, StatusCode::SEE_OTHER, "{}", told.body);
        visitor
    }

    /// Nobody else's business is in its log.
    fn stop(&self, secrets: &[&str]) {
        let log = self.process.log();
        for secret in [SECRET, WRONG, "swordfish", "EAAacme"].iter().chain(secrets) {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
        assert!(!log.contains("panicked"), "{log}");
    }
}

impl Visitor<'_> {
    async fn ask(&mut self, method: Method, path: &str, headers: &[(&str, &str)], form: Option<String>) -> Told {
        let mut request = self.dashboard.client.request(method, format!("{}{path}", self.dashboard.base));
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        if let Some(host) = self.host {
            request = request.header(header::HOST, host);
        }
        if let Some(form) = form {
            request = request.body(form).header(header::CONTENT_TYPE, FORM);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let told = Told::read(request.send().await.expect("it answers")).await;
        for line in told.all("set-cookie") {
            let (name, rest) = line.split_once('=').expect("a cookie");
            match rest.split(';').next() {
                Some("") | None => drop(self.cookies.remove(name)),
                Some(value) => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        told
    }

    async fn get(&mut self, path: &str) -> Told {
        self.ask(Method::GET, path, &[], None).await
    }

    /// A page that is there.
    async fn page(&mut self, path: &str) -> String {
        let told = self.get(path).await;
        assert_eq!(told.status, StatusCode::OK, "{path}: {}", told.body);
        told.body
    }

    /// Sends the form of a page of which the action ends so, with all its hidden fields and these.
    async fn send(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Told {
        let (path, mut all) = form_of(page, action);
        all.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.post(&path, &all).await
    }

    async fn post(&mut self, path: &str, fields: &[(String, String)]) -> Told {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(Method::POST, path, &[], Some(form)).await
    }

    async fn sign_in(&mut self, secret: &str) -> Told {
        let page = self.page("/sign-in").await;
        self.send(&page, "/sign-in", &[("secret", secret)]).await
    }
}

impl Told {
    async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self {
            status,
            headers,
            body: String::from_utf8(response.bytes().await.expect("a body").to_vec()).expect("UTF-8"),
        }
    }

    fn all(&self, name: &str) -> Vec<String> {
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("text").to_owned()).collect()
    }

    fn header(&self, name: &str) -> String {
        self.all(name).join(", ")
    }
}

/// The address of a form and its hidden fields.
fn form_of(page: &str, action: &str) -> (String, Vec<(String, String)>) {
    let mut forms = page.split("<form ").skip(1).map(|form| form.split("</form>").next().expect("it ends"));
    let form = forms.find(|form| attribute(form, "action").is_some_and(|path| path.ends_with(action)));
    let form = form.unwrap_or_else(|| panic!("no form for {action} in {page}"));
    let hidden = form.split("<input ").skip(1).filter(|input| input.starts_with("type=\"hidden\""));
    let field = |input: &str| Some((attribute(input, "name")?, attribute(input, "value")?));
    (attribute(form, "action").expect("an action"), hidden.filter_map(field).collect())
}

fn attribute(element: &str, name: &str) -> Option<String> {
    let rest = element.split_once(&format!("{name}=\""))?.1;
    Some(rest.split('"').next()?.replace("&amp;", "&"))
}

/// The first link to a page below this path.
fn link(page: &str, path: &str) -> String {
    let mut links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let found = links.find(|link| link.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')));
    found.unwrap_or_else(|| panic!("no link to {path} in {page}")).to_owned()
}

async fn without_workers() -> System {
    System::start(Options { workers: 0, ..Options::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_signing_in_no_page_of_the_dashboard_shows_or_does_anything() {
    let system = without_workers().await;
    let dashboard = Dashboard::start(system.environment()).await;
    let mut nobody = dashboard.visitor();
    for path in [
        "/",
        "/?days=30",
        "/businesses/acme",
        "/businesses/nobody",
        "/conversations",
        "/conversations/abc",
        "/letters",
        "/letters/0123456789abcdef?texts=1",
        "/letters/replay?reason=refused",
        "/nothing/is/here",
        "/..%2f",
    ] {
        let told = nobody.get(path).await;
        assert_eq!(told.status, StatusCode::SEE_OTHER, "{path}");
        let to = told.header("location");
        assert!(to == "/sign-in" || to.starts_with("/sign-in?to=%2F"), "{path}: {to}");
        assert!(told.body.is_empty(), "{path}: {}", told.body);
        let told = nobody.post(path, &[]).await;
        assert_eq!(told.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(!told.body.contains("acme"), "{path}: {}", told.body);
        for method in [Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
            assert_eq!(nobody.ask(method, path, &[], None).await.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }
    for path in ["/sign-out", "/letters/0123456789abcdef/replay", "/conversations/abc/resume"] {
        assert_eq!(nobody.post(path, &[]).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/healthz", "/style.css"] {
        assert!(!nobody.page(path).await.contains("acme"));
    }
    nobody.cookies.insert("switchboard".to_owned(), "0".repeat(64));
    assert_eq!(nobody.get("/letters").await.status, StatusCode::SEE_OTHER, "nobody made this session");

    // A link from a notice has a number in it, and the next address has not.
    let told = nobody.get("/conversations/of/acme:4915123456789").await;
    assert!(!told.header("location").contains("4915123456789"), "{}", told.header("location"));
    // From a chat on another site a browser sends no cookie: it is asked once more, from here.
    let there = [("sec-fetch-site", "cross-site")];
    let told = nobody.ask(Method::GET, "/conversations/of/acme:4915123456789", &there, None).await;
    assert!(told.body.contains("http-equiv=\"refresh\"") && !told.body.contains("4915123456789"), "{}", told.body);

    let told = nobody.ask(Method::GET, "//evil.example/", &there, None).await;
    assert!(told.body.contains("0;url=/\"") && !told.body.contains("evil.example"), "{}", told.body);
    assert_eq!(nobody.get("//evil.example/").await.header("location"), "/sign-in");

    let mut operator = dashboard.visitor();
    let page = operator.page("/sign-in?to=//evil.example").await;
    assert!(!page.contains("evil.example"), "{page}");
    let page = operator.page("/sign-in?to=/letters?reason=refused").await;
    let told = operator.send(&page, "/sign-in", &[("secret", SECRET)]).await;
    let kept = told.header("location");
    assert_eq!(operator.get(&kept).await.header("location"), "/letters?reason=refused");
    dashboard.stop(&["4915123456789"]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_the_dashboard_that_are_not_its_own_do_nothing() {
    let system = System::start(Options::default()).await;
    let ana = customer(1);
    system.write(&acme(), &ana, "hello").await;
    system.answers(&acme(), &ana, 1).await;
    system.settled().await;
    let dashboard = Dashboard::start(system.environment()).await;
    let (mut operator, mut other) = (dashboard.signed_in().await, dashboard.signed_in().await);
    let list = operator.page("/conversations").await;
    let page = operator.page(&link(&list, "/conversations")).await;
    let (path, fields) = form_of(&page, "/hand-over");
    let token = fields.iter().find(|(name, _)| name == "token").expect("a token").1.clone();
    let theirs = form_of(&other.page("/conversations").await, "/sign-out").1.remove(0).1;
    assert_ne!(token, theirs);
    let own = dashboard.base.clone();
    let right = format!("hours=1&token={token}");
    let evil = [("origin", "https://evil.example")];
    let cases: [(Headers<'_>, String, StatusCode); 9] = [
        (&[], "hours=1".to_owned(), StatusCode::FORBIDDEN),
        (&[], format!("hours=1&token={}", "0".repeat(64)), StatusCode::FORBIDDEN),
        (&[], format!("hours=1&token={theirs}"), StatusCode::FORBIDDEN),
        (&evil, right.clone(), StatusCode::FORBIDDEN),
        (&[("origin", "null")], right.clone(), StatusCode::FORBIDDEN),
        (&[("sec-fetch-site", "cross-site")], right.clone(), StatusCode::FORBIDDEN),
        (&[("sec-fetch-site", "same-site"), ("origin", &own)], right.clone(), StatusCode::FORBIDDEN),
        (&[("content-type", "text/plain")], right.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (&[], format!("{right}&more={}", "x".repeat(70_000)), StatusCode::PAYLOAD_TOO_LARGE),
    ];
    for (headers, form, status) in cases {
        // reqwest would send a type of its own beside one that is given.
        let mut request = dashboard.client.post(format!("{own}{path}")).body(form);
        let session = format!("switchboard={}", operator.cookies["switchboard"]);
        request = request.header(header::COOKIE, session);
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header(header::CONTENT_TYPE, FORM);
        }
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let told = Told::read(request.send().await.expect("it answers")).await;
        assert_eq!(told.status, status, "{headers:?}: {}", told.body);
        assert!(told.body.contains("Nothing was done"), "{}", told.body);
    }
    assert!(!system.conversation(&acme(), &ana).await.contains_key("handed_over_until"));
    let told =
        operator.ask(Method::POST, &path, &[("origin", &own), ("sec-fetch-site", "same-origin")], Some(right)).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER, "our own form does it: {}", told.body);
    assert!(system.conversation(&acme(), &ana).await.contains_key("handed_over_until"));

    // The form for signing in is held by a cookie.
    let mut nobody = dashboard.visitor();
    let page = nobody.page("/sign-in").await;
    nobody.cookies.clear();
    let told = nobody.send(&page, "/sign-in", &[("secret", SECRET)]).await;
    assert!(
        told.status == StatusCode::FORBIDDEN && told.body.contains("serve the dashboard by HTTPS"),
        "{}",
        told.body
    );
    nobody.page("/sign-in").await;
    let told = nobody.send(&page, "/sign-in", &[("secret", SECRET)]).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN, "a token of another cookie");
    assert!(!nobody.cookies.contains_key("switchboard"));
    // And whoever was signed in and has no session is told why.
    let told = dashboard.visitor().get("/sign-in?kept=1").await;
    assert!(told.status == StatusCode::FORBIDDEN && told.body.contains("HTTPS"), "{}", told.body);
    dashboard.stop(&[ana.key()]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_of_the_dashboard_can_be_tried_five_times_at_once() {
    let system = without_workers().await;
    let dashboard = Dashboard::start(system.environment()).await;
    let mut somebody = dashboard.visitor();
    for _ in 0..5 {
        let told = somebody.sign_in(WRONG).await;
        assert!(told.status == StatusCode::FORBIDDEN && told.body.contains("That is not the secret."), "{}", told.body);
        assert!(!told.body.contains(WRONG));
    }
    for secret in [WRONG, SECRET] {
        let told = somebody.sign_in(secret).await;
        assert_eq!(told.status, StatusCode::TOO_MANY_REQUESTS, "{}", told.body);
        let wait: u64 = told.header("retry-after").parse().expect("seconds");
        assert!((1..=30).contains(&wait) && told.body.contains(&format!("in {wait} seconds")), "{wait}: {}", told.body);
    }
    let log = dashboard.process.log();
    assert!(log.contains("wrong secret") && log.contains("\"peer\":\"127.0.0.1\""), "{log}");
    dashboard.stop(&[]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_dashboard_is_in_a_strict_cookie_and_ends_when_it_is_told_to() {
    let system = without_workers().await;
    let mut dashboard = Dashboard::start(system.environment()).await;
    let mut operator = dashboard.visitor();
    let told = operator.sign_in(SECRET).await;
    let session = told.all("set-cookie").into_iter().find(|line| line.starts_with("switchboard=")).expect("a cookie");
    let (value, rest) = session.split_once(';').expect("attributes");
    assert_eq!((value.len(), rest), ("switchboard=".len() + 64, " Path=/; HttpOnly; SameSite=Strict"), "{session}");
    let first = operator.cookies["switchboard"].clone();
    operator.sign_in_again().await;
    assert_ne!(operator.cookies["switchboard"], first, "each time it is another one");

    let mut by_proxy = Visitor { host: Some("dash.example"), ..dashboard.visitor() };
    let told = by_proxy.sign_in(SECRET).await;
    let session = told.all("set-cookie").into_iter().find(|line| line.starts_with("__Host-switchboard=")).expect("one");
    assert!(session.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{session}");
    assert_eq!(by_proxy.get("/").await.status, StatusCode::OK);
    // By loopback the cookie of HTTPS counts for nothing, and the other way round.
    by_proxy.host = None;
    assert_eq!(by_proxy.get("/").await.status, StatusCode::SEE_OTHER);

    let kept = operator.cookies.clone();
    let page = operator.page("/").await;
    let told = operator.send(&page, "/sign-out", &[]).await;
    assert_eq!((told.status, told.header("location").as_str()), (StatusCode::SEE_OTHER, "/sign-in"));
    assert!(told.header("set-cookie").contains("Max-Age=0") && operator.cookies.is_empty());
    operator.cookies = kept;
    assert_eq!(operator.get("/").await.status, StatusCode::SEE_OTHER, "who kept the cookie has nothing of it");

    let cookies = dashboard.signed_in().await.cookies;
    dashboard.process.signal("TERM");
    assert!(dashboard.process.ended(Duration::from_secs(20)).await.success(), "{}", dashboard.process.log());
    let next = Dashboard::start(system.environment()).await;
    let mut operator = Visitor { cookies, ..next.visitor() };
    assert_eq!(operator.get("/").await.status, StatusCode::SEE_OTHER, "a restart ends every session");
    system.stop().await;
}

impl Visitor<'_> {
    async fn sign_in_again(&mut self) {
        let former = self.cookies.remove("switchboard").expect("a session");
        let page = self.page("/sign-in").await;
        self.cookies.insert("switchboard".to_owned(), former);
        let told = self.send(&page, "/sign-in", &[("secret", SECRET)]).await;
        assert_eq!(told.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_dashboard_has_the_headers_that_keep_browsers_in_bounds() {
    let system = without_workers().await;
    let dashboard = Dashboard::start(system.environment()).await;
    let (mut nobody, mut operator) = (dashboard.visitor(), dashboard.signed_in().await);
    let mut answers = vec![operator.get("/").await, operator.get("/letters?state=odd").await];
    for path in ["/", "/sign-in", "/healthz", "/style.css", "/nothing"] {
        answers.push(nobody.get(path).await);
        answers.push(nobody.post(path, &[]).await);
    }
    for told in &answers {
        let policy = told.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "style-src 'self'",
            "img-src 'self' data:",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|found| found == part), "{part}: {policy}");
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(told.header(name), value, "{} {name}", told.status);
        }
        if !told.header("content-type").starts_with("text/css") {
            assert_eq!(told.header("cache-control"), "no-store", "{}", told.status);
        }
        assert!(!told.body.contains("<script") && !told.body.contains(" style=\""), "{}", told.body);
    }
    let page = operator.page("/").await;
    let style = page.split('"').find(|part| part.starts_with("/style.css?v=")).expect("a style").to_owned();
    assert!(nobody.get(&style).await.header("cache-control").contains("immutable"));
    dashboard.stop(&[]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_stays_text_in_the_dashboard_and_is_hidden_until_it_is_asked_for() {
    let system = System::start(Options::default()).await;
    let ana = customer(1);
    system.write(&acme(), &ana, WORDS).await;
    system.answers(&acme(), &ana, 1).await;
    system.settled().await;
    system.wait_for_document("messages", doc! { "direction": "out", "status": "delivered" }).await;
    let dashboard = Dashboard::start(system.environment()).await;
    let mut operator = dashboard.signed_in().await;
    let list = operator.page("/conversations?business=acme").await;
    let path = link(&list, "/conversations");
    let hidden = operator.page(&path).await;
    for shown in ["Customer", "Companion", "delivered", "answered after", "tokens read", "How it stands"] {
        assert!(hidden.contains(shown), "{shown}: {hidden}");
    }
    let overview = operator.page("/").await;
    let business = operator.page("/businesses/acme").await;
    for page in [&list, &hidden, &overview, &business] {
        for secret in ["swordfish", ana.key(), "Customer 1"] {
            assert!(!page.contains(secret), "{secret}: {page}");
        }
    }
    assert!(!dashboard.process.log().contains("was shown"));
    let shown = operator.page(&format!("{path}?texts=1")).await;
    // The markup of an answer goes on its way to WhatsApp.
    assert!(shown.contains(ESCAPED) && shown.contains("ANS alert(1) swordfish"), "{shown}");
    assert!(!shown.contains("<script") && !shown.contains(ana.key()), "{shown}");
    assert!(dashboard.process.log().contains("what was said was shown to an operator"));
    // What a business has from a notice leads there too.
    let told = operator.get(&format!("/conversations/of/acme%3A{}", ana.key())).await;
    assert!(told.status == StatusCode::SEE_OTHER && !told.header("location").contains(ana.key()));
    assert!(operator.page(&told.header("location")).await.contains("What happened"));
    for wrong in
        ["/conversations/abc", "/businesses/nobody", "/letters/0123456789abcdef", "/conversations?business=nobody"]
    {
        assert_eq!(operator.get(wrong).await.status, StatusCode::NOT_FOUND, "{wrong}");
    }
    for wrong in ["/?days=8", "/conversations?state=odd", "/letters?state=odd", "/letters/replay"] {
        assert_eq!(operator.get(wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    dashboard.stop(&[ana.key()]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_dashboard_a_person_takes_a_conversation_and_gives_it_back() {
    let system = System::start(Options::default()).await;
    let ana = customer(1);
    system.write(&acme(), &ana, "hello").await;
    system.answers(&acme(), &ana, 1).await;
    system.settled().await;
    let dashboard = Dashboard::start(system.environment()).await;
    let mut operator = dashboard.signed_in().await;
    let list = operator.page("/conversations").await;
    let path = link(&list, "/conversations");
    let page = operator.page(&path).await;
    for wrong in ["0", "721", "-1", "NaN", "soon", ""] {
        let told = operator.send(&page, "/hand-over", &[("hours", wrong)]).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let told = operator.send(&page, "/hand-over", &[("hours", "2.5")]).await;
    let page = operator.page(&told.header("location")).await;
    assert!(page.contains("A person has this conversation now") && page.contains("handed over until"), "{page}");
    let until =
        system.conversation(&acme(), &ana).await.get_datetime("handed_over_until").expect("until").timestamp_millis();
    let hours = (until - DateTime::now().timestamp_millis()) as f64 / 3_600_000.0;
    assert!((2.4..=2.5).contains(&hours), "{hours}");
    assert!(operator.page("/conversations?state=handed_over").await.contains("acme:…"));
    system.write(&acme(), &ana, "anybody there?").await;
    system
        .wait_for_document(
            "messages",
            doc! { "direction": "in", "answered_at": { "$exists": true }, "message": { "$regex": "anybody" } },
        )
        .await;
    system.settled().await;
    assert_eq!(system.journal.texts_for(&acme().phone_number_id, ana.key()).len(), 1, "the companion is quiet");
    let told = operator.send(&page, "/resume", &[]).await;
    assert!(operator.page(&told.header("location")).await.contains("The companion has this conversation again"));
    assert!(operator.page("/conversations?state=handed_over").await.contains("No conversation is like that"));
    system.write(&acme(), &ana, "bye").await;
    assert!(system.answers(&acme(), &ana, 2).await[1].contains("bye"));
    let log = dashboard.process.log();
    assert!(
        log.contains("an operator handed a conversation over") && log.contains("gave a conversation back"),
        "{log}"
    );
    dashboard.stop(&[ana.key()]);
    system.stop().await;
}

/// A message that Meta refuses for good.
async fn refused(system: &System, n: u64) -> Document {
    let who = customer(n);
    system.meta.faults().next(Where::any().to(who.key()), Fault::Refuse(Refusal::code(131_026)));
    system.write(&bolt(), &who, WORDS).await;
    let filter = doc! { "reason": "refused", "conversation": format!("bolt:{}", who.key()) };
    let letter = system.wait_for_document("dead_letters", filter).await;
    system.settled().await;
    letter
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_replayed_and_discarded_from_the_dashboard_as_they_were_looked_at() {
    let mut system = System::start(Options::default()).await;
    system.keep_from_logs("swordfish");
    let letters =
        [refused(&system, 1).await, refused(&system, 2).await, refused(&system, 3).await, refused(&system, 4).await];
    let path = |n: usize| format!("/letters/{}", letters[n].get_str("handle").expect("a handle"));
    let dashboard = Dashboard::start(system.environment()).await;
    let mut operator = dashboard.signed_in().await;
    let list = operator.page("/letters?business=bolt&reason=refused").await;
    assert!(list.contains("refused <b>4</b>") && list.contains("bolt:…") && list.contains(&path(0)), "{list}");
    let page = operator.page(&path(0)).await;
    for secret in ["swordfish", customer(1).key(), letters[0].get_str("_id").expect("an id")] {
        assert!(!list.contains(secret) && !page.contains(secret), "{secret}: {page}");
    }
    let whole = operator.page(&format!("{}?texts=1", path(0))).await;
    assert!(whole.contains("&lt;script&gt;") && !whole.contains("<script>"), "{whole}");

    // Somebody else buried it again meanwhile: what was looked at is not what is there.
    let again = doc! { "$inc": { "count": 1 } };
    let stored = system.db.collection::<Document>("dead_letters");
    stored.update_one(doc! { "_id": letters[0].get_str("_id").expect("an id") }, again).await.expect("changed");
    assert_eq!(operator.send(&page, "/replay", &[]).await.status, StatusCode::CONFLICT);
    assert_eq!(operator.send(&page, "/discard", &[("sure", "1")]).await.status, StatusCode::CONFLICT);
    let page = operator.page(&path(0)).await;
    let told = operator.send(&page, "/replay", &[]).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER, "{}", told.body);
    assert!(operator.page(&told.header("location")).await.contains("It is marked for replay"));
    assert_eq!(system.answers(&bolt(), &customer(1), 1).await.len(), 1, "a running worker replays it");

    let page = operator.page(&path(1)).await;
    assert_eq!(operator.send(&page, "/discard", &[]).await.status, StatusCode::BAD_REQUEST, "nobody is sure");
    let told = operator.send(&page, "/discard", &[("sure", "1")]).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER, "{}", told.body);
    let gone = operator.page(&format!("{}?texts=1", path(1))).await;
    assert!(gone.contains("was removed when the letter was discarded") && !gone.contains("Replay it"), "{gone}");

    // One that would be buried again is left alone where nobody insists.
    let number = doc! { "$set": { "business_id": "somebody else" } };
    stored.update_one(doc! { "_id": letters[3].get_str("_id").expect("an id") }, number).await.expect("changed");
    let page = operator.page(&path(3)).await;
    assert!(
        page.contains("its number is another business&#39;s now") || page.contains("another business's now"),
        "{page}"
    );
    assert_eq!(operator.send(&page, "/replay", &[]).await.status, StatusCode::CONFLICT);

    let confirm = operator.page("/letters/replay?reason=refused").await;
    let told = operator.send(&confirm, "/letters/replay", &[]).await;
    assert!(told.body.contains("1 are marked") && told.body.contains("1 are left as they are"), "{}", told.body);
    assert_eq!(system.answers(&bolt(), &customer(3), 1).await.len(), 1);
    let closed = operator.page("/letters?state=closed").await;
    assert!(closed.contains("discarded ") && closed.contains("replayed "), "{closed}");
    let log = dashboard.process.log();
    for line in
        ["an operator replays a dead letter", "an operator discarded", "replays all dead letters", "was shown to"]
    {
        assert!(log.contains(line), "{line}: {log}");
    }
    dashboard.stop(&[customer(1).key(), customer(2).key()]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_adds_the_days_of_businesses_up() {
    let system = without_workers().await;
    let business = system.wait_for_document("businesses", doc! { "subDomain": "acme" }).await;
    let id = business.get_object_id("_id").expect("an id").to_hex();
    let today = DateTime::now().try_to_rfc3339_string().expect("a time").split('T').next().expect("a day").to_owned();
    for (owner, received) in [(id.as_str(), 1_200_i64), ("gone", 34)] {
        let numbers = doc! {
            "inbound": { "text": received }, "outbound": { "text": 1_000_i64 }, "delivered": 900_i64, "read": 500_i64,
            "answer_times": { "2048": 10_i64 }, "failures": { "undelivered": { "131026": 7_i64 }, "dead_letters": {} },
            "priced": { "service": { "billable": 3_i64, "free": 9_i64 } }, "cost_micros": 1_230_000_i64,
            "models": { "a-model": { "calls": 2_i64, "tokens_in": 4_000_i64, "tokens_out": 500_i64 } },
        };
        let day = doc! { "_id": format!("{owner}:{today}"), "business_id": owner, "day": &today, "numbers": numbers,
        "counted_at": DateTime::now(), "expire_at": DateTime::from_millis(4_102_444_800_000) };
        system.db.collection::<Document>("analytics").insert_one(day).await.expect("inserted");
    }
    let dashboard = Dashboard::start(system.environment()).await;
    let mut operator = dashboard.signed_in().await;
    let page = operator.page("/").await;
    for shown in ["1,234", "2,000", "90.0 %", "$2.46", "9,000", "2.0 s", "not among the businesses", "The acme company"]
    {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(page.contains("role=\"img\"") && page.contains("<title>"), "{page}");
    let page = operator.page("/businesses/acme?days=90").await;
    for shown in ["1,200", "undelivered: 131026", "a-model", "service", "decrypts", "What is wrong in its document"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("EAAacme"), "{page}");
    dashboard.stop(&[]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_without_its_database_says_so_and_one_without_a_secret_does_not_start() {
    shared::install_tls_provider();
    let environment: Vec<(String, String)> = [
        ("MONGODB_URI", "mongodb://127.0.0.1:9/?replicaSet=none&serverSelectionTimeoutMS=300"),
        ("LOG_FORMAT", "json"),
        ("RUST_LOG", "debug"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let dashboard = Dashboard::start(&environment).await;
    let mut operator = dashboard.signed_in().await;
    for path in ["/", "/conversations", "/letters", "/businesses/acme"] {
        let told = operator.get(path).await;
        assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {}", told.body);
        assert!(told.body.contains("The database did not answer"), "{path}: {}", told.body);
    }
    dashboard.stop(&[]);
    for (secret, problem) in
        [(None, "DASHBOARD_SECRET is required"), (Some("short"), "must have at least 16 characters")]
    {
        let given = secret.map(|secret| ("DASHBOARD_SECRET".to_owned(), secret.to_owned()));
        let environment: Vec<(String, String)> = environment.iter().cloned().chain(given).collect();
        let ended = run("worker", &["dashboard"], &environment, "");
        assert_eq!(ended.status.code(), Some(64), "{}", ended.stderr);
        assert!(ended.stderr.contains(problem), "{}", ended.stderr);
    }
}
