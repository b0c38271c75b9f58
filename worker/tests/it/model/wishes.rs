//! A customer who wants to hear no more, and then again, in the middle of what they write.

use shared::ids::MessageId;
use worker::{
    conversation::{Consent, MailboxItem},
    turn::machine::{Event, Wish},
};

use super::{
    choices::Chance,
    explore::departures,
    world::{Draft, World},
};
use crate::proof::{rounds, seed};

const STOPPED: &str = "you will hear no more";
const STARTED: &str = "you will hear again";

/// The wishes among these messages.
pub(super) fn among(drafts: &[Draft], items: &[MailboxItem]) -> Vec<Wish> {
    let asks = |item: &MailboxItem| drafts.iter().find(|draft| draft.item.id == item.id)?.asks;
    let wish = |item: &MailboxItem| Some(Wish { message: item.id.clone(), consent: asks(item)? });
    items.iter().filter_map(wish).collect()
}

/// What these words confirm.
pub(super) fn confirmed_by(body: &str) -> Option<Consent> {
    match body {
        STOPPED => Some(Consent::Withdrawn),
        STARTED => Some(Consent::Given),
        _ => None,
    }
}

impl World {
    /// With wishes in place of some of the messages: `-` for a STOP, `+` for a START, anything else for a message.
    fn wishing(plan: &str) -> Self {
        let mut world = Self::new(plan.len(), false, None);
        for (draft, sign) in world.drafts.iter_mut().zip(plan.chars()) {
            draft.asks = match sign {
                '-' => Some(Consent::Withdrawn),
                '+' => Some(Consent::Given),
                _ => None,
            };
        }
        world
    }

    pub(super) fn confirm(&mut self, wish: Consent) -> Event {
        let words = match wish {
            Consent::Withdrawn => STOPPED,
            Consent::Given => STARTED,
        };
        self.replied(vec![words.to_owned()])
    }

    /// The messages that need no answer: what was said in silence, about which nobody may have been asked, and what was
    /// said right before a STOP. Fails where a wish was not confirmed once, or is not what the conversation knows.
    pub(super) fn silent(&self, opted_out: bool) -> Result<Vec<MessageId>, String> {
        let (mut silent, mut before, mut expected, mut wants_silence) = (Vec::new(), Vec::new(), Vec::new(), false);
        for Draft { item, asks, .. } in &self.drafts {
            match asks {
                Some(Consent::Withdrawn) if !wants_silence => {
                    (wants_silence, expected) = (true, [expected, vec![Consent::Withdrawn]].concat());
                    silent.append(&mut before);
                }
                Some(Consent::Given) if wants_silence => {
                    (wants_silence, expected) = (false, [expected, vec![Consent::Given]].concat());
                }
                Some(Consent::Withdrawn | Consent::Given) => silent.push(item.id.clone()),
                None if wants_silence => {
                    if self.asked_about.contains(&item.id) {
                        return Err(format!("the AI was asked about {}, which was said in silence", item.id));
                    }
                    silent.push(item.id.clone());
                }
                None => before.push(item.id.clone()),
            }
        }
        if (self.confirmed.as_slice(), opted_out) != (expected.as_slice(), wants_silence) {
            return Err(format!("confirmed: {:?}, in the end silent: {opted_out}", self.confirmed));
        }
        Ok(silent)
    }
}

#[test]
fn a_stop_and_a_start_survive_any_two_faults() {
    for plan in ["-", "-m", "m-", "-+", "-m+"] {
        let runs = departures(if plan.len() < 3 { 2 } else { 1 }, &World::wishing(plan));
        assert!(runs.unwrap_or_else(|why| panic!("{plan}: {why}")) > 50, "{plan}");
    }
}

#[test]
fn whatever_happens_each_wish_is_confirmed_once_and_silence_is_kept() {
    let plans = ["m-m", "-m+m", "m--m+", "-+-+", "m-m+m", "-m-m+m"];
    let seed = seed();
    for n in 0..rounds(3_000) {
        let plan = plans[usize::try_from(n).expect("small") % plans.len()];
        let mut chance = Chance::new(seed.wrapping_add(n), 30 + 40 * u32::try_from(n % 7).expect("small"), 20);
        if let Err(why) = World::wishing(plan).run(&mut chance) {
            panic!("run {n} of seed {seed}, {plan}: {why}");
        }
    }
}
