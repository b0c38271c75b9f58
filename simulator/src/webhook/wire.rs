//! The bytes of a webhook, escaped as Meta's are: every character beyond ASCII as `\u` and four lower-case digits,
//! every `/` as `\/`. The signature is made over these bytes, and a receiver that parses and writes them again
//! loses it, which is what a test with an accent in it finds out.

use std::fmt::Write as _;

use serde_json::Value;

/// The body as Meta would send it.
pub fn bytes_on_the_wire(body: &Value) -> Vec<u8> {
    let mut escaped = String::new();
    // In JSON, both a slash and a character beyond ASCII occur inside strings only.
    for c in body.to_string().chars() {
        match c {
            '/' => escaped.push_str("\\/"),
            ascii if ascii.is_ascii() => escaped.push(ascii),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    write!(escaped, "\\u{unit:04x}").expect("a String takes any text");
                }
            }
        }
    }
    escaped.into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn accents_emoji_and_slashes_are_escaped_in_lower_case() {
        let bytes = bytes_on_the_wire(&json!({"t": "café 👍 a/b \"q\" \\"}));
        assert_eq!(String::from_utf8(bytes).expect("ASCII"), r#"{"t":"caf\u00e9 \ud83d\udc4d a\/b \"q\" \\"}"#);
    }

    proptest! {
        #[test]
        fn any_text_survives_the_escapes(text in ".*") {
            let bytes = bytes_on_the_wire(&json!([text]));
            prop_assert!(bytes.is_ascii());
            prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).expect("JSON"), json!([text]));
        }
    }
}
