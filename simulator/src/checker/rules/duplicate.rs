//! Nothing is sent twice.
//!
//! Demands: in one conversation no piece of an answer to a message is accepted twice, no message is answered both as a
//! whole and in pieces, and no apology follows an apology without an answer between them. A repetition within the
//! honest limit is counted apart: where every status of everything that was accepted before was lost, or where a
//! process was frozen at some time between the try before and the repetition, nobody could know.
//!
//! Does not demand: anything of what was refused, or of texts that name no message and are no apology.

use std::collections::BTreeMap;

use super::shown;
use crate::{
    Tag,
    checker::{
        record::{Acceptance, Accepted, Conversation, Record},
        report::{Limit, Report, Rule},
    },
};

/// Something that was accepted again.
struct Repetition<'a> {
    tag: Option<Tag>,
    conversation: Conversation<'a>,
    /// What was accepted before, in order, at least one.
    before: Vec<Acceptance<'a>>,
    again: Acceptance<'a>,
}

pub(super) fn check(record: &Record<'_>, report: &mut Report) {
    let answers = record.answers().iter().flat_map(|((conversation, tag), accepted)| {
        repeated(accepted).into_iter().map(|(before, again)| Repetition {
            tag: Some(*tag),
            conversation: *conversation,
            before,
            again,
        })
    });
    // One send that repeats several pieces is one repetition, told by its first, and as bad as its worst.
    let mut by_send: BTreeMap<_, (Repetition<'_>, Option<Limit>)> = BTreeMap::new();
    for repetition in answers.chain(apologies(record)) {
        let limit = limit(record, &repetition);
        match by_send.get_mut(&repetition.again.at) {
            Some((_, known)) => *known = known.and(limit),
            None => drop(by_send.insert(repetition.again.at, (repetition, limit))),
        }
    }
    for (repetition, limit) in by_send.values() {
        let last = repetition.before.last().map_or(repetition.again.at, |acceptance| acceptance.at);
        let seen = [last, repetition.again.at];
        match (limit, repetition.tag) {
            (Some(limit), tag) => report.excuse(tag, *limit, &seen),
            (None, Some(_)) => {
                let what = format!("of {} was answered again", shown(repetition.conversation));
                report.violate(Rule::Duplicate, repetition.tag, what, &seen);
            }
            (None, None) => {
                let what = format!("{} got an apology after an apology", shown(repetition.conversation));
                report.violate(Rule::Duplicate, None, what, &seen);
            }
        }
    }
}

/// What was accepted again of one answer, with what was accepted of it before.
fn repeated<'a>(accepted: &Accepted<'a>) -> Vec<(Vec<Acceptance<'a>>, Acceptance<'a>)> {
    let mut all: Vec<_> = accepted.iter().flat_map(|(number, times)| times.iter().map(|at| (*number, *at))).collect();
    all.sort_by_key(|(_, acceptance)| acceptance.at);
    let Some((first, _)) = all.first().copied() else { return Vec::new() };
    let mut seen: BTreeMap<Option<u32>, Vec<Acceptance<'a>>> = BTreeMap::new();
    let mut repeated = Vec::new();
    for (number, acceptance) in all {
        // A whole answer after pieces, or pieces after a whole one, is a second answer.
        let same = if number.is_some() == first.is_some() { number } else { first };
        let before = seen.entry(same).or_default();
        // One send may name a piece of either sort.
        if before.last().is_some_and(|last| last.at != acceptance.at) {
            repeated.push((before.clone(), acceptance));
        }
        before.push(acceptance);
    }
    repeated
}

/// Apologies that follow an apology with nothing between them.
fn apologies<'a>(record: &'a Record<'_>) -> Vec<Repetition<'a>> {
    let mut open: BTreeMap<Conversation<'a>, Vec<Acceptance<'a>>> = BTreeMap::new();
    let mut repeated = Vec::new();
    for send in record.sends.iter().filter(|send| send.accepted) {
        let before = open.entry(send.conversation).or_default();
        if !send.is_apology {
            before.clear();
            continue;
        }
        let again = Acceptance { at: send.at, offset: 0, wamid: send.wamid };
        if !before.is_empty() {
            repeated.push(Repetition { tag: None, conversation: send.conversation, before: before.clone(), again });
        }
        before.push(again);
    }
    repeated
}

fn limit(record: &Record<'_>, repetition: &Repetition<'_>) -> Option<Limit> {
    let Repetition { before, again, .. } = repetition;
    let last = before.last()?;
    if before.iter().all(|acceptance| record.statuses_lost(acceptance.wamid)) {
        Some(Limit::StatusesLost)
    } else {
        record.frozen_between(last.at, again.at).then_some(Limit::Frozen)
    }
}
