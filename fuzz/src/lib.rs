//! What the targets share: an HTTP answer written as a text, and what every text that leaves the system must be.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

/// Meta's limit of a message, "4096 characters", in UTF-16 units.
pub const MESSAGE_UNITS: usize = 4_096;
/// A part of an answer of which there are so many may be the last one that is sent.
pub const PARTS_MOST: usize = 8;

/// An answer of a server, in a form in which corpora can be read and written:
///
/// ```text
/// 429
/// retry-after: 30
///
/// {"error":{"code":130429}}
/// ```
#[derive(Debug)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// As the worker understands the header.
    pub retry_after: Option<Duration>,
    /// What stands behind the first blank line.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// None where there is no blank line, or no status that a client would pass on.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let end = data.windows(2).position(|bytes| bytes == b"\n\n")?;
        let (head, body) = (data.get(..end)?, data.get(end + 2..)?);
        let mut lines = head.split(|byte| *byte == b'\n');
        let status = std::str::from_utf8(lines.next()?).ok()?.trim().parse().ok()?;
        let mut headers = HeaderMap::new();
        for line in lines {
            if let Some(value) = line.strip_prefix(b"retry-after:") {
                headers.insert(RETRY_AFTER, HeaderValue::from_bytes(value).ok()?);
            }
        }
        let retry_after = worker::http::retry_after(&headers);
        assert!(retry_after.is_none_or(|wait| wait <= Duration::from_secs(3_600)), "nobody waits longer than an hour");
        (200..600).contains(&status).then_some(Self { status, retry_after, body })
    }

    /// Whether it is a 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The length that counts for WhatsApp.
pub fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Panics where a text cannot be sent as one message.
pub fn assert_can_be_sent(text: &str) {
    assert!(!text.trim().is_empty(), "a blank message");
    assert!(units(text) <= MESSAGE_UNITS, "{} units", units(text));
}

/// Panics where a text that goes into a prompt or a document is blank or holds control characters.
pub fn assert_plain(text: &str) {
    assert!(!text.trim().is_empty(), "blank");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "control characters: {text:?}");
}
