//! A closed conversation: what it still tells, and what is left of it.
//!
//! What is left is a *shell*: its name, the numbers that were written to, and when it was closed. The names that the
//! customer's next conversation might have are closed as well. No closed conversation ever opens again.
//!
//! Rows are read piece by piece here: a document that cannot be read as a whole can be forgotten all the same.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use serde_json::{Value, json};
use shared::ids::{MessageId, PhoneNumberId, SessionId, Subdomain};
use worker::{
    conversation::{BusinessId, state::State},
    store::{StoredCustomer, Whose},
};

use super::{
    businesses,
    row::{Done, Row, Table, text, time, time_in, whole},
    stored::Stored,
};

/// A closed conversation is looked after again when it is twice as old, within these bounds.
const LOOK_FIRST: SignedDuration = SignedDuration::from_secs(10);
const LOOK_MOST: SignedDuration = SignedDuration::from_hours(24);

const CONVERSATIONS: Table = Table::Conversations;

/// What is still known of a conversation whose customer is forgotten.
#[derive(Default)]
pub(super) struct Remains {
    /// What waited in its mailbox: it counts as answered from now on.
    pub(super) unanswered: Vec<(PhoneNumberId, MessageId, Timestamp)>,
    /// Whose letters and events are to be erased.
    pub(super) whose: Whose,
}

impl Remains {
    /// Of a shell that is its name, and when it was closed: whatever names the customer and had reached us by then is
    /// theirs.
    pub(super) fn of(connection: &Connection, session: &SessionId, row: &Row) -> Done<Self> {
        let mut whose = Whose { numbers: numbers_of(row), ..Whose::default() };
        whose.sessions.insert(session.expose().to_owned());
        if let Some(business) = text(row, "business_id")
            && let Some(business) = Table::Businesses.get::<Row>(connection, business)?
        {
            whose.add_business(&businesses::read(&business));
        }
        if is_fresh(row) {
            ids_of(row).iter().for_each(|id| whose.add_id(id));
        } else {
            whose.arrived_by = time_in(row, "forgotten_at");
            if is_named(row) {
                whose.add_id(session.customer());
            }
        }
        Ok(Self { unanswered: unanswered(row), whose })
    }
}

/// Leaves of a conversation what the next look needs, and nothing of the customer but its name.
pub(super) fn leave_a_shell(
    connection: &Connection,
    session: &SessionId,
    row: &Row,
    whose: &Whose,
    now: Timestamp,
) -> Done<()> {
    let was_open = !is_closed(row);
    let forgotten_at = time_in(row, "forgotten_at").unwrap_or(now);
    let mut shell = shell(session, row, forgotten_at);
    // Whoever has it in hand writes nothing more.
    shell.state.epoch = whole(row, "epoch").unwrap_or_default() + i64::from(was_open);
    shell.numbers = numbers_of(row);
    shell.named = if is_fresh(row) { whose.ids.contains(session.customer()) } else { is_named(row) };
    let wait = now.duration_since(forgotten_at).clamp(LOOK_FIRST, LOOK_MOST);
    shell.look_after_at = Some(now.saturating_add(wait).unwrap_or(now));
    shell.put(connection)
}

/// No conversation begins under a name that the customer's next one might have, as if nobody had written before: one
/// that has to take another name asks the transcript what is known.
pub(super) fn close_names(connection: &Connection, row: &Row, aliases: &[String], now: Timestamp) -> Done<()> {
    let subdomain = subdomain_of(row);
    for alias in aliases {
        let name = SessionId::new(subdomain.as_ref(), alias);
        if !CONVERSATIONS.has(connection, name.expose())? {
            Stored { named: true, ..shell(&name, row, now) }.put(connection)?;
        }
    }
    Ok(())
}

