//! Answers side by side, for people. What models and customers wrote is shown without control characters, which a
//! terminal would obey.

use std::io;

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

use super::{
    super::business::or_dash,
    answer::{Answer, Changes, Spent, Tool},
    recording::Asked,
    tally::Summary,
};

/// Columns where the output is no terminal.
const WIDTH: u16 = 120;
const RECORDED: &str = "RECORDED";

/// A question, and a column for each answer to it: the recorded one first, where there is one.
pub(super) fn question(asked: &Asked<'_>, answers: &[Answer]) -> String {
    let recorded = asked.recorded();
    let mut table = new_table();
    let names = answers.iter().map(|answer| shown(&answer.variant));
    table.set_header(row("", recorded.as_ref().map(|_| RECORDED.to_owned()), names));
    let mut add = |name: &str, then: &str, cell: &dyn Fn(&Answer) -> String| {
        let cells: Vec<String> = answers.iter().map(|answer| shown(&cell(answer))).collect();
        // A row in which nobody has anything says nothing.
        if cells.iter().any(|cell| !cell.is_empty()) {
            let cells = cells.iter().map(|cell| or_dash(Some(cell)));
            table.add_row(row(name, recorded.as_ref().map(|_| shown(then)), cells));
        }
    };
    let spent = |cell: fn(&Spent) -> String| move |answer: &Answer| answer.spent.as_ref().map(cell).unwrap_or_default();
    add("answer", recorded.as_deref().unwrap_or_default(), &words);
    add("model", "", &|answer| answer.model.clone());
    add("calls", "", &spent(|spent| spent.calls.to_string()));
    add("tokens", "", &spent(|spent| format!("{} in, {} out", spent.tokens_in, spent.tokens_out)));
    add("latency", "", &|answer| format!("{} ms", answer.latency_ms));
    add("cost", "", &spent(|spent| spent.cost.map(money).unwrap_or_default()));
    add("tools", "", &|answer| answer.tools.iter().map(tool).collect::<Vec<_>>().join("\n"));
    add("would", "", &|answer| changes(&answer.would_change));
    format!("{}\n{table}\n", heading(asked))
}

/// A column for each variant, as in the questions.
pub(super) fn summary(summaries: &[Summary]) -> String {
    let mut table = new_table();
    table.set_header(row("SUMMARY", None, summaries.iter().map(|summary| shown(&summary.variant))));
    let mut add = |name: &str, cell: &dyn Fn(&Summary) -> String| {
        table.add_row(row(name, None, summaries.iter().map(|summary| or_dash(Some(&shown(&cell(summary)))))));
    };
    add("model", &|summary| summary.model.clone());
    add("answered", &|summary| summary.answered.to_string());
    add("failed", &|summary| summary.failed.to_string());
    add("latency", &|summary| match (summary.latency_ms_median, summary.latency_ms_p95) {
        (Some(median), Some(p95)) => format!("median {median} ms, p95 {p95} ms"),
        (None, _) | (_, None) => String::new(),
    });
    add("tokens", &|summary| format!("{} in, {} out", summary.tokens_in, summary.tokens_out));
    add("cost", &|summary| summary.cost.map(money).unwrap_or_default());
    table.to_string()
}

fn new_table() -> Table {
    let width = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|width| *width > 0);
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.unwrap_or(WIDTH));
    table
}

fn row(name: &str, recorded: Option<String>, cells: impl IntoIterator<Item = String>) -> Vec<String> {
    [name.to_owned()].into_iter().chain(recorded).chain(cells).collect()
}

fn heading(asked: &Asked<'_>) -> String {
    let lines: Vec<String> = asked.question().lines().map(|line| format!("  {}", shown(line))).collect();
    let (name, number) = (shown(&asked.recording.name()), asked.number);
    format!("{name}, question {number}:\n{}", lines.join("\n"))
}

fn words(answer: &Answer) -> String {
    match (&answer.answer, &answer.error) {
        (Some(words), _) => words.clone(),
        (None, Some(error)) => format!("no answer: {error}"),
        (None, None) => String::new(),
    }
}

fn tool(tool: &Tool) -> String {
    let arguments = tool.arguments.as_str().map_or_else(|| tool.arguments.to_string(), str::to_owned);
    match &tool.problem {
        Some(problem) => format!("{} {arguments} (failed: {problem})", tool.name),
        None => format!("{} {arguments}", tool.name),
    }
}

fn changes(changes: &Changes) -> String {
    let all = |what: &'static str, texts: &[String]| -> Vec<String> {
        texts.iter().map(|text| format!("{what}: {text}")).collect()
    };
    let mut lines = all("remember", &changes.remembered);
    lines.extend(all("forget", &changes.forgotten));
    let hours = |secs: u64| format!("hand over to a person for {} min", secs / 60);
    lines.extend(changes.handed_over_secs.map(hours));
    lines.extend((!changes.choices.is_empty()).then(|| format!("offer: {}", changes.choices.join(" | "))));
    lines.extend(all("show on a map", &changes.places));
    lines.join("\n")
}

/// Enough digits for one answer of a cheap model.
fn money(cost: f64) -> String {
    format!("{cost:.6}")
}

fn shown(text: &str) -> String {
    let plain = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() && c != '\n' => '\u{fffd}',
        c => c,
    };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_said_commands_the_terminal() {
        assert_eq!(shown("a\u{1b}[2J\tb\nc\u{9b}\r"), "a\u{fffd}[2J b\nc\u{fffd}\u{fffd}");
    }

    #[test]
    fn what_an_answer_would_change_is_said_in_words() {
        let many = Changes {
            remembered: vec!["is vegan".to_owned()],
            forgotten: vec!["eats fish".to_owned()],
            handed_over_secs: Some(7_200),
            choices: vec!["Yes".to_owned(), "No".to_owned()],
            places: vec!["Shop".to_owned()],
        };
        let words = "remember: is vegan\nforget: eats fish\nhand over to a person for 120 min\noffer: Yes | No\n\
                     show on a map: Shop";
        assert_eq!(changes(&many), words);
        assert_eq!(changes(&Changes::default()), "");
        assert_eq!(money(0.000_345_6), "0.000346");
    }
}
