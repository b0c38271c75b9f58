//! The tables. Each row is a document of MongoDB's collection of that name, as JSON; what is searched for is computed
//! from it by SQLite itself, so that no index can disagree with its document.

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use super::row::time;

/// What each version adds to the one before; `user_version` counts those that are there.
const VERSIONS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// A closed conversation is kept as long as the transcript tells a redelivery.
const CLOSED_KEPT_DAYS: i64 = 90;

/// Brings the file to the version of this program.
pub(super) fn migrate(connection: &mut Connection) -> anyhow::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    anyhow::ensure!(
        found <= VERSIONS.len(),
        "it was written by a newer version of Switchboard (its version is {found}, this program knows {}): use that one",
        VERSIONS.len()
    );
    for version in VERSIONS.iter().skip(found) {
        transaction.execute_batch(version)?;
    }
    transaction.pragma_update(None, "user_version", i64::try_from(VERSIONS.len())?)?;
    Ok(transaction.commit()?)
}

/// Deletes what has expired.
pub(super) fn sweep(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    for table in ["messages", "dead_letters", "account_events", "usage", "analytics"] {
        connection.execute(&format!("DELETE FROM {table} WHERE expire_at <= ?1"), params![time(now)])?;
    }
    let closed_before = now.as_millisecond().saturating_sub(CLOSED_KEPT_DAYS * 24 * 60 * 60 * 1_000);
    connection.execute("DELETE FROM conversations WHERE forgotten_at <= ?1", params![closed_before])?;
    Ok(())
}
