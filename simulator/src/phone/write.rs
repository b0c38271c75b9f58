//! What a person writes becomes a webhook: kept first, then posted until it is taken.

use std::{io, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::{
    PhoneBusiness, Shared,
    faults::Switch,
    file::Record,
    line::{Debt, Line},
    people::Person,
    posted::webhook_scene,
    scene::{Scene, What},
};
use crate::webhook::{Body, Content, Media, Message, Patience};

const MAX_TEXT_UNITS: usize = 4096;

/// What a person writes, but for files.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Words {
    Text {
        text: String,
    },
    Location {
        latitude: f64,
        longitude: f64,
        #[serde(default)]
        name: String,
    },
    /// A button or a row of the business's message.
    Choice {
        message: String,
        choice: String,
    },
}

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritten {
    #[error("{0}")]
    Wrong(&'static str),
    #[error("the message could not be stored")]
    NotStored(#[source] io::Error),
}

/// A message in the making.
struct Draft {
    content: Content,
    quote: Option<String>,
}

impl Shared {
    /// Writes words to a business, and gives the id of the message.
    pub(super) fn say(
        self: &Arc<Self>,
        to: &PhoneBusiness,
        from: &Person,
        words: Words,
        quote: Option<String>,
    ) -> Result<String, Unwritten> {
        let draft = match words {
            Words::Text { text } if text.trim().is_empty() => {
                return Err(Unwritten::Wrong("There is nothing to send."));
            }
            Words::Text { text } if text.encode_utf16().count() > MAX_TEXT_UNITS => {
                return Err(Unwritten::Wrong("A message has at most 4096 characters."));
            }
            Words::Text { text } => Draft { content: Content::text(text), quote },
            Words::Location { latitude, longitude, .. } if latitude.abs() > 90.0 || longitude.abs() > 180.0 => {
                return Err(Unwritten::Wrong("There is no such place."));
            }
            Words::Location { latitude, longitude, name } => {
                let name = Some(name.trim()).filter(|name| !name.is_empty());
                Draft { content: Content::location(latitude, longitude, name), quote }
            }
            Words::Choice { message, choice } => {
                let key = (to.business.phone_number_id.clone(), from.number.clone());
                let offered = self.lock().book.line(&key, &message).map(|line| line.body.clone());
                let content = offered.and_then(|body| chosen(&body, &choice));
                Draft { content: content.ok_or(Unwritten::Wrong("That was not offered."))?, quote: Some(message) }
            }
        };
        self.write(to, from, None, draft)
    }

    /// Sends a file: a voice note, or a picture with a caption.
    pub(super) fn send_file(
        self: &Arc<Self>,
        to: &PhoneBusiness,
        from: &Person,
        mime_type: &str,
        bytes: Vec<u8>,
        caption: Option<&str>,
    ) -> Result<String, Unwritten> {
        let media = self.meta.store_media(&to.business, mime_type, bytes);
        let is_picture = mime_type.starts_with("image/");
        let content = if is_picture { Content::image(&media, caption) } else { Content::voice(&media) };
        self.write(to, from, Some(&media), Draft { content, quote: None })
    }

    fn write(
        self: &Arc<Self>,
        to: &PhoneBusiness,
        from: &Person,
        media: Option<&Media>,
        draft: Draft,
    ) -> Result<String, Unwritten> {
        let (customer, sender) = (from.customer(&to.business), self.meta.sender(&to.business));
        let message = sender.message(&customer, draft.content);
        let message = match &draft.quote {
            Some(quoted) => message.quoting(&to.business.display_number, quoted),
            None => message,
        };
        let webhook = Body::of(&to.business, &message).to_json();
        let stored = media.and_then(|media| Some(Record::media(&media.id, &self.meta.media(&media.id)?)));
        let written = self.written(to, from, &message, &webhook);
        self.change(|state| {
            if state.book.person(&from.number) != Some(from) {
                state.keep(&Record::Person(from.clone()))?;
            }
            stored.map_or(Ok(()), |stored| state.keep(&stored))?;
            state.keep(&written)
        })
        .map_err(Unwritten::NotStored)?;
        self.post(to, &from.number, &message.id, webhook);
        Ok(message.id)
    }

    fn written(&self, to: &PhoneBusiness, from: &Person, message: &Message, webhook: &Value) -> Record {
        Record::Written {
            id: message.id.clone(),
            phone_number_id: to.business.phone_number_id.clone(),
            number: from.number.clone(),
            at: jiff::Timestamp::now().as_millisecond(),
            webhook: webhook.clone(),
        }
    }

    /// Posts a webhook in the background until it is taken, or until the page ends.
    fn post(self: &Arc<Self>, to: &PhoneBusiness, number: &str, id: &str, webhook: Value) {
        let sender = self.meta.sender(&to.business).patient(Patience {
            first: Duration::from_millis(300),
            tries: u32::MAX,
            ..Patience::default()
        });
        let key = (to.business.phone_number_id.clone(), number.to_owned());
        let at = jiff::Timestamp::now().as_millisecond();
        let mut scene = Scene::new(What::Webhook, webhook_scene(id), at, "Webhook");
        (scene.signature, scene.body) = (sender.signature(&webhook), webhook.clone());
        let twice = self.change(|state| {
            state.book.show(Some(&key), scene);
            state.switches.is_on(Switch::Duplicate)
        });
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move {
            let posted = sender.duplicate(&webhook, if twice { 2 } else { 1 }).await;
            if let Err(error) = posted {
                tracing::warn!(%error, "a webhook of the phone page was given up");
            }
        }));
    }
}

