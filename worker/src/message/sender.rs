//! Who wrote a message.

use serde_json::Value;
use shared::ids::{UserId, WaId};

use super::{bounded, text};

/// The ids that a message and its contact name. Either may be missing; an empty text is missing too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Sender {
    /// The phone number.
    pub wa_id: Option<WaId>,
    /// The business-scoped user id.
    pub user_id: Option<UserId>,
}

impl Sender {
    /// Whether nobody is named.
    pub fn is_unknown(&self) -> bool {
        self.wa_id.is_none() && self.user_id.is_none()
    }

    /// Adds an id by its shape: a user id has been seen where a number belongs, and the other way round.
    fn add(&mut self, value: Option<impl AsRef<str>>) {
        let Some(value) = value else { return };
        let value = value.as_ref().trim();
        if let Ok(user_id) = UserId::parse(value) {
            self.user_id.get_or_insert(user_id);
        } else if let Ok(wa_id) = WaId::parse(value.trim_start_matches('+')) {
            self.wa_id.get_or_insert(wa_id);
        }
    }

    /// From values of whatever name.
    pub fn from_values(values: [Option<&str>; 2]) -> Self {
        let mut sender = Self::default();
        values.into_iter().for_each(|value| sender.add(value));
        sender
    }
}

/// The sender of a message: its own fields first, then its contact's.
pub fn sender(message: &Value, contact: Option<&Value>) -> Sender {
    let mut sender = Sender::default();
    sender.add(text(message, "from"));
    sender.add(text(message, "from_user_id"));
    if let Some(contact) = contact {
        sender.add(text(contact, "wa_id"));
        sender.add(text(contact, "user_id"));
    }
    sender
}

/// The name in the customer's own profile: untrusted text, made one short line.
pub fn contact_name(contact: Option<&Value>) -> Option<String> {
    let name = bounded(&text(contact?.get("profile")?, "name")?, 80).replace('\n', " ");
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(message: Value, contact: Value) -> (Option<String>, Option<String>) {
        let sender = sender(&message, Some(&contact));
        (sender.wa_id.map(|id| id.expose().to_owned()), sender.user_id.map(|id| id.expose().to_owned()))
    }

    #[test]
    fn a_sender_is_read_by_shape_and_an_empty_text_names_nobody() {
        let number = || Some("16505551234".to_owned());
        let user = || Some("US.1349".to_owned());
        assert_eq!(ids(json!({"from": "16505551234"}), json!({})), (number(), None));
        assert_eq!(ids(json!({"from": 16505551234_i64}), json!(null)), (number(), None));
        assert_eq!(ids(json!({"from": "+16505551234", "from_user_id": "US.1349"}), json!({})), (number(), user()));
        assert_eq!(ids(json!({"from": "US.1349"}), json!({})), (None, user()));
        assert_eq!(ids(json!({"from_user_id": "US.1349"}), json!({"user_id": "US.1349"})), (None, user()));
        assert_eq!(ids(json!({"from": ""}), json!({"wa_id": "16505551234"})), (number(), None));
        assert_eq!(ids(json!({"from": "", "from_user_id": " "}), json!({"wa_id": ""})), (None, None));
        assert_eq!(ids(json!({"from": {"a": 1}}), json!([])), (None, None));
        // The message's own number wins over the contact's: they may differ in Brazil and Mexico.
        assert_eq!(ids(json!({"from": "16505551234"}), json!({"wa_id": "999"})), (number(), None));
    }

    #[test]
    fn a_name_is_one_short_line() {
        let contact = json!({"profile": {"name": "  Ana\u{0}\nB\u{1b}  "}});
        assert_eq!(contact_name(Some(&contact)).as_deref(), Some("Ana B"));
        for odd in [json!({}), json!({"profile": 1}), json!({"profile": {"name": ""}})] {
            assert_eq!(contact_name(Some(&odd)), None);
        }
    }
}
