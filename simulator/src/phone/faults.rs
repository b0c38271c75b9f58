//! Switches that make things go wrong, and what was seen of them since each was turned on.
//!
//! They hold for everybody at the page, for they belong to the stand-ins. What is told of them is counted from what
//! reached the stand-ins, so a promise that does not hold would show.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Shared, follow::State};
use crate::{
    ai::AiFault,
    journal::GraphSend,
    meta::{Attempt, Call, Fault, Refusal},
};

/// What can be made to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Switch {
    /// Each webhook is posted twice at once.
    Duplicate,
    /// The next message of a business is accepted, and the connection cut instead of an answer. Turns itself off.
    LoseAnswer,
    /// Messages of businesses are refused for their rate.
    Throttle,
    /// The AI answers nothing but 503.
    AiDown,
    /// Every token is refused.
    RefuseToken,
}

const ALL: [Switch; 5] = [Switch::Duplicate, Switch::LoseAnswer, Switch::Throttle, Switch::AiDown, Switch::RefuseToken];

/// What was seen since a switch was turned on.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    on: bool,
    /// How often it made something go wrong; of duplicates, how often webhooks were posted.
    hits: u64,
    /// Messages of customers that it touched.
    #[serde(serialize_with = "count")]
    messages: BTreeSet<String>,
    /// Messages of businesses that were accepted since; of duplicates only the first answer to each.
    answers: u64,
    /// Accepted messages that say once more what one before has said.
    repeated: u64,
    /// Messages whose answer was lost and whose status was taken.
    #[serde(serialize_with = "count")]
    proven: BTreeSet<String>,
    #[serde(skip)]
    lost: BTreeSet<String>,
}

fn count<S: serde::Serializer>(ids: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(ids.len() as u64)
}

/// All switches.
#[derive(Debug, Default)]
pub(super) struct Switches {
    /// That of the book at the last change.
    pub(super) revision: u64,
    /// Whether something has changed since.
    is_news: bool,
    tallies: [Tally; 5],
}

impl Switches {
    fn of(&mut self, switch: Switch) -> &mut Tally {
        match switch {
            Switch::Duplicate => &mut self.tallies[0],
            Switch::LoseAnswer => &mut self.tallies[1],
            Switch::Throttle => &mut self.tallies[2],
            Switch::AiDown => &mut self.tallies[3],
            Switch::RefuseToken => &mut self.tallies[4],
        }
    }

    pub(super) fn is_on(&mut self, switch: Switch) -> bool {
        self.of(switch).on
    }

    /// Whether something has changed since this was last asked.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    /// Turns one on, which begins its count, or off.
    fn turn(&mut self, switch: Switch, on: bool) {
        self.is_news = true;
        let tally = self.of(switch);
        match (on, tally.on) {
            (true, false) => *tally = Tally { on, ..Tally::default() },
            (on, _) => tally.on = on,
        }
    }

    fn hit(&mut self, switch: Switch) {
        self.is_news = true;
        self.of(switch).hits += 1;
    }

    /// A customer's message is posted.
    pub(super) fn posted(&mut self, id: &str) {
        let tally = self.of(Switch::Duplicate);
        if tally.on || tally.messages.contains(id) {
            tally.messages.insert(id.to_owned());
            self.hit(Switch::Duplicate);
        }
    }

    /// A business's message was accepted. `waiting` are the customer's messages that had no answer before it: none
    /// where it is the second message of an answer.
    pub(super) fn accepted(&mut self, send: &GraphSend, repeated: bool, waiting: &[String]) {
        for tally in self.tallies.iter_mut().filter(|tally| tally.hits > 0) {
            let touched = tally.messages.is_empty() || waiting.iter().any(|id| tally.messages.contains(id));
            tally.answers += u64::from(touched);
            tally.repeated += u64::from(repeated);
            self.is_news = true;
        }
        let is_lost = matches!(send.decision, crate::journal::Decision::AcceptedNoReply);
        let lost = send.wamid.clone().filter(|_| is_lost);
        self.of(Switch::LoseAnswer).lost.extend(lost);
    }

    /// A status of a business's message was taken.
    pub(super) fn reported(&mut self, id: &str) {
        let tally = self.of(Switch::LoseAnswer);
        if tally.lost.contains(id) {
            tally.proven.insert(id.to_owned());
            self.is_news = true;
        }
    }

    /// The switches as the page shows them.
    pub(super) fn told(&mut self) -> Value {
        let all = ALL.map(|switch| json!({"switch": switch, "seen": self.of(switch)}));
        json!({"switches": all})
    }
}

impl State {
    /// Turns a switch.
    pub(super) fn turn(&mut self, switch: Switch, on: bool) {
        self.switches.turn(switch, on);
    }

    /// What happens to a request to Graph.
    fn graph_fault(&mut self, attempt: &Attempt) -> Option<Fault> {
        let is_send = attempt.call == Call::Send;
        if self.switches.is_on(Switch::RefuseToken) {
            self.switches.hit(Switch::RefuseToken);
            self.show_refused_read(attempt);
            return Some(Fault::Refuse(Refusal::code(190)));
        }
        if is_send && self.switches.is_on(Switch::Throttle) {
            self.switches.hit(Switch::Throttle);
            // The number's rate and the customer's, in turn.
            let code = if attempt.nth % 2 == 1 { 131_056 } else { 130_429 };
            return Some(Fault::Refuse(Refusal::code(code)));
        }
        if is_send && self.switches.is_on(Switch::LoseAnswer) {
            self.switches.hit(Switch::LoseAnswer);
            self.switches.turn(Switch::LoseAnswer, false);
            return Some(Fault::AcceptThenDrop);
        }
        None
    }

    /// The journal does not tell what a read receipt was about that a fault refused.
    fn show_refused_read(&mut self, attempt: &Attempt) {
        let id = attempt.body.get("message_id").and_then(Value::as_str).filter(|_| attempt.call == Call::Read);
        if let Some(key) = id.and_then(|id| self.book.owner(id)) {
            self.refused(&key, "Read receipt", 190, &attempt.body);
        }
    }

    fn ai_fault(&mut self) -> Option<AiFault> {
        let down = self.switches.is_on(Switch::AiDown);
        down.then(|| self.switches.hit(Switch::AiDown));
        down.then_some(AiFault::Status(503))
    }
}

/// From now on the switches hold.
pub(super) fn install(shared: &Arc<Shared>) {
    let weak = Arc::downgrade(shared);
    shared.meta.faults().rule(move |attempt| changed(&weak, |state| state.graph_fault(attempt)).flatten());
    if let Some(ai) = &shared.ai {
        let weak = Arc::downgrade(shared);
        ai.faults().rule(move |_| changed(&weak, State::ai_fault).flatten());
    }
}

fn changed<T>(shared: &Weak<Shared>, change: impl FnOnce(&mut State) -> T) -> Option<T> {
    shared.upgrade().map(|shared| shared.change(change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_a_switch_on_begins_its_count_and_turning_it_off_keeps_it() {
        let mut switches = Switches::default();
        switches.posted("before");
        switches.turn(Switch::Duplicate, true);
        ["a", "a", "b", "b"].iter().for_each(|id| switches.posted(id));
        switches.turn(Switch::Duplicate, false);
        switches.posted("after");
        let seen = switches.told()["switches"][0]["seen"].clone();
        assert_eq!((&seen["on"], &seen["hits"], &seen["messages"]), (&json!(false), &json!(4), &json!(2)));
        switches.turn(Switch::Duplicate, true);
        assert_eq!(switches.told()["switches"][0]["seen"]["hits"], 0);
    }
}
