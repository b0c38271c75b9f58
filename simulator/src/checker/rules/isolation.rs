//! No business and no customer sees anything of another.
//!
//! Demands: no Graph request about a number, refused or not, carries another business's token, or none at all. No
//! request to the AI holds another business's planted secret, another customer's, or a tag that another customer wrote;
//! and each chat request that asks about a message holds the planted secret of its own business, where the scenario
//! plants one. (One whose newest words are nobody's message is for notes, not for an answer.) No message to a customer,
//! refused or not, holds any of these, be it in what is read, in what is heard or in a button.
//!
//! Does not demand: that a token is valid (one that was revoked is nobody's); that one customer's conversations with
//! several numbers of one business are kept apart, since they share a memory.

use std::collections::{BTreeSet, HashSet};

use super::{shown, shown_person};
use crate::{
    Tag,
    checker::{
        canary::Canary,
        record::{Ask, Person, Record},
        report::{Report, Rule},
    },
    journal::Credential,
};

pub(super) fn check(record: &Record<'_>, report: &mut Report) {
    check_credentials(record, report);
    check_asks(record, report);
    check_sends(record, report);
}

fn check_credentials(record: &Record<'_>, report: &mut Report) {
    // One request is told once, however many events it has.
    let (mut told, mut unknown) = (HashSet::new(), HashSet::new());
    for used in &record.uses {
        let Some(owner) = record.owner_of(used.number) else { continue };
        let what = match used.credential {
            Credential::Of(name) if name == owner => continue,
            Credential::Of(name) => format!("a request about {} of {owner} carried the token of {name}", used.number),
            Credential::Missing => format!("a request about {} of {owner} carried no token", used.number),
            Credential::Unknown => {
                report.figures.unknown_credentials += usize::from(unknown.insert(used.request));
                continue;
            }
        };
        if told.insert(used.request) {
            report.violate(Rule::Isolation, None, what, &[used.at]);
        }
    }
}

fn check_asks(record: &Record<'_>, report: &mut Report) {
    for ask in &record.asks {
        let tag = ask.asked.first().copied();
        if let Some(business) = missing_secret(record, ask) {
            let what = format!("was asked about without the secret of {business}");
            report.violate(Rule::Isolation, tag, what, &[ask.at]);
        }
        let strange = match ask.about.is_empty() {
            true => mixed(&ask.canaries),
            false => strange(record, &ask.canaries, &ask.tags, &ask.about),
        };
        for what in strange {
            report.violate(Rule::Isolation, tag, format!("was asked about with {what}"), &[ask.at]);
        }
    }
}

fn check_sends(record: &Record<'_>, report: &mut Report) {
    for send in &record.sends {
        let (tags, about) = (&send.shown_tags, BTreeSet::from([send.person]));
        for what in strange(record, &send.canaries, tags, &about) {
            let what = format!("{} was sent {what}", shown(send.conversation));
            report.violate(Rule::Isolation, tags.first().copied(), what, &[send.at]);
        }
    }
}

/// The business whose planted secret should be in a chat request and is not.
fn missing_secret<'a>(record: &Record<'a>, ask: &Ask<'a>) -> Option<&'a str> {
    let businesses: BTreeSet<_> = ask.about.iter().map(|person| person.business).collect();
    let own = businesses.first().copied().filter(|_| ask.is_chat && !ask.asked.is_empty() && businesses.len() == 1)?;
    (record.canaries.has(own) && !ask.canaries.contains(&Canary::Business(own))).then_some(own)
}

/// What belongs to none of these customers.
fn strange<'a>(
    record: &Record<'a>,
    canaries: &BTreeSet<Canary<'a>>,
    tags: &BTreeSet<Tag>,
    about: &BTreeSet<Person<'a>>,
) -> Vec<String> {
    let canaries = canaries.iter().filter(|canary| match canary {
        Canary::Business(business) => about.iter().all(|person| person.business != *business),
        Canary::Customer(person) => !about.contains(person),
    });
    let tags = tags.iter().filter_map(|tag| {
        let written = record.written(*tag);
        let stranger = written.first().filter(|_| written.iter().all(|message| !about.contains(&message.person)))?;
        Some(format!("{tag} of {}", shown_person(stranger.person)))
    });
    canaries.map(secret).chain(tags).collect()
}

/// A request that names nobody's message is about whomever it likes, but about one.
fn mixed(canaries: &BTreeSet<Canary<'_>>) -> Vec<String> {
    let businesses = canaries.iter().map(|canary| match canary {
        Canary::Business(business) => business,
        Canary::Customer(person) => person.business,
    });
    let customers = canaries.iter().filter(|canary| matches!(canary, Canary::Customer(_)));
    let is_mixed = businesses.collect::<BTreeSet<_>>().len() > 1 || customers.count() > 1;
    if is_mixed { canaries.iter().map(secret).collect() } else { Vec::new() }
}

fn secret(canary: &Canary<'_>) -> String {
    match canary {
        Canary::Business(business) => format!("the secret of {business}"),
        Canary::Customer(person) => format!("the secret of {}", shown_person(*person)),
    }
}
