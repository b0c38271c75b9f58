//! From entries to a record: requests joined with their answers, texts looked through once.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use serde_json::Value;

use super::{
    Acceptance, Ask, Conversation, Moment, Person, Record, Send, Use,
    webhooks::{Names, messages, statuses},
};
use crate::{
    Tag,
    ai::ChatRequest,
    checker::{
        canary::{Canaries, Canary},
        piece::Piece,
        scenario::Scenario,
    },
    journal::{AiRequest, Entry, Event, GraphSend, Voices},
};

impl<'a> Record<'a> {
    /// Reads the entries of a journal, in its order.
    pub(in crate::checker) fn read<E: Borrow<Entry>>(entries: &'a [E], scenario: &'a Scenario) -> Self {
        let entries: Vec<(Moment, &'a Event)> = entries
            .iter()
            .enumerate()
            .map(|(place, entry)| {
                let entry = entry.borrow();
                (Moment { place, seq: entry.seq, ns: entry.mono_ns }, &entry.fact)
            })
            .collect();
        let names = Names::learn(&entries, scenario);
        let canaries = Canaries::planted(scenario, |customer| names.people.name(customer));
        let mut record = Self {
            scenario,
            canaries,
            messages: messages(&entries, &names),
            sends: Vec::new(),
            asks: Vec::new(),
            uses: Vec::new(),
            posts: 0,
            began_ns: entries.first().map_or(0, |(at, _)| at.ns),
            by_tag: HashMap::new(),
            accepted: BTreeMap::new(),
            reported: HashMap::new(),
            frozen: Vec::new(),
            owners: HashMap::new(),
        };
        for message in &record.messages {
            if let Some(tag) = message.tag {
                record.by_tag.entry(tag).or_default().push(*message);
            }
        }
        record.read_traffic(&entries, &names);
        record.index_accepted();
        record.reported = statuses(&entries);
        record.frozen = freezes(&entries, scenario);
        record.owners = names.owners;
        record
    }

    fn read_traffic(&mut self, entries: &[(Moment, &'a Event)], names: &Names<'a>) {
        // The positions of AI requests that are not answered yet.
        let mut open = HashMap::new();
        let mut voices = Voices::default();
        for (at, event) in entries {
            let at = *at;
            voices.learn(event);
            match event {
                Event::GraphRequest(request) => {
                    let number = request.path.split('/').next().unwrap_or_default();
                    let (request, credential) = (request.request, &request.credential);
                    self.uses.push(Use { at, request, number, credential });
                }
                Event::GraphRead(read) => {
                    let (request, number, credential) = (read.request, &*read.phone_number_id, &read.credential);
                    self.uses.push(Use { at, request, number, credential });
                }
                Event::GraphSend(send) => {
                    let (request, number, credential) = (send.request, &*send.phone_number_id, &send.credential);
                    self.uses.push(Use { at, request, number, credential });
                    self.sends.push(self.read_send(at, send, voices.words_of(send), names));
                }
                Event::AiRequest(request) => {
                    open.insert(request.request, self.asks.len());
                    self.asks.push(self.read_ask(at, request));
                }
                Event::AiAnswer(answer) => {
                    let ask = open.remove(&answer.request).and_then(|position| self.asks.get_mut(position));
                    // 200 without words, or with what is no JSON, is a failure to whoever asked.
                    if let (Some(ask), Some(200), Some(text)) = (ask, answer.http, &answer.text) {
                        ask.answer = Some(Piece::find_all(text).into_keys().collect());
                    }
                }
                Event::WebhookPost(_) => self.posts += 1,
                Event::GraphUpload(_) | Event::GraphAnswer(_) | Event::StatusWithheld(_) => {}
                Event::WebhookAnswer(_) | Event::AiSpeech(_) | Event::HostRequest(_) | Event::Mark(_) => {}
            }
        }
    }

    fn read_send(&self, at: Moment, send: &'a GraphSend, spoken: Option<&'a str>, names: &Names<'a>) -> Send<'a> {
        let conversation = Conversation { number: &send.phone_number_id, customer: names.people.name(send.customer()) };
        let person = names.person(conversation);
        let tenant = self.scenario.businesses.iter().find(|tenant| tenant.name == person.business);
        let words = send.words().or(spoken).unwrap_or_default();
        let is_apology = tenant.is_some_and(|tenant| tenant.apologies.iter().any(|apology| apology == words));
        let particulars = send.body.get(&send.message_type).unwrap_or(&Value::Null);
        let shown = strings(particulars).into_iter().chain(spoken);
        let all = strings(&send.body).into_iter().chain(spoken);
        Send {
            at,
            conversation,
            person,
            accepted: send.is_accepted(),
            wamid: send.wamid.as_deref().unwrap_or_default(),
            pieces: Piece::find_all(words),
            shown_tags: shown.flat_map(Tag::find_all).collect(),
            canaries: self.canaries.find(&all.collect::<Vec<_>>().join("\n")),
            is_apology,
            is_place: send.message_type == "location",
        }
    }

    fn read_ask(&self, at: Moment, request: &AiRequest) -> Ask<'a> {
        let is_chat = request.endpoint == "chat";
        let newest = if is_chat { newest_words(request) } else { String::new() };
        let asked = BTreeSet::from_iter(Tag::find_all(&newest));
        let all = strings(&request.body).join("\n");
        let (tags, canaries) = (Tag::find_all(&all).into_iter().collect(), self.canaries.find(&all));
        let about = self.about(if asked.is_empty() { &tags } else { &asked }, &canaries);
        Ask { at, is_chat, newest, asked, tags, canaries, about, answer: None }
    }

    /// The customers who wrote all these tags. Where that leaves a choice, the planted secret decides; where nobody
    /// wrote all of them, the first tag does, and the others are foreign.
    fn about(&self, tags: &BTreeSet<Tag>, canaries: &BTreeSet<Canary<'a>>) -> BTreeSet<Person<'a>> {
        let writers = |tag: &Tag| self.written(*tag).iter().map(|message| message.person).collect::<BTreeSet<_>>();
        let mut known = tags.iter().map(writers).filter(|writers| !writers.is_empty());
        let Some(first) = known.next() else { return BTreeSet::new() };
        let all = known.fold(first.clone(), |all, writers| &all & &writers);
        let all = if all.is_empty() { first } else { all };
        let spoken_for = |person: &&Person<'a>| canaries.contains(&Canary::Business(person.business));
        let decided: BTreeSet<_> = all.iter().filter(spoken_for).copied().collect();
        if decided.is_empty() { all } else { decided }
    }

    fn index_accepted(&mut self) {
        for send in self.sends.iter().filter(|send| send.accepted) {
            for (piece, offset) in &send.pieces {
                let answer = self.accepted.entry((send.conversation, piece.tag)).or_default();
                let acceptance = Acceptance { at: send.at, offset: *offset, wamid: send.wamid };
                answer.entry(piece.number).or_default().push(acceptance);
            }
        }
    }
}

/// The times in which at least one process was frozen, for each kind of mark on its own.
fn freezes(entries: &[(Moment, &Event)], scenario: &Scenario) -> Vec<(Moment, Moment)> {
    let mut frozen = Vec::new();
    for marks in &scenario.freezes {
        let (mut since, mut depth) = (None, 0_usize);
        for (at, event) in entries {
            let Event::Mark(mark) = event else { continue };
            if mark.name == marks.begin {
                since.get_or_insert(*at);
                depth += 1;
            } else if mark.name == marks.end {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    frozen.extend(since.take().map(|since| (since, *at)));
                }
            }
        }
        // One that never ends lasts beyond every entry.
        let forever = Moment { place: usize::MAX, seq: u64::MAX, ns: u64::MAX };
        frozen.extend(since.map(|since| (since, forever)));
    }
    frozen
}

/// The newest user message, as a responder of the stand-in sees it.
fn newest_words(request: &AiRequest) -> String {
    let (model, credential, body) = (String::new(), request.credential.clone(), request.body.clone());
    ChatRequest { number: 0, model, credential, body }.last_user()
}

/// All texts in a JSON value, in its order.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}
