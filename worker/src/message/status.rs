//! What became of a message to a customer: an element of `statuses[]`.

use jiff::Timestamp;
use serde_json::Value;
use shared::ids::MessageId;

use super::{bounded, said, text, timestamp};

/// The ranks in the order in which one takes the place of another: none, `sent`, `failed`, `delivered`, `read`,
/// `played`. A failure is the end of what was sent, unless a delivery disproves it.
const ORDER: &[i32] = &[-1, 1, 0, 2, 3, 4];

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

    /// The number of its word, as it is stored; words of other kinds change nothing. Which one counts in the end, in
    /// whatever order they come, is for [`replaced_by`] to say.
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

/// The ranks of which a status of this rank takes the place; -1 is that of a message without one.
pub fn replaced_by(rank: i32) -> &'static [i32] {
    let place = ORDER.iter().position(|known| *known == rank);
    place.and_then(|place| ORDER.get(..place)).unwrap_or_default()
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
    fn a_failure_stands_between_what_was_sent_and_what_has_arrived() {
        let rank = |word: &str| Status::read(&json!({"id": "a", "status": word})).expect("named").rank();
        let ranks = ["unheard-of", "sent", "failed", "delivered", "read", "played"].map(rank);
        for (n, rank) in ranks.iter().enumerate() {
            assert_eq!(replaced_by(*rank), &ranks[..n], "{rank}");
        }
        assert!(replaced_by(5).is_empty() && replaced_by(-2).is_empty());
    }
}
