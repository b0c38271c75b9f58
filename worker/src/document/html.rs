//! The words of a page of HTML, without its markup.
//!
//! Tolerant rather than right: a page that somebody saved and sent must give its words in one pass, whatever is
//! wrong with it. Nothing of it is ever rendered, so what this takes for text can do no harm.

/// Elements whose content is not for readers.
const UNSEEN: [&str; 3] = ["script", "style", "template"];
/// Elements that run on within a line. All others begin one.
const INLINE: [&str; 24] = [
    "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "em", "font", "i", "ins", "kbd", "label", "mark",
    "q", "s", "small", "span", "strong", "sub", "sup", "u",
];

/// The words, a paragraph a line.
pub(super) fn words(page: &str) -> String {
    let mut words = String::new();
    let mut rest = page;
    while let Some((text, markup)) = rest.split_once('<') {
        push_text(&mut words, text);
        rest = behind_markup(markup, &mut words);
    }
    push_text(&mut words, rest);
    words
}

/// What follows a tag or comment, of which `markup` is all that stands behind its `<`.
fn behind_markup<'a>(markup: &'a str, words: &mut String) -> &'a str {
    if let Some(comment) = markup.strip_prefix("!--") {
        return behind(comment, "-->");
    }
    let closing = markup.starts_with('/');
    let name = markup.strip_prefix('/').unwrap_or(markup);
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_ascii_lowercase();
    if name.is_empty() && !closing && !markup.starts_with(['!', '?']) {
        // As in `a < b`.
        words.push('<');
        return markup;
    }
    match name.as_str() {
        "td" | "th" => words.push(' '),
        "li" if !closing => words.push_str("\n- "),
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "table" | "ul" | "ol" | "body" => words.push_str("\n\n"),
        other if INLINE.contains(&other) => {}
        _ => words.push('\n'),
    }
    let content = behind(markup, ">");
    match UNSEEN.iter().find(|unseen| **unseen == name && !closing) {
        Some(unseen) => until_closed(content, unseen),
        None => content,
    }
}

/// What follows the mark; nothing where it is missing.
fn behind<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).map_or("", |(_, rest)| rest)
}

/// From the closing tag of this element on; nothing where it is missing.
fn until_closed<'a>(content: &'a str, name: &str) -> &'a str {
    let closes = |at: &usize| {
        let tag = content.get(at + 2..at + 2 + name.len());
        tag.is_some_and(|tag| tag.eq_ignore_ascii_case(name))
    };
    let at = content.match_indices("</").map(|(at, _)| at).find(closes);
    at.and_then(|at| content.get(at..)).unwrap_or_default()
}

/// Line ends of the source are spaces; entities are decoded only after the tags are off, so that `&lt;` is no tag.
fn push_text(words: &mut String, text: &str) {
    let text = html_escape::decode_html_entities(text);
    words.extend(text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(page: &str) -> Vec<String> {
        let words = words(page);
        let lines = words.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty()).collect()
    }

    #[test]
    fn tags_go_and_words_stay() {
        assert_eq!(
            lines("<p>Good <b>mor</b>ning,<br>all\nof you</P><div class='a'>bye"),
            ["Good morning,", "all of you", "bye"]
        );
        assert_eq!(
            lines("<ul><li>one<li>two</ul><table><tr><td>Soup<td>5 &euro;</tr></table>"),
            ["- one", "- two", "Soup 5 €"]
        );
    }

    #[test]
    fn what_readers_do_not_see_is_left_out() {
        assert_eq!(
            lines("<!doctype html><!-- a > b --><SCRIPT>if (a < b) {}</Script >x<style>p{}</style>y"),
            ["x", "y"]
        );
        assert_eq!(lines("a<script>never closed <p>b"), ["a"]);
        assert_eq!(lines("a<!-- never closed <p>b"), ["a"]);
    }

    #[test]
    fn what_only_looks_like_markup_stays() {
        assert_eq!(lines("1 < 2 &lt;b&gt; &amp;amp; &unknown; &#xD83D; <"), ["1 < 2 <b> &amp; &unknown; &#xD83D; <"]);
    }

    #[test]
    fn a_page_that_is_nothing_but_openings_is_done_in_one_pass() {
        let begun = std::time::Instant::now();
        for opening in ["<", "<!--", "<script", "<script>", "<script></", "&", "</"] {
            words(&opening.repeat(500_000 / opening.len()));
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}
