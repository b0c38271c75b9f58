//! `/businesses/{subdomain}`: one business, in numbers and in how it is.

use axum::extract::Path;
use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::PhoneNumberId;

use super::{
    Page, businesses_of,
    days::{Span, charts, details, tiles},
    health::Known,
    name_of,
    overview::of_letters,
};
use crate::{
    account::{FIELDS, NoticeLevel},
    conversation::BusinessId,
    dashboard::{
        fields::link,
        gate::Visit,
        layout::{self, Section, Tone, facts, pill},
        trouble::Trouble,
    },
    desk::{expires, notice, served, token_state, utc},
    store::{BusinessRecord, ConversationFilter, KeptEvent, LetterFilter, LetterOwner},
};

/// Events of its account that are shown.
const EVENTS: u32 = 8;
/// Conversations that are counted; of more it is only said that there are.
const COUNTED: i64 = 500;

/// The page.
pub(super) async fn page(visit: Visit, Path(subdomain): Path<String>) -> Page {
    let (dashboard, span) = (&visit.dashboard, Span::asked(&visit)?);
    let records = businesses_of(&*dashboard.store, &subdomain).await?;
    let known = Known::look(dashboard).await?;
    let mut days = Vec::new();
    for record in &records {
        days.extend(span.counted(&visit, Some(&BusinessId(record.id.clone()))).await?);
    }
    let first = records.first().ok_or_else(|| Trouble::NotFound("No business has this subdomain.".to_owned()))?;
    let (tone, word) = known.word(dashboard, first, Timestamp::now());
    let path = format!("/businesses/{subdomain}");
    let about = html! { (pill(tone, &word)) " " (subdomain) " · " (span.words()) };
    let content = html! {
        (layout::head_below(Some(("/", "Overview")), name_of(first), &about, &span.switch(&path)))
        (tiles(&days))
        (charts(&span, &days))
        div .cards {
            @for record in &records { (health(&visit, &known, record).await?) }
            (open(&visit, &subdomain, &records).await?)
            (details(&days))
        }
    };
    Ok(layout::page(&visit, Section::Overview, name_of(first), &content))
}

/// How it is, by its document and its account.
async fn health(visit: &Visit, known: &Known, record: &BusinessRecord) -> Result<Markup, Trouble> {
    let dashboard = &visit.dashboard;
    let events = match &record.waba_id {
        Some(waba_id) => dashboard.store.last_events(waba_id, FIELDS, EVENTS).await?,
        None => Vec::new(),
    };
    let pause = known.standing(record).and_then(|standing| standing.pause(Timestamp::now()));
    let sends = pause.map_or_else(
        || html! { (pill(Tone::Good, "yes")) },
        |pause| {
            let until = pause.until.map(|until| format!(" until {}", utc(until))).unwrap_or_default();
            html! { (pill(Tone::Bad, "no")) " " (pause.cause.name()) (until) ": " (pause.why) }
        },
    );
    let findings = known.findings(record);
    Ok(html! {
        section .card {
            h2 { "Health" }
            (facts([
                ("Served", html! { (served(record)) }),
                ("Token", html! { (token_state(record, dashboard.cipher.as_ref())) }),
                ("Token ends", html! { (expires(record)) }),
                ("Number ids", html! { (record.phone_number_ids.join(", ")) }),
                ("Account", html! { (record.waba_id.as_deref().unwrap_or("–")) }),
                ("Meta lets it send", sends),
            ]))
            h3 { "What is wrong in its document" }
            @if findings.is_empty() { p .empty { "Nothing." } } @else {
                ul .findings { @for finding in findings {
                    @let (tone, word) = if finding.is_error() { (Tone::Bad, "error") } else { (Tone::Warm, "warning") };
                    li { (pill(tone, word)) " " code { (finding.field) } " " (layout::with_names(&finding.problem)) }
                } }
            }
        }
        section .card {
            h2 { "What Meta said of its account" }
            @if events.is_empty() { p .empty { "Nothing lately." } }
            ol .events { @for event in &events { (line(event)) } }
        }
    })
}

fn line(event: &KeptEvent) -> Markup {
    let said = notice(event);
    let tone = match said.as_ref().map(|notice| notice.level) {
        Some(NoticeLevel::Error) => Tone::Bad,
        Some(NoticeLevel::Warning) => Tone::Warm,
        Some(NoticeLevel::Info) | None => Tone::Plain,
    };
    html! {
        li {
            time datetime=(event.received_at) { (utc(event.received_at)) }
            (pill(tone, &event.field))
            span { (said.map_or_else(|| "erased".to_owned(), |notice| notice.to_string())) }
        }
    }
}

/// What somebody may have to do: conversations that wait, and letters.
async fn open(visit: &Visit, subdomain: &str, records: &[BusinessRecord]) -> Result<Markup, Trouble> {
    let store = &visit.dashboard.store;
    let ids: Vec<BusinessId> = records.iter().map(|record| BusinessId(record.id.clone())).collect();
    // What MongoDB's clock says is learned from this.
    store.ping().await?;
    let filter = |handed_over, waiting| ConversationFilter { businesses: Some(ids.clone()), handed_over, waiting };
    let (handed_over, waiting) = (filter(true, false), filter(false, true));
    let letters = LetterFilter { owner: Some(owner(records)), ..LetterFilter::default() };
    let (handed_over, waiting, letters) = tokio::try_join!(
        store.list_conversations(&handed_over, COUNTED),
        store.list_conversations(&waiting, COUNTED),
        store.count_letters(&letters),
    )?;
    let many = |count: usize| match i64::try_from(count) {
        Ok(count) if count < COUNTED => count.to_string(),
        _ => format!("{COUNTED} or more"),
    };
    let those = |state, words: &str| {
        html! { a href=(link("/conversations", &[("business", Some(subdomain)), ("state", state)])) { (words) } }
    };
    Ok(html! {
        section .card {
            h2 { "Open" }
            (facts([
                ("Handed over", those(Some("handed_over"), &many(handed_over.conversations.len()))),
                ("Waiting", those(Some("waiting"), &many(waiting.conversations.len()))),
                ("Conversations", those(None, "all")),
            ]))
            h3 { "Dead letters" }
            (of_letters(&letters, Some(subdomain)))
        }
    })
}

/// Whose letters are meant.
pub(super) fn owner(records: &[BusinessRecord]) -> LetterOwner {
    let numbers = records.iter().flat_map(|record| &record.phone_number_ids);
    LetterOwner {
        numbers: numbers.filter_map(|id| PhoneNumberId::parse(id).ok()).collect(),
        businesses: records.iter().map(|record| BusinessId(record.id.clone())).collect(),
    }
}
