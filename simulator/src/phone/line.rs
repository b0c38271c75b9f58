//! A message in a chat, and what became of it, as the page is told.

use serde::Serialize;
use serde_json::{Value, json};

use crate::journal::{Decision, GraphSend};

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Side {
    Customer,
    Business,
}

/// A message. The page replaces what it has under the same id.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    #[serde(skip)]
    pub(super) revision: u64,
    pub(super) id: String,
    /// Its place among all messages of the page: several may be of one millisecond.
    pub(super) place: u64,
    /// The business's number id.
    pub(super) chat: String,
    pub(super) from: Side,
    /// When it was written, or accepted, in milliseconds since the Unix epoch.
    pub(super) at: i64,
    /// `{"type": …, …}`, as Meta passes it on or took it.
    pub(super) body: Value,
    /// The message that it answers to.
    pub(super) quote: Option<String>,
    #[serde(flatten)]
    pub(super) fate: Fate,
    #[serde(skip)]
    pub(super) debt: Debt,
}

/// What became of a message. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Fate {
    /// How often its webhook was posted in this run.
    pub(super) posts: u32,
    /// Why the last post was not taken.
    pub(super) trouble: Option<String>,
    /// When ingest answered 200.
    pub(super) taken: Option<i64>,
    /// When the business marked it as read.
    pub(super) read: Option<i64>,
    /// When the business was first seen typing after it.
    pub(super) typing: Option<i64>,
    /// When the first message of the business came after it was read, or after it where nothing is.
    pub(super) answered: Option<i64>,
    /// The last status of a business's message that the webhook took.
    pub(super) reported: Option<String>,
    /// Whether the business's message was accepted but its sender not told.
    pub(super) untold: bool,
}

/// What the stand-in still owes for a message, also after a restart.
#[derive(Debug, Clone)]
pub(super) enum Debt {
    Nothing,
    /// This webhook, which was not taken yet.
    Webhook(Value),
    /// The statuses of this message.
    Statuses(Box<GraphSend>),
}

impl Line {
    /// A customer's message, as its webhook has it.
    pub(super) fn written(id: &str, phone_number_id: &str, at: i64, webhook: &Value) -> Self {
        let message = webhook.pointer("/entry/0/changes/0/value/messages/0").unwrap_or(&Value::Null);
        let kind = message.get("type").and_then(Value::as_str).unwrap_or_default();
        Self {
            revision: 0,
            place: 0,
            id: id.to_owned(),
            chat: phone_number_id.to_owned(),
            from: Side::Customer,
            at,
            body: content(kind, message),
            quote: message.pointer("/context/id").and_then(Value::as_str).map(str::to_owned),
            fate: Fate::default(),
            debt: Debt::Webhook(webhook.clone()),
        }
    }

    /// A business's message, as Graph took it.
    pub(super) fn arrived(at: i64, send: &GraphSend) -> Self {
        let untold = matches!(send.decision, Decision::AcceptedNoReply);
        Self {
            revision: 0,
            place: 0,
            id: send.wamid.clone().unwrap_or_default(),
            chat: send.phone_number_id.clone(),
            from: Side::Business,
            at,
            body: content(&send.message_type, &send.body),
            quote: send.context_id.clone(),
            fate: Fate { untold, ..Fate::default() },
            debt: Debt::Statuses(Box::new(send.clone())),
        }
    }
}

/// The type of a message and its particulars, without whom it is for.
pub(super) fn content(kind: &str, body: &Value) -> Value {
    json!({"type": kind, kind: body.get(kind)})
}
