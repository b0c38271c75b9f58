//! A correct system in virtual time, whose every choice is drawn: it writes traces of any shape that keep all promises.
//!
//! Bodies hold messages of several businesses and are refused, lost after they landed, repeated. Turns of different
//! conversations run beside each other. The AI fails and is asked again, or the customer gets an apology. Newer
//! messages make an answer to be thought over. Long answers go out in several sends, some of which are refused at
//! first, or accepted without the sender hearing of it.

use std::collections::{HashMap, HashSet};

use simulator::{
    Tag,
    journal::{Decision, Entry, Event, GraphSend, Update},
};

use super::trace::{ANA, APOLOGY, BEA, NUMBERS, Trace, answer_to, message, owner, prompt};

const BEAS_USER_ID: &str = "DE.bea";
const REGENERATIONS_MOST: u32 = 2;

/// The trace that these choices make. Too few of them are as good as zeros: the run comes to its end.
pub(super) fn trace(choices: &[usize]) -> Vec<Entry> {
    let mut system = System::new(choices);
    while system.choices.len() > 0 {
        system.step();
    }
    while let Some(body) = system.to_redeliver.pop() {
        system.deliver(body, Delivery::Taken);
    }
    for conversation in 0..system.conversations.len() {
        while !system.is_settled(conversation) {
            system.advance(conversation);
        }
    }
    system.trace.entries
}

struct System<'a> {
    choices: std::slice::Iter<'a, usize>,
    trace: Trace,
    conversations: Vec<Conversation>,
    /// What each customer of each business said and was told.
    memories: HashMap<(&'static str, &'static str), Vec<(&'static str, String)>>,
    delivered: Vec<Vec<Update>>,
    to_redeliver: Vec<Vec<Update>>,
    landed: HashSet<(String, String)>,
    bea_is_known: bool,
    written: u64,
}

struct Conversation {
    number: &'static str,
    customer: &'static str,
    waiting: Vec<String>,
    stage: Stage,
}

enum Stage {
    Idle,
    /// The first so many of what waits are being thought over, for the how manieth time.
    Asked {
        request: u64,
        count: usize,
        round: u32,
    },
    /// The first so many of what waits are being answered with these texts.
    Sending {
        texts: Vec<String>,
        count: usize,
        whole: String,
    },
}

#[derive(Clone, Copy)]
enum Delivery {
    Taken,
    Refused,
    LandedAndRefused,
    LandedAndLost,
}

impl<'a> System<'a> {
    fn new(choices: &'a [usize]) -> Self {
        let both = NUMBERS.iter().flat_map(|(_, number)| [(*number, ANA), (*number, BEA)]);
        let conversations =
            both.map(|(number, customer)| Conversation { number, customer, waiting: Vec::new(), stage: Stage::Idle });
        Self {
            choices: choices.iter(),
            trace: Trace::default(),
            conversations: conversations.collect(),
            memories: HashMap::new(),
            delivered: Vec::new(),
            to_redeliver: Vec::new(),
            landed: HashSet::new(),
            bea_is_known: false,
            written: 0,
        }
    }

    fn choose(&mut self, among: usize) -> usize {
        self.choices.next().map_or(0, |choice| choice % among)
    }

    fn step(&mut self) {
        match self.choose(8) {
            0 | 1 => {
                let count = 1 + self.choose(3);
                let body = (0..count).flat_map(|_| self.compose()).collect();
                let deliveries =
                    [Delivery::Taken, Delivery::Refused, Delivery::LandedAndRefused, Delivery::LandedAndLost];
                let delivery = deliveries[self.choose(4)];
                self.deliver(body, delivery);
            }
            2 if !self.to_redeliver.is_empty() => {
                let chosen = self.choose(self.to_redeliver.len());
                let body = self.to_redeliver.remove(chosen);
                self.deliver(body, Delivery::Taken);
            }
            3 if !self.delivered.is_empty() => {
                let chosen = self.choose(self.delivered.len());
                let body = self.delivered[chosen].clone();
                self.deliver(body, Delivery::Taken);
            }
            _ => {
                let chosen = self.choose(self.conversations.len());
                if !self.is_settled(chosen) {
                    self.advance(chosen);
                }
            }
        }
    }

    /// A message, or one under the same id to the numbers of two businesses.
    fn compose(&mut self) -> Vec<Update> {
        self.written += 1;
        let (tag, id) = (Tag(self.written), format!("wamid.{}", self.written));
        let chosen = self.choose(self.conversations.len());
        let (number, customer) = (self.conversations[chosen].number, self.conversations[chosen].customer);
        let secret = if customer == ANA { "told-by-ana" } else { "told-by-bea" };
        let text = match self.choose(5) {
            0 => Some(format!("{tag} hello")),
            1 => Some(format!("{tag} please be long")),
            2 if owner(number) == "acme" => Some(format!("{tag} by the way: {secret}")),
            3 => None,
            _ => Some(format!("Is it blue? {tag}")),
        };
        let mut update = message(number, customer, &id, text.as_deref());
        if customer == BEA && self.choose(2) == 1 {
            // Who hides the number now was seen with both before.
            if std::mem::replace(&mut self.bea_is_known, true) {
                update.customer = Some(BEAS_USER_ID.to_owned());
            }
            update.user_id = Some(BEAS_USER_ID.to_owned());
        }
        let other = if owner(number) == "bolt" { "3003" } else { "2002" };
        let twice = self.choose(6) == 1 && text.as_ref().is_some_and(|text| !text.contains("told-by"));
        let twin = twice.then(|| Update { phone_number_id: Some(other.to_owned()), ..update.clone() });
        [update].into_iter().chain(twin).collect()
    }

