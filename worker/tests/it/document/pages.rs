//! PDFs, written by hand: objects and the table of where they begin (ISO 32000-1, 7.5).

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

/// Object 1 of every PDF here: its pages are object 2.
pub(super) const CATALOG: &str = "<< /Type /Catalog /Pages 2 0 R >>";
pub(super) const HELVETICA: &str = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>";

/// A PDF of these objects, numbered from 1, with a classic table.
pub(super) fn pdf(objects: &[Vec<u8>]) -> Vec<u8> {
    let (mut bytes, offsets) = body(objects);
    let table = bytes.len();
    let entries: String = offsets.iter().map(|offset| format!("{offset:010} 00000 n \n")).collect();
    let size = objects.len() + 1;
    write!(bytes, "xref\n0 {size}\n0000000000 65535 f \n{entries}").expect("memory takes it");
    write!(bytes, "trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n").expect("memory takes it");
    bytes
}

/// The same as writers since 1.5 do it: all but the streams lies in a compressed stream, and so does the table.
pub(super) fn compressed_pdf(objects: &[Vec<u8>]) -> Vec<u8> {
    let is_stream = |object: &&Vec<u8>| object.ends_with(b"endstream");
    let (mut index, mut content) = (String::new(), Vec::new());
    for (number, object) in (1..).zip(objects).filter(|(_, object)| !is_stream(object)) {
        index.push_str(&format!("{number} {} ", content.len()));
        content.extend_from_slice(object);
        content.push(b'\n');
    }
    let count = objects.iter().filter(|object| !is_stream(object)).count();
    let packed = [index.as_bytes(), &content].concat();
    let container = flate(&format!("/Type /ObjStm /N {count} /First {}", index.len()), &packed);

    // The packed objects are blank where they stood; the table says where they are now.
    let laid = objects.iter().map(|object| if is_stream(&object) { object.clone() } else { b"null".to_vec() });
    let laid: Vec<Vec<u8>> = laid.chain([container]).collect();
    let (mut bytes, mut offsets) = body(&laid);
    let table = bytes.len();
    offsets.push(table);
    let holder = laid.len();
    let mut rows = vec![0, 0, 0, 0, 0, 0];
    let mut within = 0_u8;
    for (number, offset) in offsets.iter().enumerate() {
        let packed = objects.get(number).is_some_and(|object| !is_stream(&object));
        let place = u32::try_from(if packed { holder } else { *offset }).expect("a small PDF");
        rows.push(if packed { 2 } else { 1 });
        rows.extend(place.to_be_bytes());
        rows.push(if packed { within } else { 0 });
        within += u8::from(packed);
    }
    let size = laid.len() + 2;
    let xref = flate(&format!("/Type /XRef /Size {size} /W [1 4 1] /Root 1 0 R"), &rows);
    writeln!(bytes, "{} 0 obj", laid.len() + 1).expect("memory takes it");
    bytes.extend(xref);
    write!(bytes, "\nendobj\nstartxref\n{table}\n%%EOF\n").expect("memory takes it");
    bytes
}

fn body(objects: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut offsets) = (b"%PDF-1.5\n".to_vec(), Vec::new());
    for (number, object) in (1..).zip(objects) {
        offsets.push(bytes.len());
        writeln!(bytes, "{number} 0 obj").expect("memory takes it");
        bytes.extend_from_slice(object);
        bytes.extend_from_slice(b"\nendobj\n");
    }
    (bytes, offsets)
}

pub(super) fn stream(entries: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("<< {entries} /Length {} >>\nstream\n", content.len());
    [head.as_bytes(), content, b"\nendstream"].concat()
}

pub(super) fn flate(entries: &str, content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("memory takes it");
    stream(&format!("{entries} /Filter /FlateDecode"), &encoder.finish().expect("memory takes it"))
}

/// The objects of one page: its content is object 4, which this adds, and more follow from 5 on.
pub(super) fn one_page(resources: &str, content: Vec<u8>) -> Vec<Vec<u8>> {
    let page =
        format!("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << {resources} >> >>");
    vec![CATALOG.into(), "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".into(), page.into(), content]
}

/// A page in Helvetica, in the encoding of Windows.
pub(super) fn helvetica(content: Vec<u8>) -> Vec<Vec<u8>> {
    let mut objects = one_page("/Font << /F1 5 0 R >>", content);
    objects.push(HELVETICA.into());
    objects
}

/// Operators that write these lines below one another.
pub(super) fn lines(lines: &[&str]) -> String {
    let shown: Vec<String> = lines.iter().map(|line| format!("({line}) Tj 0 -14 Td ")).collect();
    format!("BT /F1 12 Tf 50 700 Td {} ET", shown.concat())
}
