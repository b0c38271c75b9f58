//! The body of a message by its form, within Meta's limits (Meta, "Interactive reply buttons", "Interactive lists",
//! "Audio messages", "Location messages").
//!
//! Who composes a reply keeps to the limits below; what is beyond them anyway Meta refuses, and then the words go as
//! plain text.

use serde_json::{Value, json};

use super::utf16;
use crate::conversation::{Choice, PartForm};

/// Reply buttons of one message; with more choices it becomes a list.
pub const BUTTONS_MOST: usize = 3;
/// Rows of a list, in all sections together.
pub const CHOICES_MOST: usize = 10;
/// UTF-16 units of a button's title, and of the button that opens a list.
pub const BUTTON_UNITS: usize = 20;
/// UTF-16 units of a row's title.
pub const TITLE_UNITS: usize = 24;
/// UTF-16 units of what a row says besides.
pub const DESCRIPTION_UNITS: usize = 72;
/// UTF-16 units of the words above buttons. Meta's pages give 1,024 or 4,096 for lists; the smaller one is safe.
pub const CHOICES_BODY_UNITS: usize = 1_024;

/// Meta's word for the type of a message, and the object of that name.
pub(super) fn content(form: &PartForm, body: &str) -> (&'static str, Value) {
    match form {
        PartForm::Text => ("text", json!({ "preview_url": false, "body": body })),
        PartForm::Voice { media_id } => ("audio", json!({ "id": media_id, "voice": true })),
        PartForm::Choices { text, button, choices } => ("interactive", interactive(text, button, choices)),
        PartForm::Location { latitude, longitude, name, address } => {
            let mut place = json!({ "latitude": degrees(latitude), "longitude": degrees(longitude), "name": name });
            if let (Some(address), Some(fields)) = (address, place.as_object_mut()) {
                fields.insert("address".to_owned(), json!(address));
            }
            ("location", place)
        }
    }
}

fn interactive(text: &str, button: &str, choices: &[Choice]) -> Value {
    let body = json!({ "text": text });
    let short = |choice: &Choice| choice.description.is_none() && utf16(&choice.title) <= BUTTON_UNITS;
    if choices.len() <= BUTTONS_MOST && choices.iter().all(short) {
        let buttons = choices.iter().enumerate().map(|(n, choice)| {
            json!({ "type": "reply", "reply": { "id": format!("choice-{}", n + 1), "title": choice.title } })
        });
        return json!({ "type": "button", "body": body, "action": { "buttons": buttons.collect::<Vec<_>>() } });
    }
    let rows = choices.iter().enumerate().map(|(n, choice)| {
        let mut row = json!({ "id": format!("choice-{}", n + 1), "title": choice.title });
        if let (Some(description), Some(fields)) = (&choice.description, row.as_object_mut()) {
            fields.insert("description".to_owned(), json!(description));
        }
        row
    });
    let sections = json!([{ "rows": rows.collect::<Vec<_>>() }]);
    json!({ "type": "list", "body": body, "action": { "button": button, "sections": sections } })
}

fn degrees(text: &str) -> Value {
    text.parse::<f64>().map_or(Value::Null, |degrees| json!(degrees))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(title: &str, description: Option<&str>) -> Choice {
        Choice { title: title.to_owned(), description: description.map(str::to_owned) }
    }

    #[test]
    fn a_few_short_choices_are_buttons_and_others_a_list() {
        let form = |choices| PartForm::Choices { text: "Which?".to_owned(), button: "Choose".to_owned(), choices };
        let (kind, buttons) = content(&form(vec![choice("Yes", None), choice("No", None)]), "unused");
        assert_eq!(kind, "interactive");
        assert_eq!(buttons["type"], "button");
        assert_eq!(buttons["action"]["buttons"][1]["reply"]["title"], "No");
        let described = form(vec![choice("Yes", Some("today")), choice("No", None)]);
        let long = form(vec![choice("Twenty-one characters", None)]);
        let many = form((0..4).map(|n| choice(&n.to_string(), None)).collect());
        for list in [described, long, many] {
            let (_, list) = content(&list, "unused");
            assert_eq!(list["type"], "list");
            assert_eq!(list["action"]["button"], "Choose");
            assert!(list["action"]["sections"][0]["rows"][0]["title"].is_string());
        }
    }

    #[test]
    fn a_place_is_sent_as_numbers_and_a_voice_note_says_that_it_is_one() {
        let place = PartForm::Location {
            latitude: "-33.8688".to_owned(),
            longitude: "151.2093".to_owned(),
            name: "Shop".to_owned(),
            address: None,
        };
        let sent = json!({ "latitude": -33.8688, "longitude": 151.2093, "name": "Shop" });
        assert_eq!(content(&place, ""), ("location", sent));
        let voice = PartForm::Voice { media_id: "7".to_owned() };
        assert_eq!(content(&voice, "words"), ("audio", json!({ "id": "7", "voice": true })));
    }
}
