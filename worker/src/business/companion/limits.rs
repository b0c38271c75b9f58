//! `limits`: how much a business lets its companion do.

use super::super::field::Field;

/// `limits`: none where the installation's count. All are 1 or more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
}

/// Reads the sub-document.
pub(super) fn read(field: &Field<'_>) -> Limits {
    const LIMITS: [&str; 5] =
        ["messagesPerMinute", "repliesPerDay", "tokensPerDay", "speechCharactersPerDay", "tokensPerReply"];
    let Some(fields) = field.object(&LIMITS) else { return Limits::default() };
    let [messages_per_minute, replies_per_day, tokens_per_day, speech_characters_per_day, tokens_per_reply] =
        LIMITS.map(|name| fields.get(name).and_then(|field| field.count()));
    Limits { messages_per_minute, replies_per_day, tokens_per_day, speech_characters_per_day, tokens_per_reply }
}
