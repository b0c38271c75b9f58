//! JSON seen one level at a time, with everything below left as the bytes that it is.
//!
//! More lenient than a derived `Deserialize`: keys may come twice, may hold any escape, and nothing is required.
//! serde_json skips over a [`RawValue`] without recursion, whatever its depth.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The keys and values of an object, in order, repeated keys included.
#[derive(Debug)]
pub(super) struct Object<'a>(Vec<(Key<'a>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// None where the value is not an object.
    pub(super) fn parse(raw: &'a RawValue) -> Option<Self> {
        is_object(raw).then(|| serde_json::from_str(raw.get()).ok())?
    }

    /// The value of a key that is there exactly once: of two, nobody could say which is meant.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let mut values = self.all(name);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    pub(super) fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a RawValue> + use<'s, 'a> {
        self.0.iter().filter(move |(key, _)| *key.0 == *name.as_bytes()).map(|(_, value)| *value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &'a RawValue)> {
        self.0.iter().map(|(key, value)| (&*key.0, *value))
    }
}

/// A key as bytes: a text would have to be refused where it holds half of a surrogate pair.
#[derive(Debug)]
struct Key<'a>(Cow<'a, [u8]>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(bytes)))
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(bytes.to_owned())))
            }
        }
        deserializer.deserialize_bytes(KeyVisitor)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

pub(super) fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// The elements of an array; none where the value is not one.
pub(super) fn array(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

/// A text, or a whole number as its digits: Meta writes ids and times both ways.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let json = raw.get();
    if json.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Cow::Borrowed(json));
    }
    serde_json::from_str::<Text<'_>>(json).ok().map(|Text(text)| text).filter(|text| !text.is_empty())
}

/// Whether no array or object in the value lies deeper than `most`; a plain value has depth 0.
pub(super) fn is_within(raw: &RawValue, most: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in raw.get().bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > most {
                    return false;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).expect("valid JSON")
    }

    #[test]
    fn an_object_keeps_repeated_and_odd_keys_in_order() {
        let object = Object::parse(raw(r#"{"a":1,"\u0061":2,"\ud800":3,"":4}"#)).expect("an object");
        assert_eq!(object.all("a").map(RawValue::get).collect::<Vec<_>>(), ["1", "2"]);
        assert!(object.get("a").is_none() && object.has("a"), "twice is ambiguous");
        assert_eq!(object.get("").map(RawValue::get), Some("4"));
        assert_eq!(object.iter().count(), 4);
        for other in ["[]", "null", "1", r#""{}""#] {
            assert!(Object::parse(raw(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn a_text_may_be_a_whole_number() {
        assert_eq!(text(raw(r#""a\u0062""#)).as_deref(), Some("ab"));
        assert_eq!(text(raw("106540352242922")).as_deref(), Some("106540352242922"));
        for none in ["1.5", "-1", "1e3", "null", "true", r#""""#, "[1]", "{}", r#""\ud800""#] {
            assert_eq!(text(raw(none)), None, "{none}");
        }
    }

    #[test]
    fn depth_counts_what_nests_and_not_what_is_text() {
        assert!(is_within(raw("1"), 0));
        assert!(is_within(raw(r#"{"a":"[[[\"[["}"#), 1));
        assert!(is_within(raw("[[],[],{}]"), 2) && !is_within(raw("[[],[],{}]"), 1));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(!is_within(raw(&deep), 64));
    }
}
