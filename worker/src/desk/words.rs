//! Times, letters and texts from outside, as operators read them.

use jiff::Timestamp;

use crate::store::{FiledLetter, LetterState};

/// The largest unit of a time that has passed.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    let passed = now.duration_since(since);
    let (days, hours, minutes) = (passed.as_hours() / 24, passed.as_hours(), passed.as_mins());
    match (days, hours, minutes) {
        (1.., _, _) => format!("{days}d"),
        (_, 1.., _) => format!("{hours}h"),
        (_, _, 1..) => format!("{minutes}m"),
        _ => format!("{}s", passed.as_secs().max(0)),
    }
}

/// A time, to the second.
pub(crate) fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// What is decided about a letter.
pub(crate) fn fate(letter: &FiledLetter) -> String {
    match letter.state {
        LetterState::Undecided => "no".to_owned(),
        LetterState::WaitsForBusiness { until: None } => "by itself".to_owned(),
        LetterState::WaitsForBusiness { until: Some(until) } => format!("by itself, until {}", utc(until)),
        LetterState::ReplayRequested { .. } => "being replayed".to_owned(),
        LetterState::Replayed { at } => format!("replayed {}", utc(at)),
        LetterState::Discarded { at } => format!("discarded {}", utc(at)),
    }
}

/// Text from outside without what could steer a terminal.
pub(crate) fn harmless(text: &str) -> String {
    let steers = |c: char| {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns || (c.is_control() && !matches!(c, '\n' | '\t'))
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn an_age_has_one_unit() {
        let now = Timestamp::from_second(1_750_000_000).expect("in range");
        for (seconds, shown) in [(-5, "0s"), (59, "59s"), (60, "1m"), (7_199, "1h"), (86_399, "23h"), (200_000, "2d")] {
            assert_eq!(age(now - SignedDuration::from_secs(seconds), now), shown);
        }
    }

    #[test]
    fn what_steers_a_terminal_is_shown_instead_of_obeyed() {
        assert_eq!(harmless("a\u{1b}[2Jb\u{9b}c\u{202e}d"), "a\\u{1b}[2Jb\\u{9b}c\\u{202e}d");
        assert_eq!(harmless("one\n\ttwo é 👋"), "one\n\ttwo é 👋");
    }
}
