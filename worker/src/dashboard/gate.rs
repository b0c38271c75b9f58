//! Who may ask: the one way to every page.
//!
//! In order: whether somebody is signed in; for whatever changes something, whether it comes from a page of ours and has
//! the token of its session; a bound on what is answered at once. Only then is there a page. Every answer gets the
//! headers that keep browsers from doing more with it than showing it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
};
use maud::{PreEscaped, html};

use super::{
    Dashboard,
    fields::{Fields, link, local},
    host::{is_from_elsewhere, is_loopback, is_our_own},
    layout, pages,
    secret::are_same,
    sign_in,
    trouble::Trouble,
};

const FORM_MOST_BYTES: usize = 64 * 1_024;
/// For a whole request, with its form and what the database needs.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The field of every form that holds the token.
pub(super) const TOKEN: &str = "token";
const FORM_TYPE: &str = "application/x-www-form-urlencoded";
const OF_A_CONVERSATION: &str = "/conversations/of/";

const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    // Without the origin of its own forms a browser could not say that they are ours.
    ("referrer-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
];

/// The cookies, by whether the browser asks by loopback.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookie {
    secured: &'static str,
    plain: &'static str,
}

/// Of a session.
pub(super) const SESSION: Cookie = Cookie { secured: "__Host-switchboard", plain: "switchboard" };
/// Of the form for signing in.
pub(super) const FORM: Cookie = Cookie { secured: "__Host-switchboard-form", plain: "switchboard-form" };

impl Cookie {
    /// What the browser has.
    pub(super) fn of(self, headers: &HeaderMap) -> Option<&str> {
        let name = if is_loopback(headers) { self.plain } else { self.secured };
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value))
    }

    /// What it is to keep from now on, or forget where that is nothing.
    pub(super) fn set(self, headers: &HeaderMap, value: Option<&str>) -> HeaderValue {
        let (name, secure) = if is_loopback(headers) { (self.plain, "") } else { (self.secured, "; Secure") };
        let (value, end) = value.map_or(("", "; Max-Age=0"), |value| (value, ""));
        let line = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{end}");
        HeaderValue::from_str(&line).expect("our values are hexadecimal")
    }
}

/// A request that was let through, with all that it says.
#[derive(Clone)]
pub(super) struct Visit {
    /// What all share.
    pub(super) dashboard: Arc<Dashboard>,
    /// From where.
    pub(super) peer: IpAddr,
    /// Of the session, or of the form for signing in.
    pub(super) token: String,
    /// Behind the question mark.
    pub(super) asked: Fields,
    /// In the form.
    pub(super) posted: Fields,
}

impl FromRequestParts<Arc<Dashboard>> for Visit {
    type Rejection = Trouble;

    /// None came by the gate: there is no page then.
    async fn from_request_parts(parts: &mut Parts, _: &Arc<Dashboard>) -> Result<Self, Trouble> {
        parts.extensions.remove::<Self>().ok_or(Trouble::NotSignedIn)
    }
}

/// All pages behind the gate.
pub(super) fn guarded(dashboard: Arc<Dashboard>) -> Router {
    let gate = middleware::from_fn_with_state(Arc::clone(&dashboard), gate);
    pages::router().layer(gate).with_state(dashboard)
}

/// Cancelled with its request: what a page was at is left as the database has it.
async fn gate(State(dashboard): State<Arc<Dashboard>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    // The path as it is may name a customer.
    let template = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str).to_owned();
    let peer = peer(&request);
    let answered = match tokio::time::timeout(ANSWER_WITHIN, admit(dashboard, peer, request, next)).await {
        Ok(answered) => answered.unwrap_or_else(|trouble| {
            if matches!(trouble, Trouble::Forged | Trouble::NoCookie) {
                tracing::warn!(%peer, path = template, "a form was refused; nothing was done");
            }
            trouble.into_response()
        }),
        Err(_) => Trouble::Slow.into_response(),
    };
    let took_ms = began.elapsed().as_millis();
    tracing::debug!(%peer, %method, path = template, status = answered.status().as_u16(), took_ms, "asked");
    with_headers(answered)
}

