//! Reads Markdown into sections: what stands under each heading, as text that a person could have typed.
//!
//! Marks of emphasis go; what carries meaning stays: where a link leads, rows and columns, what is struck through. Text
//! that Markdown takes for something else, such as `[Hours]: 9–17` for the definition of a link, is kept as it stands.
//! Left out are tags of HTML, comments, and where a picture lies.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::{
    html,
    passages::{Block, HEADING_MOST, Section},
};

/// The sections of a text, in its order; none is without blocks.
pub(super) fn sections(source: &str) -> Vec<Section> {
    let options = Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TABLES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut reader = Reader { source, ..Reader::default() };
    for (event, range) in Parser::new_ext(source, options).into_offset_iter() {
        reader.event(event, &range);
    }
    reader.finish()
}

#[derive(Default)]
struct Reader<'a> {
    source: &'a str,
    sections: Vec<Section>,
    /// The headings above, the outermost first.
    path: Vec<Heading>,
    /// Of the section that is being read.
    blocks: Vec<Block>,
    /// Of the block that is being read.
    text: String,
    /// Where the text of each open link begins in `text`, and where it leads.
    links: Vec<(usize, String)>,
    /// The next number of each open list; none for bullets.
    lists: Vec<Option<u64>>,
    /// What the next block of the item begins with.
    marker: Option<String>,
    cells: Vec<String>,
    /// Of the table that is being read.
    head: Option<String>,
    /// Whether a block is being read that holds no other.
    in_leaf: bool,
    /// How far the source is read.
    read_to: usize,
}

