//! Cuts a long answer into messages that WhatsApp takes.

/// Meta's limit of a text, "4096 characters", read as UTF-16 units: the smaller reading for emoji.
pub const MESSAGE_UNITS: usize = 4_096;
/// More than this nobody reads, and each costs money.
const MOST_PARTS: usize = 8;
const FENCE: &str = "```";

/// Cuts at paragraph ends, else line ends, else sentence ends, else spaces, never inside a character. A
/// monospaced block that is cut goes on as one in the next part. What exceeds eight parts is cut off with an
/// ellipsis. Blank parts are left out, so a blank text has none.
pub fn split(text: &str, units: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text.trim().to_owned();
    while !rest.is_empty() {
        if utf16(&rest) <= units {
            parts.push(rest);
            break;
        }
        // Room to close a fence, and for an ellipsis.
        let room = units.saturating_sub(FENCE.len() + 1).max(1);
        let (head, tail) = cut(&rest, room);
        let (mut head, mut tail) = (head.trim_end().to_owned(), tail.trim_start().to_owned());
        if head.matches(FENCE).count() % 2 == 1 {
            head.push_str(FENCE);
            tail.insert_str(0, FENCE);
        }
        if parts.len() + 1 == MOST_PARTS {
            head.push('…');
            tail.clear();
        }
        if !head.trim().is_empty() {
            parts.push(head);
        }
        rest = tail;
    }
    parts
}

/// The length that counts.
pub(crate) fn utf16(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Two pieces, the first of at most `room` units, at the best place in its second half.
pub(crate) fn cut(text: &str, room: usize) -> (&str, &str) {
    let mut units = 0;
    let fits = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > room
    });
    let end = fits.map_or(text.len(), |(at, _)| at);
    // A room of one unit and an emoji of two: it must go somewhere.
    let end = if end == 0 { text.chars().next().map_or(0, char::len_utf8) } else { end };
    let window = text.get(..end).unwrap_or(text);
    let half = end / 2;
    let behind = |mark: &str| window.rfind(mark).map(|at| at + mark.len()).filter(|at| *at > half);
    let sentence = || [". ", "! ", "? ", "。", "！", "？", "؟ "].iter().filter_map(|mark| behind(mark)).max();
    let at = behind("\n\n").or_else(|| behind("\n")).or_else(sentence).or_else(|| behind(" ")).unwrap_or(end);
    text.split_at_checked(at).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn without_marks(text: &str) -> String {
        text.replace(FENCE, "").chars().filter(|c| !c.is_whitespace()).collect()
    }

    proptest! {
        #[test]
        fn parts_fit_and_nothing_is_lost(text in "([a-zà-ü]{1,9}[ .!\n😀]{1,2}|```|日本語。){0,60}", units in 80_usize..200) {
            let parts = split(&text, units);
            prop_assert!(parts.iter().all(|part| utf16(part) <= units && !part.trim().is_empty()));
            if parts.len() < MOST_PARTS {
                prop_assert_eq!(without_marks(&parts.concat()), without_marks(&text));
            }
        }

        #[test]
        fn any_text_and_any_limit_ends(text in "\\PC{0,300}", units in 1_usize..50) {
            prop_assert!(split(&text, units).len() <= MOST_PARTS);
        }
    }

    #[test]
    fn a_short_text_is_one_part_and_a_blank_one_is_none() {
        assert_eq!(split(" hello \n", MESSAGE_UNITS), ["hello"]);
        assert!(split(" \n ", MESSAGE_UNITS).is_empty());
    }

    #[test]
    fn cuts_lie_where_a_person_would_pause() {
        let paragraphs = format!("{}\n\n{}", "a ".repeat(30), "b ".repeat(30));
        assert_eq!(split(&paragraphs, 100).first().map(|part| part.contains('b')), Some(false));
        let sentences = format!("{}. {}.", "a".repeat(60), "b".repeat(60));
        assert_eq!(split(&sentences, 100), [format!("{}.", "a".repeat(60)), format!("{}.", "b".repeat(60))]);
    }

    #[test]
    fn a_cut_block_stays_monospaced_on_both_sides() {
        let text = format!("```{}```", "line of code\n".repeat(20));
        let parts = split(&text, 120);
        assert!(parts.len() > 1);
        assert!(parts.iter().all(|part| part.starts_with(FENCE) && part.ends_with(FENCE)), "{parts:?}");
    }
}
