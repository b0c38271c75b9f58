//! The body of one POST: entries by account, changes by number, elements in the order they were added.
//!
//! As at Meta, one body may hold updates of several businesses. Neighbours of one number and one sort share a change;
//! otherwise a new change begins, so the order of the body is the order of the calls.

use serde_json::{Map, Value, json};

use super::{Content, Customer, Message, customer::put};
use crate::meta::Business;

/// A webhook's body in the making.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Body {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    waba_id: String,
    changes: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq)]
struct Change {
    field: String,
    list: &'static str,
    value: Map<String, Value>,
}

/// What became of a message to a customer: an element of `statuses[]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The message.
    pub wamid: String,
    /// `sent`, `delivered`, `read`, `played`, `failed`.
    pub status: String,
    /// Whom the message was for.
    pub customer: Customer,
    /// Seconds since the Unix epoch.
    pub timestamp: i64,
    /// `biz_opaque_callback_data` of the send.
    pub opaque: Option<String>,
    /// The error object, of a failure.
    pub error: Option<Value>,
}

impl Status {
    /// The element of `statuses[]`.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("id".to_owned(), json!(self.wamid));
        object.insert("status".to_owned(), json!(self.status));
        object.insert("timestamp".to_owned(), json!(self.timestamp.to_string()));
        put(&mut object, "recipient_id", self.customer.wa_id.as_deref());
        // Meta leaves the user id out of a failure of a message that went to a phone number.
        let user_id = self.customer.user_id.as_deref();
        put(
            &mut object,
            "recipient_user_id",
            user_id.filter(|_| self.error.is_none() || self.customer.wa_id.is_none()),
        );
        put(&mut object, "biz_opaque_callback_data", self.opaque.as_deref());
        match &self.error {
            Some(error) => object.insert("errors".to_owned(), json!([error])),
            None => {
                let pricing =
                    json!({"billable": true, "pricing_model": "PMP", "type": "regular", "category": "service"});
                object.insert("pricing".to_owned(), pricing)
            }
        };
        Value::Object(object)
    }
}

impl Body {
    /// A body with one message, the usual case.
    pub fn of(business: &Business, message: &Message) -> Self {
        Self::default().message(business, message)
    }

    /// Adds a customer's message.
    #[must_use]
    pub fn message(mut self, business: &Business, message: &Message) -> Self {
        let change = self.change(business, "messages", "messages");
        push(change, "messages", message.to_json());
        push_contact(change, &message.customer);
        self
    }

    /// Adds a status.
    #[must_use]
    pub fn status(mut self, business: &Business, status: &Status) -> Self {
        let change = self.change(business, "messages", "statuses");
        push(change, "statuses", status.to_json());
        if status.error.is_none() {
            push_contact(change, &status.customer);
        }
        self
    }

    /// Adds a message that a person at the business wrote in the app.
    #[must_use]
    pub fn echo(mut self, business: &Business, customer: &Customer, id: &str, content: &Content) -> Self {
        let mut echo = Map::new();
        echo.insert("from".to_owned(), json!(business.display_number));
        put(&mut echo, "to", customer.wa_id.as_deref());
        put(&mut echo, "to_user_id", customer.user_id.as_deref());
        echo.insert("id".to_owned(), json!(id));
        echo.insert("timestamp".to_owned(), json!(jiff::Timestamp::now().as_second().to_string()));
        echo.extend(content.fields().clone());
        push(self.change(business, "smb_message_echoes", "message_echoes"), "message_echoes", Value::Object(echo));
        self
    }

    /// Adds a change of any other field, such as `account_update`; `value` as it is.
    #[must_use]
    pub fn other(mut self, business: &Business, field: &str, value: Map<String, Value>) -> Self {
        let change = Change { field: field.to_owned(), list: "", value };
        self.entry(&business.waba_id).changes.push(change);
        self
    }

    /// The body as JSON.
    pub fn to_json(&self) -> Value {
        let entries = self.entries.iter().map(|entry| {
            let changes = entry.changes.iter().map(|change| json!({"value": change.value, "field": change.field}));
            json!({"id": entry.waba_id, "changes": changes.collect::<Vec<_>>()})
        });
        json!({"object": "whatsapp_business_account", "entry": entries.collect::<Vec<_>>()})
    }

    /// The last entry where it is of this account, else a new one: order matters more than few entries.
    fn entry(&mut self, waba_id: &str) -> &mut Entry {
        if self.entries.last().is_none_or(|entry| entry.waba_id != waba_id) {
            self.entries.push(Entry { waba_id: waba_id.to_owned(), changes: Vec::new() });
        }
        self.entries.last_mut().expect("one was pushed if there was none")
    }

    fn change(&mut self, business: &Business, field: &str, list: &'static str) -> &mut Map<String, Value> {
        let metadata =
            json!({"display_phone_number": business.display_number, "phone_number_id": business.phone_number_id});
        let entry = self.entry(&business.waba_id);
        let same = |change: &Change| change.list == list && change.value.get("metadata") == Some(&metadata);
        if !entry.changes.last().is_some_and(same) {
            let mut value = Map::new();
            value.insert("messaging_product".to_owned(), json!("whatsapp"));
            value.insert("metadata".to_owned(), metadata);
            entry.changes.push(Change { field: field.to_owned(), list, value });
        }
        &mut entry.changes.last_mut().expect("one was pushed if there was none").value
    }
}

fn push(value: &mut Map<String, Value>, list: &str, element: Value) {
    let list = value.entry(list).or_insert_with(|| json!([]));
    list.as_array_mut().expect("only this function makes the list").push(element);
}

fn push_contact(value: &mut Map<String, Value>, customer: &Customer) {
    let contact = customer.contact();
    let known = value.get("contacts").and_then(Value::as_array).is_some_and(|contacts| contacts.contains(&contact));
    if !known {
        push(value, "contacts", contact);
    }
}
