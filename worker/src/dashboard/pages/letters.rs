//! `/letters`: messages that could not be handled, without what they hold.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{Page, business::owner, businesses_of, conversations::choice, letter::path_of, to_conversation};
use crate::{
    dashboard::{
        fields::link,
        gate::Visit,
        layout::{self, Section, done, head, switch, table},
        trouble::Trouble,
    },
    desk::{Owners, age, fate, figures::count, harmless, utc},
    store::{FiledLetter, LetterFilter, Reading, Standing},
};

const ROWS: u32 = 100;
/// Characters of a detail.
const DETAIL: usize = 120;
const STATES: [(&str, &str, Standing); 2] = [("open", "Open", Standing::Open), ("closed", "Closed", Standing::Closed)];
const DONE: [(&str, &str); 1] = [("discarded", "The letter was discarded; what it held is gone.")];

/// Which letters the address means.
pub(super) async fn meant(visit: &Visit, standing: Standing, fields: &Wanted<'_>) -> Result<LetterFilter, Trouble> {
    let owner = match fields.business {
        Some(subdomain) => Some(owner(&businesses_of(&*visit.dashboard.store, subdomain).await?)),
        None => None,
    };
    let reason = fields.reason.map(str::to_owned);
    Ok(LetterFilter { owner, reason, standing, ..LetterFilter::default() })
}

/// What was chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) business: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
}

/// The page.
pub(super) async fn page(visit: Visit) -> Page {
    let wanted = Wanted { business: visit.asked.get("business"), reason: visit.asked.get("reason") };
    let state = visit.asked.get("state").unwrap_or("open");
    let Some((state, _, standing)) = STATES.into_iter().find(|(word, ..)| *word == state) else {
        return Err(Trouble::Wrong("A letter is open or closed.".to_owned()));
    };
    let store = &visit.dashboard.store;
    let filter = meant(&visit, standing, &wanted).await?;
    let of_any_reason = LetterFilter { reason: None, ..filter.clone() };
    let (counts, all) = tokio::try_join!(store.count_letters(&of_any_reason), store.businesses())?;
    let rows = rows(&visit, &filter).await?;
    let is_closed = state == "closed";
    let asked = is_closed.then_some("closed");
    let links = STATES.map(|(word, name, _)| {
        let fields = [("business", wanted.business), ("state", (word != "open").then_some(word))];
        (link("/letters", &fields), name.to_owned(), word == state)
    });
    let columns = ["Letter", "Buried", "Reason", "Business", "Conversation", "#Times", "Comes back", "Detail"];
    let about = html! { "Messages that could not be handled; they are kept for 90 days" };
    let content = html! {
        (head("Dead letters", &about, &switch("State", &links)))
        (done(&visit, &DONE))
        (choice(&visit, "/letters", &all, &[("reason", wanted.reason), ("state", asked)]))
        (reasons(&counts, &wanted, asked))
        section .card {
            @if let (Some(reason), false) = (wanted.reason, is_closed) {
                @if !rows.is_empty() {
                    @let all = [("business", wanted.business), ("reason", Some(reason))];
                    p .scroll-head { a .button href=(link("/letters/replay", &all)) { "Replay all " (reason) "…" } }
                }
            }
            (table("Dead letters", &columns, &rows, "No letter is like that."))
            @if rows.len() >= ROWS as usize { p .hint { "The newest " (ROWS) " are shown." } }
        }
    };
    Ok(layout::page(&visit, Section::Letters, "Dead letters", &content))
}

fn reasons(counts: &[(String, u64)], wanted: &Wanted<'_>, state: Option<&str>) -> Markup {
    let to = |reason: Option<&str>| -> String {
        link("/letters", &[("business", wanted.business), ("reason", reason), ("state", state)])
    };
    let all: u64 = counts.iter().map(|(_, many)| many).sum();
    let chip = |reason: Option<&str>, many| {
        let is_here = (wanted.reason == reason).then_some("true");
        let word = reason.unwrap_or("any reason");
        html! { li { a href=(to(reason)) aria-current=[is_here] { (word) " " b { (count(many)) } } } }
    };
    html! {
        @if !counts.is_empty() {
            nav aria-label="Reasons" { ul .chips {
                (chip(None, all))
                @for (reason, many) in counts { (chip(Some(reason), *many)) }
            } }
        }
    }
}

async fn rows(visit: &Visit, filter: &LetterFilter) -> Result<Vec<Vec<Markup>>, Trouble> {
    let store = &*visit.dashboard.store;
    let (mut owners, mut rows, now) = (Owners::new(store, None), Vec::new(), Timestamp::now());
    let mut letters = store.filed_letters(filter, Reading { most: Some(ROWS), ..Reading::default() }).await?;
    while let Some(letter) = letters.next_letter().await? {
        let business = owners.name(&letter).await?;
        rows.push(row(visit, &letter, business, now));
    }
    Ok(rows)
}

fn row(visit: &Visit, letter: &FiledLetter, business: Option<String>, now: Timestamp) -> Vec<Markup> {
    let dash = || "–".to_owned();
    let detail: String = harmless(&letter.detail).chars().take(DETAIL).collect();
    vec![
        html! { a href=(path_of(visit, letter)) { code { (super::letter::shown(letter)) } } },
        html! { (utc(letter.buried_at)) span .sub { (age(letter.buried_at, now)) " ago" } },
        html! { (letter.reason) },
        html! { (business.unwrap_or_else(dash)) },
        html! { @match &letter.session {
            Some(session) => (to_conversation(visit, session)),
            None => "–",
        } },
        html! { (letter.burials) },
        html! { (fate(letter)) },
        html! { span .detail { (detail) } },
    ]
}
