//! `limits`: how much a business lets its companion do.

use super::super::field::Field;

/// Characters of the message.
const MESSAGE_MOST: usize = 1_000;

/// `limits`: none where the installation's count. All are 1 or more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Messages of one customer that are answered in a minute.
    pub messages_per_minute: Option<u64>,
    /// Replies of the business in a day.
    pub replies_per_day: Option<u64>,
    /// Tokens of the chat model in a day, read and written.
    pub tokens_per_day: Option<u64>,
    /// Characters that are spoken in a day.
    pub speech_characters_per_day: Option<u64>,
    /// Tokens that one reply may be long.
    pub tokens_per_reply: Option<u64>,
    /// What a customer is told, once, where one of the first three is reached.
    pub message: Option<String>,
}

/// Reads the sub-document.
pub(super) fn read(field: &Field<'_>) -> Limits {
    const LIMITS: [&str; 5] =
        ["messagesPerMinute", "repliesPerDay", "tokensPerDay", "speechCharactersPerDay", "tokensPerReply"];
    let Some(fields) = field.object(&[LIMITS.as_slice(), &["message"]].concat()) else { return Limits::default() };
    let [messages_per_minute, replies_per_day, tokens_per_day, speech_characters_per_day, tokens_per_reply] =
        LIMITS.map(|name| fields.get(name).and_then(|field| field.count()));
    let message = fields.get("message").and_then(|field| field.text(MESSAGE_MOST));
    Limits {
        message,
        messages_per_minute,
        replies_per_day,
        tokens_per_day,
        speech_characters_per_day,
        tokens_per_reply,
    }
}
