//! The judge is judged: it passes every correct run, and catches each deliberate fault under the promise that it
//! breaks.

#![expect(clippy::indexing_slicing, reason = "a place that is not there is a mistake in the test, and fails it")]

mod bot;
mod judged_bot;
mod logs;
mod mutations;
mod program;
mod system;
mod trace;
mod words;

use proptest::prelude::*;
use simulator::{
    Seed,
    checker::{Figures, Report, Rule, Scenario, judge},
    journal::{Credential, Entry, Event},
};

/// The promises that a report says are broken.
fn broken(report: &Report) -> Vec<Rule> {
    report.broken().into_keys().collect()
}

/// The places of the sends that these are.
fn sends(entries: &[Entry], are: impl Fn(&simulator::journal::GraphSend) -> bool) -> Vec<usize> {
    let places = entries.iter().enumerate();
    let sends = places.filter(|(_, entry)| matches!(&entry.fact, Event::GraphSend(send) if are(send)));
    sends.map(|(place, _)| place).collect()
}

fn choices() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0_usize..1_000, 0..300)
}

fn renumbered(entries: Vec<Entry>) -> Vec<Entry> {
    let entries = entries.into_iter().zip(0..);
    entries.map(|(entry, seq)| Entry { seq, mono_ns: 1_000_000 * seq, ..entry }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn a_correct_run_of_any_shape_keeps_every_promise(choices in choices()) {
        let entries = system::trace(&choices);
        let report = judge(&entries, &trace::scenario());
        prop_assert!(report.verdict().is_ok(), "{}", report.verdict().unwrap_err());
        prop_assert_eq!(report.residual.len(), 0);
        let figures = &report.figures;
        let judged = figures.messages_answered + figures.messages_apologised + figures.messages_unjudged;
        prop_assert_eq!(judged, figures.messages_acknowledged);
        prop_assert_eq!(figures.messages_acknowledged, figures.messages_posted);
        let accepted = sends(&entries, simulator::journal::GraphSend::is_accepted);
        prop_assert_eq!(figures.sends_accepted, accepted.len());
        prop_assert!(figures.messages_posted == 0 || figures.sends_accepted > 0);
    }

    #[test]
    fn a_run_is_judged_alike_from_shared_entries_and_without_a_scenario_that_names_the_numbers(choices in choices()) {
        let entries = system::trace(&choices);
        let named = judge(&entries, &trace::scenario());
        let shared: Vec<_> = entries.iter().cloned().map(std::sync::Arc::new).collect();
        prop_assert_eq!(&judge(&shared, &trace::scenario()), &named);
        let unnamed = judge(&entries, &Scenario::default());
        // Only apologies cannot be told from messages that answer nothing.
        prop_assert!(named.figures.messages_apologised > 0 || broken(&unnamed).is_empty(), "{:?}", unnamed.verdict());
    }

    #[test]
    fn a_send_left_out_anywhere_is_a_loss(choices in choices(), which: prop::sample::Index) {
        let mut entries = system::trace(&choices);
        let apology = |send: &simulator::journal::GraphSend| send.text() == Some(trace::APOLOGY);
        let tagged = |send: &simulator::journal::GraphSend| {
            send.is_accepted() && send.text().is_some_and(|text| text.contains("#m"))
        };
        let all = sends(&entries, tagged);
        prop_assume!(!all.is_empty());
        let place = all[which.index(all.len())];
        let Event::GraphSend(left_out) = entries.remove(place).fact else { unreachable!("a send was looked for") };
        // An apology would be taken for what this message got.
        let theirs = |send: &simulator::journal::GraphSend| {
            send.phone_number_id == left_out.phone_number_id && send.customer() == left_out.customer()
        };
        prop_assume!(sends(&entries, |send| apology(send) && theirs(send)).is_empty());
        let report = judge(&renumbered(entries), &trace::scenario());
        prop_assert_eq!(broken(&report), [Rule::Loss], "{:?}", report.verdict());
    }

    #[test]
    fn a_send_repeated_anywhere_is_a_duplicate_or_residual(choices in choices(), which: prop::sample::Index) {
        let mut entries = system::trace(&choices);
        let all = sends(&entries, |send| send.is_accepted() && send.text().is_some_and(|text| text != "ANS"));
        prop_assume!(!all.is_empty());
        let place = all[which.index(all.len())];
        let again = entries[place].clone();
        let Event::GraphSend(send) = &again.fact else { unreachable!("only sends were looked for") };
        let wamid = send.wamid.clone();
        let lost = entries.iter().any(|entry| {
            matches!(&entry.fact, Event::StatusWithheld(withheld) if Some(&withheld.wamid) == wamid.as_ref())
        });
        entries.insert(place + 1, again);
        let report = judge(&renumbered(entries), &trace::scenario());
        prop_assert_eq!(broken(&report), if lost { vec![] } else { vec![Rule::Duplicate] }, "{:?}", report.verdict());
        prop_assert_eq!(report.residual.len(), usize::from(lost));
    }

    #[test]
    fn a_foreign_token_anywhere_breaks_isolation(choices in choices(), which: prop::sample::Index) {
        let mut entries = system::trace(&choices);
        let all = sends(&entries, |_| true);
        prop_assume!(!all.is_empty());
        if let Event::GraphSend(send) = &mut entries[all[which.index(all.len())]].fact {
            send.credential = Credential::Of("somebody else".to_owned());
        }
        let report = judge(&entries, &trace::scenario());
        prop_assert_eq!(broken(&report), [Rule::Isolation]);
        prop_assert_eq!(report.violations.len(), 1);
    }
}

#[test]
fn the_drawn_runs_do_everything_that_a_correct_run_may_do() {
    let draws = |run: u64| (0..300).map(move |step: u64| Seed(run).number("choice", &step.to_string()));
    let runs = (0..40).map(|run| draws(run).map(|draw| usize::try_from(draw % 1_000).expect("small")).collect());
    let reports: Vec<_> = runs.map(|choices: Vec<_>| judge(&system::trace(&choices), &trace::scenario())).collect();
    let sum = |count: fn(&Figures) -> usize| reports.iter().map(|report| count(&report.figures)).sum::<usize>();
    assert!(sum(|figures| figures.messages_answered) > 500);
    assert!(sum(|figures| figures.messages_apologised) > 10);
    assert!(sum(|figures| figures.messages_unjudged) > 50);
    assert!(sum(|figures| figures.sends_refused) > 50);
    assert!(sum(|figures| figures.chats_failed) > 50);
    assert!(sum(|figures| usize::from(figures.chats_per_message_most > 1)) > 10);
    // Long answers need more sends than chats.
    assert!(sum(|figures| usize::from(figures.sends_accepted > figures.chats_answered)) > 5);
}

#[test]
fn a_run_in_which_nothing_happened_shows_in_its_figures() {
    let report = judge::<Entry>(&[], &trace::scenario());
    assert_eq!(report.verdict(), Ok(()));
    let figures = &report.figures;
    assert_eq!((figures.messages_acknowledged, figures.sends_accepted, figures.chats_answered), (0, 0, 0));
    assert_eq!((figures.posts, figures.answer_time, figures.turns_between_most), (0, None, None));
}
