//! Nobody waits for a flood at another business.
//!
//! Demands, where the scenario names quiet businesses: between the moment when a message to one of them is due, which
//! is its acknowledgement and the quiet time, and the beginning of its turn, no more turns of other businesses begin
//! than the scenario allows. A turn begins with the first chat request that names a message which was not asked about
//! before.
//!
//! Does not demand: that each message gets a turn, which is the affair of loss; anything in seconds, which say more
//! about the machine than about the system. How long the messages waited is in the figures.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    time::Duration,
};

use super::shown;
use crate::{
    Tag,
    checker::{
        record::{Moment, Person, Record},
        report::{Report, Rule, Spread},
    },
};

pub(super) fn check(record: &Record<'_>, report: &mut Report) {
    let Some(fairness) = &record.scenario.fairness else { return };
    let turns = Turns::of(record);
    let quiet_ns = u64::try_from(fairness.quiet_time.as_nanos()).unwrap_or(u64::MAX);
    let mut waits = Vec::new();
    for message in &record.messages {
        let quiet = fairness.quiet.contains(message.person.business);
        let (Some(tag), Some(acknowledged), true) = (message.tag, message.acknowledged, quiet) else { continue };
        let due_ns = acknowledged.ns.saturating_add(quiet_ns);
        let Some(began) = turns.of_message.get(&(message.person, tag)).copied() else { continue };
        let between = turns.of_others(message.person.business, due_ns, began);
        waits.push(Duration::from_nanos(began.ns.saturating_sub(due_ns)));
        report.figures.turns_between_most = report.figures.turns_between_most.max(Some(between));
        if between > fairness.turns_between_most {
            let place = shown(message.conversation);
            let what = format!("of {place} waited while {between} turns of others began");
            report.violate(Rule::Fairness, Some(tag), what, &[acknowledged, began]);
        }
    }
    report.figures.quiet_wait = Spread::of(waits);
}

/// When turns began.
#[derive(Default)]
struct Turns<'a> {
    of_message: HashMap<(Person<'a>, Tag), Moment>,
    /// In the order of the run.
    all: Vec<Moment>,
    by_business: BTreeMap<&'a str, Vec<Moment>>,
}

impl<'a> Turns<'a> {
    fn of(record: &Record<'a>) -> Self {
        let mut turns = Self::default();
        for ask in &record.asks {
            let Some(whose) = ask.about.first() else { continue };
            let mut is_new = false;
            for message in ask.about.iter().flat_map(|person| ask.asked.iter().map(|tag| (*person, *tag))) {
                if let Entry::Vacant(first) = turns.of_message.entry(message) {
                    first.insert(ask.at);
                    is_new = true;
                }
            }
            if is_new {
                turns.all.push(ask.at);
                turns.by_business.entry(whose.business).or_default().push(ask.at);
            }
        }
        turns
    }

    /// How many turns of other businesses began from a time on and before a moment.
    fn of_others(&self, business: &str, from_ns: u64, until: Moment) -> usize {
        let own = self.by_business.get(business).map(Vec::as_slice).unwrap_or_default();
        count(&self.all, from_ns, until) - count(own, from_ns, until)
    }
}

fn count(turns: &[Moment], from_ns: u64, until: Moment) -> usize {
    let (before, due) = (turns.partition_point(|at| *at < until), turns.partition_point(|at| at.ns < from_ns));
    before.saturating_sub(due)
}
