//! Meta's objects as they come: read field by field, leniently, because any field may be missing, empty or of
//! another type tomorrow, and no message may be lost over that.

mod parse;
mod sender;
mod words;
mod attachment;
mod rhythm;
mod status;

use jiff::Timestamp;
use serde_json::Value;

pub use attachment::{Attachment, AttachmentKind, attachment};
pub use parse::parse;
pub use rhythm::rhythm;
pub use sender::{Sender, contact_name, sender};
pub use status::{Status, replaced_by};
pub use words::{Treatment, edited, is_forwarded, own_words, quoted, revoked, treatment};

/// Text from outside, bounded before it reaches a prompt or a document.
const TEXT_MOST: usize = 8_000;

/// A field that holds text which is not blank. A number counts as its digits.
pub fn text<'a>(object: &'a Value, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    match object.get(name)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `timestamp` in seconds since the Unix epoch, as text or number.
pub fn timestamp(object: &Value) -> Option<Timestamp> {
    let seconds: i64 = text(object, "timestamp")?.parse().ok()?;
    // Zero and negative ones are no times of messages.
    (seconds > 0).then(|| Timestamp::from_second(seconds).ok()).flatten()
}

/// Meta's word for what a message is.
pub fn kind(message: &Value) -> String {
    said(message, "type", 64).unwrap_or_else(|| "unknown".to_owned())
}

/// A field's text, bounded; none where nothing that can be shown is left of it.
fn said(object: &Value, name: &str, most: usize) -> Option<String> {
    let text = bounded(&text(object, name)?, most);
    (!text.is_empty()).then_some(text)
}

/// At most that many characters, without control characters other than line breaks.
fn bounded(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').take(most).collect::<String>().trim().to_owned()
}
