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
    let element = |update, element: &Value, [number, user]: [&str; 2]| {
        let user_id = text(element.get(user));
        Update {
            update,
            id: text(element.get("id")).unwrap_or_default(),
            phone_number_id: phone_number_id.clone(),
            customer: text(element.get(number)).or_else(|| user_id.clone()),
            user_id,
            status: text(element.get("status")),
            text: words(element),
        }
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
    let update = UpdateKind::Other;
    vec![Update { update, id, phone_number_id, customer: None, user_id: None, status: None, text: None }]
}

/// Where each type of message keeps what its writer wrote or chose, below the object that is called like the type.
const WORDS: &[&str] = &[
    "/body",
    "/caption",
    "/text",
    "/name",
    "/button_reply/title",
    "/list_reply/title",
    "/nfm_reply/response_json",
    "/message/text/body",
    "/0/name/formatted_name",
];

/// What was written, of a type that has words.
fn words(element: &Value) -> Option<String> {
    let particulars = element.get(element.get("type")?.as_str()?)?;
    WORDS.iter().find_map(|place| text(particulars.pointer(place)))
}

fn list<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    object.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Customer, Seed,
        meta::Business,
        webhook::{Body, Content, Ids, Message, sample_content},
    };

    fn found(customer: &Customer, content: Content) -> Update {
        let message = Message::new(&Ids::new(Seed(1), "test"), customer, content);
        let body = Body::of(&Business::new("acme", "1001"), &message).to_json();
        updates(&body).pop().expect("one element")
    }

    #[test]
    fn every_type_that_has_words_shows_them() {
        let ana = Customer::phone("4915112345678");
        let says = ["text", "image", "video", "location", "contacts", "button", "button_reply", "list_reply", "order"];
        for kind in says.into_iter().chain(["form_reply", "edit"]) {
            let text = found(&ana, sample_content(kind, "blue #m000017").expect(kind)).text;
            assert!(text.is_some_and(|text| text.contains("blue #m000017")), "{kind}");
        }
        for kind in ["voice", "sticker", "reaction", "unsupported", "request_welcome", "revoke"] {
            assert_eq!(found(&ana, sample_content(kind, "blue").expect(kind)).text, None, "{kind}");
        }
    }

    #[test]
    fn a_customer_may_have_a_number_a_user_id_or_both() {
        let seen = |customer: &Customer| {
            let update = found(customer, Content::text("Hello"));
            (update.customer.expect("somebody wrote"), update.user_id)
        };
        let ana = Customer::phone("4915112345678");
        assert_eq!(seen(&ana), ("4915112345678".to_owned(), None));
        assert_eq!(seen(&ana.with_user_id("DE.ana")), ("4915112345678".to_owned(), Some("DE.ana".to_owned())));
        assert_eq!(seen(&Customer::hidden("DE.ana")), ("DE.ana".to_owned(), Some("DE.ana".to_owned())));
    }
}
