//! SQLite as the suite sees it: how a store is opened, and what is done behind its back.
//!
//! The suite tells rows as MongoDB's documents: times are dates, what is not there is absent, and a conversation's memory
//! is one field.

use std::sync::Arc;

use jiff::Timestamp;
use mongodb::bson::{Bson, DateTime, Document};
use rusqlite::{Connection, params};
use serde_json::{Map, Value};
use shared::ids::SessionId;
use standalone::store::SqliteStore;
use worker::{
    conversation::QuietTime,
    store::{MergeStep, Merges, Result, Store},
};

/// A file with nothing in it.
pub(super) struct Backend {
    store: SqliteStore,
    file: std::path::PathBuf,
    _directory: tempfile::TempDir,
}

impl Backend {
    /// A merge is made at once, and nobody sees anything of it before it is over.
    pub(super) const STEPWISE: bool = false;

    pub(super) async fn open(_what: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("switchboard.db");
        Self { store: SqliteStore::open(&file).expect("a new file"), file, _directory: directory }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    pub(super) async fn drop_all(&self) -> Result<()> {
        self.store.close().await;
        Ok(())
    }

    pub(super) async fn clock(&self) -> Timestamp {
        Timestamp::from_millisecond(Timestamp::now().as_millisecond()).expect("in range")
    }

    /// Whether a text is anywhere in the file or in its log, used or not.
    pub(super) fn holds(&self, text: &str) -> bool {
        let log = self.file.with_extension("db-wal");
        let bytes = [&self.file, &log].map(|file| std::fs::read(file).expect("it is there"));
        bytes.iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    }

    fn connection(&self) -> Connection {
        let connection = Connection::open(&self.file).expect("the file is there");
        connection.busy_timeout(std::time::Duration::from_secs(20)).expect("a timeout");
        connection
    }

    pub(super) async fn collections(&self) -> Vec<String> {
        let connection = self.connection();
        let mut statement =
            connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").expect("a statement");
        let names = statement.query_map([], |row| row.get(0)).expect("rows");
        names.map(|name| name.expect("a name")).collect()
    }

    /// A stored document as it is.
    pub(super) async fn find(&self, collection: &str, id: impl Into<Bson>) -> Option<Document> {
        let id = key(&id.into());
        self.row(collection, &id).map(|row| document(collection, row))
    }

    fn row(&self, table: &str, id: &str) -> Option<Map<String, Value>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare(&format!("SELECT document FROM {table} WHERE id = ?1")).expect("a statement");
        let mut rows = statement.query(params![id]).expect("rows");
        let text: String = rows.next().expect("a row")?.get(0).expect("a text");
        Some(serde_json::from_str(&text).expect("JSON"))
    }

    /// All of a collection.
    pub(super) async fn all(&self, collection: &str) -> Vec<Document> {
        let connection = self.connection();
        let mut statement = connection.prepare(&format!("SELECT document FROM {collection}")).expect("a statement");
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        let read = |text: rusqlite::Result<String>| serde_json::from_str(&text.expect("a text")).expect("JSON");
        rows.map(|text| document(collection, read(text))).collect()
    }

    /// Puts a document where another program might have left it.
    pub(super) async fn put(&self, collection: &str, document: Document) {
        let id = key(document.get("_id").expect("an _id"));
        let row = row_of(collection, document);
        let connection = self.connection();
        let table = format!("CREATE TABLE IF NOT EXISTS {collection} (id TEXT PRIMARY KEY, document TEXT)");
        connection.execute(&table, []).expect("a table");
        write(&connection, collection, &id, &row);
    }

    /// Changes a stored document behind the store's back.
    pub(super) async fn change(&self, collection: &str, id: &str, update: Document) {
        let mut row = self.row(collection, id).expect("the document is there");
        for (operator, fields) in update {
            let Bson::Document(fields) = fields else { panic!("{operator} takes fields") };
            for (path, value) in fields {
                let path = in_row(collection, &path);
                match operator.as_str() {
                    "$set" => set(&mut row, &path, json(collection, value)),
                    "$unset" => unset(&mut row, &path),
                    "$push" => push(&mut row, &path, value),
                    other => panic!("the suite has not used {other} before"),
                }
            }
        }
        write(&self.connection(), collection, id, &row);
    }

    /// The whole merge: there are no steps to be seen.
    pub(super) async fn merge_step(&self, from: &SessionId, quiet: QuietTime) -> MergeStep {
        self.store.merge(from, quiet).await.expect("the store answers")
    }
}

