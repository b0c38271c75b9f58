//! The pages, by their paths. What they have in common: which business is meant, and its days.

mod overview;
mod business;
mod health;
mod days;
mod conversations;
mod conversation;
mod trace;
mod letters;
mod letter;
mod replay_all;

use std::sync::Arc;

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use maud::{Markup, html};
use shared::ids::SessionId;

use super::{Dashboard, gate::Visit, layout, sign_in, trouble::Trouble};
use crate::store::{BusinessRecord, Store};

/// What a page answers.
type Page = Result<Markup, Trouble>;

/// Every path there is. None of them asks who may see it: the gate did.
pub(super) fn router() -> Router<Arc<Dashboard>> {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/style.css", get(layout::style))
        .route(sign_in::PATH, get(sign_in::form).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/", get(overview::page))
        .route("/businesses/{subdomain}", get(business::page))
        .route("/conversations", get(conversations::page))
        .route("/conversations/of/{session}", get(conversation::of))
        .route("/conversations/{name}", get(conversation::page))
        .route("/conversations/{name}/hand-over", post(conversation::hand_over))
        .route("/conversations/{name}/resume", post(conversation::resume))
        .route("/letters", get(letters::page))
        .route("/letters/replay", get(replay_all::confirm).post(replay_all::replay))
        .route("/letters/{name}", get(letter::page))
        .route("/letters/{name}/replay", post(letter::replay))
        .route("/letters/{name}/discard", post(letter::discard))
        .fallback(missing)
        .method_not_allowed_fallback(misused)
}

async fn missing() -> Response {
    Trouble::NotFound("Nothing is at this address.".to_owned()).into_response()
}

async fn misused() -> Response {
    Trouble::Method.into_response()
}

/// A part of a path as it was before a browser encoded it.
pub(super) fn decoded(part: &str) -> String {
    let pair = format!("x={part}");
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The business of a subdomain: one document, unless the back end is at fault.
async fn businesses_of(store: &dyn Store, subdomain: &str) -> Result<Vec<BusinessRecord>, Trouble> {
    let records = store.businesses_with_subdomain(subdomain).await?;
    if records.is_empty() {
        return Err(Trouble::NotFound("No business has this subdomain.".to_owned()));
    }
    Ok(records)
}

/// A link to a conversation, shortened as everywhere, and sealed.
fn to_conversation(visit: &Visit, session: &SessionId) -> Markup {
    let name = visit.dashboard.secret.seal(session.expose());
    html! { a href=(format!("/conversations/{name}")) { (session) } }
}

/// What a business is called.
fn name_of(record: &BusinessRecord) -> &str {
    let name = record.name.as_deref().filter(|name| !name.trim().is_empty());
    name.or(record.subdomain.as_deref()).unwrap_or(&record.id)
}
