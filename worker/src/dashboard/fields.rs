//! What a browser says beside the path: the fields of a form, and those behind the question mark.

use std::collections::BTreeMap;

use form_urlencoded::{Serializer, parse};

/// Fields by name; of several of one name the last.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// As browsers encode them.
    pub(super) fn read(encoded: &[u8]) -> Self {
        Self(parse(encoded).into_owned().collect())
    }

    /// A field that is not blank.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// A field that must be exactly as it was sent, such as a secret.
    pub(super) fn exactly(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// An address with these fields behind it; those that are none are left out.
pub(super) fn link(path: &str, fields: &[(&str, Option<&str>)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in fields {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// A path of ours to go on with, which somebody may have made up: one that stays here, or none.
pub(super) fn local(path: &str) -> Option<&str> {
    let stays = path.starts_with('/') && !path.starts_with("//") && path.len() <= 2_000;
    // A browser takes a backslash for a slash, and leaves out what is invisible.
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (stays && plain).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_write_them() {
        let fields = Fields::read(b"secret=a+b%26c&blank=+&days=7&days=30");
        assert_eq!((fields.get("secret"), fields.get("blank"), fields.get("days")), (Some("a b&c"), None, Some("30")));
        assert_eq!((fields.exactly("blank"), fields.exactly("none")), (" ", ""));
        assert_eq!(link("/letters", &[("reason", Some("a b&c")), ("state", None)]), "/letters?reason=a+b%26c");
        assert_eq!(link("/", &[]), "/");
    }

    #[test]
    fn nobody_is_sent_to_another_site() {
        for path in ["/", "/letters?reason=a+b", "/conversations/gAAA"] {
            assert_eq!(local(path), Some(path));
        }
        for path in
            ["", "letters", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "/ä", "/a b"]
        {
            assert_eq!(local(path), None, "{path}");
        }
    }
}
