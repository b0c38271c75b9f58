//! A journal written by hand, in virtual time: what the stand-ins would have recorded.

use serde_json::{Value, json};
use simulator::{
    Tag,
    ai::{ChatReply, ChatRequest},
    checker::{Scenario, Tenant, answer},
    journal::{
        AiAnswer, AiRequest, AiSpeech, Credential, Decision, Entry, Event, GraphAnswer, GraphRequest, GraphSend,
        GraphUpload, Mark, StatusWithheld, Update, UpdateKind, WebhookAnswer, WebhookPost,
    },
};

pub(super) const APOLOGY: &str = "Sorry, not right now.";
pub(super) const ANA: &str = "4915100000001";
pub(super) const BEA: &str = "4915100000002";
const STEP_NS: u64 = 10_000_000;

/// The businesses of every trace. `acme` has two numbers.
pub(super) const NUMBERS: [(&str, &str); 4] = [("acme", "1001"), ("acme", "1002"), ("bolt", "2002"), ("corn", "3003")];

pub(super) fn owner(number: &str) -> &'static str {
    NUMBERS.iter().find(|(_, known)| *known == number).expect("a number of the trace").0
}

pub(super) fn scenario() -> Scenario {
    let tenant = |name: &str, number: &str| {
        Tenant::new(name, number).with_canary(format!("canary-of-{name}")).apologising(APOLOGY)
    };
    Scenario::of([tenant("acme", "1001").and_number("1002"), tenant("bolt", "2002"), tenant("corn", "3003")])
        .telling("told-by-ana", "acme", ANA)
        .telling("told-by-bea", "acme", BEA)
}

/// A customer's message as the journal shows it. No text, no tag: a sticker.
pub(super) fn message(number: &str, customer: &str, id: &str, text: Option<&str>) -> Update {
    Update {
        update: UpdateKind::Message,
        id: id.to_owned(),
        phone_number_id: Some(number.to_owned()),
        customer: Some(customer.to_owned()),
        user_id: None,
        status: None,
        text: text.map(str::to_owned),
    }
}

/// What the worker would ask: its persona, what was said before, what is to be answered.
pub(super) fn prompt(number: &str, memory: &[(&str, String)], said: &str) -> Value {
    let owner = owner(number);
    let system = json!({"role": "system", "content": format!("You write for {owner}. (canary-of-{owner})")});
    let said = ("user", said.to_owned());
    let lines = memory.iter().chain([&said]).map(|(role, content)| json!({"role": role, "content": content}));
    let messages: Vec<Value> = std::iter::once(system).chain(lines).collect();
    json!({"model": "m", "messages": messages})
}

/// What the companion of judged runs answers to it.
pub(super) fn answer_to(body: &Value) -> String {
    let (model, credential) = (String::new(), Credential::Missing);
    let request = ChatRequest { number: 0, model, credential, body: body.clone() };
    let ChatReply::Text(text) = answer(&request) else { panic!("the companion always answers in words") };
    text
}

fn entry(seq: u64, fact: Event) -> Entry {
    Entry { seq, mono_ns: 1_000_000_000 + seq * STEP_NS, wall: jiff::Timestamp::UNIX_EPOCH, fact }
}

/// The entries, and what the next one is numbered.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    pub(super) entries: Vec<Entry>,
    numbers: u64,
}

impl Trace {
    /// Appends an event, 10 ms after the one before.
    pub(super) fn record(&mut self, fact: Event) {
        self.entries.push(entry(self.entries.len() as u64, fact));
    }

