//! Documents, read by the real binary: honest PDFs say their words, hostile ones cost one process.

mod pages;
mod honest;
mod hostile;
mod process;

use std::time::{Duration, Instant};

pub(crate) use hostile::{bomb, endless};
use worker::document::{DocumentReader, Extracted, TIME_MOST, Why};

fn reader() -> DocumentReader {
    DocumentReader::with_program(env!("CARGO_BIN_EXE_worker").into())
}

/// What the real binary makes of a PDF, and how long that takes.
async fn read(pdf: &[u8]) -> (Extracted, Duration) {
    let begun = Instant::now();
    let extracted = reader().text_of(pdf, "application/pdf", Some("menu.pdf")).await;
    let took = begun.elapsed();
    assert!(took < TIME_MOST + Duration::from_secs(20), "it took {took:?}: {extracted:?}");
    (extracted, took)
}

fn whole(text: &str) -> Extracted {
    Extracted::Text { text: text.to_owned(), truncated: false }
}

const DAMAGED: Extracted = Extracted::NotReadable(Why::Damaged);
