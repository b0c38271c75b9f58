//! What a body holds, read leniently from the JSON itself, so that the journal shows what was posted even where a
//! test wrote the body by hand.

use serde_json::Value;

use crate::journal::{Update, UpdateKind};

/// The elements of a body in its order. A body of another shape holds none.
pub fn updates(body: &Value) -> Vec<Update> {
    let entries = list(body, "entry");
    let changes = entries.flat_map(|entry| list(entry, "changes"));
    changes.flat_map(of_change).collect()
}

fn of_change(change: &Value) -> Vec<Update> {
    let value = change.get("value").unwrap_or(&Value::Null);
    let phone_number_id = text(value.pointer("/metadata/phone_number_id"));
    let element = |update, element: &Value, customer: [&str; 2]| Update {
        update,
        id: text(element.get("id")).unwrap_or_default(),
        phone_number_id: phone_number_id.clone(),
        customer: customer.iter().find_map(|key| text(element.get(*key))),
        status: text(element.get("status")),
    };
    let messages = list(value, "messages").map(|m| element(UpdateKind::Message, m, ["from", "from_user_id"]));
    let statuses =
        list(value, "statuses").map(|s| element(UpdateKind::Status, s, ["recipient_id", "recipient_user_id"]));
    let echoes = list(value, "message_echoes").map(|e| element(UpdateKind::Echo, e, ["to", "to_user_id"]));
    let found: Vec<_> = messages.chain(statuses).chain(echoes).collect();
    if !found.is_empty() {
        return found;
    }
    let id = text(change.get("field")).unwrap_or_default();
    vec![Update { update: UpdateKind::Other, id, phone_number_id, customer: None, status: None }]
}

fn list<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    object.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}