struct Heading {
    level: HeadingLevel,
    text: String,
    /// Whether it stands in the title or the text of a section.
    is_shown: bool,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, range: &Range<usize>) {
        // In a list without blank lines, text stands in its item directly.
        if !self.in_leaf && !matches!(event, Event::End(_)) {
            self.keep_unread(range.start);
        }
        match event {
            Event::Start(tag) => return self.start(tag),
            Event::End(tag) => self.end(tag, range),
            Event::Text(text) | Event::InlineMath(text) | Event::DisplayMath(text) => self.text.push_str(&text),
            Event::Code(text) | Event::Html(text) => self.text.push_str(&text),
            Event::InlineHtml(tag) => self.text.push_str(&html::without_tags(&tag)),
            Event::SoftBreak | Event::HardBreak => self.text.push('\n'),
            Event::TaskListMarker(done) => self.text.push_str(if done { "[x] " } else { "[ ] " }),
            Event::FootnoteReference(label) => self.text.push_str(&format!("[{label}]")),
            Event::Rule => self.end_block(),
        }
        self.read_to = self.read_to.max(range.end);
    }

    /// The parser says nothing of what it takes for the definition of a link.
    fn keep_unread(&mut self, until: usize) {
        let unread = self.source.get(self.read_to..until).unwrap_or_default();
        if unread.contains("]:") {
            self.text.push_str(unread.trim_start_matches(['-', '*', '+', '>', ' ', '\n']));
            self.end_block();
        }
        self.read_to = self.read_to.max(until);
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::Heading { .. } | Tag::HtmlBlock | Tag::MetadataBlock(_) => self.begin_leaf(),
            Tag::CodeBlock(kind) => {
                self.begin_leaf();
                if let CodeBlockKind::Fenced(info) = kind {
                    self.text.push_str(&info);
                    self.text.push('\n');
                }
            }
            Tag::Table(_) => {
                self.begin_leaf();
                self.head = None;
            }
            Tag::BlockQuote(_) => self.end_block(),
            Tag::List(first) => {
                self.end_block();
                self.lists.push(first);
            }
            Tag::Item => {
                self.end_block();
                self.marker = Some(self.next_marker());
            }
            Tag::Link { dest_url, title, .. } => {
                let title = if title.is_empty() { String::new() } else { format!("{title}, ") };
                self.links.push((self.text.len(), format!("{title}{dest_url}")));
            }
            Tag::Image { .. } => self.links.push((self.text.len(), String::new())),
            Tag::Strikethrough => self.text.push_str("~~"),
            Tag::TableHead | Tag::TableRow | Tag::TableCell | Tag::Emphasis | Tag::Strong => {}
            Tag::Superscript | Tag::Subscript | Tag::FootnoteDefinition(_) => {}
            Tag::DefinitionList | Tag::DefinitionListTitle | Tag::DefinitionListDefinition => {}
        }
    }

    fn end(&mut self, tag: TagEnd, range: &Range<usize>) {
        match tag {
            TagEnd::Heading(level) => self.end_heading(level),
            TagEnd::HtmlBlock => {
                self.text = html::without_tags(&self.text);
                self.end_block();
            }
            TagEnd::Paragraph | TagEnd::CodeBlock | TagEnd::MetadataBlock(_) => self.end_block(),
            TagEnd::BlockQuote(_) | TagEnd::Item => {
                self.end_block();
                self.keep_unread(range.end);
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.keep_unread(range.end);
            }
            TagEnd::Link | TagEnd::Image => self.end_link(),
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.text);
                self.cells.push(one_line(&cell));
            }
            TagEnd::TableHead => self.head = self.end_row(range, true),
            TagEnd::TableRow => {
                self.end_row(range, false);
            }
            TagEnd::Strikethrough => self.text.push_str("~~"),
            TagEnd::Table | TagEnd::Emphasis | TagEnd::Strong | TagEnd::Superscript | TagEnd::Subscript => {}
            TagEnd::FootnoteDefinition => {}
            TagEnd::DefinitionList | TagEnd::DefinitionListTitle | TagEnd::DefinitionListDefinition => {}
        }
        self.in_leaf &= !is_leaf(tag);
    }

    fn begin_leaf(&mut self) {
        self.end_block();
        self.in_leaf = true;
    }

    fn next_marker(&mut self) -> String {
        let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(3));
        match self.lists.last_mut() {
            Some(Some(number)) => {
                let marker = format!("{indent}{number}. ");
                *number = number.saturating_add(1);
                marker
            }
            Some(None) | None => format!("{indent}- "),
        }
    }

    fn end_link(&mut self) {
        let Some((start, target)) = self.links.pop() else { return };
        let text = self.text.get(start..).unwrap_or_default();
        let bare = |text: &str| text.trim_start_matches("mailto:").trim_end_matches('/').to_owned();
        if target.is_empty() || bare(text) == bare(&target) {
            return;
        }
        self.text.push_str(&if text.is_empty() { target } else { format!(" ({target})") });
    }

    /// Ends a row, and gives it where it says something.
    fn end_row(&mut self, range: &Range<usize>, is_head: bool) -> Option<String> {
        // The parser leaves out the cells beyond the last column of the head.
        let more = self.source.get(self.read_to..range.end).unwrap_or_default();
        let more = more.split('|').map(str::trim).filter(|cell| !cell.is_empty());
        let cells = std::mem::take(&mut self.cells).into_iter().chain(more.map(str::to_owned));
        let row = cells.collect::<Vec<_>>().join(" | ").trim().to_owned();
        let says_something = row.chars().any(|c| c != '|' && !c.is_whitespace());
        says_something.then(|| {
            self.blocks.push(Block { text: row.clone(), apart: is_head, head: self.head.clone() });
            row
        })
    }

    fn end_block(&mut self) {
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let in_list = !self.lists.is_empty();
        let text = match self.marker.take().filter(|_| in_list) {
            Some(marker) => format!("{marker}{text}"),
            None => text.to_owned(),
        };
        self.blocks.push(Block { text, apart: !in_list, head: None });
    }

    /// A heading ends the section before it, and every section below the level that it has.
    fn end_heading(&mut self, level: HeadingLevel) {
        let text = one_line(&std::mem::take(&mut self.text));
        self.end_section();
        self.leave(level);
        if text.is_empty() {
            return;
        }
        if text.chars().count() <= HEADING_MOST {
            self.path.push(Heading { level, text, is_shown: false });
        } else {
            let beginning: String = text.chars().take(HEADING_MOST - 1).collect();
            self.path.push(Heading { level, text: format!("{beginning}…"), is_shown: false });
            self.blocks.push(Block { text, apart: true, head: None });
        }
    }

    fn end_section(&mut self) {
        let blocks = std::mem::take(&mut self.blocks);
        if !blocks.is_empty() {
            let path = self.path.iter_mut().map(|heading| {
                heading.is_shown = true;
                heading.text.clone()
            });
            self.sections.push(Section { path: path.collect(), blocks });
        }
    }

    /// Headings with nothing below them say something all the same.
    fn leave(&mut self, level: HeadingLevel) {
        while let Some(heading) = self.path.last().filter(|heading| heading.level >= level) {
            if !heading.is_shown {
                self.blocks.push(Block { text: heading.text.clone(), apart: true, head: None });
                self.end_section();
            }
            self.path.pop();
        }
    }

    fn finish(mut self) -> Vec<Section> {
        self.end_block();
        self.keep_unread(self.source.len());
        self.end_section();
        self.leave(HeadingLevel::H1);
        self.sections
    }
}

