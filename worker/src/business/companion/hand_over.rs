//! `handOver`: what calls a person, and how long that person then has the conversation.

use std::time::Duration;

use super::super::field::Field;

const KEYWORDS_MOST: usize = 50;
const KEYWORD_CHARS_MOST: usize = 100;
/// A person has a conversation for at most 30 days.
const HAND_OVER_MOST_HOURS: f64 = 720.0;
const HAND_OVER_HOURS: u64 = 12;

/// `handOver`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOverSettings {
    /// Words of a customer with which the conversation goes to a person, as they were written.
    pub keywords: Vec<String>,
    /// How long the person then has it.
    pub hours: Duration,
}

impl Default for HandOverSettings {
    fn default() -> Self {
        Self { keywords: Vec::new(), hours: Duration::from_secs(HAND_OVER_HOURS * 3_600) }
    }
}

/// Reads the sub-document.
pub(super) fn read(field: &Field<'_>) -> HandOverSettings {
    let Some(fields) = field.object(&["keywords", "hours"]) else { return HandOverSettings::default() };
    let keywords = fields.get("keywords").map(|field| field.items(KEYWORDS_MOST)).unwrap_or_default();
    let hours = fields.get("hours").and_then(|field| {
        let hours = field.number(0.0..=HAND_OVER_MOST_HOURS)?;
        if hours == 0.0 {
            field.error("is 0, but must be more; leave it out for 12 hours");
            return None;
        }
        Some(Duration::from_secs_f64(hours * 3_600.0))
    });
    HandOverSettings {
        keywords: keywords.iter().filter_map(|keyword| keyword.word(KEYWORD_CHARS_MOST)).collect(),
        hours: hours.unwrap_or(HandOverSettings::default().hours),
    }
}