fn write(connection: &Connection, table: &str, id: &str, row: &Map<String, Value>) {
    let text = serde_json::to_string(row).expect("JSON");
    let sql = format!("INSERT OR REPLACE INTO {table} (id, document) VALUES (?1, ?2)");
    connection.execute(&sql, params![id, text]).expect("it is written");
}

fn key(id: &Bson) -> String {
    match id {
        Bson::String(text) => text.clone(),
        Bson::ObjectId(id) => id.to_hex(),
        other => other.to_string(),
    }
}

/// Where a conversation keeps what MongoDB has under this path.
fn in_row(collection: &str, path: &str) -> String {
    if collection != "conversations" {
        return path.to_owned();
    }
    match path {
        "memory.turns" => "memory".to_owned(),
        "memory.summary" => "summary".to_owned(),
        "memory.facts" => "facts".to_owned(),
        path => path.to_owned(),
    }
}

fn row_of(collection: &str, document: Document) -> Map<String, Value> {
    let Value::Object(row) = json(collection, Bson::Document(document)) else { unreachable!("a document") };
    row
}

/// Businesses are told in MongoDB's extended JSON, all else plainly.
fn json(collection: &str, value: Bson) -> Value {
    if collection == "businesses" {
        return value.into_relaxed_extjson();
    }
    match value {
        Bson::DateTime(time) => {
            let time = Timestamp::from_millisecond(time.timestamp_millis()).expect("in range");
            Value::from(format!("{time:.3}"))
        }
        Bson::Document(document) => {
            document.into_iter().map(|(field, value)| (field, json(collection, value))).collect()
        }
        Bson::Array(items) => items.into_iter().map(|item| json(collection, item)).collect(),
        Bson::Binary(binary) => serde_json::json!({ "$bytes": hex(&binary.bytes) }),
        other => other.into_relaxed_extjson(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn document(collection: &str, mut row: Map<String, Value>) -> Document {
    if collection == "businesses" {
        let Bson::Document(document) = Bson::try_from(Value::Object(row)).expect("extended JSON") else {
            unreachable!("a document");
        };
        return document;
    }
    if collection == "conversations" {
        let mut memory = Map::new();
        for (ours, theirs) in [("memory", "turns"), ("summary", "summary"), ("facts", "facts")] {
            memory.extend(row.remove(ours).map(|value| (theirs.to_owned(), value)));
        }
        row.insert("memory".to_owned(), Value::Object(memory));
    }
    let mut document = Document::new();
    for (field, value) in row {
        document.extend(bson(value).map(|value| (field, value)));
    }
    document
}

/// None where there is nothing in it.
fn bson(value: Value) -> Option<Bson> {
    match value {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(Bson::Array(items.into_iter().filter_map(bson).collect())),
        Value::Object(fields) => {
            let fields = fields.into_iter().filter_map(|(field, value)| Some((field, bson(value)?)));
            let document: Document = fields.collect();
            (!document.is_empty()).then_some(Bson::Document(document))
        }
        Value::String(text) => Some(match text.parse::<Timestamp>() {
            Ok(time) if text.ends_with('Z') => Bson::DateTime(DateTime::from_millis(time.as_millisecond())),
            _ => Bson::String(text),
        }),
        Value::Bool(flag) => Some(Bson::Boolean(flag)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(Bson::Int64(whole)),
            None => number.as_f64().map(Bson::Double),
        },
    }
}

fn set(row: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(row.insert(path.to_owned(), value)),
        Some((field, rest)) => {
            let inner = row.entry(field).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            set(inner.as_object_mut().expect("an object"), rest, value);
        }
    }
}

fn unset(row: &mut Map<String, Value>, path: &str) {
    match path.split_once('.') {
        None => drop(row.remove(path)),
        Some((field, rest)) => {
            if let Some(inner) = row.get_mut(field).and_then(Value::as_object_mut) {
                unset(inner, rest);
            }
        }
    }
}

fn push(row: &mut Map<String, Value>, path: &str, value: Bson) {
    let Bson::Document(each) = value else { panic!("a list of what is pushed") };
    let Some(Bson::Array(items)) = each.get("$each").cloned() else { panic!("$each") };
    let list = row.entry(path).or_insert_with(|| Value::Array(Vec::new()));
    list.as_array_mut().expect("a list").extend(items.into_iter().map(|item| json("", item)));
}
