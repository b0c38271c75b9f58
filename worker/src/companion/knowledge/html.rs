//! Takes the tags out of HTML that stands in Markdown, in what businesses write and in what models write.
//!
//! Only tags that HTML has: in `<Anna>` somebody means a person. Comments are for those who edit the file, and go.

/// Tags within a line.
const INLINE: &[&str] = &[
    "a", "abbr", "b", "big", "cite", "code", "del", "em", "font", "i", "img", "ins", "kbd", "mark", "s", "small",
    "span", "strong", "strike", "sub", "sup", "u",
];
/// Tags that end a line.
const BLOCKS: &[&str] = &[
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tbody",
    "tfoot",
    "thead",
    "title",
    "tr",
    "ul",
];
const CELLS: &[&str] = &["td", "th"];

/// The text without tags and comments, and without blank lines that they leave.
pub(crate) fn without_tags(html: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(html.len()), html);
    // Looked for once, so that a text of nothing but beginnings of comments is not read anew from each.
    let last_end = html.rfind("-->");
    while let Some((before, from)) = rest.split_once('<') {
        text.push_str(before);
        let at = html.len() - from.len();
        let never_ends = from.starts_with("!--") && last_end.is_none_or(|end| end < at + 3);
        let found = if never_ends { None } else { tag(from) };
        rest = match found {
            Some((instead, after)) => {
                text.push_str(instead);
                after
            }
            None => {
                text.push('<');
                from
            }
        };
    }
    text.push_str(rest);
    if html.contains('\n') {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    } else {
        text
    }
}

/// What stands for the tag or comment that begins here, and what follows it.
fn tag(from: &str) -> Option<(&'static str, &str)> {
    if let Some(comment) = from.strip_prefix("!--") {
        return comment.split_once("-->").map(|(_, after)| ("", after));
    }
    // What another `<` interrupts is none, and is not looked through for its end.
    let inside = from.split(['<', '>']).next().unwrap_or_default();
    let after = from.get(inside.len()..)?.strip_prefix('>')?;
    let name = inside.trim_start_matches('/').split([' ', '\t', '\n', '/']).next().unwrap_or_default();
    let is_in = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    if is_in(INLINE) {
        Some(("", after))
    } else if is_in(BLOCKS) {
        Some(("\n", after))
    } else if is_in(CELLS) {
        Some((" ", after))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_and_their_text_stays() {
        let cases = [
            ("<b>Wi</b>-Fi", "Wi-Fi"),
            ("<p class=\"x\">one</p>\n\n<p>two</p>\n", "one\ntwo"),
            ("<tr>\n<td>Flan</td><td>4 €</td>\n</tr>", "Flan  4 €"),
            ("<BR/>", "\n"),
            ("<Anna> & 3 < 4 > 2", "<Anna> & 3 < 4 > 2"),
            ("seen<!-- not\nseen -->", "seen"),
            ("1 <b 2 <b>3</b>", "1 <b 2 3"),
            ("<!-- for ever", "<!-- for ever"),
            ("a <", "a <"),
        ];
        for (html, text) in cases {
            assert_eq!(without_tags(html), text, "{html:?}");
        }
    }

    #[test]
    fn a_text_that_is_nothing_but_openings_is_done_in_one_pass() {
        let begun = std::time::Instant::now();
        for opening in ["<", "<!--", "<b", "</", "<!-- -->"] {
            without_tags(&opening.repeat(1_000_000 / opening.len()));
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}
