//! Messages to customers and read receipts: checked as Meta checks them, recorded, answered.
//!
//! What a type demands of its particulars is the affair of `content`, `interactive` and `attachment`. Nothing is ever
//! deduplicated: the same request twice is two messages, as at Meta.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Fault, Refusal, State,
    call::{Request, Target},
    content::{check_content, missing, text},
    kinds::Kind,
    routes::Answer,
    statuses::Accepted,
};
use crate::{
    Customer,
    journal::{Credential, Decision, Event, GraphRead, GraphSend},
};

const MAX_OPAQUE_CHARS: usize = 512;

impl State {
    pub(super) fn messages(
        self: &Arc<Self>,
        request: u64,
        phone_number_id: &str,
        who: &Credential,
        body: Value,
        fault: Option<&Fault>,
    ) -> Answer {
        if text(&body, "status") == Some("read") {
            return self.read_receipt(request, phone_number_id, who, &body, fault);
        }
        let mut send = self.send(request, phone_number_id, who, body);
        send.fault = fault.map(|fault| fault.name().to_owned());
        let answer = match fault.and_then(Fault::instead) {
            Some(instead) => Err(instead),
            None => self.check(&send).map_err(Answer::Refused),
        };
        match answer {
            Ok(()) => self.accept(send, fault),
            Err(answer) => {
                send.decision = if matches!(answer, Answer::HangUp) { Decision::Dropped } else { Decision::Refused };
                send.code = if let Answer::Refused(refusal) = &answer { Some(refusal.code) } else { None };
                self.options.journal.record(Event::GraphSend(send));
                answer
            }
        }
    }

    fn accept(self: &Arc<Self>, mut send: GraphSend, fault: Option<&Fault>) -> Answer {
        let wamid = self.ids.next(send.customer());
        let lost = matches!(fault, Some(Fault::AcceptThenDrop));
        send.decision = if lost { Decision::AcceptedNoReply } else { Decision::Accepted };
        send.wamid = Some(wamid.clone());
        let (input, known_as) = match &send.to {
            Some(to) => (to.clone(), "wa_id"),
            None => (send.customer().to_owned(), "user_id"),
        };
        let accepted = self.accepted(&send, &wamid);
        let contact = json!({"input": input, known_as: send.customer()});
        // Recorded before a status of it can be.
        self.options.journal.record(Event::GraphSend(send));
        self.report_back(accepted, fault);
        Answer::Json(json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": wamid}]}))
    }

    /// A message that was accepted under this id, as its statuses will tell of it.
    pub(super) fn accepted(&self, send: &GraphSend, wamid: &str) -> Accepted {
        let customer = match &send.to {
            Some(_) => Customer {
                wa_id: Some(send.customer().to_owned()),
                user_id: self.registry.user_id(send.customer()),
                name: None,
                username: None,
            },
            None => Customer { name: None, ..Customer::hidden(send.customer()) },
        };
        Accepted {
            wamid: wamid.to_owned(),
            phone_number_id: send.phone_number_id.clone(),
            customer,
            message_type: send.message_type.clone(),
            opaque: send.opaque.clone(),
        }
    }

    fn read_receipt(
        &self,
        request: u64,
        phone_number_id: &str,
        who: &Credential,
        body: &Value,
        fault: Option<&Fault>,
    ) -> Answer {
        if let Some(instead) = fault.and_then(Fault::instead) {
            return instead;
        }
        let Some(message_id) = text(body, "message_id").filter(|id| !id.is_empty()) else {
            return Answer::Refused(missing("message_id"));
        };
        let typing = body.get("typing_indicator");
        if typing.is_some_and(|typing| text(typing, "type") != Some("text")) {
            return Answer::Refused(Refusal::code(131_009).details("typing_indicator['type'] must be text"));
        }
        self.options.journal.record(Event::GraphRead(GraphRead {
            request,
            phone_number_id: phone_number_id.to_owned(),
            business: self.registry.business(phone_number_id).map(|business| business.name),
            credential: who.clone(),
            message_id: message_id.to_owned(),
            typing: typing.is_some(),
        }));
        Answer::Json(json!({"success": true}))
    }

    /// A message whose request was not let in is recorded too: use of another business's token must show.
    pub(super) fn record_refused_send(&self, request: &Request, who: &Credential, body: &Value, refusal: &Refusal) {
        if let Target::Messages(id) = &request.target
            && text(body, "status") != Some("read")
        {
            let send = self.send(request.number, id, who, body.clone());
            self.options.journal.record(Event::GraphSend(GraphSend { code: Some(refusal.code), ..send }));
        }
    }

    fn send(&self, request: u64, phone_number_id: &str, who: &Credential, body: Value) -> GraphSend {
        let own = |key| text(&body, key).filter(|value| !value.is_empty()).map(str::to_owned);
        GraphSend {
            request,
            phone_number_id: phone_number_id.to_owned(),
            business: self.registry.business(phone_number_id).map(|business| business.name),
            credential: who.clone(),
            to: own("to"),
            recipient: own("recipient"),
            message_type: own("type").unwrap_or_else(|| "text".to_owned()),
            context_id: body.pointer("/context/message_id").and_then(Value::as_str).map(str::to_owned),
            opaque: own("biz_opaque_callback_data"),
            decision: Decision::Refused,
            wamid: None,
            code: None,
            fault: None,
            body,
        }
    }

    /// What Meta refuses, in its order: the product, the recipient, the type, the particulars.
    fn check(&self, send: &GraphSend) -> Result<(), Refusal> {
        if text(&send.body, "messaging_product") != Some("whatsapp") {
            return Err(missing("messaging_product"));
        }
        check_recipient(send)?;
        if let Some(opaque) = send.body.get("biz_opaque_callback_data") {
            let fits = opaque.as_str().is_some_and(|text| text.chars().count() <= MAX_OPAQUE_CHARS);
            fits.then_some(()).ok_or_else(|| {
                Refusal::code(100).message("Param biz_opaque_callback_data must be a string of at most 512 characters")
            })?;
        }
        let kind = send.message_type.as_str();
        if !TYPES.contains(&kind) {
            return Err(Refusal::code(100).message(format!("Param type must be one of {{{}}}", TYPES.join(", "))));
        }
        let particulars = send.body.get(kind).filter(|value| !value.is_null());
        let Some(particulars) = particulars else {
            return Err(Refusal::code(131_008).details(format!("Parameter '{kind}' is mandatory for type '{kind}'")));
        };
        match Kind::of_message(kind) {
            Some(file) => self.check_attachment(&send.phone_number_id, kind, file, particulars),
            None => check_content(kind, particulars),
        }
    }
}

const TYPES: &[&str] = &[
    "audio",
    "contacts",
    "document",
    "image",
    "interactive",
    "location",
    "reaction",
    "sticker",
    "template",
    "text",
    "video",
];

fn check_recipient(send: &GraphSend) -> Result<(), Refusal> {
    let is_group = text(&send.body, "recipient_type") == Some("group");
    match (&send.to, &send.recipient) {
        (None, None) => Err(missing("to")),
        (Some(_), _) if is_group => Ok(()),
        (Some(to), _) => {
            let digits = to.strip_prefix('+').unwrap_or(to);
            let is_number = (5..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            is_number
                .then_some(())
                .ok_or_else(|| Refusal::code(131_009).details("Recipient is not a valid phone number"))
        }
        (None, Some(recipient)) => {
            let valid = shared::ids::UserId::parse(recipient).map(drop);
            valid.map_err(|_| Refusal::code(131_009).details("Recipient is not a valid business-scoped user id"))
        }
    }
}