    fn deliver(&mut self, body: Vec<Update>, delivery: Delivery) {
        let http = match delivery {
            Delivery::Taken => Some(200),
            Delivery::Refused | Delivery::LandedAndRefused => Some(503),
            Delivery::LandedAndLost => None,
        };
        self.trace.post(&body, http);
        if !matches!(delivery, Delivery::Refused) {
            body.iter().for_each(|update| self.land(update));
        }
        match delivery {
            Delivery::Taken => self.delivered.push(body),
            Delivery::Refused | Delivery::LandedAndRefused | Delivery::LandedAndLost => self.to_redeliver.push(body),
        }
    }

    fn land(&mut self, update: &Update) {
        let number = update.phone_number_id.clone().expect("every message has a number");
        if self.landed.insert((number.clone(), update.id.clone())) {
            let customer = if update.customer.as_deref() == Some(ANA) { ANA } else { BEA };
            let theirs =
                |conversation: &&mut Conversation| conversation.number == number && conversation.customer == customer;
            let conversation = self.conversations.iter_mut().find(theirs).expect("a conversation of the run");
            let words = update.text.clone();
            conversation.waiting.push(words.unwrap_or_else(|| "[The customer sent a sticker.]".to_owned()));
        }
    }

    fn is_settled(&self, conversation: usize) -> bool {
        let conversation = &self.conversations[conversation];
        conversation.waiting.is_empty() && matches!(conversation.stage, Stage::Idle)
    }

    /// One step of a turn.
    fn advance(&mut self, chosen: usize) {
        let stage = std::mem::replace(&mut self.conversations[chosen].stage, Stage::Idle);
        let next = match stage {
            Stage::Idle => {
                let waiting = self.conversations[chosen].waiting.len();
                let count = waiting - self.choose(waiting);
                self.ask(chosen, count, 0)
            }
            Stage::Asked { request, count, round } => self.hear(chosen, request, count, round),
            Stage::Sending { texts, count, whole } => self.send(chosen, texts, count, whole),
        };
        self.conversations[chosen].stage = next;
    }

    fn ask(&mut self, chosen: usize, count: usize, round: u32) -> Stage {
        let body = self.body(chosen, count);
        Stage::Asked { request: self.trace.ask(&body), count, round }
    }

    fn body(&mut self, chosen: usize, count: usize) -> serde_json::Value {
        let said = self.conversations[chosen].waiting[..count].join("\n");
        let (number, memory) = (self.conversations[chosen].number, self.memory(chosen).clone());
        prompt(number, &memory, &said)
    }

    fn hear(&mut self, chosen: usize, request: u64, count: usize, round: u32) -> Stage {
        let (number, customer) = (self.conversations[chosen].number, self.conversations[chosen].customer);
        match self.choose(8) {
            1 => {
                self.trace.reply(request, Some(503), None);
                return self.ask(chosen, count, round);
            }
            2 => {
                self.trace.reply(request, None, None);
                return self.ask(chosen, count, round);
            }
            3 if self.may_apologise(number, customer) => {
                self.trace.reply(request, Some(500), None);
                self.trace.answer(number, customer, APOLOGY);
                self.conversations[chosen].waiting.drain(..count);
                return Stage::Idle;
            }
            _ => {}
        }
        let body = self.body(chosen, count);
        let whole = answer_to(&body);
        self.trace.reply(request, Some(200), Some(whole.clone()));
        let waiting = self.conversations[chosen].waiting.len();
        if waiting > count && round < REGENERATIONS_MOST && self.choose(2) == 1 {
            return self.ask(chosen, waiting, round + 1);
        }
        let each = 1 + self.choose(5);
        let paragraphs: Vec<_> = whole.split("\n\n").collect();
        let texts = paragraphs.chunks(each).rev().map(|paragraphs| paragraphs.join("\n\n")).collect();
        Stage::Sending { texts, count, whole }
    }

    /// Who got an apology is not given another before an answer.
    fn may_apologise(&self, number: &str, customer: &str) -> bool {
        let to = format!("+{customer}");
        let sends = self
            .trace
            .entries
            .iter()
            .filter_map(|entry| if let Event::GraphSend(send) = &entry.fact { Some(send) } else { None });
        let is_theirs = |send: &&GraphSend| send.phone_number_id == number && send.to.as_ref() == Some(&to);
        sends.filter(is_theirs).rfind(|send| send.is_accepted()).is_none_or(|send| send.text() != Some(APOLOGY))
    }

    fn send(&mut self, chosen: usize, mut texts: Vec<String>, count: usize, whole: String) -> Stage {
        let (number, customer) = (self.conversations[chosen].number, self.conversations[chosen].customer);
        let Some(text) = texts.pop() else {
            let said: Vec<_> = self.conversations[chosen].waiting.drain(..count).collect();
            self.memory(chosen).extend([("user", said.join("\n")), ("assistant", whole)]);
            return Stage::Idle;
        };
        let decisions = [Decision::Accepted, Decision::AcceptedNoReply, Decision::Refused, Decision::Dropped];
        let decision = decisions[[0, 0, 0, 1, 2, 3][self.choose(6)]];
        match self.trace.send(number, customer, &text, decision) {
            // A refusal, or nothing: it is sent again. The sender of what was accepted hears of it, by a status at
            // the latest.
            None => texts.push(text),
            Some(wamid) if decision == Decision::Accepted && self.choose(3) == 1 => self.trace.withhold(&wamid, "sent"),
            Some(wamid) => self.trace.status(number, customer, &wamid, "sent", Some(200)),
        }
        Stage::Sending { texts, count, whole }
    }

    fn memory(&mut self, chosen: usize) -> &mut Vec<(&'static str, String)> {
        let (business, customer) = (owner(self.conversations[chosen].number), self.conversations[chosen].customer);
        self.memories.entry((business, customer)).or_default()
    }
}
