//! `/`: all businesses at once.

use std::collections::HashMap;

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::Subdomain;

use super::{
    Page,
    days::{Span, charts, tiles},
    health::Known,
    name_of,
};
use crate::{
    dashboard::{
        fields::link,
        gate::Visit,
        layout::{self, Section, head, pill, table},
        trouble::Trouble,
    },
    desk::figures::{by_business, count, dollars, percent, time, total},
    store::{BusinessRecord, CountedDay, LetterFilter},
};

/// The page.
pub(super) async fn page(visit: Visit) -> Page {
    let (dashboard, span) = (&visit.dashboard, Span::asked(&visit)?);
    let (days, businesses, known, letters) = tokio::try_join!(
        span.counted(&visit, None),
        async { Ok(dashboard.store.businesses().await?) },
        Known::look(dashboard),
        async { Ok(dashboard.store.count_letters(&LetterFilter::default()).await?) },
    )?;
    let about = html! { "All businesses, " (span.words()) };
    let content = html! {
        (head("Overview", &about, &span.switch("/")))
        (tiles(&days))
        (charts(&span, &days))
        section .card {
            h2 { "Businesses" }
            (table_of(&visit, &span, &businesses, &days, &known)?)
        }
        section .card { h2 { "Open dead letters" } (of_letters(&letters, None)) }
    };
    Ok(layout::page(&visit, Section::Overview, "Overview", &content))
}

/// How many there are of each reason, as links.
pub(super) fn of_letters(counts: &[(String, u64)], business: Option<&str>) -> Markup {
    let to = |reason| link("/letters", &[("business", business), ("reason", Some(reason))]);
    html! {
        @if counts.is_empty() { p .empty { "None: everything could be handled." } }
        ul .chips { @for (reason, many) in counts { li { a href=(to(reason)) { (reason) " " b { (count(*many)) } } } } }
    }
}

fn table_of(
    visit: &Visit,
    span: &Span,
    businesses: &[BusinessRecord],
    days: &[CountedDay],
    known: &Known,
) -> Result<Markup, Trouble> {
    let now = Timestamp::now();
    let of_each = by_business(days);
    let none = Vec::new();
    let mut rows: Vec<(u64, Vec<Markup>)> = Vec::new();
    for record in businesses {
        let mine = of_each.get(record.id.as_str()).unwrap_or(&none);
        let (tone, word) = known.word(&visit.dashboard, record, now);
        let title = html! {
            @match record.subdomain.as_ref().filter(|subdomain| Subdomain::parse(subdomain).is_ok()) {
                Some(subdomain) => {
                    @let path = format!("/businesses/{subdomain}");
                    a href=(link(&path, &[("days", span.field().as_deref())])) { (name_of(record)) }
                    @if name_of(record) != subdomain { span .sub { (subdomain) } }
                }
                None => { (name_of(record)) }
            }
        };
        rows.push(row(span, title, pill(tone, &word), mine));
    }
    let there: HashMap<&str, ()> = businesses.iter().map(|record| (record.id.as_str(), ())).collect();
    for (id, mine) in of_each.iter().filter(|(id, _)| !there.contains_key(**id)) {
        let title = html! { (id) span .sub { "not among the businesses" } };
        rows.push(row(span, title, html! { "–" }, mine));
    }
    // The busiest first; those that are alike stay in the order of their subdomains.
    rows.sort_by_key(|(messages, _)| std::cmp::Reverse(*messages));
    let rows: Vec<Vec<Markup>> = rows.into_iter().map(|(_, cells)| cells).collect();
    let columns = [
        "Business",
        "Health",
        "Messages",
        "#Received",
        "#Sent",
        "#p50",
        "#p95",
        "#Delivered",
        "#Read",
        "#Failures",
        "#AI cost",
    ];
    Ok(table("Businesses", &columns, &rows, "No business has WhatsApp yet."))
}

fn row(span: &Span, title: Markup, health: Markup, days: &[&CountedDay]) -> (u64, Vec<Markup>) {
    let all = total(days.iter().copied());
    let spent = |time_of: Option<std::time::Duration>| html! { (time_of.map_or_else(|| "–".to_owned(), time)) };
    let cells = vec![
        title,
        health,
        span.spark(days.iter().copied()),
        html! { (count(all.received())) },
        html! { (count(all.sent())) },
        spent(all.answer_times.p50()),
        spent(all.answer_times.p95()),
        html! { (percent(all.delivered_share())) },
        html! { (percent(all.read_share())) },
        html! { (count(all.failures.count())) },
        html! { (all.cost_micros.map_or_else(|| "–".to_owned(), dollars)) },
    ];
    (all.received() + all.sent(), cells)
}
