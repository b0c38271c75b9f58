//! Signing in and out.

use std::time::Instant;

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use maud::{Markup, html};

use super::{
    fields::{link, local},
    gate::{FORM, SESSION, Visit, token_field},
    layout,
    secret::random,
    trouble::Trouble,
};

/// Where one signs in.
pub(super) const PATH: &str = "/sign-in";
/// What a browser is asked that has just been signed in.
const KEPT: &str = "kept";

/// The form; who is signed in goes on to where they wanted.
pub(super) async fn form(visit: Visit, headers: HeaderMap) -> Result<Response, Trouble> {
    let to = visit.asked.get("to").and_then(local);
    if !visit.token.is_empty() {
        return Ok(Redirect::to(to.unwrap_or("/")).into_response());
    }
    if visit.asked.get(KEPT).is_some() {
        tracing::warn!(peer = %visit.peer, "a browser was signed in and kept no cookie; serve the dashboard by HTTPS");
        return Err(Trouble::NoCookie);
    }
    let known = FORM.of(&headers).filter(|cookie| cookie.len() == 64 && cookie.bytes().all(|b| b.is_ascii_hexdigit()));
    let cookie = known.map_or_else(random, str::to_owned);
    let page = page(&visit.dashboard.secret.form_token(&cookie), to, false);
    Ok(([(header::SET_COOKIE, FORM.set(&headers, Some(&cookie)))], page).into_response())
}

/// The secret, right or wrong.
pub(super) async fn sign_in(visit: Visit, headers: HeaderMap) -> Result<Response, Trouble> {
    let (dashboard, peer) = (&visit.dashboard, visit.peer);
    let to = visit.posted.get("to").and_then(local);
    let now = Instant::now();
    if let Err(wait) = dashboard.attempts.take(peer, now) {
        tracing::warn!(%peer, "signing in was refused: too many wrong secrets");
        return Err(Trouble::TooOften(wait));
    }
    if !dashboard.secret.is(visit.posted.exactly("secret")) {
        tracing::warn!(%peer, "somebody tried to sign in with a wrong secret");
        return Ok((StatusCode::FORBIDDEN, page(&visit.token, to, true)).into_response());
    }
    dashboard.attempts.was_right(peer);
    if let Some(former) = SESSION.of(&headers) {
        dashboard.sessions.end(former);
    }
    let id = dashboard.sessions.begin(now);
    tracing::info!(%peer, "somebody signed in");
    let cookies = AppendHeaders([
        (header::SET_COOKIE, SESSION.set(&headers, Some(&id))),
        (header::SET_COOKIE, FORM.set(&headers, None)),
    ]);
    // The next request shows whether the browser has kept it.
    Ok((cookies, Redirect::to(&link(PATH, &[("to", to), (KEPT, Some("1"))]))).into_response())
}

/// Ends the session.
pub(super) async fn sign_out(visit: Visit, headers: HeaderMap) -> Response {
    if let Some(id) = SESSION.of(&headers) {
        visit.dashboard.sessions.end(id);
    }
    tracing::info!(peer = %visit.peer, "somebody signed out");
    ([(header::SET_COOKIE, SESSION.set(&headers, None))], Redirect::to(PATH)).into_response()
}

fn page(token: &str, to: Option<&str>, is_wrong: bool) -> Markup {
    let body = html! {
        h1 { "Sign in" }
        p .soft { "What goes on in this installation, for those who look after it." }
        @if is_wrong { p .notice.bad role="alert" { "That is not the secret." } }
        form method="post" action=(PATH) .stack {
            (token_field(token))
            @if let Some(to) = to { input type="hidden" name="to" value=(to); }
            // Password managers want to know for whom.
            input .hidden type="text" name="username" value="operator" autocomplete="username" readonly tabindex="-1"
                aria-hidden="true";
            label for="secret" { "Secret" }
            input #secret type="password" name="secret" autocomplete="current-password" maxlength="4096" required
                autofocus;
            button .primary type="submit" { "Sign in" }
        }
        p .hint { "It is the DASHBOARD_SECRET of the process that serves this page." }
    };
    layout::alone("Sign in", &body)
}
