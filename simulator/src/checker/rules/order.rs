//! A customer's messages are answered in their order.
//!
//! Demands, of two answered messages of one conversation: where the first 200 for the one came before the other was
//! first posted, the last piece of the one's answer is accepted before the first piece of the other's. Where both were
//! first posted in the same body, their positions in it decide. Two messages that one answer answers are in order where
//! the earlier one's tag stands before the later one's.
//!
//! Does not demand: any order among messages that were on their way together, since the one may have been posted first
//! and acknowledged only after the other was posted; anything of repetitions, since the first acceptance of each piece
//! after the message was posted stands for all.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use super::shown;
use crate::{
    Tag,
    checker::{
        record::{Accepted, Conversation, Moment, Record},
        report::{Report, Rule},
    },
};

/// A message and where its answer stands: what the rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answered {
    tag: Tag,
    posted: Moment,
    acknowledged: Option<Moment>,
    /// The sends with its pieces, in order. Messages that one answer answers have them in common.
    sends: Vec<Moment>,
    /// The first send with a piece of it, and where its tag stands in that.
    first: (Moment, usize),
    /// The last send with a piece of it, and where its tag stands in that.
    last: (Moment, usize),
}

pub(super) fn check(record: &Record<'_>, report: &mut Report) {
    let mut conversations: BTreeMap<Conversation<'_>, Vec<Answered>> = BTreeMap::new();
    for message in &record.messages {
        let answer = message.tag.zip(record.answer_to(message));
        if let Some(answered) =
            answer.and_then(|(tag, accepted)| answered(tag, message.posted, message.acknowledged, accepted))
        {
            conversations.entry(message.conversation).or_default().push(answered);
        }
    }
    for (conversation, messages) in &conversations {
        for (earlier, later) in overtaken(messages) {
            let what = format!("of {} was answered before {}, which came first", shown(*conversation), earlier.tag);
            report.violate(Rule::Order, Some(later.tag), what, &[later.posted, later.first.0, earlier.last.0]);
        }
    }
}

fn answered(tag: Tag, posted: Moment, acknowledged: Option<Moment>, accepted: &Accepted<'_>) -> Option<Answered> {
    let firsts = accepted.values().filter_map(|times| times.iter().find(|acceptance| acceptance.at > posted));
    // Of several pieces in one send, the first stands for all.
    let mut places: BTreeMap<Moment, usize> = BTreeMap::new();
    for acceptance in firsts {
        let place = places.entry(acceptance.at).or_insert(acceptance.offset);
        *place = acceptance.offset.min(*place);
    }
    let sends = places.keys().copied().collect();
    let (first, last) = (places.first_key_value()?, places.last_key_value()?);
    Some(Answered { tag, posted, acknowledged, sends, first: (*first.0, *first.1), last: (*last.0, *last.1) })
}

/// Each message that was answered too early, with one of those that came before it. The messages are of one
/// conversation, in the order of their posts and bodies.
fn overtaken(messages: &[Answered]) -> Vec<(&Answered, &Answered)> {
    let mut found = Vec::new();
    let mut acknowledged: BinaryHeap<Reverse<(Moment, usize)>> = BinaryHeap::new();
    let mut before = Front::default();
    let mut position = 0;
    for body in messages.chunk_by(|one, other| one.posted == other.posted) {
        let Some(posted) = body.first().map(|message| message.posted) else { continue };
        let is_before = |Reverse((at, _)): &Reverse<(Moment, usize)>| *at < posted;
        while let Some(Reverse((_, settled))) = acknowledged.peek().copied().filter(is_before) {
            acknowledged.pop();
            before.extend(messages.get(settled));
        }
        let mut beside = Front::default();
        for message in body {
            found.extend(
                before.overtaken_by(message).or(beside.overtaken_by(message)).map(|earlier| (earlier, message)),
            );
            beside.extend(Some(message));
            acknowledged.extend(message.acknowledged.map(|at| Reverse((at, position))));
            position += 1;
        }
    }
    found
}

