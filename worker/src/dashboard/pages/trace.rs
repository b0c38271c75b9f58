//! The trace of a conversation: every message, and what became of it when.

use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, html};

use crate::{
    dashboard::layout::{Tone, pill},
    desk::{
        figures::{count, time},
        utc,
    },
    store::Line,
};

/// Messages that are shown.
pub(super) const MOST: u32 = 200;

/// The messages, the oldest first.
pub(super) fn trace(lines: &[Line], with_texts: bool) -> Markup {
    let is_cut = u32::try_from(lines.len()).is_ok_and(|shown| shown >= MOST);
    html! {
        @if lines.is_empty() { p .empty { "No message is on record: they are kept for 90 days." } }
        @if is_cut { p .hint { "The last " (MOST) " messages are shown." } }
        @if !with_texts && !lines.is_empty() { p .hint { "What was said is hidden; showing it is logged." } }
        ol .trace {
            @for line in lines { (message(line, with_texts)) }
        }
    }
}

fn message(line: &Line, with_texts: bool) -> Markup {
    let who = match (line.inbound, &line.reply_id) {
        (true, _) => "Customer",
        (false, Some(_)) => "Companion",
        (false, None) => "Person",
    };
    html! {
        li class=(if line.inbound { "in" } else { "out" }) {
            div .line {
                b { (who) }
                span .kind { (line.kind) }
                time datetime=(line.at) { (utc(line.at)) }
                @if let Some(waited) = line.waited { span .waited { "answered after " (time(waited)) } }
            }
            @if with_texts {
                @match &line.text { Some(text) => p .text dir="auto" { (text) }, None => p .text.none { "no words" } }
            }
            ul .steps { @for step in if line.inbound { of_theirs(line) } else { of_ours(line) } { li { (step) } } }
        }
    }
}

fn of_theirs(line: &Line) -> Vec<Markup> {
    let mut steps = Vec::new();
    if let Some(at) = line.received_at {
        steps.push(html! { "reached us " (later(at, line.at)) });
    }
    steps.push(match line.answered_at {
        Some(at) => html! { (pill(Tone::Good, "handled")) " " (later(at, line.received_at.unwrap_or(line.at))) },
        None => pill(Tone::Warm, "not answered yet"),
    });
    steps
}

fn of_ours(line: &Line) -> Vec<Markup> {
    let mut steps = Vec::new();
    let status = line.status.as_deref();
    let tone = match status {
        Some("delivered" | "read" | "played") => Tone::Good,
        Some("failed") => Tone::Bad,
        Some(_) | None => Tone::Plain,
    };
    let code = line.error_code.map(|code| format!(": Meta's error {code}")).unwrap_or_default();
    steps.push(html! {
        (pill(tone, &format!("{}{code}", status.unwrap_or("sent, nothing heard yet"))))
        @if let Some(at) = line.status_at { " " (by_meta(at, line.at)) }
    });
    if let Some(reply_id) = &line.reply_id {
        steps.push(html! { "reply " code { (reply_id.chars().take(8).collect::<String>()) } });
    }
    if let Some(usage) = &line.usage {
        let tokens = format!("{} tokens read, {} written", count(usage.tokens_in), count(usage.tokens_out));
        steps.push(html! { (tokens) @if usage.calls > 1 { ", " (usage.calls) " calls" } ", " (usage.model) });
    }
    steps
}

fn later(at: Timestamp, than: Timestamp) -> Markup {
    let passed = Duration::try_from(at.duration_since(than)).unwrap_or_default();
    html! { span title=(utc(at)) { "+" (time(passed)) } }
}

/// Meta tells of statuses by the second.
fn by_meta(at: Timestamp, than: Timestamp) -> Markup {
    if at.duration_since(than).as_secs() > 0 {
        return later(at, than);
    }
    html! { span title=(utc(at)) { "within a second" } }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn line(second: i64, inbound: bool, reply_id: Option<&str>) -> Line {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        Line {
            inbound,
            number: None,
            id: None,
            kind: "text".to_owned(),
            at,
            received_at: inbound.then_some(at + SignedDuration::from_secs(1)),
            answered_at: None,
            reply_id: reply_id.map(str::to_owned),
            usage: None,
            waited: None,
            status: None,
            status_at: None,
            error_code: None,
            text: Some("<b>words</b>".to_owned()),
        }
    }

    #[test]
    fn what_was_said_stays_text_and_is_shown_to_who_asks() {
        let lines = [line(0, true, None)];
        assert!(!trace(&lines, false).into_string().contains("words</b>"));
        let told = trace(&lines, true).into_string();
        assert!(told.contains("&lt;b&gt;words&lt;/b&gt;") && !told.contains("<b>words"), "{told}");
    }
}
