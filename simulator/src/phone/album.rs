//! The files of the chats, as many of the newest as there is room for.
//!
//! Whoever tries the page for days sends and gets more of them than memory should hold. What is shown of an older
//! message is then that it had a file.

use std::collections::{HashMap, VecDeque};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::meta::StoredMedia;

const MAX_FILES: usize = 200;
const MAX_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Album {
    files: HashMap<String, StoredMedia>,
    /// Their ids, oldest first.
    order: VecDeque<String>,
    bytes: usize,
    forgotten: Vec<String>,
}

impl Album {
    pub(super) fn get(&self, id: &str) -> Option<StoredMedia> {
        self.files.get(id).cloned()
    }

    pub(super) fn all(&self) -> HashMap<String, StoredMedia> {
        self.files.clone()
    }

    /// Takes a file in; the newest one stays however large it is.
    pub(super) fn put(&mut self, id: &str, phone_number_id: &str, mime_type: &str, base64: &str) {
        let bytes: bytes::Bytes = STANDARD.decode(base64).unwrap_or_default().into();
        self.bytes += bytes.len();
        let (phone_number_id, mime_type) = (phone_number_id.to_owned(), mime_type.to_owned());
        let before = self.files.insert(id.to_owned(), StoredMedia { phone_number_id, mime_type, bytes });
        match before {
            Some(before) => self.bytes -= before.bytes.len(),
            None => self.order.push_back(id.to_owned()),
        }
        while self.order.len() > 1 && (self.order.len() > MAX_FILES || self.bytes > MAX_BYTES) {
            let oldest = self.order.pop_front().into_iter();
            for (id, file) in oldest.filter_map(|id| self.files.remove_entry(&id)) {
                self.bytes -= file.bytes.len();
                self.forgotten.push(id);
            }
        }
    }

    /// The files that had to go since it was last asked.
    pub(super) fn take_forgotten(&mut self) -> Vec<String> {
        std::mem::take(&mut self.forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_go_where_there_are_too_many() {
        let mut album = Album::default();
        (0..MAX_FILES + 3).for_each(|n| album.put(&n.to_string(), "1001", "image/png", "AAAA"));
        assert_eq!(album.take_forgotten(), ["0", "1", "2"]);
        assert_eq!((album.files.len(), album.bytes), (MAX_FILES, 3 * MAX_FILES));
        assert!(album.get("2").is_none() && album.get("3").is_some());
        assert!(album.take_forgotten().is_empty());
        // The same one again takes no more room.
        album.put("3", "1001", "image/png", "AAAAAAAA");
        assert_eq!((album.files.len(), album.bytes), (MAX_FILES, 3 * MAX_FILES + 3));
    }

    #[test]
    fn the_oldest_files_go_where_they_are_too_large_but_the_newest_stays() {
        let mut album = Album::default();
        let half = STANDARD.encode(vec![0; MAX_BYTES / 2]);
        ["one", "two", "three"].iter().for_each(|id| album.put(id, "1001", "audio/ogg", &half));
        assert_eq!(album.take_forgotten(), ["one"]);
        album.put("four", "1001", "audio/ogg", &STANDARD.encode(vec![0; MAX_BYTES + 1]));
        assert_eq!(album.take_forgotten(), ["two", "three"]);
        assert!(album.get("four").is_some());
    }
}
