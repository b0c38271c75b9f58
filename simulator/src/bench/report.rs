//! What was measured: rows of figures, as a table, as JSON, and to be asked by name.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::json;

use super::{
    chart,
    judge::Judgement,
    machine::Fact,
    options::{Scenario, Size},
};

/// Prints one line; a closed pipe is no error.
pub(super) fn line(text: &str) {
    drop(writeln!(io::stdout(), "{text}"));
}

/// A number that was measured.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) value: f64,
    pub(super) unit: &'static str,
}

pub(super) fn figure(name: &'static str, value: f64, unit: &'static str) -> Figure {
    Figure { name, value, unit }
}

/// Figures of one measurement.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) scenario: Scenario,
    pub(super) what: String,
    pub(super) figures: Vec<Figure>,
}

impl Row {
    fn shown(&self) -> Vec<String> {
        let shown = |figure: &Figure| {
            let value = format!("{} {}", readable(figure.value), figure.unit);
            format!("{} {}", figure.name, value.trim_end())
        };
        self.figures.iter().map(shown).collect()
    }
}

/// All of a run.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn add(&mut self, scenario: Scenario, what: impl Into<String>, figures: Vec<Figure>) {
        self.rows.push(Row { scenario, what: what.into(), figures });
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// A figure of the row of that name.
    pub(super) fn value(&self, scenario: Scenario, what: &str, name: &str) -> Option<f64> {
        self.values(scenario, what, name).find(|(row, _)| *row == what).map(|(_, value)| value)
    }

    /// The largest figure of this name in the rows whose names begin so.
    pub(super) fn best(&self, scenario: Scenario, prefix: &str, name: &str) -> Option<f64> {
        self.values(scenario, prefix, name).map(|(_, value)| value).max_by(f64::total_cmp)
    }

    fn values<'a>(
        &'a self,
        scenario: Scenario,
        prefix: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = (&'a str, f64)> {
        let rows = self.rows.iter().filter(move |row| row.scenario == scenario && row.what.starts_with(prefix));
        rows.filter_map(move |row| {
            let figure = row.figures.iter().find(|figure| figure.name == name)?;
            Some((row.what.as_str(), figure.value))
        })
    }

    pub(super) fn print_from(&self, first: usize) {
        for row in self.rows.iter().skip(first) {
            line(&format!("  {:<46} {}", row.what, row.shown().join("   ")));
        }
    }

    /// Writes `report.json`, `report.md` and `report.svg`.
    pub(super) fn write(
        &self,
        directory: &Path,
        machine: &[Fact],
        size: &Size,
        judgements: &[Judgement],
    ) -> io::Result<()> {
        let whole = json!({"machine": machine, "size": size, "rows": self.rows, "judgements": judgements});
        fs::write(directory.join("report.json"), format!("{whole:#}\n"))?;
        fs::write(directory.join("report.md"), self.markdown(machine, judgements))?;
        fs::write(directory.join("report.svg"), chart::draw(self))
    }
}

impl Report {
    /// The same as tables, for a document.
    fn markdown(&self, machine: &[Fact], judgements: &[Judgement]) -> String {
        let mut text = String::from("| Machine | |\n|---|---|\n");
        for fact in machine {
            text.push_str(&format!("| {} | {} |\n", fact.what, fact.value));
        }
        text.push_str("\n| Promise | Bound | Measured | |\n|---|---|---|---|\n");
        for one in judgements {
            text.push_str(&format!("| {} | {} | {} | {} |\n", one.what, one.bound(), one.value(), one.word()));
        }
        let mut scenario = None;
        for row in &self.rows {
            if scenario != Some(row.scenario) {
                text.push_str(&format!("\n| {} | |\n|---|---|\n", row.scenario.name()));
                scenario = Some(row.scenario);
            }
            text.push_str(&format!("| {} | {} |\n", row.what.trim(), row.shown().join(", ")));
        }
        text
    }
}

/// p50, p95 and p99 of microseconds, in milliseconds.
pub(super) fn latencies(micros: &Histogram<u64>) -> Vec<Figure> {
    let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1_000.0;
    vec![figure("p50", at(0.50), "ms"), figure("p95", at(0.95), "ms"), figure("p99", at(0.99), "ms")]
}

/// A histogram of microseconds up to ten minutes, to three digits.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are in order and three digits are allowed")
}

/// Three digits that count, thousands apart.
pub(super) fn readable(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.find('.').map_or((text.as_str(), ""), |dot| text.split_at(dot));
    grouped(whole) + rest
}

/// How a row is called in which so many conversations are in flight.
pub(super) fn in_flight(count: usize) -> String {
    format!("{} in flight", grouped(&count.to_string()))
}

fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (left, c) in (0..digits.len()).rev().zip(digits.chars()) {
        grouped.push(c);
        if left > 0 && left % 3 == 0 && c != '-' {
            grouped.push(',');
        }
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_row_and_name_and_the_best_by_the_rows_beginning() {
        let mut report = Report::default();
        for (what, rate) in [("single, 1", 10.0), ("single, 64", 70.0), ("single, 16", 40.0), ("batches, 1", 90.0)] {
            report.add(Scenario::Ingest, what, vec![figure("p50", 1.0, "ms"), figure("rate", rate, "/s")]);
        }
        assert_eq!(report.value(Scenario::Ingest, "single, 16", "rate"), Some(40.0));
        assert_eq!(report.value(Scenario::Ingest, "single, 1", "rate"), Some(10.0), "not that of `single, 16`");
        assert_eq!(report.best(Scenario::Ingest, "single", "rate"), Some(70.0));
        assert_eq!(report.best(Scenario::Broker, "single", "rate"), None);
        assert_eq!(report.value(Scenario::Ingest, "single, 64", "p99"), None);
    }

    #[test]
    fn a_document_gets_a_table_for_each_scenario_and_one_of_what_was_promised() {
        let mut report = Report::default();
        report.add(
            Scenario::Ingest,
            "single, 64",
            vec![figure("rate", 8_000.0, "messages/s"), figure("p99", 9.0, "ms")],
        );
        report.add(Scenario::Ingest, "single, 256", vec![figure("resident", 39.0, "MB")]);
        report.add(Scenario::Growth, "1 worker", vec![figure("rate", 31.0, "answers/s")]);
        let text = report.markdown(&[], &super::super::judge::judge(&report));
        assert!(text.contains("| single, 64 | rate 8,000 messages/s, p99 9.00 ms |"), "{text}");
        assert_eq!(text.matches("| ingest | |").count(), 1, "{text}");
        assert!(
            text.contains("| ingest at 256 connections: resident | at most 40.0 MB | 39.0 MB | reached |"),
            "{text}"
        );
        assert!(text.contains("not measured"), "{text}");
    }

    #[test]
    fn numbers_show_three_digits_and_their_thousands() {
        let shown = [0.0, 0.123, 9.876, 54.321, 123.4, 1_234.5, 1_234_567.0, -1_234.0].map(readable);
        assert_eq!(shown, ["0.00", "0.12", "9.88", "54.3", "123", "1,234", "1,234,567", "-1,234"]);
        assert_eq!([10, 1_000].map(in_flight), ["10 in flight", "1,000 in flight"]);
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut micros = histogram();
        for value in 1..=1_000 {
            micros.record(value * 1_000).expect("within the bounds");
        }
        let figures = latencies(&micros);
        for (figure, expected) in figures.iter().zip([500.0, 950.0, 990.0]) {
            assert!((figure.value - expected).abs() <= expected / 500.0, "{figure:?}");
        }
    }
}
