//! The file `.env`, of which nothing counts that is not what is written there.
//!
//! Outside of single quotes dotenvy replaces `$name`, mostly by nothing, so that a secret with a `$` in it would become
//! another one, and nobody would hear of it. So the text is read twice, the second time with each such `$` as a letter
//! like any other: where the two differ, something was replaced.

/// Stands for a `$`. No text has it: Unicode keeps it for the use within a program.
const DOLLAR: char = '\u{fdd0}';

/// An assignment of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Assignment {
    /// As it is written.
    Plain {
        name: String,
        value: String,
    },
    /// A `$` in its value would be replaced.
    Replaced {
        name: String,
        /// From 1.
        line: usize,
    },
    Unreadable,
}

/// All assignments, in order.
pub(super) fn assignments(text: &str) -> Vec<Assignment> {
    let literal = literal(text);
    let readings = dotenvy::from_read_iter(text.as_bytes()).zip(dotenvy::from_read_iter(literal.as_bytes()));
    let assignments = readings.map(|readings| match readings {
        (Ok((name, value)), Ok((_, written))) if is_same(&value, &written) => Assignment::Plain { name, value },
        (Ok((name, _)), _) | (Err(_), Ok((name, _))) => {
            let line = line(text, &name);
            Assignment::Replaced { name, line }
        }
        (Err(_), Err(_)) => Assignment::Unreadable,
    });
    assignments.collect()
}

/// The text without a `$` that could be replaced. One behind a backslash is a letter already.
fn literal(text: &str) -> String {
    let mut is_escaped = false;
    let protected = text.chars().map(|c| {
        let is_plain = c == '$' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        if is_plain { DOLLAR } else { c }
    });
    protected.collect()
}

fn is_same(read: &str, written: &str) -> bool {
    let plain = |c: char| if c == DOLLAR { '$' } else { c };
    read.chars().map(plain).eq(written.chars().map(plain))
}

/// The line on which a variable is assigned: of several, the first with a `$`.
fn line(text: &str, name: &str) -> usize {
    let assigns = |line: &str| {
        let line = line.trim_start();
        let exported = line.strip_prefix("export").filter(|rest| rest.starts_with(char::is_whitespace));
        let rest = exported.map_or(line, str::trim_start).strip_prefix(name);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| assigns(line));
    let first = lines.clone().next();
    lines.find(|(_, line)| line.contains('$')).or(first).map_or(1, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_counts_and_what_would_be_replaced_is_told_by_its_line() {
        let text = r#"
# $comment
A='s3cr$et ${B}' # with $5
B="s3cr\$et"
C=s3cr\$et
export D = s3cr$et
E="s3cr${A}et"
F="s3cr$"
G=s3cr$ et
H=s3cr\\$et
I='a\$b'
J=
J=$
K="a
$b"
L=two words
"#;
        let plain = |name: &str, value: &str| Assignment::Plain { name: name.to_owned(), value: value.to_owned() };
        let replaced = |name: &str, line| Assignment::Replaced { name: name.to_owned(), line };
        let expected = [
            plain("A", "s3cr$et ${B}"),
            plain("B", "s3cr$et"),
            plain("C", "s3cr$et"),
            replaced("D", 6),
            replaced("E", 7),
            replaced("F", 8),
            replaced("G", 9),
            replaced("H", 10),
            plain("I", r"a\$b"),
            plain("J", ""),
            replaced("J", 13),
            replaced("K", 14),
            Assignment::Unreadable,
        ];
        assert_eq!(assignments(text), expected);
        assert_eq!(assignments(&text.replace('\n', "\r\n")).len(), expected.len());
    }
}
