//! What sort of document it is: by what the bytes say, then by the type, then by the name.
//!
//! Types and names are the sender's claims, and often wrong (Windows calls a CSV file an Excel sheet). So a wrong
//! guess is harmless: what is taken for text and is not is recognised as junk when it is decoded.

/// A sort of document that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pdf,
    Html,
    Text,
}

/// The sort of a document; none where it cannot be read.
pub(super) fn of(bytes: &[u8], mime_type: &str, filename: Option<&str>) -> Option<Kind> {
    if bytes.starts_with(b"%PDF-") {
        return Some(Kind::Pdf);
    }
    by_type(&essence(mime_type)).or_else(|| by_ending(filename?))
}

/// A type without its parameters, in lower case.
fn essence(mime_type: &str) -> String {
    mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn by_type(essence: &str) -> Option<Kind> {
    let (family, name) = essence.split_once('/')?;
    match (family, name) {
        ("application", "pdf" | "x-pdf") => Some(Kind::Pdf),
        ("text", "html") | ("application", "xhtml+xml") => Some(Kind::Html),
        // Rich text is markup that buries its words.
        ("text", "rtf" | "richtext") => None,
        ("text", _) | ("application", "json" | "xml" | "yaml" | "x-yaml" | "x-ndjson" | "csv") => Some(Kind::Text),
        ("application", other) if other.ends_with("+json") || other.ends_with("+xml") => Some(Kind::Text),
        (_, _) => None,
    }
}

fn by_ending(filename: &str) -> Option<Kind> {
    let (_, ending) = filename.trim().rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        "pdf" => Some(Kind::Pdf),
        "html" | "htm" => Some(Kind::Html),
        "txt" | "text" | "md" | "csv" | "tsv" | "log" | "json" | "xml" | "yaml" | "yml" | "ics" | "vcf" => {
            Some(Kind::Text)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_decides_where_it_says_something() {
        for (mime_type, kind) in [
            ("application/pdf", Some(Kind::Pdf)),
            ("Application/PDF; version=1.7", Some(Kind::Pdf)),
            ("text/plain", Some(Kind::Text)),
            ("text/plain; charset=utf-8", Some(Kind::Text)),
            ("text/csv", Some(Kind::Text)),
            ("text/markdown", Some(Kind::Text)),
            ("text/html", Some(Kind::Html)),
            ("application/json", Some(Kind::Text)),
            ("application/ld+json", Some(Kind::Text)),
            ("application/xml", Some(Kind::Text)),
            ("text/rtf", None),
            ("image/svg+xml", None),
            ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", None),
            ("application/octet-stream", None),
            ("", None),
        ] {
            assert_eq!(of(b"anything", mime_type, None), kind, "{mime_type}");
        }
    }

    #[test]
    fn the_name_decides_where_the_type_says_nothing() {
        for (name, kind) in [
            ("menu.PDF", Some(Kind::Pdf)),
            ("notes.txt", Some(Kind::Text)),
            ("README.md", Some(Kind::Text)),
            ("orders.2026.csv", Some(Kind::Text)),
            ("server.log ", Some(Kind::Text)),
            ("page.htm", Some(Kind::Html)),
            ("letter.docx", None),
            ("txt", None),
            ("", None),
        ] {
            assert_eq!(of(b"anything", "application/octet-stream", Some(name)), kind, "{name}");
        }
        // As Windows calls a CSV file where Excel is installed.
        assert_eq!(of(b"a;b", "application/vnd.ms-excel", Some("orders.csv")), Some(Kind::Text));
    }

    #[test]
    fn a_pdf_is_one_whatever_it_is_called() {
        assert_eq!(of(b"%PDF-1.7\n", "text/plain", Some("menu.txt")), Some(Kind::Pdf));
        assert_eq!(of(b"%PDF-1.7\n", "application/msword", None), Some(Kind::Pdf));
    }
}
