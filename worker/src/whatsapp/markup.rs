//! Turns the Markdown that language models write into WhatsApp's markup.
//!
//! WhatsApp knows `*bold*`, `_italic_`, `~struck~`, monospace, simple lists and quotes, only at word boundaries
//! and within a line; it has no headings, links, tables or escapes (WhatsApp, "How to format your messages").

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};

use crate::companion::knowledge::without_tags;

/// The text with WhatsApp's markup. Plain text comes through as it is, except for its white space, and so does what only
/// looks like Markdown or HTML: a customer must not miss `[Hours]: 9–17`, which is the definition of a link.
pub fn from_markdown(markdown: &str) -> String {
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES;
    let mut writer = Writer { source: markdown, ..Writer::default() };
    for (event, range) in Parser::new_ext(markdown, options).into_offset_iter() {
        writer.event(event, &range);
    }
    writer.finish()
}

#[derive(Default)]
struct Writer<'a> {
    source: &'a str,
    out: String,
    /// What closes each open inline format.
    closers: Vec<&'static str>,
    /// The next number of each open list; none for bullets.
    lists: Vec<Option<u64>>,
    /// Where the text of each open link begins in `out`, and where it leads.
    links: Vec<(usize, String)>,
    quotes: usize,
    in_heading: bool,
    in_code_block: bool,
    table: Table,
    /// Of the block of HTML that is being read.
    html: String,
    /// How far the source is read.
    read_to: usize,
    /// Whether a block is being read that holds no other.
    in_leaf: bool,
    /// Where links led that were defined elsewhere in the text.
    defined: Vec<String>,
}

#[derive(Default)]
struct Table {
    head: Vec<String>,
    cells: Vec<String>,
    has_rows: bool,
    is_open: bool,
    /// Where the cell begins in `out`.
    cell_start: usize,
}

