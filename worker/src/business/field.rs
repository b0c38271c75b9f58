//! A field of a document that somebody else wrote: its value, its path, and where its problems are noted.
//!
//! Whoever reads a setting through here checks it in the same breath, so that what is used and what is reported can
//! never differ. A value of the wrong type is noted and counts as absent; `null` and a blank text are absent without a
//! word, since that is how back ends write "none". JavaScript has one kind of number, so a whole one may have been
//! stored as a fraction.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::finding::{Findings, Severity};

/// What Mongoose adds to every sub-document by itself.
const NOT_OURS: &str = "_id";
/// Characters of a value that a problem may repeat.
const QUOTED: usize = 40;
/// Up to here a double holds every whole number (2^53).
const MOST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// One value of a document.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    pub(super) value: &'a Value,
    path: String,
    findings: &'a Findings,
}

/// The fields of an object.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
    findings: &'a Findings,
}

impl<'a> Field<'a> {
    pub(super) fn root(name: &str, value: &'a Value, findings: &'a Findings) -> Self {
        Self { value, path: name.to_owned(), findings }
    }

    pub(super) fn error(&self, problem: impl Into<String>) {
        self.findings.note(Severity::Error, &self.path, problem);
    }

    pub(super) fn warn(&self, problem: impl Into<String>) {
        self.findings.note(Severity::Warning, &self.path, problem);
    }

    /// Whether reading this way noted an error.
    pub(super) fn has_errors<T>(&self, read: impl FnOnce() -> T) -> (T, bool) {
        let before = self.findings.errors();
        let result = read();
        (result, self.findings.errors() > before)
    }

    /// Notes that the value is of another type than it should be.
    pub(super) fn mistyped(&self, wanted: &str) {
        self.error(format!("is {}, but must be {wanted}", kind(self.value)));
    }

    /// The fields of an object. Those that are not known are noted.
    pub(super) fn object(&self, known: &[&str]) -> Option<Fields<'a>> {
        let fields = self.any_object()?;
        for name in fields.names().filter(|name| !known.contains(name)) {
            fields.at(name).warn(match nearest(name, known.iter().copied()) {
                Some(near) => format!("is not known and not used; did you mean `{near}`?"),
                None => format!("is not known and not used; known are `{}`", known.join("`, `")),
            });
        }
        Some(fields)
    }

    /// The fields of an object, whatever their names.
    pub(super) fn any_object(&self) -> Option<Fields<'a>> {
        let Value::Object(map) = self.value else {
            self.mistyped("an object");
            return None;
        };
        Some(Fields { map, path: self.path.clone(), findings: self.findings })
    }

    /// The elements of a list; those beyond `most` are noted and left out.
    pub(super) fn items(&self, most: usize) -> Vec<Field<'a>> {
        let Value::Array(items) = self.value else {
            self.mistyped("a list");
            return Vec::new();
        };
        if items.len() > most {
            self.error(format!("has {} entries; at most {most} are used", items.len()));
        }
        let items = items.iter().take(most).enumerate();
        items
            .map(|(at, value)| Field { value, path: format!("{}[{at}]", self.path), findings: self.findings })
            .collect()
    }

    /// A text without blanks around it. What is beyond `most` characters is cut off, with a warning.
    pub(super) fn text(&self, most: usize) -> Option<String> {
        let text = self.plain_text()?;
        let length = text.chars().count();
        if length > most {
            self.warn(format!("has {length} characters; only the first {most} are used"));
        }
        Some(text.chars().take(most).collect())
    }

    /// A text that makes no sense when cut: a longer one counts as absent.
    pub(super) fn word(&self, most: usize) -> Option<String> {
        let text = self.plain_text()?;
        if text.chars().count() > most {
            self.error(format!("has {} characters; at most {most} are possible", text.chars().count()));
            return None;
        }
        Some(text.to_owned())
    }

    fn plain_text(&self) -> Option<&'a str> {
        let Value::String(text) = self.value else {
            self.mistyped("a text");
            return None;
        };
        Some(text.trim()).filter(|text| !text.is_empty())
    }

    /// A number within bounds.
    pub(super) fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let wanted = format!("a number from {} to {}", range.start(), range.end());
        let Some(number) = self.value.as_f64() else {
            self.mistyped(&wanted);
            return None;
        };
        if !range.contains(&number) {
            self.error(format!("is {number}, but must be {wanted}"));
            return None;
        }
        Some(number)
    }

    /// A positive whole number.
    pub(super) fn count(&self) -> Option<u64> {
        const WANTED: &str = "a whole number, 1 or more";
        let Some(number) = self.value.as_f64() else {
            self.mistyped(WANTED);
            return None;
        };
        if !(1.0..=MOST_WHOLE).contains(&number) || number.fract() != 0.0 {
            self.error(format!("is {number}, but must be {WANTED}"));
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, positive, below 2^53")]
        Some(number as u64)
    }

    /// Yes or no.
    pub(super) fn flag(&self) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.mistyped("`true` or `false`, without quotes");
        }
        flag
    }

    /// One of a few words, in capitals or not.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.plain_text()?;
        let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
            self.error(format!("is `{}`, but must be {}", quoted(text), names.join(" or ")));
        }
        found.map(|(_, value)| *value)
    }
}

