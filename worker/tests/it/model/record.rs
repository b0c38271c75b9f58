//! The record of a run in virtual time, as the judge reads it.

use jiff::Timestamp;
use serde_json::json;
use simulator::{
    Tag,
    journal::{
        AiAnswer, AiRequest, Credential, Decision, Entry, Event, GraphSend, Update, UpdateKind, WebhookAnswer,
        WebhookPost,
    },
};
use worker::{turn::machine::Sending, whatsapp::Callback};

pub(super) const NUMBER: &str = "100100100100";
pub(super) const CUSTOMER: &str = "4915110000001";

/// What reached Meta and the AI, and what Meta posted.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) entries: Vec<Entry>,
}

impl Record {
    /// Meta posts a message, and it is acknowledged.
    pub(super) fn posted(&mut self, now: Timestamp, id: &str, text: &str) {
        let post = self.entries.len() as u64;
        let update = Update {
            update: UpdateKind::Message,
            id: id.to_owned(),
            phone_number_id: Some(NUMBER.to_owned()),
            customer: Some(CUSTOMER.to_owned()),
            user_id: None,
            status: None,
            text: Some(text.to_owned()),
        };
        let body_id = format!("body-{post}");
        self.push(now, Event::WebhookPost(WebhookPost { post, body_id, attempt: 1, updates: vec![update] }));
        self.push(now, Event::WebhookAnswer(WebhookAnswer { post, http: Some(200), error: None }));
    }

    /// The AI is asked, and answers.
    pub(super) fn asked(&mut self, now: Timestamp, about: &str, answer: &str) {
        let request = self.entries.len() as u64;
        let body = json!({"messages": [{"role": "user", "content": about}]});
        let credential = Credential::Of("ai".to_owned());
        let (endpoint, model) = ("chat".to_owned(), None);
        self.push(now, Event::AiRequest(AiRequest { request, endpoint, credential, model, body }));
        let text = Some(answer.to_owned());
        self.push(now, Event::AiAnswer(AiAnswer { request, http: Some(200), text, elapsed_ms: 0, abandoned: false }));
    }

    /// A message reached Meta.
    pub(super) fn sent(&mut self, now: Timestamp, sending: &Sending, decision: Decision, wamid: Option<&str>) {
        let callback = Callback {
            session: shared::ids::SessionId::from_stored("acme:4915110000001"),
            reply_id: sending.reply_id.clone(),
            part: sending.part,
            attempt: sending.attempt,
        };
        let send = GraphSend {
            request: self.entries.len() as u64,
            phone_number_id: sending.from.expose().to_owned(),
            business: Some("acme".to_owned()),
            credential: Credential::Of("acme".to_owned()),
            to: Some(format!("+{CUSTOMER}")),
            recipient: None,
            message_type: "text".to_owned(),
            context_id: None,
            opaque: Some(callback.encode()),
            body: json!({"text": {"body": sending.body}}),
            decision,
            wamid: wamid.map(str::to_owned),
            code: None,
            fault: None,
        };
        self.push(now, Event::GraphSend(send));
    }

    fn push(&mut self, now: Timestamp, fact: Event) {
        let seq = self.entries.len() as u64;
        let mono_ns = u64::try_from(now.as_millisecond()).expect("after 1970") * 1_000_000 + seq;
        self.entries.push(Entry { seq, mono_ns, wall: now, fact });
    }
}

/// The tags of a text, as the judged companion names them.
pub(super) fn answer_to(text: &str) -> String {
    Tag::find_all(text).iter().fold("ANS".to_owned(), |answer, tag| format!("{answer} {tag}"))
}
