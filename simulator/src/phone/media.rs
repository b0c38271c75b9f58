//! Files on the page: what a person sent, and what businesses sent, played and shown but never run.
//!
//! Only pictures, recordings and films keep their type; anything else, such as HTML or SVG, is bytes to be saved. Each
//! answer is sandboxed besides. A single range of bytes may be asked for, which players do in order to jump.

use std::{ops::Range, sync::Arc};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::Shared;
use crate::meta::StoredMedia;

const SANDBOX: &str = "default-src 'none'; sandbox";

const SHOWN: [&str; 15] = [
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "audio/ogg",
    "audio/mpeg",
    "audio/mp4",
    "audio/aac",
    "audio/amr",
    "audio/opus",
    "audio/wav",
    "audio/webm",
    "video/mp4",
    "video/3gpp",
    "video/webm",
];

pub(super) async fn media(State(shared): State<Arc<Shared>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let known = shared.lock().book.album.get(&id);
    match known {
        Some(file) => answer(file, headers.get(header::RANGE).and_then(|range| range.to_str().ok())),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(file: StoredMedia, range: Option<&str>) -> Response {
    let essence = file.mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_shown = SHOWN.contains(&essence.as_str());
    let (mime_type, disposition) =
        if is_shown { (essence, "inline") } else { ("application/octet-stream".to_owned(), "attachment") };
    let headers = [
        (header::CONTENT_TYPE, mime_type),
        (header::CONTENT_DISPOSITION, disposition.to_owned()),
        (header::CONTENT_SECURITY_POLICY, SANDBOX.to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        // A file never changes under its id; it may be private to this browser.
        (header::CACHE_CONTROL, "private, max-age=3600, immutable".to_owned()),
    ];
    let length = file.bytes.len();
    match range.and_then(|range| asked(range, length)) {
        Some(Range { start, end }) if start < end => {
            let place = [(header::CONTENT_RANGE, format!("bytes {start}-{}/{length}", end - 1))];
            (StatusCode::PARTIAL_CONTENT, headers, place, file.bytes.slice(start..end)).into_response()
        }
        Some(_) => {
            (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, format!("bytes */{length}"))]).into_response()
        }
        None => (headers, file.bytes).into_response(),
    }
}

/// The one range that was asked for, empty where the file has no such bytes; none for whatever else, which may be
/// answered with the whole (RFC 9110, 14.2).
fn asked(range: &str, length: usize) -> Option<Range<usize>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let wanted = last.parse::<usize>().ok()?;
        return Some(length.saturating_sub(wanted)..length);
    }
    let first = first.parse::<usize>().ok()?;
    let end = if last.is_empty() { length } else { last.parse::<usize>().ok()?.saturating_add(1).min(length) };
    Some(first.min(length)..end.max(first.min(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(mime_type: &str, range: Option<&str>) -> Response {
        let bytes = bytes::Bytes::from_static(b"0123456789");
        answer(StoredMedia { phone_number_id: "1001".to_owned(), mime_type: mime_type.to_owned(), bytes }, range)
    }

    #[test]
    fn what_could_run_is_bytes_to_be_saved() {
        for mime_type in
            ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript", "", "application/pdf"]
        {
            let response = answered(mime_type, None);
            assert_eq!(response.headers()["content-type"], "application/octet-stream", "{mime_type}");
            assert_eq!(response.headers()["content-disposition"], "attachment", "{mime_type}");
        }
        let voice = answered("audio/ogg; codecs=opus", None);
        assert_eq!(
            (&voice.headers()["content-type"], voice.status()),
            (&"audio/ogg".parse().expect("valid"), StatusCode::OK)
        );
        assert_eq!(voice.headers()["content-security-policy"], SANDBOX);
    }

    #[test]
    fn a_range_is_what_the_file_has_of_it() {
        for (range, expected) in [
            ("bytes=0-", Some(0..10)),
            ("bytes=2-4", Some(2..5)),
            ("bytes=8-99", Some(8..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-99", Some(0..10)),
            ("bytes=10-", Some(10..10)),
            ("bytes=7-2", Some(7..7)),
            ("bytes=0-18446744073709551615", Some(0..10)),
            ("bytes=0-1,4-5", None),
            ("lines=0-1", None),
        ] {
            assert_eq!(asked(range, 10), expected, "{range}");
        }
        assert_eq!(answered("audio/ogg", Some("bytes=2-4")).headers()["content-range"], "bytes 2-4/10");
        assert_eq!(answered("audio/ogg", Some("bytes=10-")).status(), StatusCode::RANGE_NOT_SATISFIABLE);
    }
}
