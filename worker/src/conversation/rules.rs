//! Pure rules: what a turn takes from the mailbox, when a conversation is due, and when a number may write.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use shared::ids::MessageId;

use super::{BUCKET_MOST, BUCKET_REFILL, MEMORY_TURN_BYTES, MailboxItem, QuietTime, TURN_LINES, WINDOW};

/// Sorts into the customer's order: Meta's timestamp, which has whole seconds, then the arrival at ingest, then
/// the position in the body.
pub(crate) fn sort_by_customers_order(mailbox: &mut [MailboxItem]) {
    mailbox.sort_by_key(|item| (item.timestamp, item.received_at, item.index));
}

/// The longest run at the head of the mailbox that was written to one number: a turn answers from one number.
/// At most `most` messages, so that a flood is answered in several turns. What is to be sent once more is a run of
/// its own, and comes first: it was said before whatever is to be answered now.
pub fn next_run(mailbox: &[MailboxItem], most: usize) -> &[MailboxItem] {
    if let Some(at) = mailbox.iter().position(|item| item.resend_of.is_some()) {
        return mailbox.get(at..=at).unwrap_or_default();
    }
    let Some(first) = mailbox.first() else { return &[] };
    let length = mailbox.iter().take_while(|item| item.phone_number_id == first.phone_number_id).count();
    mailbox.get(..length.min(most)).unwrap_or(mailbox)
}

/// How long a number must wait before it may send one more message to this customer; none where it may do so now.
///
/// `full_at` is when its bucket is full again: each message moves that on by [`BUCKET_REFILL`], and the bucket holds
/// [`BUCKET_MOST`] messages (the generic cell rate algorithm).
pub fn bucket_wait(full_at: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    let owed = full_at.map_or(SignedDuration::ZERO, |full_at| full_at.duration_since(now).max(SignedDuration::ZERO));
    let most = SignedDuration::try_from(BUCKET_REFILL * (BUCKET_MOST - 1)).unwrap_or(SignedDuration::MAX);
    Duration::try_from(owed.saturating_sub(most)).ok().filter(|wait| !wait.is_zero())
}

/// When a conversation with a mailbox is due: after the quiet time, at most the ceiling after the first message, and
/// never before a retry is.
pub(crate) fn due(retry_at: Option<Timestamp>, first: Timestamp, last: Timestamp, quiet: QuietTime) -> Timestamp {
    let rested = later(last, quiet.quiet).min(later(first, quiet.ceiling));
    retry_at.map_or(rested, |retry_at| retry_at.max(rested))
}

/// Until when a number may write freely to a customer who wrote to it at that time.
pub(crate) fn window_end(sent_at: Timestamp) -> Timestamp {
    later(sent_at, WINDOW)
}

/// A time as databases keep it, without what is below a millisecond.
pub(crate) fn whole_millis(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// That much after a time, to the millisecond.
pub(crate) fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(span(by)).unwrap_or(Timestamp::MAX)
}

/// That much before a time, to the millisecond.
pub(crate) fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_sub(span(by)).unwrap_or(Timestamp::MIN)
}

fn span(duration: Duration) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// The id under which a message of our own stands in the mailbox, to be sent once more. None for one that is longer
/// than any of Meta's.
pub(crate) fn resend_id(failed: &MessageId) -> Option<MessageId> {
    MessageId::parse(&format!("resend:{}", failed.expose())).ok()
}

/// As much of a line as is remembered, cut between characters.
pub(crate) fn remembered(line: &str) -> &str {
    let end = (0..=line.len().min(MEMORY_TURN_BYTES)).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
    line.get(..end).unwrap_or_default()
}

