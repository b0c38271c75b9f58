//! `/conversations`: which there are and how they stand, without numbers and words.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::Subdomain;

use super::{Page, businesses_of, name_of, to_conversation};
use crate::{
    conversation::{BusinessId, state::State},
    dashboard::{
        fields::link,
        gate::Visit,
        layout::{self, Section, Tone, head, pill, switch, table},
        trouble::Trouble,
    },
    desk::{Standing, age, customer, last_activity, utc},
    store::{BusinessRecord, ConversationFilter},
};

const ROWS: i64 = 100;
const STATES: [(&str, &str); 3] = [("all", "All"), ("handed_over", "With a person"), ("waiting", "Waiting")];

/// The page.
pub(super) async fn page(visit: Visit) -> Page {
    let store = &visit.dashboard.store;
    let business = visit.asked.get("business");
    let state = visit.asked.get("state").unwrap_or("all");
    if !STATES.iter().any(|(word, _)| *word == state) {
        return Err(Trouble::Wrong("A conversation's state is all, handed_over or waiting.".to_owned()));
    }
    let businesses = match business {
        Some(subdomain) => Some(businesses_of(&**store, subdomain).await?),
        None => None,
    };
    let ids = |records: Vec<BusinessRecord>| records.into_iter().map(|record| BusinessId(record.id)).collect();
    let filter = ConversationFilter {
        businesses: businesses.map(ids),
        handed_over: state == "handed_over",
        waiting: state == "waiting",
    };
    // What MongoDB's clock says is learned from this.
    store.ping().await?;
    let (listed, all) = tokio::try_join!(store.list_conversations(&filter, ROWS), store.businesses())?;
    let now = Timestamp::now();
    let rows: Vec<Vec<Markup>> = listed.conversations.iter().map(|state| row(&visit, state, now)).collect();
    let links = STATES.map(|(word, name)| {
        let asked = (word != "all").then_some(word);
        (link("/conversations", &[("business", business), ("state", asked)]), name.to_owned(), word == state)
    });
    let columns = ["Conversation", "Customer", "State", "Last activity", "#Mailbox"];
    let about = html! { "Those first whose customer wrote last" };
    let content = html! {
        (head("Conversations", &about, &switch("State", &links)))
        (choice(&visit, "/conversations", &all, &[("state", Some(state).filter(|state| *state != "all"))]))
        section .card {
            (table("Conversations", &columns, &rows, "No conversation is like that."))
            @if i64::try_from(rows.len()).is_ok_and(|rows| rows >= ROWS) {
                p .hint { "The last " (ROWS) " are shown." }
            }
            @if listed.unreadable > 0 {
                p .notice.bad { "Documents that cannot be read, and are not shown: " (listed.unreadable) }
            }
        }
    };
    Ok(layout::page(&visit, Section::Conversations, "Conversations", &content))
}

fn row(visit: &Visit, state: &State, now: Timestamp) -> Vec<Markup> {
    let at = last_activity(state);
    vec![
        to_conversation(visit, &state.id),
        html! { (customer(state).unwrap_or_else(|| "–".to_owned())) },
        standing(state, now),
        html! { @match at { Some(at) => { (utc(at)) span .sub { (age(at, now)) " ago" } }, None => "–" } },
        html! { (state.mailbox.len()) },
    ]
}

/// How a conversation stands.
pub(super) fn standing(state: &State, now: Timestamp) -> Markup {
    let standing = Standing::of(state, now);
    let tone = match standing {
        Standing::Answering | Standing::Due => Tone::Good,
        Standing::HandedOver(_) | Standing::Waits { .. } => Tone::Warm,
        Standing::Idle => Tone::Plain,
    };
    pill(tone, &standing.words())
}

/// A form that chooses a business, and keeps what else was chosen.
pub(super) fn choice(visit: &Visit, path: &str, all: &[BusinessRecord], kept: &[(&str, Option<&str>)]) -> Markup {
    let chosen = visit.asked.get("business");
    let names = all.iter().filter_map(|record| {
        let subdomain = record.subdomain.as_deref().filter(|subdomain| Subdomain::parse(subdomain).is_ok())?;
        Some((subdomain, name_of(record)))
    });
    html! {
        form .choice method="get" action=(path) {
            @for (name, value) in kept {
                @if let Some(value) = value { input type="hidden" name=(name) value=(value); }
            }
            label for="business" { "Business" }
            select #business name="business" {
                option value="" { "All" }
                @for (subdomain, name) in names {
                    option value=(subdomain) selected[chosen == Some(subdomain)] { (name) }
                }
            }
            button type="submit" { "Show" }
        }
    }
}
