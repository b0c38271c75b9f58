//! From bytes that should be text to text that may stand in a prompt.
//!
//! Owns the promise of [`Extracted::Text`]: bounded, not blank, without control characters.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::{Extracted, TEXT_MOST, Why, html};

/// Bytes that are decoded. [`TEXT_MOST`] characters are at most 48,000 bytes; the rest is room for markup.
const DECODED_MOST: usize = 512 * 1024;
/// One control character in so many characters makes a text junk. In random bytes it is every tenth.
const JUNK_ONE_IN: usize = 50;

/// Text as its document has it, before it is made fit for a prompt.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) text: String,
    /// Whether the document has more.
    pub(super) cut: bool,
    /// Whether spaces only lay the words out, so that one says as much as many.
    pub(super) spaces_are_layout: bool,
}

impl Raw {
    /// Fit for a prompt.
    pub(super) fn bounded(self) -> Extracted {
        let tidy = tidied(&self.text, self.spaces_are_layout);
        let (text, cut) = shortened(&tidy, TEXT_MOST);
        if text.is_empty() {
            return Extracted::Empty;
        }
        Extracted::Text { text: text.to_owned(), truncated: cut || self.cut }
    }
}

pub(super) fn of_plain(bytes: &[u8], mime_type: &str) -> Result<Raw, Why> {
    let (text, cut) = decoded(bytes, mime_type)?;
    Ok(Raw { text: text.into_owned(), cut, spaces_are_layout: false })
}

pub(super) fn of_html(bytes: &[u8], mime_type: &str) -> Result<Raw, Why> {
    let (page, cut) = decoded(bytes, mime_type)?;
    Ok(Raw { text: html::words(&page), cut, spaces_are_layout: true })
}

/// The beginning of the bytes as text, and whether there is more. The byte order mark decides; then whether it is
/// UTF-8; then the type's `charset`; and what is left is Windows-1252, of which Latin-1 is a part.
fn decoded<'a>(bytes: &'a [u8], mime_type: &str) -> Result<(Cow<'a, str>, bool), Why> {
    let head = bytes.get(..DECODED_MOST).unwrap_or(bytes);
    let text = match Encoding::for_bom(head) {
        Some((encoding, mark)) => encoding.decode_without_bom_handling(head.get(mark..).unwrap_or_default()).0,
        None => match utf8(head) {
            Some(text) => Cow::Borrowed(text),
            None => declared(mime_type).unwrap_or(WINDOWS_1252).decode_without_bom_handling(head).0,
        },
    };
    if is_junk(&text) { Err(Why::Kind) } else { Ok((text, head.len() < bytes.len())) }
}

/// The bytes as UTF-8, without a last character that is cut.
fn utf8(bytes: &[u8]) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => {
            bytes.get(..error.valid_up_to()).and_then(|whole| std::str::from_utf8(whole).ok())
        }
        Err(_) => None,
    }
}

/// The encoding that a type names. UTF-8 was tried already, and what is not UTF-8 is most likely Windows-1252.
fn declared(mime_type: &str) -> Option<&'static Encoding> {
    let labels = mime_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut labels = labels.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let label = labels.next()?.1.trim().trim_matches('"');
    Encoding::for_label(label.as_bytes()).filter(|encoding| *encoding != UTF_8)
}

fn is_junk(text: &str) -> bool {
    let (mut all, mut strange) = (0_usize, 0_usize);
    for c in text.chars() {
        all += 1;
        let harmless = matches!(c, '\t' | '\n' | '\r' | '\u{c}');
        strange += usize::from(!harmless && (c.is_control() || c == char::REPLACEMENT_CHARACTER));
    }
    strange * JUNK_ONE_IN > all
}

/// Without control characters, spaces at line ends, and more than one blank line in a row.
fn tidied(text: &str, spaces_are_layout: bool) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut blank_lines = 0;
    // Windows ends a line with a pair, which is one end; old Macs with the first of the pair alone.
    for line in text.replace("\r\n", "\n").split(['\n', '\r', '\u{c}', '\u{b}', '\u{2028}', '\u{2029}']) {
        let before = tidy.len();
        let mut space = None;
        for c in line.chars().filter(|c| *c == '\t' || !(c.is_control() || *c == '\u{feff}')) {
            if c.is_whitespace() && spaces_are_layout {
                space = Some(' ');
                continue;
            }
            tidy.extend(space.take().filter(|_| tidy.len() > before));
            tidy.push(c);
        }
        tidy.truncate(before + tidy.get(before..).map_or(0, |line| line.trim_end().len()));
        blank_lines = if tidy.len() == before { blank_lines + 1 } else { 0 };
        if blank_lines < 2 {
            tidy.push('\n');
        }
    }
    tidy.trim_matches('\n').trim_end().to_owned()
}