fn is_leaf(tag: TagEnd) -> bool {
    matches!(
        tag,
        TagEnd::Paragraph
            | TagEnd::Heading(_)
            | TagEnd::CodeBlock
            | TagEnd::HtmlBlock
            | TagEnd::MetadataBlock(_)
            | TagEnd::Table
    )
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Vec<(String, String)> {
        let glue = |block: &Block| format!("{}{}", if block.apart { "\n\n" } else { "\n" }, block.text);
        let text = |section: Section| section.blocks.iter().map(glue).collect::<String>().trim_start().to_owned();
        sections(source).into_iter().map(|section| (section.path.join(" / "), text(section))).collect()
    }

    #[test]
    fn each_form_becomes_readable_text() {
        let cases = [
            ("plain *and* **bold** `code`", "plain and bold code"),
            ("line one\nline two", "line one\nline two"),
            ("~~Apple pie~~ sold out", "~~Apple pie~~ sold out"),
            ("- a\n  - b\n- c\n\nafter", "- a\n  - b\n- c\n\nafter"),
            ("3. a\n4. b", "3. a\n4. b"),
            ("- a\n\n  more of a\n- b", "- a\nmore of a\n- b"),
            ("- [x] done\n- [ ] open", "- [x] done\n- [ ] open"),
            ("[book](https://a.example/b) now", "book (https://a.example/b) now"),
            ("<https://a.example>", "https://a.example"),
            ("[a@b.example](mailto:a@b.example)", "a@b.example"),
            ("![our garden](garden.jpg)", "our garden"),
            ("> quoted", "quoted"),
            ("```\nMon 9\nTue 10\n```", "Mon 9\nTue 10"),
            ("| Dish | Price |\n|---|---|\n| Flan | 4 € |\n|  |  |", "Dish | Price\nFlan | 4 €"),
            ("| Dish |\n|---|\n| Flan | 4 € | new |", "Dish\nFlan | 4 € | new"),
            ("a<br>b &amp; c", "a\nb & c"),
            ("Ask <Anna> for it", "Ask <Anna> for it"),
            ("one\n\n---\n\ntwo", "one\n\ntwo"),
            ("<div>\n<b>Wi</b>-Fi\n</div>", "Wi-Fi"),
        ];
        for (source, expected) in cases {
            assert_eq!(read(source), [(String::new(), expected.to_owned())], "{source:?}");
        }
    }

    #[test]
    fn what_looks_like_the_definition_of_a_link_is_kept() {
        let expected = "before\n\n[Hours]: 9-17\n[Hours]: closed\n\nafter";
        assert_eq!(read("before\n\n[Hours]: 9-17\n[Hours]: closed\n\nafter"), [(String::new(), expected.to_owned())]);
        assert_eq!(read("[Hours]: 9-17"), [(String::new(), "[Hours]: 9-17".to_owned())]);
    }

    #[test]
    fn a_heading_with_nothing_below_it_is_a_passage() {
        let read = read("# We are closed in August\n## Why\n# Rooms\n## Single\n60 €");
        let expected = [("We are closed in August / Why", "Why"), ("Rooms / Single", "60 €")];
        assert_eq!(read, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }

    #[test]
    fn a_heading_too_long_for_a_title_stands_in_the_text() {
        let long = format!("{}end", "a word ".repeat(30));
        let read = read(&format!("# {long}\ntext"));
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].0.chars().count(), HEADING_MOST);
        assert_eq!(read[0].1, format!("{long}\n\ntext"));
    }

    #[test]
    fn the_metadata_of_a_file_is_no_heading() {
        let read = read("---\ntitle: FAQ\nauthor: Lina\n---\n\n# Hours\n9–17");
        assert_eq!(read[0], (String::new(), "title: FAQ\nauthor: Lina".to_owned()));
        assert_eq!(read[1], ("Hours".to_owned(), "9–17".to_owned()));
    }
}