async fn admit(dashboard: Arc<Dashboard>, peer: IpAddr, mut request: Request, next: Next) -> Result<Response, Trouble> {
    let shared = Arc::clone(&dashboard);
    // Taken when everything has come: forms that never end would otherwise keep everybody out.
    let permit = || shared.in_flight.try_acquire().map_err(|_| Trouble::Busy);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let looks = matches!(method, Method::GET | Method::HEAD);
    if matches!(path.as_str(), "/style.css" | "/healthz") {
        let _permit = permit()?;
        return if looks { Ok(next.run(request).await) } else { Err(Trouble::Method) };
    }
    let session = SESSION.of(request.headers());
    let token = session.and_then(|id| dashboard.sessions.token(id, Instant::now()));
    let asked = Fields::read(request.uri().query().unwrap_or_default().as_bytes());
    let mut visit = Visit { dashboard, peer, token: String::new(), asked, posted: Fields::default() };
    let is_sign_in = path == sign_in::PATH;
    match (method, token) {
        (Method::GET | Method::HEAD, None) if is_sign_in => {}
        (Method::GET | Method::HEAD, None) => return Ok(to_sign_in(&visit.dashboard, &request)),
        (Method::GET | Method::HEAD, Some(token)) => visit.token = token,
        (Method::POST, token) => {
            if !is_our_own(request.headers()) {
                return Err(Trouble::Forged);
            }
            let expected = match token {
                _ if is_sign_in => {
                    let cookie = FORM.of(request.headers()).ok_or(Trouble::NoCookie)?;
                    visit.dashboard.secret.form_token(cookie)
                }
                Some(token) => token,
                None => return Err(Trouble::NotSignedIn),
            };
            let (parts, body) = request.into_parts();
            visit.posted = posted(&parts, body).await?;
            if !are_same(visit.posted.exactly(TOKEN), &expected) {
                return Err(Trouble::Forged);
            }
            visit.token = expected;
            request = Request::from_parts(parts, Body::empty());
        }
        _ => return Err(Trouble::Method),
    }
    let _permit = permit()?;
    request.extensions_mut().insert(visit);
    Ok(next.run(request).await)
}

async fn posted(parts: &Parts, body: Body) -> Result<Fields, Trouble> {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM_TYPE)) {
        return Err(Trouble::NoForm);
    }
    let body = to_bytes(body, FORM_MOST_BYTES).await.map_err(|_| Trouble::TooLarge)?;
    Ok(Fields::read(&body))
}

/// To where one signs in, and from there to where one wanted. A link from another site comes without the cookie, which
/// browsers keep to themselves then; asked once more from here, they send it.
fn to_sign_in(dashboard: &Dashboard, request: &Request) -> Response {
    let wanted = match request.uri().path().strip_prefix(OF_A_CONVERSATION) {
        // Not even for a moment has the next address a customer's number in it.
        Some(session) => format!("/conversations/{}", dashboard.secret.seal(&pages::decoded(session))),
        None => request.uri().path_and_query().map_or("/", |wanted| wanted.as_str()).to_owned(),
    };
    // `//elsewhere.example` is a path to us and another site to a browser.
    let wanted = local(&wanted).unwrap_or("/");
    if is_from_elsewhere(request.headers()) {
        let refresh = html! { meta http-equiv="refresh" content=(format!("0;url={wanted}")); };
        let body = html! { h1 { "One moment" } p { a .button href=(wanted) { "Go on" } } };
        return layout::alone_with("One moment", &refresh, &body).into_response();
    }
    let wanted = (wanted != "/").then_some(wanted);
    Redirect::to(&link(sign_in::PATH, &[("to", wanted)])).into_response()
}

fn peer(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip().to_canonical())
}

fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The hidden field of every form that posts.
pub(super) fn token_field(token: &str) -> PreEscaped<String> {
    html! { input type="hidden" name=(TOKEN) value=(token); }
}
