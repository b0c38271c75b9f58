//! The report for a person: a table for each part of the chain.

use comfy_table::{ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};

use super::{
    super::business::{or_dash, say},
    check::{Check, Report},
};

/// Columns of a table; longer problems are wrapped.
const WIDTH: u16 = 120;

pub(super) fn print(report: &Report) {
    for checks in report.checks.chunk_by(|one, next| one.part == next.part) {
        if let Some(first) = checks.first() {
            say(&format!("{}\n{}\n", first.part, table(checks)));
        }
    }
    say(&match (report.errors, report.warnings) {
        (0, 0) => "Nothing is wrong.".to_owned(),
        (0, warnings) => format!("Nothing is broken; {} to look at.", counted(warnings, "warning")),
        (errors, warnings) => format!("{} and {}.", counted(errors, "error"), counted(warnings, "warning")),
    });
}

fn table(checks: &[Check]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(["", "WHAT", "FOUND", "WHAT TO DO"]);
    for check in checks {
        table.add_row([
            check.severity.to_string(),
            or_dash(Some(&check.subject)),
            check.problem.clone(),
            or_dash(check.mend.as_deref()),
        ]);
    }
    table
}

pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