/// Closes the names that a customer's ids would give to a conversation, so that whoever looks after these erases what
/// names the customer, also where there never was a conversation. One that is somebody's stays as it is.
pub(super) fn close_ids(connection: &Connection, customer: &StoredCustomer, now: Timestamp) -> Done<Vec<SessionId>> {
    let (whose, now) = (&customer.whose, time(now));
    let names: Vec<_> = whose.ids.iter().map(|id| SessionId::new(customer.subdomain.as_ref(), id)).collect();
    for name in names.iter().map(SessionId::expose) {
        let found: Option<Row> = CONVERSATIONS.get(connection, name)?;
        if found.as_ref().is_some_and(is_fresh) {
            continue;
        }
        let closed = json!({
            "_id": name,
            "business_id": customer.business,
            "subdomain": customer.subdomain,
            "customer": { "ids": whose.ids },
            "numbers": whose.numbers,
            "epoch": found.and_then(|row| whole(&row, "epoch")).unwrap_or_default(),
            "merged_into": name,
            "forgotten_at": now,
            "look_after_at": now,
        });
        CONVERSATIONS.put(connection, name, &closed)?;
    }
    Ok(names)
}

fn shell(session: &SessionId, row: &Row, forgotten_at: Timestamp) -> Stored {
    let business_id = BusinessId(text(row, "business_id").unwrap_or_default().to_owned());
    let mut shell = Stored::from(State::begun(session, &business_id, subdomain_of(row).as_ref()));
    shell.state.merged_into = Some(session.clone());
    shell.forgotten_at = Some(forgotten_at);
    shell.look_after_at = Some(forgotten_at);
    shell
}

fn subdomain_of(row: &Row) -> Option<Subdomain> {
    text(row, "subdomain").and_then(|text| Subdomain::parse(text).ok())
}

/// Whether its customer was forgotten.
pub(super) fn is_closed(row: &Row) -> bool {
    row.get("forgotten_at").is_some_and(|at| !at.is_null())
}

/// Whether everything else is still to be erased for the first time: it is open, or knows whose it was.
pub(super) fn is_fresh(row: &Row) -> bool {
    !is_closed(row) || !ids_of(row).is_empty()
}

/// Whether the customer's number or user id stands in the conversation's name. A number may have got another owner.
pub(super) fn is_named(closed: &Row) -> bool {
    closed.get("named").and_then(Value::as_bool).unwrap_or(false)
}

/// The customer's own numbers and user ids, as far as a conversation has them.
pub(super) fn ids_of(row: &Row) -> Vec<String> {
    let Some(customer) = row.get("customer").and_then(Value::as_object) else { return Vec::new() };
    let single = ["wa_id", "user_id"].into_iter().filter_map(|field| text(customer, field));
    let listed = list(customer, "ids").filter_map(Value::as_str);
    single.chain(listed).map(str::to_owned).collect()
}

/// The numbers of the business that the customer wrote to, as far as a conversation has them.
pub(super) fn numbers_of(row: &Row) -> BTreeSet<String> {
    let windows = row.get("windows").and_then(Value::as_object).into_iter().flat_map(|windows| windows.keys()).cloned();
    let listed = list(row, "numbers").filter_map(Value::as_str);
    let items = rows(row, "answered").chain(rows(row, "mailbox"));
    let written_to = items.filter_map(|item| text(item, "phone_number_id"));
    windows.chain(listed.chain(written_to).map(str::to_owned)).collect()
}

fn unanswered(row: &Row) -> Vec<(PhoneNumberId, MessageId, Timestamp)> {
    let known = |item: &Row| {
        let number = PhoneNumberId::parse(text(item, "phone_number_id")?).ok()?;
        Some((number, MessageId::parse(text(item, "id")?).ok()?, time_in(item, "timestamp")?))
    };
    rows(row, "mailbox").filter_map(known).collect()
}

fn list<'a>(row: &'a Row, field: &str) -> impl Iterator<Item = &'a Value> {
    row.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn rows<'a>(row: &'a Row, field: &str) -> impl Iterator<Item = &'a Row> {
    list(row, field).filter_map(Value::as_object)
}
