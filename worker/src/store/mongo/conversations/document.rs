//! The stored form of a conversation.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{DateTime, Document, deserialize_from_document};
use serde::Deserialize;
use shared::{
    ids::{MessageId, PhoneNumberId, SessionId, Subdomain, UserId, WaId},
    trace::TraceParent,
};

use super::super::{corrupt, from_bson};
use crate::{
    conversation::{
        BusinessId, Customer, Fact, HandOverReason, MailboxItem, Minute, Notice, PartState, Remembered, ReplyKind,
        Speaker,
        state::{
            Answered, LastError, LastLand, LastReply, Lease, OutboxRecord, PartRecord, State, Try, Verdict, Waiting,
            WaitsFor,
        },
    },
    store::Result,
};

/// Reads a document, or as much of it as was asked for.
pub(super) fn read(document: Document) -> Result<State> {
    let stored: ConversationDocument = deserialize_from_document(document).map_err(corrupt("conversation"))?;
    Ok(stored.into())
}

#[derive(Deserialize)]
struct ConversationDocument {
    #[serde(rename = "_id")]
    id: SessionId,
    business_id: BusinessId,
    subdomain: Option<String>,
    #[serde(default)]
    customer: CustomerDocument,
    #[serde(default)]
    mailbox: Vec<ItemDocument>,
    #[serde(default)]
    answered: Vec<AnsweredDocument>,
    answered_floor: Option<DateTime>,
    first_landed_at: Option<DateTime>,
    last_landed_at: Option<DateTime>,
    due_at: Option<DateTime>,
    retry_at: Option<DateTime>,
    #[serde(default)]
    attempts: u32,
    last_error: Option<LastErrorDocument>,
    #[serde(default)]
    epoch: i64,
    lease: Option<LeaseDocument>,
    #[serde(default)]
    takeovers: u32,
    ai_failing_since: Option<DateTime>,
    apologised_at: Option<DateTime>,
    outbox: Option<OutboxDocument>,
    last_reply: Option<LastReplyDocument>,
    #[serde(default)]
    memory: MemoryDocument,
    handed_over_until: Option<DateTime>,
    opted_out_at: Option<DateTime>,
    minute: Option<MinuteDocument>,
    limited_until: Option<DateTime>,
    #[serde(default)]
    notices: Vec<NoticeDocument>,
    #[serde(default)]
    windows: BTreeMap<PhoneNumberId, DateTime>,
    #[serde(default)]
    buckets: BTreeMap<PhoneNumberId, DateTime>,
    waits_for: Option<WaitsForDocument>,
    last_land: Option<LastLandDocument>,
    set_aside_at: Option<DateTime>,
    merged_into: Option<SessionId>,
}

#[derive(Deserialize, Default)]
struct CustomerDocument {
    wa_id: Option<WaId>,
    user_id: Option<UserId>,
    name: Option<String>,
    language: Option<String>,
}

#[derive(Deserialize)]
struct ItemDocument {
    id: MessageId,
    phone_number_id: PhoneNumberId,
    timestamp: DateTime,
    received_at: DateTime,
    #[serde(default)]
    index: u32,
    landed_at: DateTime,
    message: Option<String>,
    resend_of: Option<MessageId>,
    trace: Option<String>,
}

#[derive(Deserialize)]
struct AnsweredDocument {
    id: MessageId,
    phone_number_id: PhoneNumberId,
    timestamp: DateTime,
}

#[derive(Deserialize)]
struct LastErrorDocument {
    reason: String,
    detail: String,
    at: DateTime,
}

#[derive(Deserialize)]
struct LeaseDocument {
    worker: String,
    epoch: i64,
    #[serde(default)]
    nonce: i64,
    taken_at: DateTime,
    until: DateTime,
    #[serde(default)]
    taken_over: bool,
}