/// The text, or as much of its beginning as fits and ends with a line or a word; and whether it was cut.
fn shortened(text: &str, most: usize) -> (&str, bool) {
    let Some((end, next)) = text.char_indices().nth(most) else { return (text, false) };
    let head = text.get(..end).unwrap_or_default();
    if next.is_whitespace() {
        return (head.trim_end(), true);
    }
    // A line that ends long before wastes what fits, and so does a "word" that is nothing but long.
    let behind = |at: Option<usize>, share: usize| at.filter(|at| *at > end - end / share);
    let at = behind(head.rfind('\n'), 10).or_else(|| behind(head.rfind(char::is_whitespace), 4)).unwrap_or(end);
    (head.get(..at).unwrap_or_default().trim_end(), true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(bytes: &[u8], mime_type: &str) -> Extracted {
        of_plain(bytes, mime_type).map_or_else(Extracted::NotReadable, Raw::bounded)
    }

    fn whole(text: &str) -> Extracted {
        Extracted::Text { text: text.to_owned(), truncated: false }
    }

    fn utf16(text: &str, bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect()
    }

    #[test]
    fn text_is_read_in_whatever_encoding_it_comes() {
        let words = "Tisch für 4, Größe „M“ — 12 €";
        assert_eq!(plain(words.as_bytes(), "text/plain"), whole(words));
        assert_eq!(plain(format!("\u{feff}{words}").as_bytes(), "text/plain"), whole(words));
        assert_eq!(plain(&utf16(words, u16::to_le_bytes), "text/plain"), whole(words));
        assert_eq!(plain(&utf16(words, u16::to_be_bytes), "text/plain"), whole(words));
        let windows = b"Tisch f\xfcr 4, Gr\xf6\xdfe \x84M\x93 \x97 12 \x80";
        assert_eq!(plain(windows, "text/plain"), whole(words));
        // A wrong claim of UTF-8 changes nothing.
        assert_eq!(plain(windows, "text/plain; charset=UTF-8"), whole(words));
        assert_eq!(plain(b"\xa3\xf3d\xbc", "text/plain; charset=\"iso-8859-2\""), whole("Łódź"));
        assert_eq!(plain(b"\x8f\xac\x82\xb5\x82\xa2", "text/plain; Charset=Shift_JIS"), whole("小しい"));
    }

    #[test]
    fn a_last_character_that_is_cut_spoils_nothing() {
        assert_eq!(plain("Grüße €".as_bytes().split_last().unwrap().1, "text/plain"), whole("Grüße"));
    }

    #[test]
    fn what_is_no_text_is_recognised_whatever_it_is_called() {
        let png = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\0\0\0\x01\0\x08\x06".as_slice(), &[0; 100]].concat();
        assert_eq!(plain(&png, "text/plain"), Extracted::NotReadable(Why::Kind));
        let mixed: Vec<u8> = (0..5_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert_eq!(plain(&mixed, "text/csv"), Extracted::NotReadable(Why::Kind));
    }

    #[test]
    fn a_stray_control_character_is_taken_out() {
        let line = "An ordinary line of some log, longer than fifty characters.";
        assert_eq!(plain(format!("{line}\0\r\n\r\n\r\n\r\n  next\tone \u{7}\r\n{line}").as_bytes(), "text/plain"), {
            whole(&format!("{line}\n\n  next\tone\n{line}"))
        });
    }

    #[test]
    fn a_blank_text_is_empty() {
        assert_eq!(plain(b"", "text/plain"), Extracted::Empty);
        assert_eq!(plain(b"\xef\xbb\xbf \r\n\t\r\n", "text/plain"), Extracted::Empty);
    }

    #[test]
    fn a_long_text_is_cut_at_the_end_of_a_line_or_a_word() {
        let cut = |text: &str| {
            let extracted = plain(text.as_bytes(), "text/plain");
            let Extracted::Text { text, truncated: true } = extracted else { panic!("{extracted:?}") };
            text
        };
        assert!(cut(&"A line of words.\n".repeat(1_000)).ends_with("A line of words."));
        let words = cut(&"Wörter ".repeat(3_000));
        assert!(words.ends_with("Wörter") && words.chars().count() > TEXT_MOST - 10);
        assert_eq!(cut(&"x".repeat(TEXT_MOST + 1)).len(), TEXT_MOST);
        assert_eq!(cut(&"é".repeat(DECODED_MOST)).chars().count(), TEXT_MOST);
        // A single line end at the very beginning is no place to cut.
        assert_eq!(cut(&format!("a\n{}", "x".repeat(TEXT_MOST))).chars().count(), TEXT_MOST);
        assert_eq!(plain("y".repeat(TEXT_MOST).as_bytes(), "text/plain"), whole(&"y".repeat(TEXT_MOST)));
    }

    #[test]
    fn a_page_of_html_gives_its_words() {
        let page =
            b"<html><head><title>Menu</title><style>p { color: red }</style></head>\n<body>\n  <p>Soup &amp;\n bread \
            &#8364;&nbsp;5<p>Caf\xe9</body>";
        let read = of_html(page, "text/html").map_or_else(Extracted::NotReadable, Raw::bounded);
        assert_eq!(read, whole("Menu\n\nSoup & bread € 5\n\nCafé"));
    }

    fn assert_fit(extracted: Extracted) -> Result<(), TestCaseError> {
        if let Extracted::Text { text, .. } = extracted {
            prop_assert!(text.chars().count() <= TEXT_MOST);
            prop_assert!(!text.trim().is_empty());
            prop_assert!(text.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_give_text_that_is_fit(
            bytes in proptest::collection::vec(any::<u8>(), 0..3_000),
            mime_type in "text/plain(; ?charset=(utf-16|gbk|iso-2022-jp|x))?",
        ) {
            assert_fit(plain(&bytes, &mime_type))?;
            assert_fit(of_html(&bytes, &mime_type).map_or_else(Extracted::NotReadable, Raw::bounded))?;
        }

        #[test]
        fn text_of_any_kind_gives_its_beginning(
            text in "([a-zé€😀<&]{1,12}[ \n\t\r\u{0}]{0,3}){0,40}",
            times in 1_usize..200,
        ) {
            let text = text.repeat(times);
            let raw = |spaces_are_layout| Raw { text: text.clone(), cut: false, spaces_are_layout };
            assert_fit(raw(false).bounded())?;
            assert_fit(raw(true).bounded())?;
            let (head, cut) = shortened(&text, 500);
            prop_assert!(text.starts_with(head));
            prop_assert_eq!(cut, text.chars().count() > 500);
            prop_assert!(head.chars().count() <= 500 && (!cut || head.trim().is_empty() || head.chars().count() > 300));
        }
    }
}
