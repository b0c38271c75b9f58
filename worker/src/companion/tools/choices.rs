//! `offer_choices`: a few things to choose from, as WhatsApp buttons or a list.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{OFFER_CHOICES, cleaned, words};
use crate::{
    companion::provider::ToolSpec,
    conversation::Choice,
    whatsapp::{BUTTON_UNITS, CHOICES_BODY_UNITS, CHOICES_MOST, DESCRIPTION_UNITS, TITLE_UNITS, utf16},
};

/// What a customer may choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The words above the choices, where they came with them.
    pub text: Option<String>,
    /// What the list's button says.
    pub button: String,
    /// At least one, at most [`CHOICES_MOST`], titles all different.
    pub choices: Vec<Choice>,
}

pub(super) fn spec() -> ToolSpec {
    static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| {
        ToolSpec::new(
            OFFER_CHOICES,
            &format!(
                "Let the customer choose by a tap: at most 3 short choices are shown as buttons, at most {CHOICES_MOST} \
                 as a list. Use it when you ask a question that has a few answers. It sends `text` with the choices; you \
                 need not write anything besides."
            ),
            json!({
                "type": "object",
                "properties": {
                    "text": { "type": "string", "description": "The question, at most 1000 characters." },
                    "choices": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": CHOICES_MOST,
                        "items": {
                            "type": "object",
                            "properties": {
                                "title": { "type": "string", "description": "At most 20 characters, all different." },
                                "description": { "type": "string", "description": "At most 72 characters." },
                            },
                            "required": ["title"],
                        },
                    },
                    "button": { "type": "string", "description": "What opens a list, at most 20 characters." },
                },
                "required": ["text", "choices"],
            }),
        )
    });
    SPEC.clone()
}

impl Offer {
    /// Reads the arguments of a call.
    ///
    /// # Errors
    /// What is wrong with them, for the model.
    pub fn read(arguments: &Map<String, Value>) -> Result<Self, String> {
        offer(arguments)
    }
}

fn offer(arguments: &Map<String, Value>) -> Result<Offer, String> {
    let listed = arguments.get("choices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut choices: Vec<Choice> = Vec::with_capacity(listed.len());
    for value in listed {
        let choice = choice(value)?;
        if choices.iter().any(|other| other.title.to_lowercase() == choice.title.to_lowercase()) {
            return Err("two choices have the same title".to_owned());
        }
        choices.push(choice);
    }
    if choices.is_empty() || choices.len() > CHOICES_MOST {
        return Err(format!("`choices` must have 1 to {CHOICES_MOST} entries, each with a `title`"));
    }
    let text = words(arguments, "text", 4 * CHOICES_BODY_UNITS);
    if text.as_deref().is_some_and(|text| utf16(text) > CHOICES_BODY_UNITS) {
        return Err(
            "`text` is longer than 1000 characters; write it beside the call, and only the question here".into()
        );
    }
    let button = words(arguments, "button", BUTTON_UNITS).filter(|button| utf16(button) <= BUTTON_UNITS);
    // A sign that needs no language.
    Ok(Offer { text, button: button.unwrap_or_else(|| "☰".to_owned()), choices })
}

fn choice(value: &Value) -> Result<Choice, String> {
    // Models like to leave the object out.
    if let Some(title) = value.as_str() {
        let title = cleaned(title, 4 * TITLE_UNITS).ok_or("each choice must have a `title`")?;
        return titled(&title, None);
    }
    let Value::Object(fields) = value else { return Err("each choice must have a `title`".to_owned()) };
    let title = words(fields, "title", 4 * TITLE_UNITS).ok_or("each choice must have a `title`")?;
    titled(&title, words(fields, "description", 4 * DESCRIPTION_UNITS))
}

fn titled(title: &str, description: Option<String>) -> Result<Choice, String> {
    if utf16(title) > TITLE_UNITS {
        return Err("a `title` must have 1 to 20 characters".to_owned());
    }
    if description.as_deref().is_some_and(|description| utf16(description) > DESCRIPTION_UNITS) {
        return Err("a `description` must have at most 72 characters".to_owned());
    }
    Ok(Choice { title: title.to_owned(), description })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(arguments: Value) -> Result<Offer, String> {
        let Value::Object(arguments) = arguments else { panic!("an object") };
        offer(&arguments)
    }

    #[test]
    fn choices_are_taken_within_whatsapps_limits() {
        let offer = offered(json!({"text": "Which size?", "choices": [{"title": "Small"}, "Large"]})).expect("valid");
        assert_eq!(offer.choices.len(), 2);
        assert_eq!(offer.button, "☰");
        let described = json!({"text": "?", "button": "Sizes", "choices": [{"title": "S", "description": "20 cm"}]});
        let offer = offered(described).expect("valid");
        assert_eq!((offer.button.as_str(), offer.choices[0].description.as_deref()), ("Sizes", Some("20 cm")));
    }

    #[test]
    fn a_title_has_no_control_characters_however_it_is_written() {
        for title in [json!("\u{7}Yes\u{0} "), json!({"title": "\u{7}Yes\u{0} "})] {
            let offer = offered(json!({"choices": [title]})).expect("valid");
            assert_eq!(offer.choices[0].title, "Yes");
        }
    }

    #[test]
    fn what_whatsapp_would_refuse_goes_back_to_the_model() {
        let many: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        for wrong in [
            json!({"text": "?"}),
            json!({"text": "?", "choices": []}),
            json!({"text": "?", "choices": many}),
            json!({"text": "?", "choices": ["Yes", "yes"]}),
            json!({"text": "?", "choices": ["x".repeat(25)]}),
            json!({"text": "?", "choices": [{"title": "S", "description": "x".repeat(73)}]}),
            json!({"text": "?", "choices": [{"description": "no title"}]}),
            json!({"text": "?", "choices": [7]}),
            json!({"text": "?", "choices": ["\u{0} \u{0}"]}),
            json!({"text": "?", "choices": [{"title": "\u{0} \u{0}"}]}),
            json!({"text": "x".repeat(1_025), "choices": ["Yes"]}),
        ] {
            assert!(offered(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
