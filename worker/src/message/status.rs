//! What became of a message to a customer: an element of `statuses[]`.

use jiff::Timestamp;
use serde_json::Value;
use shared::ids::MessageId;

use super::{bounded, said, text, timestamp};

/// A status, as far as it is acted on.
#[derive(Debug, Clone)]
pub struct Status {
    /// The message.
    pub wamid: MessageId,
    /// Meta's word.
    pub status: String,
    /// Meta's time.
    pub at: Option<Timestamp>,
    /// What the send carried.
    pub callback: Option<String>,
    /// For `failed`: the first error's code and title.
    pub error: Option<(i64, String)>,
    /// `pricing`, as JSON text.
    pub pricing: Option<String>,
}

impl Status {
    /// None where it names no message.
    pub fn read(status: &Value) -> Option<Self> {
        let error = status.get("errors").and_then(|errors| errors.get(0)).map(|error| {
            let code = text(error, "code").and_then(|code| code.parse().ok()).unwrap_or(0);
            (code, text(error, "title").map_or_else(String::new, |title| bounded(&title, 120)))
        });
        Some(Self {
            wamid: MessageId::parse(&text(status, "id")?).ok()?,
            status: said(status, "status", 32).unwrap_or_else(|| "unknown".to_owned()),
            at: timestamp(status),
            callback: text(status, "biz_opaque_callback_data").map(|data| data.into_owned()),
            error,
            pricing: status.get("pricing").filter(|pricing| pricing.is_object()).map(Value::to_string),
        })
    }

    /// Its place in `sent < delivered < read < played`. `failed` stands before all of them, because a later
    /// delivery disproves it; words of other kinds change nothing.
    pub fn rank(&self) -> i32 {
        match self.status.as_str() {
            "failed" => 0,
            "sent" => 1,
            "delivered" => 2,
            "read" => 3,
            "played" => 4,
            _ => -1,
        }
    }

    /// Whether it proves that Meta has the message: everything that comes after acceptance does.
    pub fn proves_acceptance(&self) -> bool {
        self.rank() >= 1
    }

    /// Whether the message was given up.
    pub fn is_failure(&self) -> bool {
        self.status == "failed"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statuses_are_read_leniently() {
        let status = Status::read(&json!({"id": "wamid.A", "status": "failed", "timestamp": 1_750_030_073,
            "errors": [{"code": 131_047, "title": "Re-engagement message"}]}))
        .expect("names a message");
        assert_eq!(status.error, Some((131_047, "Re-engagement message".to_owned())));
        assert!(status.is_failure() && !status.proves_acceptance());
        for odd in [json!({}), json!([]), json!({"id": ""}), json!({"id": []})] {
            assert!(Status::read(&odd).is_none(), "{odd}");
        }
        let unsaid = Status::read(&json!({"id": "a", "status": "\u{7f}"})).expect("names a message");
        assert_eq!(unsaid.status, "unknown");
        let odd = Status::read(&json!({"id": "a", "status": 7, "errors": "x", "pricing": 1, "timestamp": "soon"}));
        assert_eq!(odd.expect("names a message").rank(), -1);
    }

    #[test]
    fn ranks_only_go_forward() {
        let rank = |word: &str| Status::read(&json!({"id": "a", "status": word})).expect("named").rank();
        let ranks = ["unheard-of", "failed", "sent", "delivered", "read", "played"].map(rank);
        assert!(ranks.is_sorted() && ranks[1] < ranks[2]);
    }
}
