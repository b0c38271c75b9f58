//! The process that reads one PDF: bytes on standard input, text on standard output, and how it went as its code.
//!
//! It limits itself before it looks at the first byte, so that a hostile PDF ends this process and harms nothing
//! else: no memory is taken from the worker, no core is kept busy when the worker is killed and cannot end it, no
//! file is opened. Whatever can be caught costs one page; the rest costs the process.

use std::{
    fmt,
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use pdf_extract::{ConvertToFmt, Dictionary, Document, Error, Object, PlainTextOutput, Stream, output_doc_page};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{SIZE_MOST, TEXT_MOST, TIME_MOST};

/// The subcommand of the worker that is this process.
pub const SUBCOMMAND: &str = "extract-pdf";
/// Bytes of text that are printed: what the companion gets, and room for spaces that are taken out.
pub(super) const OUTPUT_MOST: usize = TEXT_MOST * 8;
/// Bytes of memory, by RLIMIT_DATA: what may be written to. The address space (RLIMIT_AS) says nothing, for the
/// allocator reserves a gibibyte of it before `main` begins.
pub(super) const MEMORY_MOST: u64 = 512 * 1024 * 1024;
/// Keeps mimalloc from making writable, and so from counting, what it only reserves (mimalloc, "Environment options").
pub(super) const ALLOCATOR_OPTION: (&str, &str) = ("MIMALLOC_ARENA_EAGER_COMMIT", "0");
/// Pages that are looked at. Only a document of pictures has so many and still wants more.
const PAGES_MOST: usize = 200;
/// Bytes of stack: the parser calls itself for each level of nesting, and honest documents nest deeply.
const STACK: usize = 16 * 1024 * 1024;

/// How the reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All text was printed; there may have been none.
    Whole,
    /// There is more than was printed.
    Part,
    /// A password is needed.
    Encrypted,
    /// It is no PDF, or too broken.
    Damaged,
    /// The system would not limit this process, so nothing was read.
    Unlimited,
}

impl Ending {
    const ALL: [Self; 5] = [Self::Whole, Self::Part, Self::Encrypted, Self::Damaged, Self::Unlimited];

    /// The code of the process. None is a code that Rust (101) or the command line (1, 64) has a use for.
    pub const fn code(self) -> i32 {
        match self {
            Self::Whole => 0,
            Self::Part => 10,
            Self::Encrypted => 11,
            Self::Damaged => 12,
            Self::Unlimited => 13,
        }
    }

    pub(super) fn of_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.code() == code)
    }
}

/// Reads the PDF on standard input and prints its text. What it returns is for the code of the process, which has to
/// end then: its limits are of no use to anything else.
pub fn extract_pdf() -> Ending {
    if limit().is_err() {
        return Ending::Unlimited;
    }
    let mut bytes = Vec::new();
    if io::stdin().lock().take(SIZE_MOST as u64 + 1).read_to_end(&mut bytes).is_err() || bytes.len() > SIZE_MOST {
        return Ending::Damaged;
    }
    let reading = std::thread::Builder::new().stack_size(STACK).spawn(move || read(&bytes));
    let Ok(reading) = reading else { return Ending::Unlimited };
    // It panicked outside a page.
    let Ok((ending, text)) = reading.join() else { return Ending::Damaged };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ending,
        Err(_) => Ending::Damaged,
    }
}

fn limit() -> io::Result<()> {
    // Where the machine, or its container, runs out of memory, this process goes and not the worker. Only a hint,
    // and Linux's own (proc(5), oom_score_adj).
    std::fs::write("/proc/self/oom_score_adj", "1000").ok();
    let seconds = TIME_MOST.as_secs();
    let most = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    most(Resource::Data, MEMORY_MOST)?;
    // The worker looks at the clock; this is for when there is no worker any more. The first limit is the signal that
    // says so, the second would be SIGKILL.
    setrlimit(Resource::Cpu, Rlimit { current: Some(seconds), maximum: Some(seconds + 1) })?;
    most(Resource::Core, 0)?;
    // What is open stays open; nothing more is opened.
    most(Resource::Nofile, 0)?;
    Ok(())
}

/// All pages' text, until there is enough of it.
fn read(bytes: &[u8]) -> (Ending, String) {
    let document = match opened(bytes) {
        Ok(document) => document,
        Err(error) => return (ending_of(&error), String::new()),
    };
    let pages = document.get_pages();
    let mut printed = Printed::default();
    let mut unread = 0;
    for page in pages.keys().take(PAGES_MOST) {
        // What it panics on is one broken font or image; other pages have theirs.
        let read = catch_unwind(AssertUnwindSafe(|| {
            output_doc_page(&document, &mut PlainTextOutput::new(&mut printed), *page)
        }));
        unread += usize::from(!matches!(read, Ok(Ok(()))));
        if printed.end_page().is_err() {
            break;
        }
    }
    let blank = printed.text.trim().is_empty();
    let ending = match () {
        () if pages.is_empty() || (blank && unread > 0) => Ending::Damaged,
        () if printed.full || unread > 0 || pages.len() > PAGES_MOST => Ending::Part,
        () => Ending::Whole,
    };
    (ending, printed.text)
}

/// The document, in the clear. One that only restricts what may be done with it opens with an empty password.
fn opened(bytes: &[u8]) -> Result<Document, Error> {
    let mut document = Document::load_mem(bytes)?;
    if document.is_encrypted() {
        document.decrypt("")?;
    }
    // The extractor takes the content of an image for operators, which costs time and can only end badly.
    for object in document.objects.values_mut() {
        if is_image(object) {
            *object = Object::Stream(Stream::new(Dictionary::new(), Vec::new()));
        }
    }
    Ok(document)
}

fn is_image(object: &Object) -> bool {
    let subtype = object.as_stream().and_then(|stream| stream.dict.get(b"Subtype")).and_then(Object::as_name);
    subtype.is_ok_and(|name| name == b"Image")
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's errors; those that name no password are all one")]
fn ending_of(error: &Error) -> Ending {
    match error {
        Error::Decryption(_) | Error::InvalidPassword | Error::UnsupportedSecurityHandler(_) => Ending::Encrypted,
        _ => Ending::Damaged,
    }
}

/// The text so far, which refuses to grow beyond [`OUTPUT_MOST`].
#[derive(Debug, Default)]
struct Printed {
    text: String,
    full: bool,
}

impl Printed {
    fn end_page(&mut self) -> fmt::Result {
        fmt::Write::write_str(self, "\n\n")
    }
}

impl fmt::Write for Printed {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.full |= self.text.len() + more.len() > OUTPUT_MOST;
        if self.full {
            return Err(fmt::Error);
        }
        self.text.push_str(more);
        Ok(())
    }
}

impl<'a> ConvertToFmt for &'a mut Printed {
    type Writer = &'a mut Printed;

    fn convert(self) -> Self::Writer {
        self
    }
}
