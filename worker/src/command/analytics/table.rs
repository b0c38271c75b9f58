//! The days for a person.

use std::{collections::BTreeMap, time::Duration};

use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};

use super::OneBusiness;
use crate::{
    analytics::{ModelUsage, Numbers, Priced},
    command::dead_letter::harmless,
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
    let others = others.into_iter().filter(|(_, count)| *count > 0);
    lines.extend(others.map(|(name, count)| format!("{name}: {}", grouped(count))));
    lines.join("\n")
}

/// What the sums are made of.
fn made_of(total: &Numbers) -> [(&'static str, BTreeMap<String, u64>); 8] {
    let priced = |count: fn(&Priced) -> u64| {
        total.priced.iter().map(|(category, priced)| (category.clone(), count(priced))).collect()
    };
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
    let mut counts: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
    counts.sort_by_key(|(word, count)| (std::cmp::Reverse(**count), word.as_str()));
    let listed: Vec<_> =
        counts.iter().map(|(word, count)| format!("{} {}", harmless(word), grouped(**count))).collect();
    (!listed.is_empty()).then(|| format!("{name}: {}", listed.join(", ")))
}

fn align(table: &mut Table) {
    for column in table.column_iter_mut().skip(1).take(COLUMNS.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn cells(numbers: &Numbers) -> [String; COLUMNS.len()] {
    [
        grouped(numbers.received()),
        grouped(numbers.sent()),
        seconds(numbers.answer_times.p50()),
        seconds(numbers.answer_times.p95()),
        percent(numbers.delivered_share()),
        percent(numbers.read_share()),
        grouped(numbers.failures.count()),
        grouped(numbers.billable()),
        grouped(numbers.tokens()),
        numbers.cost_micros.map_or_else(dash, dollars),
        grouped(numbers.handed_over()),
        grouped(numbers.opt_outs),
    ]
}

fn dash() -> String {
    "–".to_owned()
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(dash, |time| format!("{:.1} s", time.as_secs_f64()))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(dash, |share| format!("{:.0} %", share * 100.0))
}

/// To a hundredth of a cent where it is little.
fn dollars(micros: u64) -> String {
    let digits = if micros < 1_000_000 { 4 } else { 2 };
    let unit = 10_u64.pow(6 - digits);
    let rounded = (micros + unit / 2) / unit;
    let whole = 10_u64.pow(digits);
    let width = usize::try_from(digits).unwrap_or(2);
    format!("${}.{:0width$}", grouped(rounded / whole), rounded % whole)
}

fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1_000), grouped(12_345_678)],
            ["0", "999", "1,000", "12,345,678"]
        );
        assert_eq!([dollars(5_900), dollars(1_005_000), dollars(2_500_000_000)], ["$0.0059", "$1.01", "$2,500.00"]);
        assert_eq!([percent(Some(0.985)), percent(None)], ["98 %", "–"]);
        assert_eq!(seconds(Some(Duration::from_millis(2_450))), "2.5 s");
    }
}
