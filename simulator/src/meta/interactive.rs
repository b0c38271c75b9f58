//! Interactive messages: what Meta refuses of buttons, lists and links.
//!
//! Other kinds (products, flows, a request for the place) pass with the parts that all of them have. The body of a list
//! may have 1,024 units here, as one of Meta's pages says; another says 4,096.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    Refusal,
    content::{bounded, invalid, missing, optional, text},
};

const MAX_BODY: usize = 1024;
const MAX_LINE: usize = 60;
const MAX_BUTTONS: usize = 3;
const MAX_SECTIONS: usize = 10;
const MAX_ROWS: usize = 10;

pub(super) fn check_interactive(message: &Value) -> Result<(), Refusal> {
    let kind = text(message, "type").ok_or_else(|| missing("interactive['type']"))?;
    let null = Value::Null;
    bounded(message.get("body").unwrap_or(&null), "text", "interactive['body']['text']", 1, MAX_BODY)?;
    check_header(message.get("header").unwrap_or(&null), kind)?;
    optional(message.get("footer").unwrap_or(&null), "text", "interactive['footer']['text']", MAX_LINE)?;
    let action = message.get("action").filter(|action| action.is_object());
    let action = action.ok_or_else(|| missing("interactive['action']"))?;
    match kind {
        "button" => check_buttons(action),
        "list" => check_list(action),
        "cta_url" => check_link(action),
        _ => Ok(()),
    }
}

fn check_header(header: &Value, kind: &str) -> Result<(), Refusal> {
    let field = "interactive['header']['type']";
    match text(header, "type") {
        None if header.is_null() => Ok(()),
        None => Err(missing(field)),
        Some("text") => bounded(header, "text", "interactive['header']['text']", 1, MAX_LINE).map(drop),
        Some("image" | "video" | "document") if kind != "list" => Ok(()),
        Some(_) => Err(invalid(field, "is not one that this kind of message may have")),
    }
}

fn check_buttons(action: &Value) -> Result<(), Refusal> {
    let field = "interactive['action']['buttons']";
    let buttons = items(action, "buttons", field, MAX_BUTTONS)?;
    let (mut ids, mut titles) = (HashSet::new(), HashSet::new());
    for (position, button) in buttons.iter().enumerate() {
        let field = format!("{field}[{position}]");
        if text(button, "type") != Some("reply") {
            return Err(invalid(&format!("{field}['type']"), "must be reply"));
        }
        let (reply, field) = (button.get("reply").unwrap_or(&Value::Null), format!("{field}['reply']"));
        unique(&mut ids, reply, "id", &field, 256)?;
        unique(&mut titles, reply, "title", &field, 20)?;
    }
    Ok(())
}

fn check_list(action: &Value) -> Result<(), Refusal> {
    bounded(action, "button", "interactive['action']['button']", 1, 20)?;
    let field = "interactive['action']['sections']";
    let sections = items(action, "sections", field, MAX_SECTIONS)?;
    let (mut ids, mut count) = (HashSet::new(), 0);
    for (position, section) in sections.iter().enumerate() {
        let (title, rows) = (format!("{field}[{position}]['title']"), format!("{field}[{position}]['rows']"));
        match sections.len() {
            1 => optional(section, "title", &title, 24)?,
            _ => drop(bounded(section, "title", &title, 1, 24)?),
        }
        for (position, row) in items(section, "rows", &rows, MAX_ROWS)?.iter().enumerate() {
            let field = format!("{rows}[{position}]");
            unique(&mut ids, row, "id", &field, 200)?;
            bounded(row, "title", &format!("{field}['title']"), 1, 24)?;
            optional(row, "description", &format!("{field}['description']"), 72)?;
            count += 1;
        }
    }
    let fits = count <= MAX_ROWS;
    fits.then_some(()).ok_or_else(|| invalid(field, &format!("must have at most {MAX_ROWS} rows in all")))
}

fn check_link(action: &Value) -> Result<(), Refusal> {
    let field = "interactive['action']['parameters']";
    let parameters = action.get("parameters").ok_or_else(|| missing(field))?;
    bounded(parameters, "display_text", &format!("{field}['display_text']"), 1, 20)?;
    let url = text(parameters, "url").ok_or_else(|| missing(&format!("{field}['url']")))?;
    let is_link = url.starts_with("http://") || url.starts_with("https://");
    is_link.then_some(()).ok_or_else(|| invalid(&format!("{field}['url']"), "must be a URL"))
}

/// The items of a list that has at least one and at most so many.
fn items<'a>(object: &'a Value, key: &str, field: &str, most: usize) -> Result<&'a [Value], Refusal> {
    let items = object.get(key).and_then(Value::as_array).ok_or_else(|| missing(field))?;
    let fits = (1..=most).contains(&items.len());
    fits.then_some(items.as_slice()).ok_or_else(|| invalid(field, &format!("must have 1 to {most} items")))
}

fn unique<'a>(
    seen: &mut HashSet<&'a str>,
    object: &'a Value,
    key: &str,
    field: &str,
    most: usize,
) -> Result<(), Refusal> {
    let field = format!("{field}['{key}']");
    let is_new = seen.insert(bounded(object, key, &field, 1, most)?);
    is_new.then_some(()).ok_or_else(|| invalid(&field, "must be unique"))
}