impl Writer<'_> {
    fn event(&mut self, event: Event<'_>, range: &Range<usize>) {
        // In a list without blank lines, text stands in its item directly.
        if !self.in_leaf && !matches!(event, Event::End(_)) {
            self.keep_unread(range.start);
        }
        match event {
            Event::Start(tag) => return self.start(tag, range),
            Event::End(tag) => self.end(tag, range),
            Event::Text(text) | Event::InlineMath(text) | Event::DisplayMath(text) => self.text(&text),
            Event::Code(code) => self.out.push_str(&format!("`{code}`")),
            Event::SoftBreak | Event::HardBreak => self.line_break(),
            Event::InlineHtml(html) => self.inline_html(&html),
            Event::Html(html) => self.html.push_str(&html),
            Event::FootnoteReference(_) | Event::Rule | Event::TaskListMarker(_) => {}
        }
        self.read_to = self.read_to.max(range.end);
    }

    fn start(&mut self, tag: Tag<'_>, range: &Range<usize>) {
        self.in_leaf |= is_leaf(&tag.to_end());
        match tag {
            Tag::Strong => self.open(if self.in_heading { "" } else { "*" }, "**", range),
            Tag::Emphasis => self.open("_", "*", range),
            Tag::Strikethrough => self.open("~", "~~", range),
            Tag::Heading { .. } => {
                self.block();
                self.out.push('*');
                self.in_heading = true;
            }
            Tag::BlockQuote(_) => {
                self.block();
                self.quotes += 1;
                if self.quotes == 1 {
                    self.out.push_str("> ");
                }
            }
            Tag::CodeBlock(kind) => {
                self.block();
                self.out.push_str("```");
                self.in_code_block = true;
                // One word names the language; more of them are the text of somebody who opened the block with it.
                if let CodeBlockKind::Fenced(info) = kind
                    && info.trim().contains(char::is_whitespace)
                {
                    self.out.push_str(&format!("{info}\n"));
                }
            }
            Tag::List(first) => {
                if self.lists.is_empty() {
                    self.block();
                }
                self.lists.push(first);
            }
            Tag::Item => self.item(),
            Tag::Link { dest_url, link_type, .. } | Tag::Image { dest_url, link_type, .. } => {
                if matches!(link_type, LinkType::Reference | LinkType::Collapsed | LinkType::Shortcut) {
                    self.defined.push(dest_url.to_string());
                }
                self.links.push((self.out.len(), dest_url.into_string()));
            }
            Tag::Table(_) => {
                self.block();
                self.table = Table { is_open: true, ..Table::default() };
            }
            Tag::TableCell => self.table.cell_start = self.out.len(),
            Tag::Paragraph => {
                if !self.at_start_of_block() {
                    self.block();
                }
            }
            Tag::TableHead | Tag::TableRow | Tag::HtmlBlock | Tag::FootnoteDefinition(_) | Tag::DefinitionList => {}
            Tag::DefinitionListTitle | Tag::DefinitionListDefinition | Tag::MetadataBlock(_) => {}
            Tag::Superscript | Tag::Subscript => {}
        }
    }

    fn end(&mut self, tag: TagEnd, range: &Range<usize>) {
        match tag {
            TagEnd::Strong | TagEnd::Emphasis | TagEnd::Strikethrough => {
                let closer = self.closers.pop().unwrap_or_default();
                self.out.push_str(closer);
            }
            TagEnd::Heading(_) => {
                self.out.push('*');
                self.in_heading = false;
            }
            TagEnd::BlockQuote(_) => {
                self.keep_unread(range.end);
                self.quotes = self.quotes.saturating_sub(1);
            }
            TagEnd::CodeBlock => {
                self.out.truncate(self.out.trim_end().len());
                self.out.push_str("```");
                self.in_code_block = false;
            }
            TagEnd::Item => self.keep_unread(range.end),
            TagEnd::List(_) => {
                self.keep_unread(range.end);
                self.lists.pop();
            }
            TagEnd::Link | TagEnd::Image => self.link(),
            TagEnd::TableHead => {
                self.more_cells(range);
                self.table.head = std::mem::take(&mut self.table.cells);
            }
            TagEnd::TableCell => {
                let cell = self.out.split_off(self.table.cell_start.min(self.out.len()));
                self.table.cells.push(cell.trim().to_owned());
            }
            TagEnd::TableRow => {
                self.more_cells(range);
                self.table_row();
            }
            TagEnd::Table => {
                // A head with nothing below it is all that there is to say.
                if !self.table.has_rows {
                    self.table.cells = std::mem::take(&mut self.table.head);
                    self.table_row();
                }
                self.table = Table::default();
            }
            TagEnd::HtmlBlock => {
                let text = without_tags(&std::mem::take(&mut self.html));
                self.plain_block(&text);
            }
            TagEnd::Paragraph | TagEnd::FootnoteDefinition => {}
            TagEnd::DefinitionList | TagEnd::DefinitionListTitle | TagEnd::DefinitionListDefinition => {}
            TagEnd::MetadataBlock(_) | TagEnd::Superscript | TagEnd::Subscript => {}
        }
        self.in_leaf &= !is_leaf(&tag);
    }

    /// The parser says nothing of what it takes for the definition of a link. One that a link led to is said with the link.
    fn keep_unread(&mut self, until: usize) {
        let unread = self.source.get(self.read_to..until).unwrap_or_default();
        self.read_to = self.read_to.max(until);
        if unread.contains("]:") {
            let is_said = |line: &str| {
                let target = line.split_once("]:").map(|(_, target)| target.trim().trim_matches(['<', '>']));
                target.is_some_and(|target| self.defined.iter().any(|defined| defined == target))
            };
            let lines: Vec<&str> = unread.lines().filter(|line| !is_said(line)).collect();
            let text = lines.join("\n");
            self.plain_block(text.trim_start_matches(['-', '*', '+', '>', ' ', '\n']));
        }
    }

    /// Text without any markup.
    fn plain_block(&mut self, text: &str) {
        if !text.trim().is_empty() {
            if !self.at_start_of_block() {
                self.block();
            }
            self.text(text.trim());
        }
    }

    /// Opens an inline format. WhatsApp sees none in a word: between letters that may as well be a formula (`2*3*4`) the
    /// source's own mark is repeated, and in a script that has no spaces between words there is none.
    fn open(&mut self, mark: &'static str, source_mark: &'static str, range: &Range<usize>) {
        let before = self.source.get(..range.start).and_then(|text| text.chars().next_back());
        let after = self.source.get(range.end..).and_then(|text| text.chars().next());
        let touches = |kind: fn(char) -> bool| [before, after].into_iter().flatten().any(kind);
        let mark = if touches(|c| c.is_ascii_alphanumeric()) {
            source_mark
        } else if touches(char::is_alphanumeric) {
            ""
        } else {
            mark
        };
        self.out.push_str(mark);
        self.closers.push(mark);
    }

    fn text(&mut self, text: &str) {
        if self.quotes > 0 && !self.in_code_block {
            self.out.push_str(&text.replace('\n', "\n> "));
        } else {
            self.out.push_str(text);
        }
    }

    /// People and models break lines on purpose; but a format does not reach over a break.
    fn line_break(&mut self) {
        if self.in_heading || !self.closers.is_empty() || self.table.is_open {
            self.out.push(' ');
        } else {
            self.out.push('\n');
            if self.quotes > 0 {
                self.out.push_str("> ");
            }
        }
    }

    /// A tag or a comment, or what only looks like one, as in `Ask <Anna>`.
    fn inline_html(&mut self, html: &str) {
        match without_tags(html).as_str() {
            "\n" => self.line_break(),
            text => self.out.push_str(text),
        }
    }

    fn item(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        match self.lists.last_mut() {
            Some(Some(number)) => {
                self.out.push_str(&format!("{number}. "));
                *number += 1;
            }
            Some(None) | None => self.out.push_str("- "),
        }
    }

    fn link(&mut self) {
        let Some((start, url)) = self.links.pop() else { return };
        let text = self.out.split_off(start.min(self.out.len()));
        let bare = |text: &str| text.trim_start_matches("mailto:").trim_end_matches('/').to_owned();
        if text.is_empty() || bare(&text) == bare(&url) {
            self.out.push_str(url.trim_start_matches("mailto:"));
        } else if url.is_empty() {
            self.out.push_str(&text);
        } else {
            self.out.push_str(&format!("{text}: {url}"));
        }
    }

    /// The parser leaves out the cells beyond the last column of the head.
    fn more_cells(&mut self, row: &Range<usize>) {
        let more = self.source.get(self.read_to..row.end).unwrap_or_default();
        let more = more.split('|').map(str::trim).filter(|cell| !cell.is_empty());
        self.table.cells.extend(more.map(str::to_owned));
    }

    fn table_row(&mut self) {
        let cells = std::mem::take(&mut self.table.cells);
        let named = cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()).map(|(column, cell)| {
            match self.table.head.get(column).filter(|head| !head.is_empty()) {
                Some(head) => format!("{head}: {cell}"),
                None => cell.clone(),
            }
        });
        let line = named.collect::<Vec<_>>().join(", ");
        if line.is_empty() {
            return;
        }
        self.table.has_rows = true;
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        self.out.push_str(&format!("- {line}"));
    }

    /// A paragraph that opens an item or a quote stands behind its mark.
    fn at_start_of_block(&self) -> bool {
        let line = self.out.rsplit('\n').next().unwrap_or_default();
        let numbered = line.strip_suffix(". ").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        line == "- " || line == "> " || numbered
    }

    /// A blank line between blocks.
    fn block(&mut self) {
        self.out.truncate(self.out.trim_end_matches([' ', '\n']).len());
        if !self.out.is_empty() {
            self.out.push_str(if self.lists.is_empty() { "\n\n" } else { "\n" });
            if self.quotes > 0 {
                self.out.push_str("> ");
            }
        }
    }

    fn finish(mut self) -> String {
        self.keep_unread(self.source.len());
        let mut in_code = false;
        let lines = self.out.lines().map(|line| {
            let is_code = in_code || line.contains('`');
            in_code ^= line.matches("```").count() % 2 == 1;
            if is_code { line.trim_end().to_owned() } else { without_stray_marks(line.trim_end()) }
        });
        lines.collect::<Vec<_>>().join("\n").trim().to_owned()
    }
}

