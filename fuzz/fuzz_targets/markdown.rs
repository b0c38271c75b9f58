//! Markdown of models and of businesses: into WhatsApp's markup and into messages, and into passages of knowledge.
//!
//! Every part can be sent, and cutting it once more changes nothing. Nothing is lost in the cutting but what lies
//! beyond the last part. Where the input is taken for a recipe of words and marks, every word is still there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchboard_fuzz::{MESSAGE_UNITS, PARTS_MOST, assert_can_be_sent, units};
use worker::{
    companion::knowledge::{Format, Passage, TEXT_MOST, passages},
    whatsapp::{from_markdown, split},
};

/// Room for the fences that a cut block is closed and opened with, and for an ellipsis.
const UNITS_LEAST: usize = 16;
/// What may stand between words in Markdown, also where it makes no sense there.
const GLUE: &[&str] = &[
    " ",
    "\n",
    "\n\n",
    "\n# ",
    "\n\n## ",
    "\n###### ",
    "\n- ",
    "\n  - ",
    "\n1. ",
    "\n> ",
    "\n---\n",
    "\n***\n",
    "\n===\n",
    "\n```\n",
    "\n~~~\n",
    " `",
    "` ",
    " **",
    "** ",
    " *",
    "_",
    " ~~",
    "\n    ",
    "\n\t",
    " <b>",
    "</p> ",
    " <br> ",
    " [",
    "](",
    ") ",
    "]: ",
    "\n[",
    "\n\n[",
    "][",
    " <",
    "> ",
    " &amp; ",
    "\\",
    "\r\n",
    "\n<div>\n",
    "\n</div>\n\n",
    "\n<answer>\n",
    ". ",
    "。",
    " 😀 ",
    "!",
    "",
];
/// Cells of columns that have a head, or more of them than the head has.
const TABLE_GLUE: &[&str] = &["\n\n| ", " | ", " |\n|---|\n| ", " |\n|---|---|\n| "];

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    converted(&text);
    for (format, name) in [(Format::Markdown, "faq"), (Format::Plain, "faq")] {
        within_bounds(&passages(name, &text, format));
    }
    let (words, markdown, has_table) = recipe(data);
    let sent = converted(&markdown);
    // A head above an empty column says nothing.
    if !has_table && sent.len() < PARTS_MOST {
        all_there(&words, &sent.concat(), &markdown);
    }
    for format in [Format::Markdown, Format::Plain] {
        let passages = passages("faq", &markdown, format);
        within_bounds(&passages);
        let texts: String = passages.iter().map(|passage| passage.text.as_str()).collect();
        let titles = passages.iter().map(|passage| passage.title.as_str()).collect::<Vec<_>>().join("\n");
        all_there(&words, &format!("{texts}\n{titles}"), &markdown);
    }
});

/// The messages of a text.
fn converted(markdown: &str) -> Vec<String> {
    let markup = from_markdown(markdown);
    if markdown.chars().all(|c| c.is_alphabetic() || matches!(c, ' ' | '\n')) {
        let words = |text: &str| text.replace("```", " ").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&markup), words(markdown), "plain text stays as it is");
    }
    cut(&markup, UNITS_LEAST + markdown.len() % 240);
    cut(&markup, MESSAGE_UNITS)
}

fn cut(text: &str, most: usize) -> Vec<String> {
    let parts = split(text, most);
    assert!(parts.len() <= PARTS_MOST);
    assert_eq!(parts.is_empty(), text.trim().is_empty());
    for part in &parts {
        assert_can_be_sent(part);
        assert!(units(part) <= most, "{} of {most} units", units(part));
        assert_eq!(split(part, most), [part.as_str()], "what fits is not cut");
    }
    if parts.len() < PARTS_MOST {
        assert_eq!(without_marks(&parts.concat()), without_marks(text), "nothing is lost");
    }
    parts
}

/// Blocks are closed and opened where they are cut, and white space goes there.
fn without_marks(text: &str) -> String {
    text.chars().filter(|c| *c != '`' && !c.is_whitespace()).collect()
}

fn within_bounds(passages: &[Passage]) {
    for passage in passages {
        assert!(units(&passage.text) <= TEXT_MOST && !passage.text.trim().is_empty(), "{passage:?}");
        assert!(passage.title.chars().count() <= 750 && !passage.title.is_empty(), "{passage:?}");
    }
}

/// Each byte is a mark, with or without a word behind it.
fn recipe(data: &[u8]) -> (Vec<String>, String, bool) {
    let (mut words, mut markdown, mut has_table) = (Vec::new(), String::new(), false);
    for (n, byte) in data.iter().take(300).enumerate() {
        let pick = usize::from(byte & 0x7f) % (GLUE.len() + TABLE_GLUE.len());
        match pick.checked_sub(GLUE.len()) {
            None => markdown.push_str(GLUE.get(pick).unwrap_or(&"")),
            Some(pick) => {
                markdown.push_str(TABLE_GLUE.get(pick).unwrap_or(&""));
                has_table = true;
            }
        }
        if byte & 0x80 == 0 {
            let word = format!("w{n}x");
            markdown.push_str(&word);
            words.push(word);
        }
    }
    (words, markdown, has_table)
}

fn all_there(words: &[String], text: &str, markdown: &str) {
    for word in words {
        assert!(text.contains(word.as_str()), "{word} of {markdown:?} is not in {text:?}");
    }
}