    /// Gives all entries new places and times, after some were moved.
    pub(super) fn restamp(&mut self) {
        self.entries =
            std::mem::take(&mut self.entries).into_iter().zip(0..).map(|(old, seq)| entry(seq, old.fact)).collect();
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A post of a body and its answer; the same updates make the same body.
    pub(super) fn post(&mut self, updates: &[Update], http: Option<u16>) {
        let (post, updates) = (self.number(), updates.to_vec());
        let body_id = updates.iter().map(|update| update.id.as_str()).collect::<Vec<_>>().join("+");
        self.record(Event::WebhookPost(WebhookPost { post, body_id, attempt: 1, updates }));
        let error = http.is_none().then(|| "connection closed".to_owned());
        self.record(Event::WebhookAnswer(WebhookAnswer { post, http, error }));
    }

    /// A text with this tag, taken with 200. Its id is its tag.
    pub(super) fn write(&mut self, number: &str, customer: &str, tag: u64, words: &str) {
        let text = format!("{} {words}", Tag(tag));
        self.post(&[message(number, customer, &format!("wamid.{tag}"), Some(&text))], Some(200));
    }

    /// A chat request; gives its number.
    pub(super) fn ask(&mut self, body: &Value) -> u64 {
        let (request, body, model) = (self.number(), body.clone(), Some("m".to_owned()));
        let (endpoint, credential) = ("chat".to_owned(), Credential::Of("key".to_owned()));
        self.record(Event::AiRequest(AiRequest { request, endpoint, credential, model, body }));
        request
    }

    /// The answer to a chat request.
    pub(super) fn reply(&mut self, request: u64, http: Option<u16>, text: Option<String>) {
        let abandoned = http.is_none();
        self.record(Event::AiAnswer(AiAnswer { request, http, text, elapsed_ms: 10, abandoned }));
    }

    /// A chat that is answered with 200; gives the answer.
    pub(super) fn chat(&mut self, number: &str, memory: &[(&str, String)], said: &str) -> String {
        let body = prompt(number, memory, said);
        let (request, text) = (self.ask(&body), answer_to(&body));
        self.reply(request, Some(200), Some(text.clone()));
        text
    }

    /// A message to a customer, with the token of the number's business; gives its id, where it is accepted.
    pub(super) fn send(&mut self, number: &str, customer: &str, text: &str, decision: Decision) -> Option<String> {
        self.send_of(number, customer, "text", &json!({"body": text}), decision)
    }

    /// The same, of a message of any type.
    pub(super) fn send_of(
        &mut self,
        number: &str,
        customer: &str,
        kind: &str,
        particulars: &Value,
        decision: Decision,
    ) -> Option<String> {
        let (request, credential) = (self.number(), Credential::Of(owner(number).to_owned()));
        let (method, path) = ("POST".to_owned(), format!("{number}/messages"));
        let proof = None;
        self.record(Event::GraphRequest(GraphRequest { request, method, path, credential: credential.clone(), proof }));
        let accepted = matches!(decision, Decision::Accepted | Decision::AcceptedNoReply);
        let wamid = accepted.then(|| format!("wamid.out.{request}"));
        let is_user = customer.contains('.');
        self.record(Event::GraphSend(GraphSend {
            request,
            phone_number_id: number.to_owned(),
            business: Some(owner(number).to_owned()),
            credential,
            to: (!is_user).then(|| format!("+{customer}")),
            recipient: is_user.then(|| customer.to_owned()),
            message_type: kind.to_owned(),
            context_id: None,
            opaque: None,
            body: json!({"to": customer, "type": kind, kind: particulars}),
            decision,
            wamid: wamid.clone(),
            code: (decision == Decision::Refused).then_some(130_429),
            fault: None,
        }));
        let http = (decision == Decision::Accepted).then_some(200);
        self.record(Event::GraphAnswer(GraphAnswer { request, http, code: None }));
        wamid
    }

    /// A text that is spoken and uploaded; gives the id of the file, whose SHA-256 this is.
    pub(super) fn speak(&mut self, number: &str, text: &str, sha256: &str) -> String {
        let (request, endpoint, credential) = (self.number(), "speech".to_owned(), Credential::Of("key".to_owned()));
        let body = json!({"text": text, "voice_id": "voice-1"});
        self.record(Event::AiRequest(AiRequest { request, endpoint, credential, model: None, body }));
        let (mime_type, sha256) = ("audio/ogg".to_owned(), sha256.to_owned());
        self.record(Event::AiSpeech(AiSpeech {
            request,
            mime_type: mime_type.clone(),
            bytes: 99,
            sha256: sha256.clone(),
        }));
        self.reply(request, Some(200), None);
        let (request, media_id) = (self.number(), format!("media-{request}"));
        self.record(Event::GraphUpload(GraphUpload {
            request,
            phone_number_id: number.to_owned(),
            business: Some(owner(number).to_owned()),
            credential: Credential::Of(owner(number).to_owned()),
            media_id: media_id.clone(),
            mime_type,
            bytes: 99,
            sha256,
        }));
        media_id
    }

    /// A message that is accepted, and its statuses arrive.
    pub(super) fn answer(&mut self, number: &str, customer: &str, text: &str) {
        let wamid = self.send(number, customer, text, Decision::Accepted).expect("accepted");
        self.status(number, customer, &wamid, "sent", Some(200));
        self.status(number, customer, &wamid, "delivered", Some(200));
    }

    /// A status, posted and answered like this.
    pub(super) fn status(&mut self, number: &str, customer: &str, wamid: &str, status: &str, http: Option<u16>) {
        let update = Update {
            update: UpdateKind::Status,
            status: Some(status.to_owned()),
            ..message(number, customer, wamid, None)
        };
        self.post(&[update], http);
    }

    /// A status that nobody hears of.
    pub(super) fn withhold(&mut self, wamid: &str, status: &str) {
        let (wamid, status) = (wamid.to_owned(), status.to_owned());
        self.record(Event::StatusWithheld(StatusWithheld { wamid, status }));
    }

    pub(super) fn mark(&mut self, name: &str) {
        self.record(Event::Mark(Mark { name: name.to_owned(), fields: Value::Null }));
    }
}
