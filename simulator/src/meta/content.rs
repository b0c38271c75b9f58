//! What Meta refuses of a message's particulars, type by type, with the limits of its reference ("Messages", v25.0).
//!
//! Lengths are counted in UTF-16 units throughout: Meta names no unit, and this reading is the strictest. Of contacts
//! and templates only what cannot be missing is checked. Interactive messages have a module of their own, and so
//! have files, which must be there.

use serde_json::Value;

use super::{Refusal, interactive::check_interactive};

const MAX_TEXT_UNITS: usize = 4096;

/// The types of messages, but for those that are files.
pub(super) fn check_content(kind: &str, particulars: &Value) -> Result<(), Refusal> {
    match kind {
        "text" => check_text(particulars),
        "interactive" => check_interactive(particulars),
        "location" => check_location(particulars),
        "reaction" => check_reaction(particulars),
        "contacts" => check_contacts(particulars),
        "template" => check_template(particulars),
        _ => Ok(()),
    }
}

fn check_text(particulars: &Value) -> Result<(), Refusal> {
    match text(particulars, "body") {
        None => Err(missing("text['body']")),
        Some(body) if body.trim().is_empty() => Err(missing("text['body']")),
        Some(body) if units(body) > MAX_TEXT_UNITS => {
            Err(Refusal::code(100).message("Param text['body'] must be at most 4096 characters long."))
        }
        Some(_) => Ok(()),
    }
}

fn check_location(place: &Value) -> Result<(), Refusal> {
    for (name, most) in [("latitude", 90.0), ("longitude", 180.0)] {
        let field = format!("location['{name}']");
        match place.get(name) {
            None | Some(Value::Null) => return Err(missing(&field)),
            Some(value) if value.as_f64().is_some_and(|degrees| degrees.abs() <= most) => {}
            Some(_) => return Err(invalid(&field, &format!("must be a number between -{most} and {most}"))),
        }
    }
    ["name", "address"].into_iter().try_for_each(|name| match place.get(name) {
        Some(value) if !value.is_string() => Err(invalid(&format!("location['{name}']"), "must be a string")),
        Some(_) | None => Ok(()),
    })
}

fn check_reaction(reaction: &Value) -> Result<(), Refusal> {
    if text(reaction, "message_id").is_none_or(str::is_empty) {
        return Err(missing("reaction['message_id']"));
    }
    // An empty one takes the reaction back.
    text(reaction, "emoji").map(drop).ok_or_else(|| missing("reaction['emoji']"))
}

fn check_contacts(contacts: &Value) -> Result<(), Refusal> {
    let cards = contacts.as_array().filter(|cards| !cards.is_empty()).ok_or_else(|| missing("contacts"))?;
    (0..).zip(cards).try_for_each(|(position, card): (usize, _)| {
        let name = card.pointer("/name/formatted_name").and_then(Value::as_str).filter(|name| !name.is_empty());
        name.map(drop).ok_or_else(|| missing(&format!("contacts[{position}]['name']['formatted_name']")))
    })
}

fn check_template(template: &Value) -> Result<(), Refusal> {
    if text(template, "name").is_none_or(str::is_empty) {
        return Err(missing("template['name']"));
    }
    let language = template.pointer("/language/code").and_then(Value::as_str);
    language.map(drop).ok_or_else(|| missing("template['language']['code']"))
}

/// The string under a key, which must have between `least` and `most` UTF-16 units.
pub(super) fn bounded<'a>(
    object: &'a Value,
    key: &str,
    field: &str,
    least: usize,
    most: usize,
) -> Result<&'a str, Refusal> {
    match object.get(key) {
        None | Some(Value::Null) => Err(missing(field)),
        Some(Value::String(value))
            if (least..=most).contains(&units(value)) && (least == 0 || !value.trim().is_empty()) =>
        {
            Ok(value)
        }
        Some(_) => Err(invalid(field, &format!("must be a string of {least} to {most} characters"))),
    }
}

/// The same, of a string that may be missing.
pub(super) fn optional(object: &Value, key: &str, field: &str, most: usize) -> Result<(), Refusal> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(()),
        Some(_) => bounded(object, key, field, 0, most).map(drop),
    }
}

pub(super) fn missing(parameter: &str) -> Refusal {
    Refusal::code(100).message(format!("The parameter {parameter} is required."))
}

pub(super) fn invalid(parameter: &str, demand: &str) -> Refusal {
    Refusal::code(131_009).details(format!("{parameter} {demand}"))
}

pub(super) fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

pub(super) fn units(text: &str) -> usize {
    text.encode_utf16().count()
}