#[derive(Deserialize)]
struct OutboxDocument {
    reply_id: String,
    kind: Option<ReplyKind>,
    /// What older documents have in place of a kind.
    #[serde(default)]
    apology: bool,
    phone_number_id: PhoneNumberId,
    answers: Vec<MessageId>,
    parts: Vec<PartDocument>,
    /// JSON text; older documents have none.
    aftermath: Option<String>,
    trace: Option<String>,
}

#[derive(Deserialize)]
struct PartDocument {
    n: usize,
    body: String,
    /// JSON text; none for plain text.
    form: Option<String>,
    state: PartState,
    wamid: Option<MessageId>,
    #[serde(default)]
    tries: Vec<TryDocument>,
    #[serde(default)]
    not_sent: u32,
}

#[derive(Deserialize)]
struct TryDocument {
    n: u32,
    at: DateTime,
}

#[derive(Deserialize)]
struct LastReplyDocument {
    id: String,
    #[serde(default)]
    resent: BTreeSet<usize>,
}

#[derive(Deserialize, Default)]
struct MemoryDocument {
    #[serde(default)]
    turns: Vec<TurnDocument>,
    summary: Option<String>,
    #[serde(default)]
    facts: Vec<FactDocument>,
}

#[derive(Deserialize)]
struct FactDocument {
    id: String,
    text: String,
    at: DateTime,
}

#[derive(Deserialize)]
struct TurnDocument {
    speaker: Speaker,
    text: String,
    at: DateTime,
}

#[derive(Deserialize)]
struct NoticeDocument {
    id: String,
    reason: HandOverReason,
    at: DateTime,
    #[serde(default)]
    tries: u32,
    try_at: DateTime,
}

#[derive(Deserialize)]
struct WaitsForDocument {
    token: String,
}

#[derive(Deserialize)]
struct MinuteDocument {
    began_at: DateTime,
    messages: u32,
}

#[derive(Deserialize)]
struct LastLandDocument {
    verdict: Verdict,
    at: DateTime,
}

impl From<ConversationDocument> for State {
    fn from(stored: ConversationDocument) -> Self {
        let by_number = |times: BTreeMap<PhoneNumberId, DateTime>| {
            times.into_iter().map(|(number, time)| (number, from_bson(time))).collect()
        };
        Self {
            id: stored.id,
            business_id: stored.business_id,
            subdomain: stored.subdomain.and_then(|text| Subdomain::parse(&text).ok()),
            customer: stored.customer.into(),
            mailbox: stored.mailbox.into_iter().map(Waiting::from).collect(),
            answered: stored.answered.into_iter().map(Answered::from).collect(),
            answered_floor: stored.answered_floor.map(from_bson),
            first_landed_at: stored.first_landed_at.map(from_bson),
            last_landed_at: stored.last_landed_at.map(from_bson),
            due_at: stored.due_at.map(from_bson),
            retry_at: stored.retry_at.map(from_bson),
            attempts: stored.attempts,
            last_error: stored.last_error.map(LastError::from),
            epoch: stored.epoch,
            lease: stored.lease.map(Lease::from),
            takeovers: stored.takeovers,
            ai_failing_since: stored.ai_failing_since.map(from_bson),
            apologised_at: stored.apologised_at.map(from_bson),
            outbox: stored.outbox.map(OutboxRecord::from),
            last_reply: stored.last_reply.map(|last| LastReply { id: last.id, resent: last.resent }),
            memory: stored.memory.turns.into_iter().map(Remembered::from).collect(),
            summary: stored.memory.summary,
            facts: stored.memory.facts.into_iter().map(Fact::from).collect(),
            handed_over_until: stored.handed_over_until.map(from_bson),
            opted_out_at: stored.opted_out_at.map(from_bson),
            minute: stored
                .minute
                .map(|minute| Minute { began_at: from_bson(minute.began_at), messages: minute.messages }),
            limited_until: stored.limited_until.map(from_bson),
            notices: stored.notices.into_iter().map(Notice::from).collect(),
            windows: by_number(stored.windows),
            buckets: by_number(stored.buckets),
            waits_for: stored.waits_for.map(|waits_for| WaitsFor { token: waits_for.token }),
            last_land: stored.last_land.map(|last| LastLand { verdict: last.verdict, at: from_bson(last.at) }),
            set_aside_at: stored.set_aside_at.map(from_bson),
            merged_into: stored.merged_into,
        }
    }
}

