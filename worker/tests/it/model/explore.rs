//! Every run that departs from the good day in few places.

use super::{choices::Departures, world::World};

/// Takes every run with that many departures at most, and tells the first one that breaks a promise, and how many
/// there were.
pub(super) fn departures(most: usize, world: &World) -> Result<usize, String> {
    let mut open = vec![Vec::new()];
    let mut runs = 0;
    while let Some(plan) = open.pop() {
        let mut choices = Departures { plan, widths: Vec::new() };
        let ended = world.clone().run(&mut choices);
        runs += 1;
        let Departures { plan, widths } = choices;
        ended.map_err(|why| format!("after the departures {plan:?}: {why}"))?;
        if plan.len() == most {
            continue;
        }
        let from = plan.last().map_or(0, |(step, _)| step + 1);
        for (step, width) in widths.iter().enumerate().skip(from) {
            for choice in 1..*width {
                let mut further = plan.clone();
                further.push((step, choice));
                open.push(further);
            }
        }
    }
    Ok(runs)
}

fn all(most: usize, messages: usize, long: bool, at_least: usize) {
    let runs = departures(most, &World::new(messages, long, None)).unwrap_or_else(|why| panic!("{why}"));
    assert!(runs >= at_least, "only {runs} runs");
}

#[test]
fn one_message_survives_any_three_faults() {
    all(if soak() { 4 } else { 3 }, 1, false, 5_000);
}

#[test]
fn two_messages_survive_any_two_faults() {
    all(if soak() { 3 } else { 2 }, 2, false, 1_000);
}

#[test]
fn an_answer_in_three_parts_survives_any_two_faults() {
    all(if soak() { 3 } else { 2 }, 1, true, 1_000);
}

fn soak() -> bool {
    crate::proof::is_soak()
}
