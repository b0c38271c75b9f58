//! The days for a person.

use std::{collections::BTreeMap, time::Duration};

use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};

use super::OneBusiness;
use crate::{
    analytics::{ModelUsage, Numbers, Priced},
    desk::{
        figures::{count, dollars, percent, time},
        harmless,
    },
};

const COLUMNS: [&str; 12] =
    ["IN", "OUT", "P50", "P95", "DELIVERED", "READ", "FAILED", "BILLABLE", "TOKENS", "COST", "TO PEOPLE", "STOP"];
/// In a table of businesses: so many days, at most, are drawn.
const DRAWN_MOST: usize = 60;

/// One line a business, the busiest first.
pub(super) fn of_all(businesses: &[OneBusiness]) -> String {
    let mut table = Table::new();
    let header = ["BUSINESS"].into_iter().chain(COLUMNS).chain(["IN, DAY BY DAY"]);
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(header);
    let mut rows: Vec<_> = businesses.iter().map(|business| (business, business.total())).collect();
    rows.sort_by_key(|(_, total)| std::cmp::Reverse(total.received() + total.sent()));
    let mut all = Numbers::default();
    for (business, total) in &rows {
        all.merge(total);
        let drawn = sparkline(&business.received());
        table.add_row([harmless(&business.name)].into_iter().chain(cells(total)).chain([drawn]));
    }
    if rows.len() > 1 {
        table.add_row(["all".to_owned()].into_iter().chain(cells(&all)).chain([String::new()]));
    }
    align(&mut table);
    table.to_string()
}

/// One line a day, and what the numbers are made of.
pub(super) fn of_one(business: &OneBusiness) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(["DAY"].into_iter().chain(COLUMNS));
    for (day, numbers) in business.counted() {
        table.add_row([day.to_string()].into_iter().chain(cells(numbers)));
    }
    let total = business.total();
    table.add_row(["together".to_owned()].into_iter().chain(cells(&total)));
    align(&mut table);
    let mut lines = vec![table.to_string(), format!("In, day by day: {}", sparkline(&business.received()))];
    lines.extend(made_of(&total).into_iter().filter_map(|(name, counts)| listed(name, &counts)));
    let others = [
        ("Recordings heard", total.transcriptions),
        ("Characters spoken", total.spoken_characters),
        ("Told of a limit", total.limited),
        ("Told of trouble", total.apologies),
        ("Back after a stop", total.opt_ins),
    ];
    let others = others.into_iter().filter(|(_, many)| *many > 0);
    lines.extend(others.map(|(name, many)| format!("{name}: {}", count(many))));
    lines.join("\n")
}

/// What the sums are made of.
fn made_of(total: &Numbers) -> [(&'static str, BTreeMap<String, u64>); 8] {
    let priced =
        |of: fn(&Priced) -> u64| total.priced.iter().map(|(category, priced)| (category.clone(), of(priced))).collect();
    let tokens = |(model, usage): (&String, &ModelUsage)| (model.clone(), usage.tokens_in + usage.tokens_out);
    [
        ("In, by type", total.inbound.clone()),
        ("Out, by type", total.outbound.clone()),
        ("Not delivered, by Meta's code", total.failures.undelivered.clone()),
        ("Dead letters, by reason", total.failures.dead_letters.clone()),
        ("Billable, by category", priced(|priced| priced.billable)),
        ("Free, by category", priced(|priced| priced.free)),
        ("To people, by what led there", total.hand_overs.clone()),
        ("Tokens, by model", total.models.iter().map(tokens).collect()),
    ]
}

fn listed(name: &str, counts: &BTreeMap<String, u64>) -> Option<String> {
    let mut counts: Vec<_> = counts.iter().filter(|(_, many)| **many > 0).collect();
    counts.sort_by_key(|(word, many)| (std::cmp::Reverse(**many), word.as_str()));
    let listed: Vec<_> = counts.iter().map(|(word, many)| format!("{} {}", harmless(word), count(**many))).collect();
    (!listed.is_empty()).then(|| format!("{name}: {}", listed.join(", ")))
}

fn align(table: &mut Table) {
    for column in table.column_iter_mut().skip(1).take(COLUMNS.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn cells(numbers: &Numbers) -> [String; COLUMNS.len()] {
    [
        count(numbers.received()),
        count(numbers.sent()),
        waited(numbers.answer_times.p50()),
        waited(numbers.answer_times.p95()),
        percent(numbers.delivered_share()),
        percent(numbers.read_share()),
        count(numbers.failures.count()),
        count(numbers.billable()),
        count(numbers.tokens()),
        numbers.cost_micros.map_or_else(dash, dollars),
        count(numbers.handed_over()),
        count(numbers.opt_outs),
    ]
}

fn waited(length: Option<Duration>) -> String {
    length.map_or_else(dash, time)
}

fn dash() -> String {
    "–".to_owned()
}

/// The last days as a row of bars, the highest as high as a line.
fn sparkline(counts: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let drawn = counts.get(counts.len().saturating_sub(DRAWN_MOST)..).unwrap_or_default();
    let most = drawn.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: &u64| {
        let step = usize::try_from((count * 7).div_ceil(most)).unwrap_or(0);
        BARS.get(step).copied().unwrap_or('█')
    };
    drawn.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_day_fills_the_line_and_what_is_little_can_be_seen() {
        assert_eq!(sparkline(&[0, 1, 100, 50]), "▁▂█▅");
        assert_eq!(sparkline(&[0, 0]), "▁▁");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&vec![1; 90]).chars().count(), DRAWN_MOST);
    }
}
