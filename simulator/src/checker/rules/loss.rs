//! Nothing is lost.
//!
//! Demands: each message in a body that was answered with 200 is answered, apologised for, or excused. It is answered
//! when the AI gave an answer that names its tag and the Graph API accepted, after the message was posted, every
//! piece of that answer which concerns it, from the number that was written to, to the customer who wrote. It is
//! apologised for when an apology was accepted after the message was acknowledged or the AI was asked about it. It is
//! excused when the scenario names it with a reason that the scenario allows.
//!
//! An apology names nobody, so it covers whatever of that customer at that number the system had by then and did not
//! answer otherwise; a loss among these shows in no journal.
//!
//! Does not demand: that a message which was never acknowledged is answered; anything of a message without a tag, which
//! an answer could not name; that an acceptance whose answer was lost is known to the sender.

use std::{collections::HashMap, time::Duration};

use super::shown;
use crate::{
    checker::{
        piece::Piece,
        record::{Accepted, Ask, Message, Moment, Record},
        report::{Report, Rule, Spread},
        scenario::Subject,
    },
    tag::Tag,
};

/// What became of a message.
enum Fate<'a> {
    Answered(Moment),
    Apologised,
    Excused(&'a str),
    /// The pieces of an answer that the AI gave and that never arrived.
    Incomplete(Vec<Piece>),
    Unanswered,
}

pub(super) fn check(record: &Record<'_>, report: &mut Report) {
    let mut asks: HashMap<Tag, Vec<&Ask<'_>>> = HashMap::new();
    for ask in &record.asks {
        for tag in &ask.asked {
            asks.entry(*tag).or_default().push(ask);
        }
    }
    report.figures.messages_posted = record.messages.len();
    let mut answer_times = Vec::new();
    for message in &record.messages {
        let Some(acknowledged) = message.acknowledged else { continue };
        report.figures.messages_acknowledged += 1;
        let Some(tag) = message.tag else {
            report.figures.messages_unjudged += 1;
            continue;
        };
        let about_it = asks.get(&tag).map(Vec::as_slice).unwrap_or_default();
        let asks: Vec<_> = about_it.iter().filter(|ask| ask.about.contains(&message.person)).copied().collect();
        let seen = [message.posted, acknowledged];
        let place = shown(message.conversation);
        match fate(record, message, tag, acknowledged, &asks) {
            Fate::Answered(at) => {
                report.figures.messages_answered += 1;
                answer_times.push(Duration::from_nanos(at.ns.saturating_sub(acknowledged.ns)));
            }
            Fate::Apologised => report.figures.messages_apologised += 1,
            Fate::Excused(reason) if record.scenario.allowed_reasons.contains(reason) => {
                report.figures.messages_excused += 1;
            }
            Fate::Excused(reason) => {
                let what = format!("of {place} was excused with {reason:?}, which this run does not allow");
                report.violate(Rule::Loss, Some(tag), what, &seen);
            }
            Fate::Incomplete(missing) => {
                let missing = missing.iter().map(Piece::to_string).collect::<Vec<_>>().join(", ");
                let what = format!("of {place} was acknowledged, and {missing} of its answer never arrived");
                report.violate(Rule::Loss, Some(tag), what, &seen);
            }
            Fate::Unanswered => {
                let what = format!("of {place} was acknowledged and never answered");
                report.violate(Rule::Loss, Some(tag), what, &seen);
            }
        }
    }
    report.figures.answer_time = Spread::of(answer_times);
}

fn fate<'a>(
    record: &'a Record<'_>,
    message: &Message<'_>,
    tag: Tag,
    acknowledged: Moment,
    asks: &[&Ask<'_>],
) -> Fate<'a> {
    let nothing = Accepted::new();
    let accepted = record.answer_to(message).unwrap_or(&nothing);
    let answers = asks.iter().filter_map(|ask| ask.answer.as_ref());
    let mut incomplete = Vec::new();
    for answer in answers {
        let (mut missing, mut last) = (Vec::new(), None);
        for piece in answer.iter().filter(|piece| piece.tag == tag) {
            let times = accepted.get(&piece.number).into_iter().flatten();
            match times.map(|acceptance| acceptance.at).find(|at| *at > message.posted) {
                Some(at) => last = last.max(Some(at)),
                None => missing.push(*piece),
            }
        }
        match last {
            Some(last) if missing.is_empty() => return Fate::Answered(last),
            // Some of it arrived: that is the answer which was meant to be sent.
            Some(_) => incomplete = missing,
            None => {}
        }
    }
    let known = asks.first().map_or(acknowledged, |ask| ask.at.min(acknowledged));
    let is_covering = |at: Moment| at > known;
    let mut apologies = record.sends.iter().filter(|send| send.accepted && send.is_apology);
    if apologies.any(|apology| apology.conversation == message.conversation && is_covering(apology.at)) {
        return Fate::Apologised;
    }
    let reasons = [Subject::Tag(tag), Subject::Id(message.id.to_owned())];
    match reasons.iter().find_map(|subject| record.scenario.excused.get(subject)) {
        Some(reason) => Fate::Excused(reason),
        None if incomplete.is_empty() => Fate::Unanswered,
        None => Fate::Incomplete(incomplete),
    }
}
