//! Which element of `contacts[]` describes the sender of a message.
//!
//! Never by position, and never a guess between two people: the contact carries the ids by which a customer is
//! recognised, and a wrong one would give one customer the other's conversation.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::ids::{UserId, WaId};

use super::{
    MAX_DEPTH, MAX_UPDATES,
    json::{self, Object},
};

/// A contact travels with every message of its sender, so a huge one would be multiplied.
const MAX_CONTACT_BYTES: usize = 16 * 1024;

/// The contacts of one value.
#[derive(Debug)]
pub(super) struct Contacts<'a> {
    list: Vec<Contact<'a>>,
    /// Whether all that `contacts` holds is in the list.
    pub(super) complete: bool,
}

#[derive(Debug)]
struct Contact<'a> {
    who: Person,
    raw: &'a RawValue,
}

/// The ids of one person, sorted by their shape: a user id has been seen where a phone number belongs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Person {
    user_id: Option<UserId>,
    wa_id: Option<WaId>,
}

impl Person {
    fn of(ids: [Option<Cow<'_, str>>; 2]) -> Self {
        let mut person = Self::default();
        for id in ids.into_iter().flatten() {
            if let Ok(user_id) = UserId::parse(&id) {
                person.user_id.get_or_insert(user_id);
            } else if let Ok(wa_id) = WaId::parse(&id) {
                person.wa_id.get_or_insert(wa_id);
            }
        }
        person
    }

    /// Two different user ids of one portfolio are two people, whatever else fits.
    fn contradicts(&self, other: &Self) -> bool {
        let users_differ = matches!((&self.user_id, &other.user_id), (Some(a), Some(b)) if a != b);
        let same_user = self.user_id.is_some() && self.user_id == other.user_id;
        let numbers_differ = matches!((&self.wa_id, &other.wa_id), (Some(a), Some(b)) if !is_same_line(a, b));
        users_differ || (numbers_differ && !same_user)
    }
}

/// Equal but for the digits that Brazil, Mexico and Argentina put behind the country code, with which `from` and
/// `wa_id` may differ for one person (Meta, "Text messages").
fn is_same_line(a: &WaId, b: &WaId) -> bool {
    let (a, b) = (a.expose().as_bytes(), b.expose().as_bytes());
    let same_end = a.iter().rev().take(8).eq(b.iter().rev().take(8));
    a == b || (a.len().min(b.len()) >= 11 && a.len().abs_diff(b.len()) == 1 && a.get(..2) == b.get(..2) && same_end)
}

impl<'a> Contacts<'a> {
    pub(super) fn read(value: &Object<'a>) -> Self {
        let mut contacts = Self { list: Vec::new(), complete: true };
        for list in value.all("contacts").filter(|list| list.get() != "null") {
            match json::array(list) {
                Some(elements) => elements.into_iter().for_each(|raw| contacts.add(raw)),
                None => contacts.complete = false,
            }
        }
        contacts
    }

    fn add(&mut self, raw: &'a RawValue) {
        let room = self.list.len() < MAX_UPDATES;
        let fits = room && raw.get().len() <= MAX_CONTACT_BYTES && json::is_within(raw, MAX_DEPTH);
        match Object::parse(raw) {
            Some(contact) if fits => {
                let ids = ["user_id", "wa_id"].map(|name| contact.get(name).and_then(json::text));
                self.list.push(Contact { who: Person::of(ids), raw });
            }
            Some(_) | None => self.complete = false,
        }
    }

    /// By user id, then by phone number; else the only one there is, unless its ids speak against it.
    pub(super) fn sender_of(&self, message: &Object<'_>) -> Option<&'a RawValue> {
        let sender = Person::of(["from_user_id", "from"].map(|name| message.get(name).and_then(json::text)));
        let by_user = |c: &&Contact<'_>| sender.user_id.is_some() && c.who.user_id == sender.user_id;
        let by_number =
            |c: &&Contact<'_>| sender.wa_id.is_some() && c.who.wa_id == sender.wa_id && !c.who.contradicts(&sender);
        let only = match self.list.as_slice() {
            [only] if !only.who.contradicts(&sender) => Some(only),
            _ => None,
        };
        let found = self.list.iter().find(by_user).or_else(|| self.list.iter().find(by_number)).or(only);
        found.map(|contact| contact.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(value: &str, message: &str) -> Option<String> {
        let parse = |json| Object::parse(serde_json::from_str(json).expect("valid JSON")).expect("an object");
        Contacts::read(&parse(value)).sender_of(&parse(message)).map(|raw| raw.get().to_owned())
    }

    const TWO: &str = r#"{"contacts":[{"wa_id":"16505551234"},{"wa_id":"16505559999","user_id":"US.9"}]}"#;

    #[test]
    fn the_user_id_wins_then_the_number() {
        let user = sender(TWO, r#"{"from":"16505551234","from_user_id":"US.9"}"#).expect("by user id");
        assert!(user.contains("US.9"));
        assert_eq!(sender(TWO, r#"{"from":"16505551234"}"#).as_deref(), Some(r#"{"wa_id":"16505551234"}"#));
        assert!(sender(TWO, r#"{"from":"US.9"}"#).expect("a user id in `from`").contains("US.9"));
    }

    #[test]
    fn of_several_none_is_guessed() {
        assert_eq!(sender(TWO, r#"{"from":"16505550000"}"#), None);
        assert_eq!(sender(TWO, "{}"), None);
    }

    #[test]
    fn a_number_with_another_user_id_is_another_person() {
        assert_eq!(sender(TWO, r#"{"from":"16505559999","from_user_id":"US.8"}"#), None);
        let one = r#"{"contacts":[{"wa_id":"16505559999","user_id":"US.9"}]}"#;
        assert_eq!(sender(one, r#"{"from":"16505559999","from_user_id":"US.8"}"#), None);
    }

    #[test]
    fn the_only_contact_will_do_unless_an_id_contradicts() {
        let one = r#"{"contacts":[{"profile":{"name":"A"},"wa_id":"5511912345678"}]}"#;
        assert!(sender(one, "{}").is_some());
        assert!(sender(one, r#"{"from_user_id":"BR.1"}"#).is_some());
        assert!(sender(one, r#"{"from":"551112345678"}"#).is_some(), "Brazil's ninth digit");
        assert!(sender(one, r#"{"from":"551112345679"}"#).is_none());
        assert!(sender(one, r#"{"from":"16505551234"}"#).is_none());
        assert!(sender(r#"{"contacts":[{"wa_id":""}]}"#, r#"{"from":"16505551234"}"#).is_some());
    }

    #[test]
    fn what_cannot_travel_with_a_message_is_told() {
        let parse = |json: &str| {
            Contacts::read(&Object::parse(serde_json::from_str(json).expect("valid JSON")).expect("an object")).complete
        };
        assert!(parse("{}") && parse(r#"{"contacts":null}"#) && parse(TWO));
        assert!(!parse(r#"{"contacts":{}}"#) && !parse(r#"{"contacts":[1]}"#));
        assert!(!parse(&format!(r#"{{"contacts":[{{"a":"{}"}}]}}"#, "x".repeat(MAX_CONTACT_BYTES))));
    }
}