/// One that cannot be read costs a trace, not the conversation.
fn trace(stored: Option<String>) -> Option<TraceParent> {
    stored?.parse().ok()
}

impl From<CustomerDocument> for Customer {
    fn from(stored: CustomerDocument) -> Self {
        Self { wa_id: stored.wa_id, user_id: stored.user_id, name: stored.name, language: stored.language }
    }
}

impl From<ItemDocument> for Waiting {
    fn from(stored: ItemDocument) -> Self {
        let item = MailboxItem {
            id: stored.id,
            phone_number_id: stored.phone_number_id,
            timestamp: from_bson(stored.timestamp),
            received_at: from_bson(stored.received_at),
            index: stored.index,
            message: stored.message,
            resend_of: stored.resend_of,
            trace: trace(stored.trace),
        };
        Self { item, landed_at: from_bson(stored.landed_at) }
    }
}

impl From<AnsweredDocument> for Answered {
    fn from(stored: AnsweredDocument) -> Self {
        Self { id: stored.id, phone_number_id: stored.phone_number_id, timestamp: from_bson(stored.timestamp) }
    }
}

impl From<LastErrorDocument> for LastError {
    fn from(stored: LastErrorDocument) -> Self {
        Self { reason: stored.reason, detail: stored.detail, at: from_bson(stored.at) }
    }
}

impl From<LeaseDocument> for Lease {
    fn from(stored: LeaseDocument) -> Self {
        let (taken_at, until) = (from_bson(stored.taken_at), from_bson(stored.until));
        let LeaseDocument { worker, epoch, nonce, taken_over, .. } = stored;
        Self { worker, epoch, nonce, taken_at, until, taken_over }
    }
}

impl From<OutboxDocument> for OutboxRecord {
    fn from(stored: OutboxDocument) -> Self {
        Self {
            reply_id: stored.reply_id,
            kind: stored.kind.unwrap_or(if stored.apology { ReplyKind::Apology } else { ReplyKind::Answer }),
            phone_number_id: stored.phone_number_id,
            answers: stored.answers,
            parts: stored.parts.into_iter().map(PartRecord::from).collect(),
            // One that a newer worker wrote otherwise changes nothing; the reply itself goes on.
            aftermath: stored.aftermath.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
            trace: trace(stored.trace),
        }
    }
}

impl From<PartDocument> for PartRecord {
    fn from(stored: PartDocument) -> Self {
        Self {
            n: stored.n,
            body: stored.body,
            form: stored.form.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
            state: stored.state,
            wamid: stored.wamid,
            tries: stored.tries.into_iter().map(|one| Try { n: one.n, at: from_bson(one.at) }).collect(),
            not_sent: stored.not_sent,
        }
    }
}

impl From<NoticeDocument> for Notice {
    fn from(stored: NoticeDocument) -> Self {
        let (at, try_at) = (from_bson(stored.at), from_bson(stored.try_at));
        Self { id: stored.id, reason: stored.reason, at, tries: stored.tries, try_at }
    }
}

impl From<FactDocument> for Fact {
    fn from(stored: FactDocument) -> Self {
        Self { id: stored.id, text: stored.text, at: from_bson(stored.at) }
    }
}

impl From<TurnDocument> for Remembered {
    fn from(stored: TurnDocument) -> Self {
        Self { speaker: stored.speaker, text: stored.text, at: from_bson(stored.at) }
    }
}
