//! Documents that customers send, as text for the companion.
//!
//! Text and PDF are read, of anything else only its name is known. Two bounds hold whatever the bytes are: nobody
//! gets more than [`TEXT_MOST`] characters of a document, and no document costs the worker its life, its memory or
//! more than [`PLACE_WAIT`] and [`TIME_MOST`] together. So a PDF, a format that can describe endless loops and
//! gigabytes in few bytes, is read by a process of its own (`pdf` here, `extract` over there).
//!
//! Where the bytes come from, and what the prompt says of a document, is for others.

mod kind;
mod text;
mod html;
mod pdf;
mod extract;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

pub use extract::{Ending, SUBCOMMAND, extract_pdf};

use kind::Kind;

/// Characters of a document that the companion gets: about 3,000 tokens, or five printed pages.
pub const TEXT_MOST: usize = 12_000;
/// Bytes of the largest document that is looked at. Meta lets customers send 100 MB, but what is larger than this is
/// large for its pictures.
pub const SIZE_MOST: usize = 10 * 1024 * 1024;
/// How long a PDF may be read.
pub const TIME_MOST: Duration = Duration::from_secs(10);
/// How long a PDF may wait for others to be read.
pub const PLACE_WAIT: Duration = Duration::from_secs(10);
/// PDFs that are read at a time: each may take a core, and the memory of [`extract::MEMORY_MOST`].
const PLACES: usize = 2;

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extracted {
    /// Its text: not blank, at most [`TEXT_MOST`] characters, no control characters but tab and line feed.
    Text {
        /// The text, or its beginning.
        text: String,
        /// Whether there is more, or a page could not be read.
        truncated: bool,
    },
    /// It can be read and has no text, such as pages that were scanned.
    Empty,
    /// It cannot be read.
    NotReadable(Why),
}

impl Extracted {
    /// What is to be said about the document besides its text: a sentence for a prompt, without brackets.
    pub const fn describe(&self) -> Option<&'static str> {
        match self {
            Self::Text { truncated: false, .. } => None,
            Self::Text { truncated: true, .. } => Some("Only a part of its text is shown."),
            Self::Empty => Some("It has no text that can be read; perhaps its pages are pictures."),
            Self::NotReadable(why) => Some(why.describe()),
        }
    }
}

/// Why a document cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Neither text nor PDF.
    Kind,
    /// Broken, or made to break its reader.
    Damaged,
    /// Only a password opens it.
    Encrypted,
    /// More than [`SIZE_MOST`] bytes.
    TooLarge,
    /// It took longer than [`TIME_MOST`].
    TooSlow,
    /// The machine could not start a reader, or all were busy for [`PLACE_WAIT`]; the document may be sound.
    Unavailable,
}

impl Why {
    /// The closed word, for metrics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Damaged => "damaged",
            Self::Encrypted => "encrypted",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Unavailable => "unavailable",
        }
    }

    /// A sentence for a prompt.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Kind => "You cannot open this kind of file, only PDF and text files.",
            Self::Damaged => "It cannot be read; the file may be damaged.",
            Self::Encrypted => "It cannot be opened, because it is protected with a password.",
            Self::TooLarge => "It is too large to be read.",
            Self::TooSlow => "It is too complex to be read in time.",
            Self::Unavailable => "It cannot be opened right now.",
        }
    }
}

/// Reads documents, two PDFs at a time. Clones share the places.
#[derive(Debug, Clone)]
pub struct DocumentReader {
    program: PathBuf,
    places: Arc<Semaphore>,
}

impl DocumentReader {
    /// Reads PDFs by starting this very program once more.
    ///
    /// # Errors
    /// The system does not tell the path of the program.
    pub fn new() -> io::Result<Self> {
        Ok(Self::with_program(std::env::current_exe()?))
    }

    /// Reads PDFs with this program: the worker's binary, or what stands in for it.
    pub fn with_program(program: PathBuf) -> Self {
        Self { program, places: Arc::new(Semaphore::new(PLACES)) }
    }

    /// What a document says. `mime_type` is what the sender claims, parameters and all; so is the name.
    ///
    /// Cancellation: a process that was started is killed.
    pub async fn text_of(&self, bytes: &[u8], mime_type: &str, filename: Option<&str>) -> Extracted {
        if bytes.len() > SIZE_MOST {
            return Extracted::NotReadable(Why::TooLarge);
        }
        let raw = match kind::of(bytes, mime_type, filename) {
            None => Err(Why::Kind),
            Some(Kind::Pdf) => pdf::text_of(&self.program, &self.places, bytes).await,
            Some(Kind::Text) => text::of_plain(bytes, mime_type),
            Some(Kind::Html) => text::of_html(bytes, mime_type),
        };
        match raw {
            Ok(raw) => raw.bounded(),
            Err(why) => Extracted::NotReadable(why),
        }
    }
}
