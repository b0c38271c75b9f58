//! An answer is paid for once.
//!
//! Demands: of the chat requests that were answered with 200 and words, no more than the scenario allows ask for the
//! same set of messages of one customer, which is the same newest user message, and no more than it allows ask for one
//! message in whatever company.
//!
//! Does not demand: anything of requests that failed or were cut off, which cost nothing here; anything of requests
//! that ask about no tag.

use std::collections::{BTreeMap, BTreeSet};

use super::shown_person;
use crate::{
    Tag,
    checker::{
        record::{Moment, Person, Record},
        report::{Report, Rule},
    },
};

/// Whom a request is about. Where the same text was written to several businesses and no planted secret tells whose
/// request it is, each of them may have asked.
type About<'a> = &'a BTreeSet<Person<'a>>;

/// The answered requests for one set of messages.
#[derive(Default)]
struct Asked {
    tags: BTreeSet<Tag>,
    times: Vec<Moment>,
}

pub(super) fn check(record: &Record<'_>, report: &mut Report) {
    let mut by_answer: BTreeMap<(About<'_>, &str), Asked> = BTreeMap::new();
    let mut by_message: BTreeMap<(About<'_>, Tag), Vec<Moment>> = BTreeMap::new();
    for ask in record.asks.iter().filter(|ask| ask.is_chat) {
        if ask.answer.is_none() {
            report.figures.chats_failed += 1;
            continue;
        }
        report.figures.chats_answered += 1;
        if ask.asked.is_empty() || ask.about.is_empty() {
            continue;
        }
        let asked = by_answer.entry((&ask.about, &ask.newest)).or_default();
        asked.tags.extend(&ask.asked);
        asked.times.push(ask.at);
        for tag in &ask.asked {
            by_message.entry((&ask.about, *tag)).or_default().push(ask.at);
        }
    }
    let limits = record.scenario.chats;
    let mut told = BTreeSet::new();
    for ((about, _), Asked { tags, times }) in &by_answer {
        if times.len() > limits.per_answer * about.len() {
            let what = format!("and what stood with it of {} was asked {} times", whose(about), times.len());
            report.violate(Rule::Cost, tags.first().copied(), what, times);
            told.extend(tags.iter().map(|tag| (*about, *tag)));
        }
    }
    for ((about, tag), times) in &by_message {
        // What was asked again with the same company is told already.
        if times.len() > limits.per_message * about.len() && !told.contains(&(*about, *tag)) {
            let what = format!("of {} was asked about {} times", whose(about), times.len());
            report.violate(Rule::Cost, Some(*tag), what, times);
        }
    }
    let calls = by_message.values().map(Vec::len);
    report.figures.chats_per_message_most = calls.clone().max().unwrap_or_default();
    if !by_message.is_empty() {
        #[expect(clippy::cast_precision_loss, reason = "no run has so many calls that a double cannot count them")]
        let average = calls.sum::<usize>() as f64 / by_message.len() as f64;
        report.figures.chats_per_message = average;
    }
}

fn whose(about: About<'_>) -> String {
    about.iter().map(|person| shown_person(*person)).collect::<Vec<_>>().join(" or ")
}
