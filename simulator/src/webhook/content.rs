//! What a message says, for every type that Meta is known to send.
//!
//! A [`Content`] is the part of the message object that depends on the type: `type` and the object of that name.
//! [`Content::raw`] takes anything, for types that nobody knows yet.

use serde_json::{Map, Value, json};

/// The type of a message and its particulars.
#[derive(Debug, Clone, PartialEq)]
pub struct Content(Map<String, Value>);

/// A file in Meta's store, as a message shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The id under which it is fetched.
    pub id: String,
    /// Such as `audio/ogg; codecs=opus`.
    pub mime_type: String,
    /// Base64, as in webhooks.
    pub sha256: String,
}

impl Media {
    fn to_json(&self) -> Value {
        json!({"mime_type": self.mime_type, "sha256": self.sha256, "id": self.id})
    }

    fn with(&self, key: &str, value: impl Into<Value>) -> Value {
        let mut object = self.to_json();
        if let Some(fields) = object.as_object_mut() {
            fields.insert(key.to_owned(), value.into());
        }
        object
    }

    fn captioned(&self, caption: Option<&str>) -> Value {
        caption.map_or_else(|| self.to_json(), |caption| self.with("caption", caption))
    }
}

impl Content {
    /// A message of any type: `{"type": kind, kind: particulars}`.
    pub fn raw(kind: &str, particulars: Value) -> Self {
        let mut fields = Map::new();
        fields.insert("type".to_owned(), json!(kind));
        fields.insert(kind.to_owned(), particulars);
        Self(fields)
    }

    /// The fields of the message object that this content gives.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A text.
    pub fn text(body: impl Into<String>) -> Self {
        Self::raw("text", json!({"body": body.into()}))
    }

    /// A picture.
    pub fn image(media: &Media, caption: Option<&str>) -> Self {
        Self::raw("image", media.captioned(caption))
    }

    /// A voice note, recorded in the app.
    pub fn voice(media: &Media) -> Self {
        Self::raw("audio", media.with("voice", true))
    }

    /// A sound file that is no voice note.
    pub fn audio(media: &Media) -> Self {
        Self::raw("audio", media.with("voice", false))
    }

    /// A film.
    pub fn video(media: &Media, caption: Option<&str>) -> Self {
        Self::raw("video", media.captioned(caption))
    }

    /// A file.
    pub fn document(media: &Media, filename: &str) -> Self {
        Self::raw("document", media.with("filename", filename))
    }

    /// A sticker.
    pub fn sticker(media: &Media) -> Self {
        Self::raw("sticker", media.with("animated", false))
    }

    /// A place; Meta promises the two coordinates only.
    pub fn location(latitude: f64, longitude: f64, name: Option<&str>) -> Self {
        let mut place = json!({"latitude": latitude, "longitude": longitude});
        if let (Some(name), Some(fields)) = (name, place.as_object_mut()) {
            fields.insert("name".to_owned(), json!(name));
        }
        Self::raw("location", place)
    }

    /// A card from the address book.
    pub fn contact_card(formatted_name: &str, phone: &str) -> Self {
        let name = json!({"formatted_name": formatted_name, "first_name": formatted_name});
        Self::raw("contacts", json!([{"name": name, "phones": [{"phone": phone, "type": "MOBILE"}]}]))
    }

    /// The quick reply of a template.
    pub fn button(payload: &str, text: &str) -> Self {
        Self::raw("button", json!({"payload": payload, "text": text}))
    }

    /// The reply button of an interactive message.
    pub fn button_reply(id: &str, title: &str) -> Self {
        Self::interactive("button_reply", json!({"id": id, "title": title}))
    }

    /// The choice from a list.
    pub fn list_reply(id: &str, title: &str, description: &str) -> Self {
        Self::interactive("list_reply", json!({"id": id, "title": title, "description": description}))
    }

    /// A completed form. Meta puts the answers into a string of JSON.
    pub fn form_reply(answers: &Value) -> Self {
        Self::interactive("nfm_reply", json!({"name": "flow", "body": "Sent", "response_json": answers.to_string()}))
    }

    fn interactive(kind: &str, reply: Value) -> Self {
        Self::raw("interactive", Value::Object(Self::raw(kind, reply).0))
    }

    /// A reaction to a message, or its removal, for which Meta leaves the emoji out.
    pub fn reaction(message_id: &str, emoji: Option<&str>) -> Self {
        let mut reaction = json!({"message_id": message_id});
        if let (Some(emoji), Some(fields)) = (emoji, reaction.as_object_mut()) {
            fields.insert("emoji".to_owned(), json!(emoji));
        }
        Self::raw("reaction", reaction)
    }

    /// An order from the catalogue.
    pub fn order(items: &[(&str, u32)], text: &str) -> Self {
        let items = items.iter().map(|(product, quantity)| {
            json!({"product_retailer_id": product, "quantity": quantity, "item_price": 12.5, "currency": "EUR"})
        });
        Self::raw(
            "order",
            json!({"catalog_id": "417700012345", "text": text, "product_items": items.collect::<Vec<_>>()}),
        )
    }

    /// The customer has a new phone number.
    pub fn number_change(old: &str, new: &str) -> Self {
        let body = format!("User Ana changed from {old} to {new}");
        Self::raw("system", json!({"body": body, "wa_id": new, "type": "user_changed_number"}))
    }

    /// The same change, which also tells the user id that comes with the new number.
    #[must_use]
    pub fn with_new_user_id(mut self, user_id: &str) -> Self {
        if let Some(fields) = self.0.get_mut("system").and_then(Value::as_object_mut) {
            fields.insert("user_id".to_owned(), json!(user_id));
        }
        self
    }

    /// The customer has a new user id.
    pub fn user_id_change(wa_id: &str, new_user_id: &str) -> Self {
        let system = json!({"body": "User Ana changed", "wa_id": wa_id, "user_id": new_user_id});
        let mut content = Self::raw("system", system);
        if let Some(fields) = content.0.get_mut("system").and_then(Value::as_object_mut) {
            fields.insert("type".to_owned(), json!("user_changed_user_id"));
        }
        content
    }

    /// Something that Meta does not pass on, such as a poll.
    pub fn unsupported(kind: &str) -> Self {
        let mut content = Self::raw("unsupported", json!({"type": kind}));
        let (title, details) = ("Message type unknown", "Message type is currently not supported.");
        let error = json!({"code": 131_051, "title": title, "message": title, "error_data": {"details": details}});
        content.0.insert("errors".to_owned(), json!([error]));
        content
    }

    /// The customer opened the chat for the first time; the type is all there is.
    pub fn request_welcome() -> Self {
        let mut content = Self::raw("request_welcome", Value::Null);
        content.0.remove("request_welcome");
        content
    }

    /// The customer changed a text that was sent before.
    pub fn edit(original: &str, body: &str) -> Self {
        let message = json!({"type": "text", "text": {"body": body}});
        Self::raw("edit", json!({"original_message_id": original, "message": message}))
    }

    /// The customer took a message back.
    pub fn revoke(original: &str) -> Self {
        Self::raw("revoke", json!({"original_message_id": original}))
    }
}