/// A line without the marks of what was meant to be bold and is not, by Markdown: it takes the marks of `**注意：**请` for
/// text, as no space follows the punctuation.
fn without_stray_marks(line: &str) -> String {
    const MARK: &str = "**";
    let touches_ascii = |before: &str, after: &str| {
        let next_to = [before.chars().next_back(), after.chars().next()];
        next_to.into_iter().flatten().any(|c| c.is_ascii_alphanumeric())
    };
    let (mut out, mut rest) = (String::with_capacity(line.len()), line);
    while let Some((before, from)) = rest.split_once(MARK) {
        out.push_str(before);
        rest = match from.split_once(MARK) {
            Some((meant, after)) if !meant.is_ascii() && !meant.starts_with(' ') && !touches_ascii(before, after) => {
                out.push_str(meant);
                after
            }
            Some(_) | None => {
                out.push_str(MARK);
                from
            }
        };
    }
    out + rest
}

fn is_leaf(tag: &TagEnd) -> bool {
    matches!(tag, TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::HtmlBlock | TagEnd::Table)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_markdown_form_becomes_whatsapps() {
        let cases = [
            ("plain text", "plain text"),
            ("**bold** and __bold__", "*bold* and *bold*"),
            ("*italic* and _italic_", "_italic_ and _italic_"),
            ("~~gone~~", "~gone~"),
            ("***both***", "_*both*_"),
            ("`code`", "`code`"),
            ("```rust\nlet a = 1;\n```", "```let a = 1;```"),
            ("# Title\n\ntext", "*Title*\n\ntext"),
            ("## A **bold** title", "*A bold title*"),
            ("- a\n- b", "- a\n- b"),
            ("* a\n* b\n+ c", "- a\n- b\n\n- c"),
            ("1. a\n2. b", "1. a\n2. b"),
            ("intro:\n\n- a\n  - b\n- c", "intro:\n\n- a\n- b\n- c"),
            ("- a\n\n- b", "- a\n- b"),
            ("> quoted\n> more", "> quoted\n> more"),
            ("[our site](https://a.example)", "our site: https://a.example"),
            ("[https://a.example](https://a.example/)", "https://a.example/"),
            ("<https://a.example>", "https://a.example"),
            ("![a photo](https://a.example/p.jpg)", "a photo: https://a.example/p.jpg"),
            ("a\n\n---\n\nb", "a\n\nb"),
            ("line one\nline two", "line one\nline two"),
            ("**over\ntwo lines**", "*over two lines*"),
            ("2*3*4 = 24", "2*3*4 = 24"),
            ("x**2**y", "x**2**y"),
            ("2**3 × 4**5", "2**3 × 4**5"),
            ("**서울**에서", "서울에서"),
            ("我们**周一**营业。**周二**休息", "我们周一营业。周二休息"),
            ("我们 **周一** 营业", "我们 *周一* 营业"),
            ("**注意：**请早到", "注意：请早到"),
            ("`**注意：**请`", "`**注意：**请`"),
            ("snake_case_name", "snake_case_name"),
            ("a<br>b", "a\nb"),
            ("AT&amp;T", "AT&T"),
            (
                "| Day | Hours |\n|---|---|\n| Mon | 9–17 |\n| Tue | 10–18 |",
                "- Day: Mon, Hours: 9–17\n- Day: Tue, Hours: 10–18",
            ),
        ];
        for (markdown, expected) in cases {
            assert_eq!(from_markdown(markdown), expected, "{markdown:?}");
        }
    }

    #[test]
    fn what_only_looks_like_markdown_or_html_is_not_lost() {
        let cases = [
            ("[Hours]: 9–17", "[Hours]: 9–17"),
            ("Hello!\n\n[Note]: closed\n[Note]: today\n\nBye", "Hello!\n\n[Note]: closed\n[Note]: today\n\nBye"),
            ("- [a]: b\n- c", "- [a]: b\n- c"),
            ("> [a]: b", "> [a]: b"),
            ("[our site][1]\n\n[1]: https://a.example", "our site: https://a.example"),
            ("<answer>\nWe open at nine.\n</answer>", "<answer>\nWe open at nine.\n</answer>"),
            ("<div>\n<b>Open</b> at nine\n</div>\n\nBye", "Open at nine\n\nBye"),
            ("a <b>b</b><!-- c --> d", "a b d"),
            ("Ask <Anna> for it", "Ask <Anna> for it"),
            ("| Day | Hours |\n|---|---|", "- Day, Hours"),
            ("| Day |\n|---|\n| Mon | 9–17 |", "- Day: Mon, 9–17"),
            ("``` We open\nat nine\n```", "```We open\nat nine```"),
        ];
        for (markdown, expected) in cases {
            assert_eq!(from_markdown(markdown), expected, "{markdown:?}");
        }
    }

    #[test]
    fn lines_below_a_table_stay_lines() {
        assert_eq!(from_markdown("| a |\n|---|\n| b |\n\none\ntwo"), "- a: b\n\none\ntwo");
    }

    proptest! {
        #[test]
        fn any_text_is_converted_and_no_word_is_lost(words in proptest::collection::vec("[a-z]{3,8}", 1..20), glue in "[ \n*_#>`-]{1,3}") {
            let converted = from_markdown(&words.join(&glue));
            for word in words {
                prop_assert!(converted.contains(&word), "{} in {}", word, converted);
            }
        }

        #[test]
        fn no_input_panics(text in "\\PC{0,200}") {
            from_markdown(&text);
        }
    }
}