/// Posts and reports what an earlier run still owed, in its order.
pub(super) fn resume(shared: &Arc<Shared>) {
    let (media, owed) = {
        let state = shared.lock();
        let debts = state.book.chats.iter().flat_map(|((_, number), chat)| chat.lines.iter().map(move |l| (number, l)));
        let owed = debts.filter(|(_, line)| !matches!(line.debt, Debt::Nothing));
        let mut owed: Vec<_> = owed.map(|(number, line)| (number.clone(), line.clone())).collect();
        owed.sort_by_key(|(_, line)| line.at);
        (state.book.album.all(), owed)
    };
    for (id, file) in media {
        shared.meta.restore_media(&id, file);
    }
    for (number, Line { id, chat, debt, .. }) in owed {
        match (debt, shared.business(&chat)) {
            (Debt::Webhook(webhook), Some(business)) => shared.post(business, &number, &id, webhook),
            (Debt::Statuses(send), Some(_)) => shared.meta.report_again(&send),
            // Of a business that is no longer served.
            (Debt::Webhook(_) | Debt::Statuses(_), None) | (Debt::Nothing, _) => {}
        }
    }
}

/// The reply to a choice of an interactive message.
fn chosen(body: &Value, choice: &str) -> Option<Content> {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let action = body.pointer("/interactive/action")?;
    let buttons = list(action, "buttons").into_iter().filter_map(|button| button.get("reply").cloned());
    if let Some(button) = buttons.into_iter().find(|reply| text(reply, "id") == choice) {
        return Some(Content::button_reply(choice, &text(&button, "title")));
    }
    let rows = list(action, "sections").into_iter().flat_map(|section| list(&section, "rows"));
    let row = rows.into_iter().find(|row| text(row, "id") == choice)?;
    Some(Content::list_reply(choice, &text(&row, "title"), &text(&row, "description")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_offered_can_be_chosen() {
        let buttons = json!({"type": "interactive", "interactive": {"type": "button", "body": {"text": "Pick"},
            "action": {"buttons": [{"type": "reply", "reply": {"id": "yes", "title": "Yes"}}]}}});
        assert_eq!(chosen(&buttons, "yes"), Some(Content::button_reply("yes", "Yes")));
        assert_eq!(chosen(&buttons, "no"), None);
        let rows = json!([{"title": "Days", "rows": [{"id": "r1", "title": "Monday", "description": "9 to 5"}]}]);
        let listed = json!({"interactive": {"type": "list", "action": {"button": "Days", "sections": rows}}});
        assert_eq!(chosen(&listed, "r1"), Some(Content::list_reply("r1", "Monday", "9 to 5")));
        assert_eq!(chosen(&json!({"type": "text", "text": {"body": "Hello"}}), "r1"), None);
    }
}
