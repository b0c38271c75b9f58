//! The stored form of a conversation, as far as a turn needs it.

use mongodb::bson::{DateTime, Document, deserialize_from_document};
use serde::Deserialize;
use shared::ids::{MessageId, PhoneNumberId, SessionId, Subdomain, UserId, WaId};

use super::super::{Result, corrupt, from_bson};
use crate::conversation::{
    BusinessId, Conversation, Customer, MailboxItem, MemoryTurn, Outbox, Part, PartState, ReplyKind, Speaker,
    sort_by_customers_order,
};

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
    outbox: Option<OutboxDocument>,
    #[serde(default)]
    memory: MemoryDocument,
    #[serde(default)]
    attempts: u32,
    #[serde(default)]
    takeovers: u32,
    ai_failing_since: Option<DateTime>,
    apologised_at: Option<DateTime>,
    handed_over_until: Option<DateTime>,
    lease: LeaseDocument,
}

#[derive(Deserialize)]
struct LeaseDocument {
    epoch: i64,
    taken_at: DateTime,
}

#[derive(Deserialize, Default)]
struct CustomerDocument {
    wa_id: Option<WaId>,
    user_id: Option<UserId>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct ItemDocument {
    id: MessageId,
    phone_number_id: PhoneNumberId,
    timestamp: DateTime,
    received_at: DateTime,
    #[serde(default)]
    index: u32,
    message: Option<String>,
}

#[derive(Deserialize)]
struct OutboxDocument {
    reply_id: String,
    #[serde(default)]
    apology: bool,
    phone_number_id: PhoneNumberId,
    answers: Vec<MessageId>,
    parts: Vec<PartDocument>,
}

#[derive(Deserialize)]
struct PartDocument {
    body: String,
    state: StoredState,
    wamid: Option<MessageId>,
    #[serde(default)]
    tries: Vec<TryDocument>,
}

#[derive(Deserialize)]
struct TryDocument {
    at: DateTime,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredState {
    Waiting,
    Sending,
    Sent,
}

#[derive(Deserialize, Default)]
struct MemoryDocument {
    #[serde(default)]
    turns: Vec<TurnDocument>,
}

#[derive(Deserialize)]
struct TurnDocument {
    speaker: Speaker,
    text: String,
}

/// A claimed conversation and the epoch of its lease.
pub(super) fn read(document: Document) -> Result<(Conversation, i64)> {
    let stored: ConversationDocument = deserialize_from_document(document).map_err(corrupt("conversation"))?;
    let mut mailbox: Vec<MailboxItem> = stored.mailbox.into_iter().map(MailboxItem::from).collect();
    sort_by_customers_order(&mut mailbox);
    let conversation = Conversation {
        id: stored.id,
        business_id: stored.business_id,
        subdomain: stored.subdomain.and_then(|text| Subdomain::parse(&text).ok()),
        customer: Customer {
            wa_id: stored.customer.wa_id,
            user_id: stored.customer.user_id,
            name: stored.customer.name,
        },
        mailbox,
        outbox: stored.outbox.map(Outbox::from),
        turns: stored.memory.turns.into_iter().map(|t| MemoryTurn { speaker: t.speaker, text: t.text }).collect(),
        attempts: stored.attempts,
        takeovers: stored.takeovers,
        ai_failing_since: stored.ai_failing_since.map(from_bson),
        apologised_at: stored.apologised_at.map(from_bson),
        handed_over_until: stored.handed_over_until.map(from_bson),
        claimed_at: from_bson(stored.lease.taken_at),
    };
    Ok((conversation, stored.lease.epoch))
}

impl From<ItemDocument> for MailboxItem {
    fn from(stored: ItemDocument) -> Self {
        Self {
            id: stored.id,
            phone_number_id: stored.phone_number_id,
            timestamp: from_bson(stored.timestamp),
            received_at: from_bson(stored.received_at),
            index: stored.index,
            message: stored.message,
        }
    }
}

impl From<OutboxDocument> for Outbox {
    fn from(stored: OutboxDocument) -> Self {
        Self {
            reply_id: stored.reply_id,
            kind: if stored.apology { ReplyKind::Apology } else { ReplyKind::Answer },
            phone_number_id: stored.phone_number_id,
            answers: stored.answers,
            parts: stored.parts.into_iter().map(Part::from).collect(),
        }
    }
}

impl From<PartDocument> for Part {
    fn from(stored: PartDocument) -> Self {
        Self {
            body: stored.body,
            state: match stored.state {
                StoredState::Waiting => PartState::Waiting,
                StoredState::Sending => PartState::Sending,
                StoredState::Sent => PartState::Sent,
            },
            wamid: stored.wamid,
            tries: u32::try_from(stored.tries.len()).unwrap_or(u32::MAX),
            last_try_at: stored.tries.last().map(|last| from_bson(last.at)),
        }
    }
}
