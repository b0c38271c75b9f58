//! A customer's message: who, what, when, under which id.
//!
//! [`Ids`] makes ids of Meta's shape (`wamid.` and base64 around the number), unique for a seed.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{Content, Customer, customer::put};
use crate::Seed;

/// A source of message ids. Two sources of the same seed and label give the same ids in the same order.
#[derive(Debug)]
pub struct Ids {
    seed: Seed,
    label: &'static str,
    next: AtomicU64,
}

impl Ids {
    /// A new source, at its beginning.
    pub fn new(seed: Seed, label: &'static str) -> Self {
        Self { seed, label, next: AtomicU64::new(0) }
    }

    /// An id that this source has not given yet. Like Meta's it holds the customer's number.
    pub fn next(&self, customer: &str) -> String {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let unique =
            hex::encode_upper(self.seed.bytes(self.label, &count.to_string())).chars().take(20).collect::<String>();
        let length = u8::try_from(customer.len()).unwrap_or(u8::MAX);
        let bytes =
            [&[0x1c, 0x18, length], customer.as_bytes(), &[0x15, 2, 0, 0x12, 0x18, 0x14], unique.as_bytes(), &[0]];
        format!("wamid.{}", STANDARD.encode(bytes.concat()))
    }
}

/// An element of `messages[]`, with the customer that `contacts[]` will show.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The `wamid`.
    pub id: String,
    /// Who wrote it.
    pub customer: Customer,
    /// Seconds since the Unix epoch.
    pub timestamp: i64,
    content: Content,
    context: Map<String, Value>,
    group_id: Option<String>,
}

impl Message {
    /// A message written now.
    pub fn new(ids: &Ids, customer: &Customer, content: Content) -> Self {
        Self {
            id: ids.next(customer.key()),
            customer: customer.clone(),
            timestamp: jiff::Timestamp::now().as_second(),
            content,
            context: Map::new(),
            group_id: None,
        }
    }

    /// The same message under another id.
    #[must_use]
    pub fn with_id(self, id: impl Into<String>) -> Self {
        Self { id: id.into(), ..self }
    }

    /// The same message at another time, in seconds since the Unix epoch.
    #[must_use]
    pub fn at(self, timestamp: i64) -> Self {
        Self { timestamp, ..self }
    }

    /// The same message as an answer to another.
    #[must_use]
    pub fn quoting(mut self, display_number: &str, wamid: &str) -> Self {
        self.context.insert("from".to_owned(), json!(display_number));
        self.context.insert("id".to_owned(), json!(wamid));
        self
    }

    /// The same message as a forwarded one.
    #[must_use]
    pub fn forwarded(mut self) -> Self {
        self.context.insert("forwarded".to_owned(), json!(true));
        self
    }

    /// The same message in a group.
    #[must_use]
    pub fn in_group(self, group_id: impl Into<String>) -> Self {
        Self { group_id: Some(group_id.into()), ..self }
    }

    /// The element of `messages[]`.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        put(&mut object, "from", self.customer.wa_id.as_deref());
        let user_id = self.customer.user_id.as_deref();
        let is_of_the_system = self.content.fields().get("type").and_then(Value::as_str) == Some("system");
        if !is_of_the_system {
            put(&mut object, "from_user_id", user_id);
        }
        object.insert("id".to_owned(), json!(self.id));
        object.insert("timestamp".to_owned(), json!(self.timestamp.to_string()));
        put(&mut object, "group_id", self.group_id.as_deref());
        if !self.context.is_empty() {
            object.insert("context".to_owned(), Value::Object(self.context.clone()));
        }
        object.extend(self.content.fields().clone());
        // Of a change it is told what is no more (Meta, "System messages webhook reference", August 2026).
        if let Some(system) = object.get_mut("system").and_then(Value::as_object_mut).filter(|_| is_of_the_system) {
            put(system, "previous_user_id", user_id);
        }
        Value::Object(object)
    }
}
