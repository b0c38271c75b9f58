//! A customer as Meta shows one to a business: by phone number, by business-scoped user id, or by both.
//!
//! Since 2026 the phone number may be withheld; `from`, `wa_id` and `recipient_id` are then left out, not empty
//! (Meta, "Business-scoped user IDs").

use serde_json::{Map, Value, json};

/// Somebody who writes to a business. At least one of the two ids is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The phone number, digits only.
    pub wa_id: Option<String>,
    /// The user id that this business's portfolio sees.
    pub user_id: Option<String>,
    /// The name in the profile.
    pub name: Option<String>,
    /// The user name, where there is one.
    pub username: Option<String>,
}

impl Customer {
    /// A customer known by phone number alone, as before 2026.
    pub fn phone(wa_id: impl Into<String>) -> Self {
        Self { wa_id: Some(wa_id.into()), user_id: None, name: Some("Ana".to_owned()), username: None }
    }

    /// A customer who hides the phone number.
    pub fn hidden(user_id: impl Into<String>) -> Self {
        Self { wa_id: None, user_id: Some(user_id.into()), name: Some("Ana".to_owned()), username: None }
    }

    /// Reads what a person typed: a user id where it has a dot, else a phone number (`+` and spaces are dropped).
    pub fn parse(text: &str) -> Self {
        if text.contains('.') {
            Self::hidden(text)
        } else {
            Self::phone(text.chars().filter(char::is_ascii_digit).collect::<String>())
        }
    }

    /// The same customer with a user id.
    #[must_use]
    pub fn with_user_id(self, user_id: impl Into<String>) -> Self {
        Self { user_id: Some(user_id.into()), ..self }
    }

    /// The same customer with another name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// How the journal calls the customer: the phone number, else the user id.
    pub fn key(&self) -> &str {
        self.wa_id.as_deref().or(self.user_id.as_deref()).unwrap_or_default()
    }

    /// The element of `contacts[]`.
    pub fn contact(&self) -> Value {
        let mut contact = Map::new();
        let mut profile = Map::new();
        put(&mut profile, "name", self.name.as_deref());
        put(&mut profile, "username", self.username.as_deref());
        contact.insert("profile".to_owned(), Value::Object(profile));
        put(&mut contact, "wa_id", self.wa_id.as_deref());
        put(&mut contact, "user_id", self.user_id.as_deref());
        Value::Object(contact)
    }
}

/// Inserts a text where there is one.
pub(super) fn put(object: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), json!(value));
    }
}