/// The messages that must have been answered before the next one, as far as they matter: the two that were answered
/// last, by different answers, and for each answer the message that stands last in it.
#[derive(Debug, Default)]
struct Front<'a> {
    latest: Option<&'a Answered>,
    latest_of_others: Option<&'a Answered>,
    hindmost: HashMap<&'a [Moment], &'a Answered>,
}

impl<'a> Front<'a> {
    fn extend(&mut self, message: Option<&'a Answered>) {
        let Some(message) = message else { return };
        let hindmost = self.hindmost.entry(&message.sends).or_insert(message);
        if message.first > hindmost.first {
            *hindmost = message;
        }
        let later = |known: Option<&Answered>| known.is_none_or(|known| message.last > known.last);
        match self.latest {
            Some(latest) if latest.sends == message.sends => {
                self.latest = Some(if later(self.latest) { message } else { latest });
            }
            Some(_) if later(self.latest) => self.latest_of_others = self.latest.replace(message),
            Some(_) if later(self.latest_of_others) => self.latest_of_others = Some(message),
            Some(_) => {}
            None => self.latest = Some(message),
        }
    }

    fn overtaken_by(&self, message: &Answered) -> Option<&'a Answered> {
        let other = [self.latest, self.latest_of_others].into_iter().flatten().find(|m| m.sends != message.sends);
        let together = self.hindmost.get(message.sends.as_slice()).copied();
        other
            .filter(|other| other.last > message.first)
            .or_else(|| together.filter(|together| together.first > message.first))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(place: usize) -> Moment {
        Moment { place, seq: place as u64, ns: place as u64 }
    }

    /// The rule as it is written down, for each pair.
    fn is_overtaken(earlier: &Answered, later: &Answered, same_body: bool) -> bool {
        let first_come = same_body || earlier.acknowledged.is_some_and(|at| at < later.posted);
        let out_of_order = match earlier.sends == later.sends {
            true => earlier.first > later.first,
            false => earlier.last > later.first,
        };
        first_come && out_of_order
    }

    prop_compose! {
        /// Messages of a few bodies, acknowledged early, late or never, answered by a few answers of one to three
        /// sends, the same or others.
        fn conversations()(
            messages in proptest::collection::vec((0_usize..8, proptest::option::of(1_usize..90), 0_usize..7), 0..14),
            answers in proptest::collection::vec(proptest::collection::btree_set(0_usize..60, 1..4), 7),
            offsets in proptest::sample::subsequence((0_usize..20).collect::<Vec<_>>(), 14).prop_shuffle(),
        ) -> Vec<Answered> {
            let mut bodies: Vec<_> = messages.iter().map(|(body, ..)| *body * 10).collect();
            bodies.sort_unstable();
            let each = messages.into_iter().zip(bodies).zip(offsets).zip(0..);
            each.map(|((((_, wait, answer), body), offset), tag)| {
                let sends: Vec<_> = answers[answer].iter().map(|send| at(body / 30 * 30 + *send)).collect();
                let (first, last) = ((sends[0], offset), (sends[sends.len() - 1], offset));
                let acknowledged = wait.map(|wait| at(body + wait));
                Answered { tag: Tag(tag), posted: at(body), acknowledged, sends, first, last }
            })
            .collect()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn the_fast_way_finds_exactly_the_messages_that_comparing_all_pairs_finds(messages in conversations()) {
            let mut expected = Vec::new();
            for (position, later) in messages.iter().enumerate() {
                let mut earlier = messages[..position].iter();
                if earlier.any(|earlier| is_overtaken(earlier, later, earlier.posted == later.posted)) {
                    expected.push(later.tag);
                }
            }
            let found = overtaken(&messages);
            prop_assert_eq!(found.iter().map(|(_, later)| later.tag).collect::<Vec<_>>(), expected);
            for (earlier, later) in found {
                prop_assert!(is_overtaken(earlier, later, earlier.posted == later.posted));
            }
        }
    }
}
