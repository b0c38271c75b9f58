//! Cuts a business's texts into passages: small enough that some of them fit into a prompt, whole enough to be
//! understood alone.
//!
//! No word is lost: each is in the title or the text of some passage (`no_word_is_lost_and_every_passage_fits`). What
//! Markdown means is `markdown`'s to know.

use std::path::Path;

use super::markdown;
use crate::whatsapp::{cut, utf16};

/// Characters of a passage's text, at most. An emoji counts as two.
pub const TEXT_MOST: usize = 1_200;
/// Characters of one heading in a title; the whole of a longer one stands in the text.
pub(super) const HEADING_MOST: usize = 120;
/// The head of a table is repeated above rows that were cut off from it, where it has no more characters than this.
const HEAD_MOST: usize = 300;
const PATH_MARK: &str = " › ";

/// A piece of a business's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Where it stands: the headings above it, as in `Menu › Desserts`, or the name of its file. At most 750 characters.
    pub title: String,
    /// What it says, without Markdown's marks; at most [`TEXT_MOST`] characters.
    pub text: String,
}

impl Passage {
    /// What counts where room is short: title and text.
    pub fn characters(&self) -> usize {
        self.title.chars().count() + self.text.chars().count()
    }
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// CommonMark, with tables.
    Markdown,
    /// Paragraphs between blank lines.
    Plain,
}

impl Format {
    /// The format that a file's ending tells; none for any other than `.md`, `.markdown` and `.txt`.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "md" | "markdown" => Some(Self::Markdown),
            "txt" => Some(Self::Plain),
            _ => None,
        }
    }
}

/// The passages of a text, in its order. What stands under no heading is titled with the `name`. A blank text has none.
pub fn passages(name: &str, text: &str, format: Format) -> Vec<Passage> {
    let text = plain_breaks(text);
    let sections = match format {
        Format::Markdown => markdown::sections(&text),
        Format::Plain => vec![Section { path: Vec::new(), blocks: paragraphs(&text) }],
    };
    let name: String = name.chars().take(HEADING_MOST).collect();
    sections.iter().flat_map(|section| section.passages(&name)).collect()
}

/// What stands under one heading.
#[derive(Debug)]
pub(super) struct Section {
    /// The headings, the outermost first.
    pub(super) path: Vec<String>,
    pub(super) blocks: Vec<Block>,
}

/// What is cut only where it has to be: a paragraph, an item of a list, a row of a table.
#[derive(Debug)]
pub(super) struct Block {
    /// Without white space around it; never blank.
    pub(super) text: String,
    /// Whether a blank line stands before it.
    pub(super) apart: bool,
    /// For a row: what its columns mean.
    pub(super) head: Option<String>,
}

impl Section {
    fn passages(&self, name: &str) -> impl Iterator<Item = Passage> {
        let title = if self.path.is_empty() { name.to_owned() } else { self.path.join(PATH_MARK) };
        self.texts().into_iter().map(move |text| Passage { title: title.clone(), text })
    }

    /// As many blocks together as fit.
    fn texts(&self) -> Vec<String> {
        let (mut texts, mut text) = (Vec::new(), String::new());
        for block in &self.blocks {
            let head = block.head.as_deref().filter(|head| utf16(head) <= HEAD_MOST);
            let room = TEXT_MOST - head.map_or(0, |head| utf16(head) + 1);
            for piece in pieces(&block.text, room) {
                let glue = if block.apart { "\n\n" } else { "\n" };
                if !text.is_empty() && utf16(&text) + glue.len() + utf16(piece) > TEXT_MOST {
                    texts.push(std::mem::take(&mut text));
                }
                if !text.is_empty() {
                    text.push_str(glue);
                } else if let Some(head) = head {
                    text.push_str(head);
                    text.push('\n');
                }
                text.push_str(piece);
            }
        }
        texts.extend((!text.is_empty()).then_some(text));
        texts
    }
}

/// A text in pieces that fit, cut where a reader would pause.
fn pieces(text: &str, room: usize) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while utf16(rest) > room {
        let (piece, after) = cut(rest, room);
        pieces.push(piece.trim_end());
        rest = after.trim_start();
    }
    pieces.push(rest);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Lines end in one way, and nothing steers a terminal or a model.
fn plain_breaks(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { ' ' } else { c }).collect()
}

