//! What a dead letter holds, for whoever has to read it.

use std::fmt::Write;

use shared::envelope::Envelope;

use super::words::harmless;

/// Bytes of a hex dump.
const DUMPED: usize = 1_024;
const BYTES_A_LINE: usize = 16;

/// What a letter holds: an envelope in lines, any other text as it is, anything else in hexadecimal.
pub(crate) fn content(body: &[u8]) -> String {
    match (Envelope::decode(body), std::str::from_utf8(body)) {
        (Ok(_), Ok(json)) => format!("An update that can be read:\n{}", harmless(&in_lines(json))),
        (Err(error), Ok(text)) if !text.is_empty() => format!("As it came; {error}:\n{}", harmless(text)),
        (_, Ok(_)) => "It holds nothing.".to_owned(),
        (_, Err(_)) => format!("{} bytes that are no text:\n{}", body.len(), dump(body)),
    }
}

/// Valid JSON with a line for each value. Every value stays as Meta wrote it: reading and writing it again would change
/// large numbers, escapes and the order of keys.
fn in_lines(json: &str) -> String {
    let (mut out, mut depth) = (String::with_capacity(json.len() * 2), 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    let mut chars = json.chars().filter(|c| !c.is_ascii_control()).peekable();
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            (in_string, escaped) = (escaped || c != '"', c == '\\' && !escaped);
            continue;
        }
        match c {
            ' ' => {}
            '{' | '[' => {
                out.push(c);
                while chars.next_if_eq(&' ').is_some() {}
                if let Some(end) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    let shown = bytes.get(..DUMPED).unwrap_or(bytes);
    for (line, chunk) in shown.chunks(BYTES_A_LINE).enumerate() {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let printable = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        let text: String = chunk.iter().map(printable).collect();
        let offset = line * BYTES_A_LINE;
        writeln!(out, "{offset:08x}  {:<47}  {text}", hex.join(" ")).expect("a String takes everything");
    }
    match bytes.len().saturating_sub(DUMPED) {
        0 => out.trim_end().to_owned(),
        more => format!("{out}… and {more} bytes more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_shown_in_lines_with_every_value_as_it_came() {
        let json = concat!(
            r#"{"v":1,"kind":"message","phone_number_id":null,"waba_id":null,"received_at":1,"index":0,"#,
            "\"payload\":{ \"z\": 12345678901234567890123, \"a\":[ ],\r\n\"text\":\"a \\\"b\\\\\\\": {,}\",\"e\":{}}}"
        );
        let shown = content(json.as_bytes());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.first(), Some(&"An update that can be read:"));
        for line in [
            r#"  "v": 1,"#,
            r#"  "payload": {"#,
            r#"    "z": 12345678901234567890123,"#,
            r#"    "a": [],"#,
            r#"    "text": "a \"b\\\": {,}","#,
            r#"    "e": {}"#,
        ] {
            assert!(lines.contains(&line), "{line} in {shown}");
        }
        // Nothing but the space between the values is different.
        let (same, before): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&lines[1..].join("\n")).expect("JSON"), serde_json::from_str(json).expect("JSON"));
        assert_eq!(same, before);
    }

    #[test]
    fn other_text_is_shown_as_it_is_and_bytes_in_hexadecimal() {
        let text = content("not an envelope \u{1b}[31m".as_bytes());
        assert!(text.ends_with("not an envelope \\u{1b}[31m"), "{text}");
        assert_eq!(content(b""), "It holds nothing.");
        let bytes = content(b"\xff\x00abc");
        assert!(bytes.contains("00000000  ff 00 61 62 63") && bytes.ends_with("  ..abc"), "{bytes}");
        let long = content(&[0xfe; 5_000]);
        assert!(long.len() < 6_000 && long.ends_with("… and 3976 bytes more"), "{}", long.len());
    }
}
