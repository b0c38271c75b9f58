//! The judge: whether a run of the system kept its promises, decided from the journal alone.
//!
//! A judged run gives each customer text a [`Tag`], lets [`answer`] answer the chats by naming the tags, and
//! plants secrets that must not turn up elsewhere. Afterwards [`judge`] reads what reached the stand-ins for Meta and
//! the AI, and what they posted. It asks the system nothing and knows nothing of how it works, so it cannot share an
//! error with it. What counts as an answer are the words that reach the customer: a text, the body above buttons, a
//! caption, or what a voice note says, as far as the journal can tell. Each promise is one module of `rules`, which says exactly what it demands and what it does not;
//! [`check_log`] looks through the logs.
//!
//! Entries need not come from running stand-ins. All fields of [`Entry`] and of the events are public, so that a
//! model of the protocol may write them in virtual time: `seq` and `mono_ns` must not fall, and `request` and `post`
//! join the events of one request or post as in a real journal. A model that writes `graph.send` alone, without the
//! request and its answer, is judged all the same.
//!
//! [`Tag`]: crate::Tag

mod canary;
mod companion;
mod logs;
mod people;
mod piece;
mod record;
mod report;
mod rules;
mod scenario;

use std::borrow::Borrow;

pub use companion::{LONG, LONG_PIECES, answer};
pub use logs::{Leak, LeakKind, Secrets, check_log};
pub use report::{Evidence, Figures, Limit, Report, Residual, Rule, Spread, Violation};
pub use scenario::{ChatLimits, CustomerCanary, Fairness, FreezeMarks, Scenario, Subject, Tenant, is_canary};

use crate::journal::Entry;

/// Judges a run. The entries are those of one journal, in its order, and the run is over: a message that is still
/// waiting for its answer counts as lost.
///
/// A run in which nothing happened breaks no promise. Who calls this asserts on the report's [`Figures`] too.
///
/// # Panics
/// Where the scenario plants a secret that [`is_canary`] refuses.
pub fn judge<E: Borrow<Entry>>(entries: &[E], scenario: &Scenario) -> Report {
    let record = record::Record::read(entries, scenario);
    let mut report = Report::since(record.began_ns);
    report.figures.posts = record.posts;
    report.figures.sends_accepted = record.sends.iter().filter(|send| send.accepted).count();
    report.figures.sends_refused = record.sends.len() - report.figures.sends_accepted;
    rules::apply(&record, &mut report);
    report
}