fn paragraphs(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let paragraphs = lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty());
    let block = |lines: &[&str]| Block { text: lines.join("\n").trim().to_owned(), apart: true, head: None };
    paragraphs.map(block).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut_up(text: &str, format: Format) -> Vec<(String, String)> {
        passages("faq", text, format).into_iter().map(|passage| (passage.title, passage.text)).collect()
    }

    fn owned(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(title, text)| ((*title).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_title_is_the_path_of_headings() {
        let text = "Welcome!\n\n# Menu\n\nDaily.\n\n## Desserts\n\n- Flan 4 €\n- Cake **5 €**\n\n## Wine\nRed.\n\n# Hours\n9–17";
        assert_eq!(
            cut_up(text, Format::Markdown),
            owned(&[
                ("faq", "Welcome!"),
                ("Menu", "Daily."),
                ("Menu › Desserts", "- Flan 4 €\n- Cake 5 €"),
                ("Menu › Wine", "Red."),
                ("Hours", "9–17"),
            ])
        );
    }

    #[test]
    fn plain_text_is_cut_at_blank_lines_and_keeps_its_lines() {
        let text = "\u{feff}Open:\r\nMon 9–17\r\n \r\n\r\n# no heading\r\n";
        assert_eq!(cut_up(text, Format::Plain), owned(&[("faq", "Open:\nMon 9–17\n\n# no heading")]));
        let long = format!("{}\n\n{}", "a ".repeat(400), "b ".repeat(400));
        let texts: Vec<String> = cut_up(&long, Format::Plain).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["a ".repeat(400).trim(), "b ".repeat(400).trim()]);
    }

    #[test]
    fn rows_that_are_cut_off_from_their_table_take_its_head_with_them() {
        let rows: String = (0..80).map(|n| format!("| Dish number {n} | {n} € |\n")).collect();
        let cut = cut_up(&format!("# Menu\n\n| Dish | Price |\n|---|---|\n{rows}"), Format::Markdown);
        assert!(cut.len() > 1);
        assert!(cut.iter().all(|(_, text)| text.starts_with("Dish | Price\nDish number ")), "{cut:?}");
        assert!(cut.iter().any(|(_, text)| text.ends_with("Dish number 79 | 79 €")));
    }

    #[test]
    fn a_long_paragraph_is_cut_at_the_ends_of_sentences() {
        let sentence = "We open at nine and close at five, and on Sundays we rest. ";
        let cut = cut_up(&sentence.repeat(60), Format::Plain);
        assert!(cut.len() > 2);
        assert!(cut.iter().all(|(_, text)| text.starts_with("We open") && text.ends_with("rest.")), "{cut:?}");
    }

    #[test]
    fn the_ending_tells_the_format() {
        let of = |name: &str| Format::of(Path::new(name));
        assert_eq!(
            [of("a.md"), of("a.b.MARKDOWN"), of("a.TXT")].map(Option::unwrap),
            [Format::Markdown, Format::Markdown, Format::Plain]
        );
        assert_eq!([of("a.pdf"), of("md"), of(".txt")], [None, None, None]);
    }

    /// Words, and what may stand between them in Markdown, also where it makes no sense there.
    fn document() -> impl Strategy<Value = (Vec<String>, String)> {
        let glue = proptest::sample::select(vec![
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
            "\n\n| ",
            " | ",
            " |\n|---|\n| ",
            "\n---\n",
            "\n***\n",
            "\n===\n",
            "\n```\n",
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
            " <",
            "> ",
            " &amp; ",
            "\\",
            "\r\n",
            "\n<div>\n",
            "\n</div>\n\n",
            ". ",
            "。",
            " 😀 ",
            "!",
        ]);
        let word = "[a-zäß日]{1,12}[0-9]{1,3}|[a-z]{90}";
        proptest::collection::vec((word, glue), 0..60).prop_map(|pairs| {
            let text = pairs.iter().map(|(word, glue)| format!("{glue}{word}")).collect();
            (pairs.into_iter().map(|(word, _)| word).collect(), text)
        })
    }

    fn assert_within_bounds(passages: &[Passage]) -> Result<(), TestCaseError> {
        for passage in passages {
            prop_assert!(utf16(&passage.text) <= TEXT_MOST && !passage.text.trim().is_empty(), "{:?}", passage);
            prop_assert!(passage.title.chars().count() <= 750 && !passage.title.is_empty(), "{:?}", passage);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_every_passage_fits((words, text) in document()) {
            for format in [Format::Markdown, Format::Plain] {
                let passages = passages("faq", &text, format);
                assert_within_bounds(&passages)?;
                let titles: Vec<&str> = passages.iter().map(|passage| passage.title.as_str()).collect();
                // One after the other, for where there was no place to cut but in a word.
                let texts: String = passages.iter().map(|passage| passage.text.as_str()).collect();
                for word in words.iter().map(String::as_str) {
                    let is_there = texts.contains(word) || titles.iter().any(|title| title.contains(word));
                    prop_assert!(is_there, "{} of {:?} is not in {:?}", word, text, passages);
                }
            }
        }

        #[test]
        fn any_text_is_cut_and_every_passage_fits(text in "(\\PC|[\n\r#|>*`\\[\\]<-]){0,400}", long in "[a-z日😀. ]{0,3000}") {
            for format in [Format::Markdown, Format::Plain] {
                assert_within_bounds(&passages("faq", &text, format))?;
                assert_within_bounds(&passages("faq", &format!("# {long}\n{text}{long}"), format))?;
            }
        }
    }
}
