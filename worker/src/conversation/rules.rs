//! What a turn takes from the mailbox: pure rules.

use super::MailboxItem;

/// Sorts into the customer's order: Meta's timestamp, which has whole seconds, then the arrival at ingest, then
/// the position in the body.
pub(crate) fn sort_by_customers_order(mailbox: &mut [MailboxItem]) {
    mailbox.sort_by_key(|item| (item.timestamp, item.received_at, item.index));
}

/// The longest run at the head of the mailbox that was written to one number: a turn answers from one number.
/// At most `most` messages, so that a flood is answered in several turns.
pub fn next_run(mailbox: &[MailboxItem], most: usize) -> &[MailboxItem] {
    let Some(first) = mailbox.first() else { return &[] };
    let length = mailbox.iter().take_while(|item| item.phone_number_id == first.phone_number_id).count();
    mailbox.get(..length.min(most)).unwrap_or(mailbox)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use shared::ids::{MessageId, PhoneNumberId};

    use super::*;

    fn item(id: &str, number: &str, second: i64, received_ms: i64, index: u32) -> MailboxItem {
        MailboxItem {
            id: MessageId::parse(id).expect("an id"),
            phone_number_id: PhoneNumberId::parse(number).expect("an id"),
            timestamp: Timestamp::from_second(second).expect("in range"),
            received_at: Timestamp::from_millisecond(received_ms).expect("in range"),
            index,
            message: None,
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
}
