//! The days as comma-separated values: one line a business and day.

use std::{collections::BTreeMap, io::Write, time::Duration};

use super::OneBusiness;
use crate::analytics::Numbers;

const NAMES: [&str; 26] = [
    "business",
    "day",
    "received",
    "sent",
    "answers",
    "answer_p50_millis",
    "answer_p95_millis",
    "delivered",
    "read",
    "failed",
    "billable",
    "calls",
    "tokens_in",
    "tokens_out",
    "transcriptions",
    "spoken_characters",
    "cost_usd",
    "hand_overs",
    "opt_outs",
    "opt_ins",
    "limited",
    "apologies",
    "received_by_type",
    "sent_by_type",
    "failures_by_reason",
    "billable_by_category",
];

/// Writes them all.
///
/// # Errors
/// What takes them is gone.
pub(super) fn write(businesses: &[OneBusiness], out: impl Write) -> std::io::Result<()> {
    let mut csv = ::csv::Writer::from_writer(out);
    csv.write_record(NAMES)?;
    for business in businesses {
        for (day, numbers) in business.counted() {
            csv.write_record(record(&business.name, &day.to_string(), numbers))?;
        }
    }
    csv.flush()
}

fn record(business: &str, day: &str, numbers: &Numbers) -> [String; NAMES.len()] {
    let millis = |time: Option<Duration>| time.map_or_else(String::new, |time| time.as_millis().to_string());
    let of_models =
        |count: fn(&crate::analytics::ModelUsage) -> u64| numbers.models.values().map(count).sum::<u64>().to_string();
    let failures = numbers.failures.undelivered.iter().map(|(code, n)| (format!("meta {code}"), *n));
    let failures = failures.chain(numbers.failures.dead_letters.iter().map(|(reason, n)| (reason.clone(), *n)));
    let billable = numbers.priced.iter().map(|(category, priced)| (category.clone(), priced.billable));
    [
        business.to_owned(),
        day.to_owned(),
        numbers.received().to_string(),
        numbers.sent().to_string(),
        numbers.answer_times.count().to_string(),
        millis(numbers.answer_times.p50()),
        millis(numbers.answer_times.p95()),
        numbers.delivered.to_string(),
        numbers.read.to_string(),
        numbers.failures.count().to_string(),
        numbers.billable().to_string(),
        of_models(|usage| usage.calls),
        of_models(|usage| usage.tokens_in),
        of_models(|usage| usage.tokens_out),
        numbers.transcriptions.to_string(),
        numbers.spoken_characters.to_string(),
        numbers
            .cost_micros
            .map_or_else(String::new, |micros| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)),
        numbers.handed_over().to_string(),
        numbers.opt_outs.to_string(),
        numbers.opt_ins.to_string(),
        numbers.limited.to_string(),
        numbers.apologies.to_string(),
        listed(numbers.inbound.clone()),
        listed(numbers.outbound.clone()),
        listed(failures.collect()),
        listed(billable.collect()),
    ]
}

fn listed(counts: BTreeMap<String, u64>) -> String {
    counts.into_iter().map(|(word, count)| format!("{word}={count}")).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, civil::date};

    use super::*;
    use crate::{conversation::BusinessId, store::CountedDay};

    #[test]
    fn each_line_has_what_the_first_one_names() {
        let day = date(2026, 11, 26);
        let mut numbers = Numbers { cost_micros: Some(1_000_250), ..Numbers::default() };
        numbers.inbound = [("text".to_owned(), 2), ("odd, \"kind\"".to_owned(), 1)].into();
        numbers.failures.undelivered = [("131026".to_owned(), 4)].into();
        let business = BusinessId("1".to_owned());
        let counted = CountedDay { business: business.clone(), day, numbers, counted_at: Timestamp::UNIX_EPOCH };
        let days = vec![(day, Some(counted)), (date(2026, 11, 27), None)];
        let mut out = Vec::new();
        write(&[OneBusiness { id: business, name: "acme".to_owned(), days }], &mut out).expect("written");
        let mut read = ::csv::Reader::from_reader(out.as_slice());
        let names = read.headers().expect("names").clone();
        let rows: Vec<_> = read.records().collect::<Result<_, _>>().expect("as many fields in each line");
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        let field = |name: &str| names.iter().position(|known| known == name).and_then(|at| row.get(at)).expect(name);
        assert_eq!((field("business"), field("day"), field("received")), ("acme", "2026-11-26", "3"));
        assert_eq!((field("failed"), field("cost_usd"), field("answer_p50_millis")), ("4", "1.000250", ""));
        assert_eq!(field("received_by_type"), "odd, \"kind\"=1;text=2");
        assert_eq!(field("failures_by_reason"), "meta 131026=4");
    }
}
