//! Pictures in a chat: data URLs (RFC 2397) with base64, found, decoded, and kept out of the journal.
//!
//! The journal shows of each its type, its length and its SHA-256 instead of megabytes of base64.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A picture that a chat request holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Such as `image/jpeg`.
    pub mime_type: String,
    /// The file itself.
    pub bytes: Vec<u8>,
}

impl Image {
    /// The picture in a data URL; none where it is no such URL, or no base64.
    pub(super) fn read(url: &str) -> Option<Self> {
        let (mime_type, content) = parts(url)?;
        Some(Self { mime_type: mime_type.to_owned(), bytes: STANDARD.decode(content).ok()? })
    }
}

fn parts(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}

/// The same value with each data URL in it cut short: `data:image/png;base64,<sha256 5f2c…, 1234 bytes>`. Content
/// that is no base64 is told as such.
pub(super) fn abridged(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(abridged_text(text)),
        Value::Array(items) => items.iter().map(abridged).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), abridged(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn abridged_text(text: &str) -> String {
    let Some((mime_type, content)) = parts(text) else { return text.to_owned() };
    let what = match STANDARD.decode(content) {
        Ok(bytes) => format!("sha256 {}, {} bytes", hex::encode(Sha256::digest(&bytes)), bytes.len()),
        Err(_) => format!("no base64, {} characters", content.chars().count()),
    };
    format!("data:{mime_type};base64,<{what}>")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn data_urls_are_cut_short_wherever_they_stand_and_nothing_else_is() {
        let abc = "data:image/png;base64,YWJj";
        let value =
            json!({"a": [abc, "plain", {"url": "data:image/png;base64,%%%"}], "n": [1, null, true], "u": "data:"});
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let short = format!("data:image/png;base64,<sha256 {sha256}, 3 bytes>");
        let broken = "data:image/png;base64,<no base64, 3 characters>";
        let expected = json!({"a": [short, "plain", {"url": broken}], "n": [1, null, true], "u": "data:"});
        assert_eq!(abridged(&value), expected);
        assert_eq!(abridged(&expected)["a"][1], "plain");
        assert_eq!(Image::read(abc), Some(Image { mime_type: "image/png".to_owned(), bytes: b"abc".to_vec() }));
    }
}
