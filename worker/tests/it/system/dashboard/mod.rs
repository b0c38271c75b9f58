//! The dashboard over a real database, as a browser and as somebody who means no good ask it.

mod gate;
mod pages;

use std::collections::BTreeMap;

use reqwest::{Client, Method, Response, StatusCode, header, redirect::Policy};
use simulator::Customer;

use super::{
    harness::{Options, PATIENCE, System, acme, customer},
    process::Process,
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

/// A system with a customer whose message was answered.
async fn with_a_conversation() -> (System, Customer) {
    let system = System::start(Options::default()).await;
    let ana = customer(1);
    system.write(&acme(), &ana, "hello").await;
    system.answers(&acme(), &ana, 1).await;
    system.settled().await;
    (system, ana)
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
