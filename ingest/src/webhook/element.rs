//! One element of a list: a message, a status or an echo.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use shared::{
    envelope::Kind,
    ids::{MessageId, PhoneNumberId, WabaId},
};

use super::{
    MAX_DEPTH, Update,
    contact::Contacts,
    json::{self, Object},
};

/// The most that an AMQP property holds.
const MAX_ID_BYTES: usize = 255;

/// Whose update it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'s> {
    pub(super) phone_number_id: Option<&'s PhoneNumberId>,
    pub(super) waba_id: Option<&'s WabaId>,
}

/// The element as an update of its kind; none where it cannot be one (nobody to route it to, not an object, too
/// deep), and its change has to be carried instead.
pub(super) fn read<'a>(kind: Kind, raw: &'a RawValue, owner: Owner<'_>, contacts: &Contacts<'a>) -> Option<Update<'a>> {
    let phone_number_id = owner.phone_number_id?.clone();
    let object = Object::parse(raw)?;
    if !json::is_within(raw, MAX_DEPTH) {
        return None;
    }
    let (natural_id, contact) = match kind {
        Kind::Message => (message_id(&object), contacts.sender_of(&object)),
        Kind::Status => (status_id(&object), None),
        Kind::Echo | Kind::Account | Kind::Other => (message_id(&object), None),
    };
    Some(Update {
        kind,
        phone_number_id: Some(phone_number_id),
        waba_id: owner.waba_id.cloned(),
        contact,
        natural_id: natural_id.map(bounded),
        payload: raw,
    })
}

fn message_id(message: &Object<'_>) -> Option<String> {
    let id = json::text(message.get("id")?)?;
    MessageId::parse(&id).ok().map(|_| id.into_owned())
}

/// A status has no id of its own: the message's id, what became of it, when, and for a group with whom.
fn status_id(status: &Object<'_>) -> Option<String> {
    let mut id = message_id(status)?;
    for name in ["status", "timestamp"] {
        id = format!("{id}:{}", json::text(status.get(name)?)?);
    }
    // Meta's samples spell the first one both ways.
    for name in ["recipient_participant_id", "participant_recipient_id", "recipient_participant_user_id"] {
        if let Some(participant) = status.get(name).and_then(json::text) {
            id = format!("{id}:{participant}");
        }
    }
    Some(id)
}

fn bounded(id: String) -> String {
    if id.len() <= MAX_ID_BYTES && !id.chars().any(char::is_control) {
        return id;
    }
    format!("sha256-{}", hex::encode(Sha256::digest(id.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> Object<'_> {
        Object::parse(serde_json::from_str(json).expect("valid JSON")).expect("an object")
    }

    #[test]
    fn a_status_is_told_by_all_that_sets_it_apart() {
        let status = r#"{"id":"wamid.A","status":"read","timestamp":"17","recipient_participant_id":"1650"}"#;
        assert_eq!(status_id(&object(status)).as_deref(), Some("wamid.A:read:17:1650"));
        let number = r#"{"id":"wamid.A","status":"sent","timestamp":17}"#;
        assert_eq!(status_id(&object(number)).as_deref(), Some("wamid.A:sent:17"));
        for incomplete in [r#"{"id":"wamid.A","status":"read"}"#, r#"{"status":"read","timestamp":"1"}"#] {
            assert_eq!(status_id(&object(incomplete)), None, "{incomplete}");
        }
    }

    #[test]
    fn an_id_fits_its_property() {
        assert_eq!(bounded("wamid.A".to_owned()), "wamid.A");
        let hashed = bounded("x".repeat(256));
        assert_eq!(hashed.len(), "sha256-".len() + 64);
        assert_ne!(hashed, bounded("x".repeat(257)));
        assert!(bounded("a\nb".to_owned()).starts_with("sha256-"));
    }

    #[test]
    fn what_is_no_message_id_is_none() {
        for odd in [r#"{}"#, r#"{"id":""}"#, r#"{"id":null}"#, r#"{"id":"a\u0000"}"#, r#"{"id":"a","id":"b"}"#] {
            assert_eq!(message_id(&object(odd)), None, "{odd}");
        }
    }
}
