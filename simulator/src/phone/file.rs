//! The chats on file: one record a line, appended before anybody is told of it, read at the start.
//!
//! A line that a killed process left half written was shown to nobody, so it is cut off. Anything else that is no
//! record is an error: a file of something else must not be written to. The file is locked while it is open.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::people::Person;
use crate::{journal::GraphSend, meta::StoredMedia};

/// Something that the page must know again after a restart. `at` is in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Record {
    /// Who somebody is from now on.
    Person(Person),
    /// A file, of a customer or of a business.
    Media { id: String, phone_number_id: String, mime_type: String, base64: String },
    /// A customer's message, about to be posted.
    Written { id: String, phone_number_id: String, number: String, at: i64, webhook: Value },
    /// Its webhook was answered with 200.
    Taken { id: String, at: i64 },
    /// It was marked as read.
    Read { id: String, at: i64, typing: bool },
    /// A business's message to this person was accepted.
    Arrived { number: String, at: i64, send: Box<GraphSend> },
    /// A status of a business's message was answered with 200.
    Reported { id: String, status: String },
}

impl Record {
    pub(super) fn media(id: &str, media: &StoredMedia) -> Self {
        Self::Media {
            id: id.to_owned(),
            phone_number_id: media.phone_number_id.clone(),
            mime_type: media.mime_type.clone(),
            base64: STANDARD.encode(&media.bytes),
        }
    }
}

/// Opens or makes the file, and gives its records.
///
/// # Errors
/// It cannot be opened, another process has it, or a line other than the last is no record.
pub(super) fn open(path: &Path) -> io::Result<(File, Vec<Record>)> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    file.try_lock().map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let records =
        lines.map(|line| serde_json::from_slice(line).map_err(io::Error::other)).collect::<io::Result<_>>()?;
    file.set_len(whole as u64)?;
    file.seek(SeekFrom::End(0))?;
    Ok((file, records))
}

/// Appends a record. A part of it that was written is taken back, so that the file stays one.
///
/// # Errors
/// It cannot be written.
pub(super) fn append(file: &mut File, record: &Record) -> io::Result<()> {
    let mut line = serde_json::to_vec(record).map_err(io::Error::other)?;
    line.push(b'\n');
    let before = file.stream_position()?;
    file.write_all(&line).inspect_err(|_| {
        // Where this fails too, the next start finds a torn line.
        let _ = file.set_len(before).and_then(|()| file.seek(SeekFrom::End(0)));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(id: &str) -> Record {
        Record::Taken { id: id.to_owned(), at: 1 }
    }

    fn ids(records: &[Record]) -> Vec<String> {
        let id = |record: &Record| if let Record::Taken { id, .. } = record { id.clone() } else { String::new() };
        records.iter().map(id).collect()
    }

    #[test]
    fn a_torn_last_line_is_cut_and_written_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("chats.jsonl");
        let (mut file, _) = open(&path).expect("a new file");
        append(&mut file, &taken("a")).expect("written");
        file.write_all(b"{\"kind\":\"taken\",\"id\":\"to").expect("written");
        drop(file);
        let (mut file, records) = open(&path).expect("readable");
        assert_eq!(ids(&records), ["a"]);
        append(&mut file, &taken("b")).expect("written");
        drop(file);
        assert_eq!(ids(&open(&path).expect("readable").1), ["a", "b"]);
    }

    #[test]
    fn a_file_of_something_else_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notes.txt");
        std::fs::write(&path, "Buy milk.\nAnd bread").expect("written");
        assert!(open(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "Buy milk.\nAnd bread");
    }

    #[test]
    fn two_pages_do_not_share_a_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("chats.jsonl");
        let _first = open(&path).expect("a new file");
        assert!(open(&path).is_err());
    }
}