/// The messages of a flood, several in a line, as many as are remembered of one.
pub(crate) fn gathered(words: Vec<String>) -> Vec<String> {
    if words.len() <= TURN_LINES {
        return words;
    }
    let mut lines: Vec<String> = Vec::new();
    for text in words {
        match lines.last_mut().filter(|line| line.len() + 1 + text.len() <= MEMORY_TURN_BYTES) {
            Some(line) => {
                line.push('\n');
                line.push_str(&text);
            }
            None => lines.push(text),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use shared::ids::PhoneNumberId;

    use super::*;

    fn item(id: &str, number: &str, second: i64, received_ms: i64, index: u32) -> MailboxItem {
        MailboxItem {
            id: MessageId::parse(id).expect("an id"),
            phone_number_id: PhoneNumberId::parse(number).expect("an id"),
            timestamp: Timestamp::from_second(second).expect("in range"),
            received_at: Timestamp::from_millisecond(received_ms).expect("in range"),
            index,
            message: None,
            resend_of: None,
            trace: None,
        }
    }

    fn ids(items: &[MailboxItem]) -> Vec<&str> {
        items.iter().map(|item| item.id.expose()).collect()
    }

    #[test]
    fn the_customers_order_is_by_time_of_sending_then_arrival_then_position() {
        let mut mailbox =
            [item("d", "1", 6, 1, 0), item("b", "1", 5, 10, 1), item("c", "1", 5, 20, 0), item("a", "1", 5, 10, 0)];
        sort_by_customers_order(&mut mailbox);
        assert_eq!(ids(&mailbox), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_run_ends_where_the_customer_turned_to_another_number() {
        let mailbox =
            [item("a", "1", 1, 1, 0), item("b", "1", 2, 1, 0), item("c", "2", 3, 1, 0), item("d", "1", 4, 1, 0)];
        assert_eq!(ids(next_run(&mailbox, 10)), ["a", "b"]);
        assert_eq!(ids(next_run(&mailbox, 1)), ["a"]);
        assert!(next_run(&[], 10).is_empty());
    }

    #[test]
    fn what_is_sent_once_more_comes_first_and_is_a_run_of_its_own() {
        let mut mailbox = ["a", "b", "c", "d", "e"].map(|id| item(id, "1", 1, 1, 0));
        for n in [2, 3] {
            mailbox[n].resend_of = Some(MessageId::parse("failed").expect("an id"));
        }
        assert_eq!(ids(next_run(&mailbox, 10)), ["c"]);
        assert_eq!(ids(next_run(&mailbox[3..], 10)), ["d"]);
        assert_eq!(ids(next_run(&mailbox[..2], 10)), ["a", "b"]);
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).expect("in range")
    }

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_one_message_at_a_time() {
        let now = at(1_000_000);
        assert_eq!(bucket_wait(None, now), None);
        // As the operations keep it.
        let mut full_at = now;
        for sent in 0..BUCKET_MOST {
            assert_eq!(bucket_wait(Some(full_at), now), None, "after {sent} messages");
            full_at = later(full_at, BUCKET_REFILL);
        }
        assert_eq!(bucket_wait(Some(full_at), now), Some(BUCKET_REFILL));
        assert_eq!(bucket_wait(Some(full_at), at(1_000_000 + 5_999)), Some(Duration::from_millis(1)));
        assert_eq!(bucket_wait(Some(full_at), at(1_000_000 + 6_000)), None, "one is refilled");
        full_at = later(full_at, BUCKET_REFILL);
        assert_eq!(bucket_wait(Some(full_at), at(1_000_000 + 6_000)), Some(BUCKET_REFILL), "one, and no more");
    }

    #[test]
    fn a_bucket_that_has_been_full_for_long_holds_no_more_than_a_burst() {
        let (full_at, now) = (at(0), at(1_000_000_000));
        assert_eq!(bucket_wait(Some(full_at), now), None);
    }

    #[test]
    fn a_conversation_is_due_after_rest_by_the_ceiling_and_never_before_its_retry() {
        let quiet = QuietTime { quiet: Duration::from_millis(800), ceiling: Duration::from_secs(5) };
        assert_eq!(due(None, at(0), at(0), quiet), at(800));
        assert_eq!(due(None, at(0), at(4_000), quiet), at(4_800));
        assert_eq!(due(None, at(0), at(4_900), quiet), at(5_000));
        assert_eq!(due(Some(at(9_000)), at(0), at(0), quiet), at(9_000));
        assert_eq!(due(Some(at(100)), at(0), at(0), quiet), at(800));
    }

    #[test]
    fn a_line_is_remembered_up_to_its_bound_and_cut_between_characters() {
        assert_eq!(remembered(""), "");
        assert_eq!(remembered("short"), "short");
        let most = "a".repeat(MEMORY_TURN_BYTES);
        assert_eq!(remembered(&format!("{most}a")), most);
        let odd = format!("a{}", "é".repeat(MEMORY_TURN_BYTES));
        assert_eq!(remembered(&odd).len(), MEMORY_TURN_BYTES - 1);
    }

    #[test]
    fn a_flood_is_remembered_in_few_lines_and_whole() {
        let few: Vec<String> = (0..TURN_LINES).map(|n| n.to_string()).collect();
        assert_eq!(gathered(few.clone()), few, "a message is a line, as long as there are few");
        let many: Vec<String> = (0..50).map(|n| format!("{n} {}", "x".repeat(1_000))).collect();
        let lines = gathered(many.clone());
        assert!(lines.len() <= TURN_LINES && lines.iter().all(|line| line.len() <= MEMORY_TURN_BYTES));
        assert_eq!(lines.join("\n"), many.join("\n"));
    }

    #[test]
    fn times_that_no_clock_shows_bend_instead_of_breaking() {
        assert_eq!(later(at(0), Duration::MAX), Timestamp::MAX);
        assert_eq!(earlier(at(0), Duration::MAX), Timestamp::MIN);
        let fine = Timestamp::from_nanosecond(1_999_999).expect("in range");
        assert_eq!(whole_millis(fine), at(1));
    }

    #[test]
    fn an_id_too_long_for_a_message_of_the_mailbox_is_none() {
        let id = |length: usize| MessageId::parse(&"w".repeat(length)).expect("an id");
        assert!(resend_id(&id(505)).is_some());
        assert!(resend_id(&id(506)).is_none());
    }
}
