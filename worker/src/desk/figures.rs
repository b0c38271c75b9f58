//! Days in numbers as people read them.

use std::{collections::BTreeMap, time::Duration};

use jiff::{ToSpan, civil::Date};

use crate::{analytics::Numbers, store::CountedDay};

/// All of them as one.
pub(crate) fn total<'a>(days: impl IntoIterator<Item = &'a CountedDay>) -> Numbers {
    days.into_iter().fold(Numbers::default(), |mut all, day| {
        all.merge(&day.numbers);
        all
    })
}

/// Every day from the first to the last, whether anything happened in it or not; of all businesses together.
pub(crate) fn by_day<'a>(
    days: impl IntoIterator<Item = &'a CountedDay>,
    first: Date,
    last: Date,
) -> BTreeMap<Date, Numbers> {
    let mut all: BTreeMap<Date, Numbers> =
        first.series(1.day()).take_while(|day| *day <= last).map(|day| (day, Numbers::default())).collect();
    for day in days {
        all.entry(day.day).or_default().merge(&day.numbers);
    }
    all
}

/// Of each business all days together, by its id.
pub(crate) fn by_business(days: &[CountedDay]) -> BTreeMap<&str, Vec<&CountedDay>> {
    let mut all: BTreeMap<&str, Vec<&CountedDay>> = BTreeMap::new();
    for day in days {
        all.entry(day.business.0.as_str()).or_default().push(day);
    }
    all
}

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `98.4 %`; of nothing there is no share.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// `850 ms`, `2.4 s`, `3 min 05 s`, `2 h 10 min`.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// `$12.34`, from millionths of a dollar; of what costs less than a cent, more of it.
pub(crate) fn dollars(micros: u64) -> String {
    let cents = micros.div_ceil(100) / 100;
    if micros > 0 && cents == 0 {
        return format!("$0.{:04}", micros.div_ceil(100));
    }
    format!("${}.{:02}", count(cents / 100), cents % 100)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::conversation::BusinessId;

    fn day(business: &str, day: &str, received: u64) -> CountedDay {
        let mut numbers = Numbers::default();
        numbers.inbound.insert("text".to_owned(), received);
        let (business, counted_at) = (BusinessId(business.to_owned()), Timestamp::UNIX_EPOCH);
        CountedDay { business, day: day.parse().expect("a day"), numbers, counted_at }
    }

    #[test]
    fn days_are_added_up_and_none_is_left_out() {
        let days = [day("a", "2026-11-24", 1), day("a", "2026-11-26", 2), day("b", "2026-11-26", 4)];
        assert_eq!(total(&days).received(), 7);
        let each = by_day(&days, "2026-11-23".parse().expect("a day"), "2026-11-26".parse().expect("a day"));
        let received: Vec<u64> = each.values().map(Numbers::received).collect();
        assert_eq!(received, [0, 1, 0, 6]);
        let businesses = by_business(&days);
        assert_eq!(businesses.get("a").map(|days| total(days.iter().copied()).received()), Some(3));
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((percent(None), percent(Some(0.984))), ("–".to_owned(), "98.4 %".to_owned()));
        let times = [850, 2_400, 185_000, 7_800_000].map(|millis| time(Duration::from_millis(millis)));
        assert_eq!(times, ["850 ms", "2.4 s", "3 min 05 s", "2 h 10 min"]);
        assert_eq!([0, 40, 12_340_000, 1_234_567_890].map(dollars), ["$0.00", "$0.0001", "$12.34", "$1,234.56"]);
    }
}
