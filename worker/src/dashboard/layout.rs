//! The frame of every page, and the pieces that pages are made of.

use std::sync::LazyLock;

use axum::{
    extract::RawQuery,
    http::header,
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, Render, html};
use sha2::{Digest, Sha256};

use super::gate::{Visit, token_field};

const STYLE: &str = include_str!("style.css");
/// Tells one style from another, so that browsers may keep it.
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| hex::encode(Sha256::digest(STYLE)).chars().take(16).collect());
/// Three bars.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect \
                    width='16' height='16' rx='4' fill='%234a3fb5'/%3E%3Cpath d='M4.5 12V8M8 12V4M11.5 12V6.5' \
                    stroke='%23fff' stroke-width='2' stroke-linecap='round'/%3E%3C/svg%3E";

/// Which part of the dashboard a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Conversations,
    Letters,
}

impl Section {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Overview, "/", "Overview"),
        (Self::Conversations, "/conversations", "Conversations"),
        (Self::Letters, "/letters", "Dead letters"),
    ];
}

/// The style, which browsers may keep where they ask for this very one.
pub(super) async fn style(RawQuery(query): RawQuery) -> Response {
    let is_this = query.is_some_and(|query| query == format!("v={}", *STYLE_HASH));
    let kept = if is_this { "public, max-age=31536000, immutable" } else { "no-cache" };
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, kept)], STYLE).into_response()
}

/// A page of somebody who is signed in.
pub(super) fn page(visit: &Visit, section: Section, title: &str, content: &Markup) -> Markup {
    document(
        title,
        &html! {},
        &html! {
            a .skip href="#content" { "To the content" }
            header .top {
                a .brand href="/" { (mark()) span { "Switchboard" } }
                nav aria-label="Parts" {
                    @for (part, path, name) in Section::ALL {
                        a href=(path) aria-current=[(part == section).then_some("page")] { (name) }
                    }
                }
                form method="post" action="/sign-out" {
                    (token_field(&visit.token))
                    button .quiet type="submit" { "Sign out" }
                }
            }
            main #content tabindex="-1" { (content) }
            footer { "Times are UTC. Customers are shortened as in the logs." }
        },
    )
}

/// A page of anybody.
pub(super) fn alone(title: &str, content: &Markup) -> Markup {
    alone_with(title, &html! {}, content)
}

/// The same, with more in its head.
pub(super) fn alone_with(title: &str, head: &Markup, content: &Markup) -> Markup {
    document(
        title,
        head,
        &html! {
            main #content .alone {
                div .brand { (mark()) span { "Switchboard" } }
                section .card { (content) }
            }
        },
    )
}

fn document(title: &str, head: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                meta name="color-scheme" content="light dark";
                title { (title) " · Switchboard" }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href=(format!("/style.css?v={}", *STYLE_HASH));
                (head)
            }
            body { (body) }
        }
    }
}

fn mark() -> Markup {
    html! {
        svg .mark viewBox="0 0 16 16" aria-hidden="true" focusable="false" {
            rect width="16" height="16" rx="4.5" {}
            path d="M4.5 12V8M8 12V4M11.5 12V6.5" {}
        }
    }
}

/// The head of a page: what it is, and what can be chosen.
pub(super) fn head(title: impl Render, about: &Markup, choices: &Markup) -> Markup {
    head_below(None, title, about, choices)
}

/// The same, of a page that is one of many, with the way back to them.
pub(super) fn head_below(above: Option<(&str, &str)>, title: impl Render, about: &Markup, choices: &Markup) -> Markup {
    html! {
        div .head {
            div {
                @if let Some((path, name)) = above { a .crumb href=(path) { "← " (name) } }
                h1 { (title) }
                p .soft { (about) }
            }
            (choices)
        }
    }
}

/// A few links of which one is where we are.
pub(super) fn switch(label: &str, links: &[(String, String, bool)]) -> Markup {
    html! {
        nav .switch aria-label=(label) {
            @for (path, name, is_here) in links {
                a href=(path) aria-current=[is_here.then_some("true")] { (name) }
            }
        }
    }
}

/// A number with its name.
pub(super) fn tile(name: &str, value: &str, about: &str) -> Markup {
    html! {
        div .tile {
            dt { (name) }
            dd { span .value { (value) } @if !about.is_empty() { span .about { (about) } } }
        }
    }
}

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    Plain,
    Good,
    Warm,
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "pill",
            Self::Good => "pill good",
            Self::Warm => "pill warm",
            Self::Bad => "pill bad",
        }
    }
}

/// A word on how something is.
pub(super) fn pill(tone: Tone, words: &str) -> Markup {
    html! { span class=(tone.class()) { (words) } }
}

/// A table in a box of its own, which scrolls where there is no room. Columns that begin with `#` hold numbers.
pub(super) fn table(caption: &str, columns: &[&str], rows: &[Vec<Markup>], empty: &str) -> Markup {
    html! {
        @if rows.is_empty() {
            p .empty { (empty) }
        } @else {
            div .scroll role="region" tabindex="0" aria-label=(caption) {
                table {
                    thead { tr { @for column in columns {
                        @let class = column.starts_with('#').then_some("number");
                        th scope="col" class=[class] { (column.trim_start_matches('#')) }
                    } } }
                    tbody { @for row in rows { tr { @for (cell, column) in row.iter().zip(columns) {
                        td class=[column.starts_with('#').then_some("number")] { (cell) }
                    } } } }
                }
            }
        }
    }
}

/// A part of a page.
pub(super) fn card(title: &str, content: &Markup) -> Markup {
    html! { section .card { h2 { (title) } (content) } }
}

/// Facts by name.
pub(super) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, Markup)>) -> Markup {
    html! { dl .facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } } }
}

/// A text with names in backticks.
pub(super) fn with_names(text: &str) -> Markup {
    html! {
        @for (place, part) in text.split('`').enumerate() {
            @if place % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// What was just done, where the address says so.
pub(super) fn done(visit: &Visit, words: &[(&str, &str)]) -> Markup {
    let done = visit.asked.get("done");
    let said = words.iter().find(|(word, _)| done == Some(word));
    html! { @if let Some((_, said)) = said { p .notice.good role="status" { (said) } } }
}
