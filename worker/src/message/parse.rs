//! Meta's bytes as a JSON value.

use serde_json::Value;

/// Reads an object as Meta sent it. A text that was cut in the middle of an emoji holds half a surrogate pair, which
/// is not Unicode: it reads as the replacement character, because its message is still somebody's. None for what
/// cannot be read even so, such as a number beyond every range or nesting beyond serde_json's limit.
pub fn parse(json: &str) -> Option<Value> {
    serde_json::from_str(json).ok().or_else(|| serde_json::from_str(&without_lone_surrogates(json)).ok())
}

/// Replaces each `\uD800`–`\uDFFF` that is not half of a pair.
fn without_lone_surrogates(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let pair = (unit(escape), escape.get(6..).and_then(unit));
        let (text, length) = match pair {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (escape.get(..12), 12),
            (Some(0xD800..=0xDFFF), _) => (Some("\\ufffd"), 6),
            // Any other escape: the backslash and what it escapes, so that `\\\\u` is not taken for one.
            _ => (escape.get(..2), 2),
        };
        out.push_str(text.unwrap_or(escape));
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The UTF-16 unit of a `\uXXXX` at the beginning.
fn unit(escape: &str) -> Option<u32> {
    u32::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn half_an_emoji_costs_the_emoji_and_not_the_message() {
        assert_eq!(parse(r#"{"a":"x \ud83d"}"#), Some(json!({"a": "x \u{fffd}"})));
        assert_eq!(parse(r#""\udc4d\ud83d\udc4d\ud83d""#), Some(json!("\u{fffd}👍\u{fffd}")));
        assert_eq!(parse(r#""\\ud83d\ud83d""#), Some(json!("\\ud83d\u{fffd}")), "an escaped backslash is no escape");
        assert_eq!(parse("{"), None);
    }

    proptest! {
        #[test]
        fn what_is_json_stays_as_it_is(text in "\\PC{0,40}") {
            let json = json!({"t": text}).to_string();
            prop_assert_eq!(without_lone_surrogates(&json), json);
        }

        #[test]
        fn no_input_panics(text in "(\\\\|u|d83d|dc4d|\\PC){0,30}") {
            parse(&text);
        }
    }
}
