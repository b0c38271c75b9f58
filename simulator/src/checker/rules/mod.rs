//! The rules, one module each. A rule is a function of the record of a run; it adds what it finds to the report.

mod cost;
mod duplicate;
mod fairness;
mod isolation;
mod loss;
mod order;
mod phantom;

use super::{
    record::{Conversation, Person, Record},
    report::Report,
};

/// Applies every rule.
pub(super) fn apply(record: &Record<'_>, report: &mut Report) {
    loss::check(record, report);
    duplicate::check(record, report);
    phantom::check(record, report);
    order::check(record, report);
    isolation::check(record, report);
    fairness::check(record, report);
    cost::check(record, report);
}

/// A conversation as a report shows it: the business's number, and the end of the customer's.
fn shown(conversation: Conversation<'_>) -> String {
    format!("{}/…{}", conversation.number, end(conversation.customer))
}

/// A customer of a business as a report shows one.
fn shown_person(person: Person<'_>) -> String {
    format!("customer …{} of {}", end(person.customer), person.business)
}

/// So much of a customer's number or id that an engineer can tell them apart, and nobody can call.
fn end(customer: &str) -> String {
    let length = customer.chars().count();
    customer.chars().skip(length.saturating_sub(4)).collect()
}
