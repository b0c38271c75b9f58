//! What the page asks for, by path. Every answer goes through the guard.
//!
//! A handler that is cancelled has either written a message whole, which is then posted by a task of its own, or not
//! at all.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Query, State},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    PhoneBusiness, Shared, events,
    faults::Switch,
    file::Record,
    guard, media, page,
    people::Person,
    voice::ogg_of_webm,
    write::{Unwritten, Words},
};

/// Meta's limit for a recording.
const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
const MAX_JSON_BYTES: usize = 64 * 1024;

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let files = post(file).layer(DefaultBodyLimit::max(MAX_FILE_BYTES));
    Router::new()
        .route("/", get(page::index))
        .route("/phone/page/{name}", get(page::asset))
        .route("/phone/setup", get(setup))
        .route("/phone/events", get(events::events))
        .route("/phone/media/{id}", get(media::media))
        .route("/phone/conversation", get(conversation))
        .route("/phone/person", post(person))
        .route("/phone/messages", post(message))
        .route("/phone/faults", post(fault))
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
        .route("/phone/files", files)
        .layer(middleware::from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared.clone())
}

async fn setup(State(shared): State<Arc<Shared>>) -> Response {
    let businesses = shared.options.businesses.iter().map(|known| {
        json!({
            "id": known.business.phone_number_id,
            "title": known.title,
            "about": known.about,
            "language": known.language,
            "suggestions": known.suggestions,
        })
    });
    Json(json!({
        "businesses": businesses.collect::<Vec<_>>(),
        "stand_in_ai": shared.ai.is_some(),
        "backstage": shared.options.backstage.is_some(),
    }))
    .into_response()
}

#[derive(Debug, Deserialize)]
struct Written {
    business: String,
    person: Person,
    content: Words,
    quote: Option<String>,
}

async fn message(State(shared): State<Arc<Shared>>, Json(written): Json<Written>) -> Response {
    let Some((business, person)) = known(&shared, &written.business, written.person) else {
        return wrong("There is no such business or person.");
    };
    answered(shared.say(business, &person, written.content, written.quote))
}

#[derive(Debug, Deserialize)]
struct Sent {
    business: String,
    number: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    caption: String,
}

async fn file(
    State(shared): State<Arc<Shared>>,
    Query(sent): Query<Sent>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let person = Person { number: sent.number, name: sent.name, hidden: sent.hidden };
    let Some((business, person)) = known(&shared, &sent.business, person) else {
        return wrong("There is no such business or person.");
    };
    let mime_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some((mime_type, bytes)) = as_meta_passes_it_on(mime_type, body) else {
        return wrong("Only voice messages and pictures (JPEG, PNG, WebP) can be sent.");
    };
    let caption = Some(sent.caption.trim()).filter(|caption| !caption.is_empty());
    answered(shared.send_file(business, &person, &mime_type, bytes, caption))
}

/// A file as WhatsApp would have made it: browsers record WebM, phones Ogg.
fn as_meta_passes_it_on(mime_type: &str, body: Bytes) -> Option<(String, Vec<u8>)> {
    let essence = mime_type.split(';').next().unwrap_or_default().trim();
    match essence {
        _ if body.is_empty() => None,
        "audio/webm" => Some(match ogg_of_webm(&body) {
            Some(ogg) => ("audio/ogg; codecs=opus".to_owned(), ogg),
            None => (essence.to_owned(), body.into()),
        }),
        "audio/ogg" => Some(("audio/ogg; codecs=opus".to_owned(), body.into())),
        "audio/mp4" | "audio/mpeg" | "image/jpeg" | "image/png" | "image/webp" => {
            Some((essence.to_owned(), body.into()))
        }
        _ => None,
    }
}

/// Changes who somebody is, where they have written before; else there is nothing to change.
async fn person(State(shared): State<Arc<Shared>>, Json(person): Json<Person>) -> Response {
    let Some(person) = person.checked() else { return wrong("There is no such person.") };
    let kept = shared.change(|state| match state.book.person(&person.number) {
        Some(known) if *known != person => state.keep(&Record::Person(person)),
        Some(_) | None => Ok(()),
    });
    kept.map_or_else(|error| failed(&Unwritten::NotStored(error)), |()| StatusCode::NO_CONTENT.into_response())
}

#[derive(Debug, Deserialize)]
struct Turn {
    switch: Switch,
    on: bool,
}

async fn fault(State(shared): State<Arc<Shared>>, Json(Turn { switch, on }): Json<Turn>) -> Response {
    if switch == Switch::AiDown && shared.ai.is_none() {
        return wrong("A real AI is used, which cannot be switched off here.");
    }
    shared.change(|state| state.turn(switch, on));
    StatusCode::NO_CONTENT.into_response()
}

#[derive(Debug, Deserialize)]
struct Asked {
    business: String,
    number: String,
}

async fn conversation(State(shared): State<Arc<Shared>>, Query(asked): Query<Asked>) -> Response {
    let Some(backstage) = &shared.options.backstage else { return StatusCode::NOT_FOUND.into_response() };
    let person = shared.lock().book.person(&asked.number).cloned();
    let unknown = Person { number: asked.number, name: String::new(), hidden: false };
    let Some((business, person)) = known(&shared, &asked.business, person.unwrap_or(unknown)) else {
        return wrong("There is no such business or person.");
    };
    let customer = person.customer(&business.business);
    Json(backstage.conversation(&business.business.phone_number_id, &customer).await).into_response()
}

fn known<'a>(shared: &'a Shared, business: &str, person: Person) -> Option<(&'a PhoneBusiness, Person)> {
    Some((shared.business(business)?, person.checked()?))
}

fn answered(written: Result<String, Unwritten>) -> Response {
    match written {
        Ok(id) => (StatusCode::ACCEPTED, Json(json!({"id": id}))).into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &Unwritten) -> Response {
    match error {
        Unwritten::Wrong(why) => wrong(why),
        Unwritten::NotStored(cause) => {
            tracing::error!(error = %cause, "the file of the phone page cannot be written");
            let why = json!({"error": "This could not be stored. Is the disk full?"});
            (StatusCode::INSUFFICIENT_STORAGE, Json(why)).into_response()
        }
    }
}

fn wrong(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": why}))).into_response()
}
