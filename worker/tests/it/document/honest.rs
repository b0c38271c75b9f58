//! Honest documents.

use pdf_extract::{Document, EncryptionState, EncryptionVersion, Object, Permissions, StringFormat};
use worker::document::{Extracted, SIZE_MOST, TEXT_MOST, Why};

use super::{
    DAMAGED,
    pages::{compressed_pdf, flate, helvetica, lines, one_page, pdf, stream},
    read, reader, whole,
};

const MENU: &str = "Soup of the day\nBread and butter";

fn menu() -> String {
    lines(&["Soup of the day", "Bread and butter"])
}

#[tokio::test]
async fn a_pdf_says_its_words_however_it_is_packed() {
    let plain = helvetica(stream("", menu().as_bytes()));
    let packed = helvetica(flate("", menu().as_bytes()));
    for (how, bytes) in [
        ("as it is", pdf(&plain)),
        ("with a compressed stream", pdf(&packed)),
        ("with compressed objects", compressed_pdf(&packed)),
    ] {
        assert_eq!(read(&bytes).await.0, whole(MENU), "{how}");
    }
}

#[tokio::test]
async fn a_row_of_a_table_stays_a_line() {
    let cells = "BT /F1 12 Tf 1 0 0 1 50 700 Tm (2) Tj 1 0 0 1 90 700 Tm (Soup) Tj 1 0 0 1 300 700 Tm (\\200 5,50) Tj \
        1 0 0 1 50 686 Tm (1) Tj 1 0 0 1 90 686 Tm (K\\344se) Tj 1 0 0 1 300 686 Tm (\\200 7,00) Tj ET";
    assert_eq!(read(&pdf(&helvetica(stream("", cells.as_bytes())))).await.0, whole("2 Soup € 5,50\n1 Käse € 7,00"));
}

#[tokio::test]
async fn words_are_read_through_the_map_of_their_font() {
    let mut objects = one_page("/Font << /F1 5 0 R >>", stream("", b"BT /F1 12 Tf 50 700 Td <000100020003> Tj ET"));
    let map = b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def \
        1 begincodespacerange <0000> <ffff> endcodespacerange \
        3 beginbfchar <0001> <0141> <0002> <00f3> <0003> <017a> endbfchar endcmap end end";
    objects.extend([
        b"<< /Type /Font /Subtype /Type0 /BaseFont /Some /Encoding /Identity-H /DescendantFonts [6 0 R] /ToUnicode 8 0 R >>"
            .to_vec(),
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Some /FontDescriptor 7 0 R /DW 600 \
            /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>"
            .to_vec(),
        b"<< /Type /FontDescriptor /FontName /Some /Flags 4 >>".to_vec(),
        flate("", map),
    ]);
    assert_eq!(read(&pdf(&objects)).await.0, whole("Łóź"));
}

#[tokio::test]
async fn words_in_a_form_object_are_found_and_pictures_are_passed_over() {
    let mut objects = one_page("/Font << /F1 5 0 R >> /XObject << /F 6 0 R /I 7 0 R >>", stream("", b"/I Do /F Do"));
    objects.push(super::pages::HELVETICA.into());
    objects.push(flate("/Type /XObject /Subtype /Form /BBox [0 0 595 842]", menu().as_bytes()));
    // As operators these bytes would stop the reader.
    objects.push(stream("/Type /XObject /Subtype /Image /Width 3 /Height 1", b"Tf Tj Do BT (x) ' Tf"));
    assert_eq!(read(&pdf(&objects)).await.0, whole(MENU));
}

#[tokio::test]
async fn a_page_that_cannot_be_read_costs_the_others_nothing() {
    let mut objects = helvetica(stream("", menu().as_bytes()));
    objects[1] = b"<< /Type /Pages /Kids [6 0 R 3 0 R] /Count 2 >>".to_vec();
    let page =
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 7 0 R /Resources << /Font << /F1 8 0 R >> >> >>";
    objects.extend([
        page.into(),
        stream("", menu().as_bytes()),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /X >>".to_vec(),
    ]);
    assert_eq!(read(&pdf(&objects)).await.0, Extracted::Text { text: MENU.to_owned(), truncated: true });
}

#[tokio::test]
async fn a_long_pdf_is_cut_at_the_end_of_a_line() {
    let content = lines(&vec!["The same line over and over"; 2_000]);
    let (extracted, _) = read(&pdf(&helvetica(flate("", content.as_bytes())))).await;
    let Extracted::Text { text, truncated: true } = extracted else { panic!("{extracted:?}") };
    assert!(text.chars().count() <= TEXT_MOST && text.chars().count() > TEXT_MOST - 100);
    assert!(text.lines().all(|line| line == "The same line over and over"));
}

#[tokio::test]
async fn a_pdf_without_words_is_empty() {
    let mut objects = one_page("/XObject << /I 5 0 R >>", stream("", b"q 595 0 0 842 0 0 cm /I Do Q"));
    objects.push(flate("/Type /XObject /Subtype /Image /Width 100 /Height 100", &[200; 10_000]));
    assert_eq!(read(&pdf(&objects)).await.0, Extracted::Empty);
}

/// The menu, encrypted with RC4 of 128 bits.
fn encrypted(user_password: &str) -> Vec<u8> {
    let mut document = Document::load_mem(&pdf(&helvetica(stream("", menu().as_bytes())))).expect("an honest PDF");
    let id = Object::String(b"0123456789abcdef".to_vec(), StringFormat::Literal);
    document.trailer.set("ID", Object::Array(vec![id.clone(), id]));
    let version = EncryptionVersion::V2 {
        document: &document,
        owner_password: "owner",
        user_password,
        key_length: 128,
        permissions: Permissions::empty(),
    };
    let state = EncryptionState::try_from(version).expect("complete");
    document.encrypt(&state).expect("encrypts");
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).expect("memory takes it");
    bytes
}

#[tokio::test]
async fn a_pdf_with_a_password_is_told_apart_and_one_that_only_forbids_printing_is_read() {
    assert_eq!(read(&encrypted("secret")).await.0, Extracted::NotReadable(Why::Encrypted));
    assert_eq!(read(&encrypted("")).await.0, whole(MENU));
}

#[tokio::test]
async fn what_is_no_pdf_is_damaged_too_large_or_of_another_kind() {
    assert_eq!(read(b"").await.0, DAMAGED);
    assert_eq!(read(b"Good morning").await.0, DAMAGED);
    let large = vec![b' '; SIZE_MOST + 1];
    for mime_type in ["application/pdf", "text/plain"] {
        assert_eq!(reader().text_of(&large, mime_type, None).await, Extracted::NotReadable(Why::TooLarge));
    }
    let word = reader().text_of(b"PK\x03\x04", "application/msword", Some("letter.docx")).await;
    assert_eq!(word, Extracted::NotReadable(Why::Kind));
    assert_eq!(reader().text_of(b"a;b\n1;2", "application/vnd.ms-excel", Some("a.CSV")).await, whole("a;b\n1;2"));
}
