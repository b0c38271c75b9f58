//! Rows: a document by its id, in a table. Every table has the two columns `id` and `document`; whatever else it has is
//! computed from the document.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, params};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use worker::store::{KEPT, StoreError};

use super::error::{Broken, corrupt};

pub(super) type Row = Map<String, Value>;
pub(super) type Done<T> = std::result::Result<T, Broken>;

/// A table, by what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Conversations,
    Businesses,
    Identities,
    Messages,
    DeadLetters,
    AccountEvents,
    AccountStanding,
    Knowledge,
    Usage,
    Analytics,
}

impl Table {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Conversations => "conversations",
            Self::Businesses => "businesses",
            Self::Identities => "identities",
            Self::Messages => "messages",
            Self::DeadLetters => "dead_letters",
            Self::AccountEvents => "account_events",
            Self::AccountStanding => "account_standing",
            Self::Knowledge => "knowledge",
            Self::Usage => "usage",
            Self::Analytics => "analytics",
        }
    }

    /// What one of its rows is called where it cannot be read.
    fn row(self) -> &'static str {
        match self {
            Self::Conversations => "conversation",
            Self::Businesses => "business",
            Self::Identities => "identity",
            Self::Messages => "message",
            Self::DeadLetters => "dead letter",
            Self::AccountEvents => "account event",
            Self::AccountStanding => "account standing",
            Self::Knowledge => "passage",
            Self::Usage => "day of usage",
            Self::Analytics => "day of analytics",
        }
    }

    /// The document of that id.
    pub(super) fn get<T: DeserializeOwned>(self, connection: &Connection, id: &str) -> Done<Option<T>> {
        let text: Option<String> = connection
            .prepare_cached(&format!("SELECT document FROM {} WHERE id = ?1", self.name()))?
            .query_row(params![id], |row| row.get(0))
            .optional()?;
        text.map(|text| self.parse(&text)).transpose()
    }

    /// Whether there is a document of that id.
    pub(super) fn has(self, connection: &Connection, id: &str) -> Done<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE id = ?1", self.name());
        Ok(connection.prepare_cached(&sql)?.exists(params![id])?)
    }

    /// Writes a document, whether it was there or not.
    pub(super) fn put(self, connection: &Connection, id: &str, document: &impl Serialize) -> Done<()> {
        let text = serde_json::to_string(document).map_err(|_| corrupt(self.row()))?;
        let sql = format!(
            "INSERT INTO {} (id, document) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET document = excluded.document",
            self.name()
        );
        connection.prepare_cached(&sql)?.execute(params![id, text])?;
        Ok(())
    }

    /// Deletes what a condition means, and says how many there were.
    pub(super) fn delete(self, connection: &Connection, condition: &str, parameters: impl Params) -> Done<u64> {
        let sql = format!("DELETE FROM {} WHERE {condition}", self.name());
        Ok(u64::try_from(connection.prepare_cached(&sql)?.execute(parameters)?).unwrap_or(u64::MAX))
    }

    /// Gives a text field of every document that a condition means another value, and says how many there were.
    pub(super) fn set_text(
        self,
        connection: &Connection,
        field: &str,
        value: &str,
        condition: &str,
        parameter: &str,
    ) -> Done<u64> {
        let table = self.name();
        let sql = format!("UPDATE {table} SET document = json_set(document, '$.{field}', ?2) WHERE {condition}");
        let changed = connection.prepare_cached(&sql)?.execute(params![parameter, value])?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    /// The documents that a condition means, by id. What follows it may say in which order, and how many.
    pub(super) fn find<T: DeserializeOwned>(
        self,
        connection: &Connection,
        condition: &str,
        parameters: impl Params,
    ) -> Done<Vec<(String, T)>> {
        let sql = format!("SELECT id, document FROM {} WHERE {condition}", self.name());
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(parameters)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let text: String = row.get(1)?;
            found.push((row.get(0)?, self.parse(&text)?));
        }
        Ok(found)
    }

    /// The ids of the documents that a condition means.
    pub(super) fn ids(self, connection: &Connection, condition: &str, parameters: impl Params) -> Done<Vec<String>> {
        let sql = format!("SELECT id FROM {} WHERE {condition}", self.name());
        let mut statement = connection.prepare_cached(&sql)?;
        let found = statement.query_map(parameters, |row| row.get(0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn parse<T: DeserializeOwned>(self, text: &str) -> Done<T> {
        Ok(serde_json::from_str(text).map_err(|_| corrupt(self.row()))?)
    }
}

/// A row of these fields.
pub(super) fn fields<const N: usize>(fields: [(&str, Value); N]) -> Row {
    fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
}

/// When what is written now is deleted.
pub(super) fn expiry(now: Timestamp) -> String {
    time(now.saturating_add(KEPT).unwrap_or(now))
}

/// A time as rows have it: to the millisecond, and always as long, so that texts sort as times do.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// A text field.
pub(super) fn text<'a>(row: &'a Row, field: &str) -> Option<&'a str> {
    row.get(field).and_then(Value::as_str)
}

/// A field with a time.
pub(super) fn time_in(row: &Row, field: &str) -> Option<Timestamp> {
    text(row, field)?.parse().ok()
}

/// A field with a whole number.
pub(super) fn whole(row: &Row, field: &str) -> Option<i64> {
    row.get(field).and_then(Value::as_i64)
}

/// A text field without which the row is of no use.
pub(super) fn required<'a>(row: &'a Row, field: &str, what: &'static str) -> std::result::Result<&'a str, StoreError> {
    text(row, field).ok_or_else(|| corrupt(what))
}

/// A column with a number of things.
pub(super) fn count(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}
