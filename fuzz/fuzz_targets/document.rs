//! Documents that customers send, other than PDF, which a process of its own reads.
//!
//! The first line is the type that the sender claims, the rest is the file. What comes of it may stand in a prompt:
//! it is bounded, not blank, and without control characters but tab and line feed.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use worker::document::{DocumentReader, Extracted, TEXT_MOST};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().expect("a runtime"));
static READER: LazyLock<DocumentReader> = LazyLock::new(|| DocumentReader::with_program("/nowhere".into()));

fuzz_target!(|data: &[u8]| {
    let Some((head, file)) = data.iter().position(|byte| *byte == b'\n').and_then(|at| data.split_at_checked(at))
    else {
        return;
    };
    let file = file.get(1..).unwrap_or_default();
    let mime_type = String::from_utf8_lossy(head);
    if file.starts_with(b"%PDF-") || mime_type.to_ascii_lowercase().contains("pdf") {
        return;
    }
    for (mime_type, filename) in [
        (mime_type.as_ref(), None),
        ("application/octet-stream", Some("notes.txt")),
        ("application/octet-stream", Some("page.html")),
    ] {
        let extracted = RUNTIME.block_on(READER.text_of(file, mime_type, filename));
        if let Extracted::Text { text, .. } = &extracted {
            assert!(text.chars().count() <= TEXT_MOST && !text.trim().is_empty());
            assert!(text.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()), "{text:?}");
        }
        assert!(extracted.describe().is_none_or(|sentence| sentence.ends_with('.')));
    }
});
