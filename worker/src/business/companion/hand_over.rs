//! `handOver`: what calls a person, and how long that person then has the conversation.

use std::time::Duration;

use super::{
    super::{field::Field, token::Secrets},
    notify::{self, NotifySettings},
};
use crate::conversation::{Aftermath, Announcement, HandOverReason};

const KEYWORDS_MOST: usize = 50;
const KEYWORD_CHARS_MOST: usize = 100;
/// A person has a conversation for at most 30 days.
const HAND_OVER_MOST_HOURS: f64 = 720.0;
const HAND_OVER_HOURS: u64 = 12;

/// `handOver`.
#[derive(Debug, Clone)]
pub struct HandOverSettings {
    /// Words of a customer with which the conversation goes to a person, as they were written.
    pub keywords: Vec<String>,
    /// How long the person then has it.
    pub hours: Duration,
    /// Whether a person takes over where the customer got the apology.
    pub on_failure: bool,
    /// Where the business is told of it.
    pub notify: Option<NotifySettings>,
}

impl Default for HandOverSettings {
    fn default() -> Self {
        let hours = Duration::from_secs(HAND_OVER_HOURS * 3_600);
        Self { keywords: Vec::new(), hours, on_failure: false, notify: None }
    }
}

impl HandOverSettings {
    /// Has a reply hand the conversation over for as long as the business says, and announce it where the business wants
    /// to be told. The first reason stays.
    pub(crate) fn hand_over(&self, aftermath: &mut Aftermath, reason: HandOverReason) {
        aftermath.hand_over = Some(self.hours);
        aftermath.hand_over_reason.get_or_insert(reason);
        if self.notify.is_some() {
            aftermath.announcement.get_or_insert_with(|| Box::new(Announcement::of(reason)));
        }
    }
}

/// Reads the sub-document.
pub(super) fn read(field: &Field<'_>, secrets: Secrets<'_>) -> HandOverSettings {
    let Some(fields) = field.object(&["keywords", "hours", "onFailure", "notify"]) else {
        return HandOverSettings::default();
    };
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
        on_failure: fields.get("onFailure").and_then(|field| field.flag()).unwrap_or_default(),
        notify: fields.get("notify").and_then(|field| notify::read(&field, secrets)),
    }
}
