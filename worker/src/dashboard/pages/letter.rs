//! `/letters/{name}`: one letter, and what becomes of it.
//!
//! What is decided is about the burial that the operator saw: the form says which, and another one is left alone.

use axum::{
    extract::Path,
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::SessionId;

use super::{Page, to_conversation};
use crate::{
    dashboard::{
        fields::link,
        gate::{Visit, token_field},
        layout::{self, Section, done, facts, head_below},
        trouble::Trouble,
    },
    desk::{self, Owners, age, fate, foreseen, harmless, replayable, utc},
    store::{FiledLetter, LetterFilter, LetterState, Reading, Standing},
};

const DONE: [(&str, &str); 1] =
    [("requested", "It is marked for replay; the next worker that looks does it, within seconds where one runs.")];

/// Whether a letter can be replayed.
enum Outlook {
    /// It can.
    Good,
    /// It can, though it should not; says why.
    Doubtful(String),
    /// It never can; says why.
    None(String),
}

/// Where a letter's page is. Old letters have no handle, and an id that names a customer.
pub(super) fn path_of(visit: &Visit, letter: &FiledLetter) -> String {
    let name =
        if is_handle(&letter.handle) { letter.handle.clone() } else { visit.dashboard.secret.seal(&letter.handle) };
    format!("/letters/{name}")
}

/// What a letter is called on a page.
pub(super) fn shown(letter: &FiledLetter) -> String {
    if is_handle(&letter.handle) {
        letter.handle.clone()
    } else {
        SessionId::from_stored(letter.handle.clone()).to_string()
    }
}

fn is_handle(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The page.
pub(super) async fn page(visit: Visit, Path(name): Path<String>) -> Page {
    let letter = sought(&visit, &name).await?;
    let (path, now) = (format!("/letters/{name}"), Timestamp::now());
    let with_texts = visit.asked.get("texts").is_some();
    if with_texts {
        let (peer, letter) = (visit.peer, shown(&letter));
        tracing::info!(%peer, letter, "what a dead letter holds was shown to an operator");
    }
    let mut owners = Owners::new(&*visit.dashboard.store, visit.dashboard.fallback.clone());
    let business = owners.name(&letter).await?;
    let outlook = outlook(&mut owners, &letter, now).await?;
    let switch = html! {
        @if letter.body.is_some() {
            @if with_texts { a .button href=(path) { "Hide what it holds" } }
            @else { a .button href=(link(&path, &[("texts", Some("1"))])) { "Show what it holds" } }
        }
    };
    let title = format!("Letter {}", shown(&letter));
    let content = html! {
        (head_below(Some(("/letters", "Dead letters")), &title, &html! { (letter.reason) }, &switch))
        (done(&visit, &DONE))
        div .beside {
            div .stack {
                section .card { h2 { "What is known" } (known(&visit, &letter, business, now)) }
                section .card { h2 { "What it holds" } (holds(&letter, with_texts)) }
            }
            section .card { h2 { "What becomes of it" } (choices(&visit, &path, &letter, &outlook)) }
        }
    };
    Ok(layout::page(&visit, Section::Letters, &title, &content))
}

/// Has a worker replay it.
pub(super) async fn replay(visit: Visit, Path(name): Path<String>) -> Result<Response, Trouble> {
    let store = &*visit.dashboard.store;
    let letter = as_seen(&visit, &name).await?;
    let mut owners = Owners::new(store, visit.dashboard.fallback.clone());
    match outlook(&mut owners, &letter, Timestamp::now()).await? {
        Outlook::Good => {}
        Outlook::Doubtful(_) if visit.posted.get("force").is_some() => {}
        Outlook::Doubtful(why) | Outlook::None(why) => {
            return Err(Trouble::Conflict(format!("The letter is not replayed: {why}.")));
        }
    }
    if !store.request_replay(&letter).await? {
        return Err(changed());
    }
    log(&visit, &letter, "an operator replays a dead letter");
    Ok(Redirect::to(&link(&format!("/letters/{name}"), &[("done", Some("requested"))])).into_response())
}

/// Gives it up.
pub(super) async fn discard(visit: Visit, Path(name): Path<String>) -> Result<Response, Trouble> {
    let letter = as_seen(&visit, &name).await?;
    if visit.posted.get("sure").is_none() {
        return Err(Trouble::Wrong("Say that you are sure: what it holds would be gone.".to_owned()));
    }
    if !visit.dashboard.store.discard(&letter).await? {
        return Err(changed());
    }
    log(&visit, &letter, "an operator discarded a dead letter");
    Ok(Redirect::to(&link("/letters", &[("done", Some("discarded"))])).into_response())
}

fn log(visit: &Visit, letter: &FiledLetter, what: &'static str) {
    tracing::info!(peer = %visit.peer, letter = shown(letter), reason = letter.reason, "{what}");
}

fn changed() -> Trouble {
    Trouble::Conflict("The letter was replayed, discarded or buried again meanwhile; look at it again.".to_owned())
}

async fn sought(visit: &Visit, name: &str) -> Result<FiledLetter, Trouble> {
    let unknown = || Trouble::NotFound("There is no such letter; after 90 days a letter is deleted.".to_owned());
    let id = if is_handle(name) { Some(name.to_owned()) } else { visit.dashboard.secret.unseal(name) };
    let ids = vec![id.ok_or_else(unknown)?];
    let filter = LetterFilter { ids, standing: Standing::Any, ..LetterFilter::default() };
    let reading = Reading { most: Some(1), with_bodies: true, ..Reading::default() };
    visit.dashboard.store.filed_letters(&filter, reading).await?.next_letter().await?.ok_or_else(unknown)
}

/// The letter, if it is the burial that the form was made for.
async fn as_seen(visit: &Visit, name: &str) -> Result<FiledLetter, Trouble> {
    let letter = sought(visit, name).await?;
    if visit.posted.get("burials") == Some(letter.burials.to_string().as_str()) { Ok(letter) } else { Err(changed()) }
}

async fn outlook(owners: &mut Owners<'_>, letter: &FiledLetter, now: Timestamp) -> Result<Outlook, Trouble> {
    Ok(match replayable(letter) {
        Err(why) => Outlook::None(why),
        Ok(envelope) => match foreseen(owners, letter, &envelope, now).await? {
            Some(why) => Outlook::Doubtful(why),
            None => Outlook::Good,
        },
    })
}

fn known(visit: &Visit, letter: &FiledLetter, business: Option<String>, now: Timestamp) -> Markup {
    let dash = || "–".to_owned();
    let ago = |time| format!("{} ({} ago)", utc(time), age(time, now));
    facts([
        ("Reason", html! { (letter.reason) }),
        ("Detail", html! { (harmless(&letter.detail)) }),
        ("First buried", html! { (ago(letter.buried_at)) }),
        ("Last buried", html! { (ago(letter.last_buried_at)) }),
        ("Times buried", html! { (letter.burials) }),
        ("Comes back", html! { (fate(letter)) }),
        ("Business", html! { (business.unwrap_or_else(dash)) }),
        ("Number id", html! { (letter.phone_number_id.as_ref().map_or_else(dash, ToString::to_string)) }),
        (
            "Conversation",
            html! { @match &letter.session {
                Some(session) => (to_conversation(visit, session)),
                None => "–",
            } },
        ),
        ("Message", html! { (letter.message_id.as_ref().map_or_else(dash, ToString::to_string)) }),
        ("Deleted", html! { (letter.expires_at.map_or_else(dash, utc)) }),
    ])
}

fn holds(letter: &FiledLetter, with_texts: bool) -> Markup {
    match &letter.body {
        None => html! { p .empty { "It was removed when the letter was discarded." } },
        Some(_) if !with_texts => html! { p .empty { "It is hidden; showing it is logged." } },
        Some(body) => html! { pre tabindex="0" { (desk::content(body)) } },
    }
}

fn choices(visit: &Visit, path: &str, letter: &FiledLetter, outlook: &Outlook) -> Markup {
    let burial = html! { (token_field(&visit.token)) input type="hidden" name="burials" value=(letter.burials); };
    let is_discarded = matches!(letter.state, LetterState::Discarded { .. });
    html! {
        @match outlook {
            Outlook::None(why) => p .soft { "It is not replayed: " (why) "." },
            Outlook::Good | Outlook::Doubtful(_) => {
                form .stack method="post" action=(format!("{path}/replay")) {
                    (burial)
                    p .soft { "A worker handles the message once more, exactly once." }
                    @if let Outlook::Doubtful(why) = outlook {
                        p .notice.warm { "It should not be replayed: " (why) "." }
                        (checkbox("force", "Replay it all the same"))
                    }
                    button .primary type="submit" { "Replay it" }
                }
            }
        }
        @if !is_discarded {
            form .stack method="post" action=(format!("{path}/discard")) {
                (burial)
                (checkbox("sure", "What it holds is to be gone for good"))
                button .danger type="submit" { "Discard it" }
            }
        }
    }
}

fn checkbox(name: &str, words: &str) -> Markup {
    html! { label .check { input type="checkbox" name=(name) value="1" required; " " (words) } }
}