impl<'a> Fields<'a> {
    /// A field that is there. `null` counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<Field<'a>> {
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        Some(Field { value, path: self.path_of(name), findings: self.findings })
    }

    /// A field whose absence is an error. `instead` completes "must be".
    pub(super) fn required(&self, name: &str, instead: &str) -> Option<Field<'a>> {
        let found = self.get(name).filter(|field| field.value.as_str().is_none_or(|text| !text.trim().is_empty()));
        if found.is_none() {
            self.at(name).error(format!("is missing; it must be {instead}"));
        }
        found
    }

    /// The names that are there, without those that a library added.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.map.iter().filter(|(name, value)| *name != NOT_OURS && !value.is_null()).map(|(name, _)| name.as_str())
    }

    /// The place of a field, there or not, to note something about it.
    pub(super) fn at(&self, name: &str) -> Field<'a> {
        Field { value: self.map.get(name).unwrap_or(&Value::Null), path: self.path_of(name), findings: self.findings }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// The word that was probably meant: one that differs by a letter or so, by capitals or underscores.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let word = plain(word);
    let distances = known.into_iter().map(|name| (strsim::osa_distance(&word, &plain(name)), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.len() / 4).clamp(1, 3)).then_some(name)
}

/// The beginning of a value, for a problem that repeats it.
pub(super) fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(QUOTED).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_that_is_nearly_right_is_recognised_and_another_is_not() {
        let known = ["persona", "openingHours", "quietMillis", "handOver"];
        for (written, meant) in [
            ("Persona", "persona"),
            ("opening_hours", "openingHours"),
            ("openinghour", "openingHours"),
            ("quietMilis", "quietMillis"),
            ("hand-over", "handOver"),
            ("handOvre", "handOver"),
        ] {
            assert_eq!(nearest(written, known), Some(meant), "{written}");
        }
        for other in ["prompt", "x", "opening", "persons of interest"] {
            assert_eq!(nearest(other, known), None, "{other}");
        }
    }

    #[test]
    fn whole_numbers_may_be_stored_as_fractions_and_nothing_else_may() {
        let findings = Findings::default();
        let count = |value: Value| Field::root("n", &value, &findings).count();
        assert_eq!((count(json!(7)), count(json!(7.0)), count(json!(1e15))), (Some(7), Some(7), Some(10_u64.pow(15))));
        for wrong in [json!(0), json!(-1), json!(1.5), json!("7"), json!(true), json!(1e300)] {
            assert_eq!(count(wrong.clone()), None, "{wrong}");
        }
        assert_eq!(findings.into_list().len(), 6);
    }

    #[test]
    fn a_list_that_is_too_long_says_so_once() {
        let findings = Findings::default();
        let list = json!([1, 2, 3, 4]);
        assert_eq!(Field::root("list", &list, &findings).items(3).len(), 3);
        let findings = findings.into_list();
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].to_string(), "list has 4 entries; at most 3 are used");
    }
}
