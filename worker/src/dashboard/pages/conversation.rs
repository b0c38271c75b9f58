//! `/conversations/{name}`: how one stands, what happened in it, and who has it. Its name in the address is sealed.

use std::time::Duration;

use axum::{
    extract::Path,
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::SessionId;

use super::{
    Page,
    conversations::standing,
    trace::{self, trace},
};
use crate::{
    conversation::state::State,
    dashboard::{
        fields::link,
        gate::{Visit, token_field},
        layout::{self, Section, done, head_below},
        trouble::Trouble,
    },
    desk::{self, Sought, companion, find},
};

/// A person may have a conversation for so long, in hours.
const HOURS_MOST: f64 = 720.0;
const DONE: [(&str, &str); 2] = [
    ("handed-over", "A person has this conversation now. A reply that is under way is sent to its end."),
    ("resumed", "The companion has this conversation again, and answers what waits there."),
];

/// From a conversation's id, which a business has from a notice, to its page: with the id in no address any more.
pub(super) async fn of(visit: Visit, Path(session): Path<String>) -> Response {
    Redirect::to(&format!("/conversations/{}", visit.dashboard.secret.seal(&session))).into_response()
}

/// The page.
pub(super) async fn page(visit: Visit, Path(name): Path<String>) -> Page {
    let state = sought(&visit, &name).await?;
    let with_texts = visit.asked.get("texts").is_some();
    if with_texts {
        tracing::info!(peer = %visit.peer, conversation = %state.id, "what was said was shown to an operator");
    }
    let lines = visit.dashboard.store.lines_of(&state.id, trace::MOST, with_texts).await?;
    let now = Timestamp::now();
    let path = format!("/conversations/{name}");
    let is_news = |(name, value): &(&str, String)| !matches!(*name, "State" | "Conversation") && value != "–";
    let rows = desk::facts(&state, now).into_iter().filter(is_news);
    let above = Some(("/conversations", "Conversations"));
    let content = html! {
        (head_below(above, state.id.to_string(), &standing(&state, now), &texts(&path, with_texts)))
        (done(&visit, &DONE))
        div .beside {
            section .card {
                h2 { "What happened" }
                (trace(&lines, with_texts))
            }
            div .stack {
                section .card { h2 { "Who has it" } (people(&visit, &path, &state).await?) }
                section .card {
                    h2 { "How it stands" }
                    (layout::facts(rows.map(|(name, value)| (name, html! { (value) }))))
                }
                @if with_texts { (known_of(&state)) }
            }
        }
    };
    Ok(layout::page(&visit, Section::Conversations, &format!("Conversation {}", state.id), &content))
}

/// Gives it to a person.
pub(super) async fn hand_over(visit: Visit, Path(name): Path<String>) -> Result<Response, Trouble> {
    let state = sought(&visit, &name).await?;
    let hours = visit.posted.get("hours").and_then(|hours| hours.parse::<f64>().ok());
    let hours = hours.filter(|hours| *hours > 0.0 && *hours <= HOURS_MOST);
    let hours = hours.ok_or_else(|| Trouble::Wrong("The hours must be above 0, up to 720.".to_owned()))?;
    let length = Duration::from_secs_f64(hours * 3_600.0);
    if !desk::hand_over(&visit.dashboard.store, &state, Some(length)).await? {
        return Err(elsewhere());
    }
    tracing::info!(peer = %visit.peer, conversation = %state.id, hours, "an operator handed a conversation over");
    Ok(Redirect::to(&link(&format!("/conversations/{name}"), &[("done", Some("handed-over"))])).into_response())
}

/// Gives it back to the companion.
pub(super) async fn resume(visit: Visit, Path(name): Path<String>) -> Result<Response, Trouble> {
    let state = sought(&visit, &name).await?;
    if !visit.dashboard.store.resume(&state.id).await? {
        return Err(elsewhere());
    }
    let (peer, conversation) = (visit.peer, &state.id);
    tracing::info!(%peer, %conversation, "an operator gave a conversation back to the companion");
    Ok(Redirect::to(&link(&format!("/conversations/{name}"), &[("done", Some("resumed"))])).into_response())
}

fn elsewhere() -> Trouble {
    Trouble::Conflict("The conversation went on elsewhere meanwhile; open it anew and try again.".to_owned())
}

async fn sought(visit: &Visit, name: &str) -> Result<Box<State>, Trouble> {
    let unknown = || Trouble::NotFound("There is no such conversation, or its link is of another secret.".to_owned());
    let session = visit.dashboard.secret.unseal(name).map(SessionId::from_stored).ok_or_else(unknown)?;
    match find(&*visit.dashboard.store, &session).await? {
        Sought::Found(state) => Ok(state),
        Sought::Unknown(_) => Err(unknown()),
        Sought::Forgotten(_) => Err(Trouble::NotFound("The customer of this conversation was forgotten.".to_owned())),
        Sought::Lost => {
            Err(Trouble::NotFound("This conversation went on and on elsewhere; look at it in the database.".to_owned()))
        }
    }
}

fn texts(path: &str, are_shown: bool) -> Markup {
    html! {
        @if are_shown { a .button href=(path) { "Hide what was said" } }
        @else { a .button href=(link(path, &[("texts", Some("1"))])) { "Show what was said" } }
    }
}

async fn people(visit: &Visit, path: &str, state: &State) -> Result<Markup, Trouble> {
    let usual = companion(&*visit.dashboard.store, &state.business_id).await?.hand_over.hours;
    let hours = usual.as_secs_f64() / 3_600.0;
    let has_it = state.handed_over_until.is_some_and(|until| until > Timestamp::now());
    Ok(html! {
        p .soft {
            @if has_it { "A person of the business. The companion is quiet, and remembers what is said." }
            @else { "The companion answers." }
        }
        form .row method="post" action=(format!("{path}/hand-over")) {
            (token_field(&visit.token))
            label for="hours" { "Hours" }
            input #hours type="number" name="hours" min="0.1" max="720" step="any" required value=(hours);
            button type="submit" { @if has_it { "Hand over for longer" } @else { "Hand over to a person" } }
        }
        form method="post" action=(format!("{path}/resume")) {
            (token_field(&visit.token))
            button type="submit" { "Give it back to the companion" }
        }
    })
}

/// What the conversation itself remembers beside the transcript.
fn known_of(state: &State) -> Markup {
    html! {
        section .card {
            h2 { "What is known of the customer" }
            (layout::facts([
                ("Name", html! { (state.customer.name.as_deref().unwrap_or("–")) }),
                ("Said before", html! { (state.summary.as_deref().unwrap_or("–")) }),
            ]))
            @if !state.facts.is_empty() {
                h3 { "Facts" }
                ul .findings { @for fact in &state.facts { li { (fact.text) } } }
            }
        }
    }
}
