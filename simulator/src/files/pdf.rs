//! A PDF of one page with a given text, written by hand: Helvetica, nothing compressed, a correct table of objects.

/// A PDF of one page that says this, line by line. What Windows' Latin encoding does not have becomes `?`.
pub fn pdf_saying(text: &str) -> Vec<u8> {
    let lines = text.lines().map(|line| [b"(".as_slice(), &encoded(line), b") Tj T*\n"].concat());
    let shown = lines.collect::<Vec<_>>().concat();
    let page = [b"BT /F1 12 Tf 14 TL 72 770 Td\n".as_slice(), &shown, b"ET"].concat();
    let stream = [format!("<< /Length {} >>\nstream\n", page.len()).as_bytes(), &page, b"\nendstream"].concat();
    written(&[
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 4 0 R >> >> /Contents 5 0 R >>"
            .to_vec(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_vec(),
        stream,
    ])
}

/// The file of these objects, numbered from 1; the first is the root.
fn written(objects: &[Vec<u8>]) -> Vec<u8> {
    // Four bytes above 127 tell programs that transfer files that this is no text.
    let mut file = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (number, object) in (1..).zip(objects) {
        table.push_str(&format!("{:010} 00000 n \n", file.len()));
        file.extend([format!("{number} 0 obj\n").as_bytes(), object, b"\nendobj\n"].concat());
    }
    let (size, start) = (objects.len() + 1, file.len());
    file.extend(table.into_bytes());
    file.extend(format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").into_bytes());
    file
}

/// A line as the inside of a string of PDF.
fn encoded(line: &str) -> Vec<u8> {
    let byte = |c: char| match c {
        '€' => 0x80,
        '–' => 0x96,
        '—' => 0x97,
        '’' => 0x92,
        '“' => 0x93,
        '”' => 0x94,
        '…' => 0x85,
        ' '..='~' | '\u{a0}'..='ÿ' => u8::try_from(c).unwrap_or(b'?'),
        _ => b'?',
    };
    let bytes = line.chars().map(byte);
    bytes.flat_map(|byte| b"()\\".contains(&byte).then_some(b'\\').into_iter().chain([byte])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_of_the_table_is_the_place_of_its_object() {
        let file = pdf_saying("Opening hours:\n9 (nine) to 5, Grüße \u{1f44d}");
        // One character a byte, so that places are those of the file.
        let text: String = file.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '~' }).collect();
        let from = |place: &str| text.get(place.parse::<usize>().expect("a number")..).expect("a place in the file");
        let start = text.rsplit("startxref\n").next().and_then(|end| end.lines().next()).expect("there");
        let table: Vec<_> = from(start).lines().collect();
        assert_eq!(table[..2], ["xref", "0 6"]);
        for number in 1..6 {
            let (place, rest) = table[2 + number].split_at(10);
            assert_eq!(rest, " 00000 n ");
            assert!(from(place).starts_with(&format!("{number} 0 obj\n")), "{number}");
        }
        assert!(text.contains("(Opening hours:) Tj T*\n(9 \\(nine\\) to 5, Gr~~e ?) Tj T*"), "{text}");
        let (length, rest) =
            text.split_once("/Length ").and_then(|(_, rest)| rest.split_once(" >>\nstream\n")).expect("a stream");
        assert_eq!(rest.find("\nendstream"), length.parse().ok());
    }
}
