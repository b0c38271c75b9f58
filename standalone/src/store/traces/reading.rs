//! A row of any table, and the fields in which it names a customer.
//!
//! Where a column `document` has a JSON object, its fields are the row's, as they are the document's in MongoDB. Every
//! other column is a field too. What a table computes from its columns is not told twice.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, params, types::ValueRef};
use serde_json::Value;
use worker::store::Sought;

use super::super::{
    dead_letters::BYTES,
    row::{Done, Row},
};

/// The columns that a table keeps.
pub(super) fn columns(connection: &Connection, table: &str) -> Done<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = statement.query_map(params![table], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// A name that others gave, as SQL has it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A row.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) document: Row,
    /// The other columns.
    beside: Row,
}

impl Read {
    pub(super) fn new(row: &rusqlite::Row<'_>, columns: &[String]) -> Done<Self> {
        let mut read = Self::default();
        for (n, column) in columns.iter().enumerate() {
            let value = value(row.get_ref(n)?);
            let text = value.as_str().filter(|_| column == "document");
            match text.and_then(|text| serde_json::from_str(text).ok()) {
                Some(document) => read.document = document,
                None => drop(read.beside.insert(column.clone(), value)),
            }
        }
        if read.beside.get("id").is_some_and(|id| read.document.get("_id") == Some(id)) {
            read.beside.remove("id");
        }
        Ok(read)
    }

    /// The fields that name the customer, without the customer.
    pub(super) fn fields_with(&self, sought: &Sought) -> BTreeSet<String> {
        let mut fields = BTreeSet::new();
        for part in [&self.beside, &self.document] {
            walk(sought, part, "", &mut fields);
        }
        fields
    }

    /// Whether a field is one of these ids.
    pub(super) fn names_any(&self, ids: &HashSet<String>) -> bool {
        self.beside.values().chain(self.document.values()).filter_map(id_text).any(|id| ids.contains(id))
    }
}

fn value(column: ValueRef<'_>) -> Value {
    match column {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into(),
    }
}

/// Ids may be MongoDB's, as its extended JSON tells them.
fn id_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("$oid")?.as_str())
}

fn walk(sought: &Sought, row: &Row, within: &str, fields: &mut BTreeSet<String>) {
    for (name, value) in row {
        let (path, is_sought) = sought.path(within, name);
        if is_sought {
            fields.insert(path.clone());
        }
        walk_value(sought, value, &path, fields);
    }
}

fn walk_value(sought: &Sought, value: &Value, path: &str, fields: &mut BTreeSet<String>) {
    let is_named = match value {
        Value::Object(row) => match bytes(row) {
            Some(bytes) => sought.is_in(&String::from_utf8_lossy(&bytes)),
            None => return walk(sought, row, path, fields),
        },
        Value::Array(items) => return items.iter().for_each(|item| walk_value(sought, item, path, fields)),
        Value::String(text) => sought.is_in(text),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(double) => double.fract() == 0.0 && sought.is_in(&format!("{double:.0}")),
            None => sought.is_in(&number.to_string()),
        },
        Value::Null | Value::Bool(_) => false,
    };
    if is_named {
        fields.insert(path.to_owned());
    }
}

/// Bytes that are no text.
fn bytes(row: &Row) -> Option<Vec<u8>> {
    hex::decode(row.get(BYTES)?.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use worker::{
        conversation::BusinessId,
        store::{StoredCustomer, Whose},
    };

    use super::*;

    const NUMBER: &str = "4915112345678";

    fn fields(create: &str, insert: &str) -> Vec<String> {
        let connection = Connection::open_in_memory().expect("a database");
        connection
            .execute_batch(&format!("CREATE TABLE \"a \"\" b\" ({create}); INSERT INTO \"a \"\" b\" VALUES ({insert})"))
            .expect("a row");
        let columns = columns(&connection, "a \" b").expect("columns");
        let whose = Whose { ids: BTreeSet::from([NUMBER.to_owned()]), ..Whose::default() };
        let business = BusinessId("b1".to_owned());
        let sought = Sought::new(&StoredCustomer { business, subdomain: None, whose, forgotten_at: None });
        let chosen: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
        let sql = format!("SELECT {} FROM {}", chosen.join(", "), quoted("a \" b"));
        let read = connection.query_row(&sql, [], |row| Ok(Read::new(row, &columns).expect("it is readable")));
        read.expect("a row").fields_with(&sought).into_iter().collect()
    }

    #[test]
    fn a_number_is_found_in_any_column_whatever_its_type() {
        let create = "id TEXT, i INTEGER, r REAL, t TEXT, b BLOB, n, document TEXT, twice TEXT AS (t)";
        let insert = format!(
            "'{NUMBER}', {NUMBER}, {NUMBER}.0, 'call +49 (151) 123-456 78', CAST('{NUMBER}' AS BLOB), NULL, 'no JSON: {NUMBER}'"
        );
        assert_eq!(fields(create, &insert), ["b", "document", "i", "id", "r", "t"]);
        let longer = format!("'{NUMBER}0', {NUMBER}0, 0.5, '915112345678', x'00', NULL, '7'");
        assert_eq!(fields(create, &longer), [""; 0]);
    }

    #[test]
    fn a_document_is_looked_through_as_one_of_mongodb_is() {
        let hex = hex::encode([b"\xff ", NUMBER.as_bytes()].concat());
        let document = format!(
            r#"{{"_id":"{NUMBER}","b":{{"c":[1,{{"d":"+{NUMBER}"}}]}},"e":{NUMBER},"f":{NUMBER}.0,"g":{{"$bytes":"{hex}"}},"h":{{"{NUMBER}":1}},"i":null,"j":"1{NUMBER}"}}"#
        );
        assert_eq!(
            fields("id TEXT, document TEXT", &format!("'{NUMBER}', '{document}'")),
            ["_id", "b.c.d", "e", "f", "g", "h.…"]
        );
    }
}
