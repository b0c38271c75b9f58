//! `openingHours`: when a business is open, by the day of the week and the clock on its wall.
//!
//! Hours with an error in them count as absent as a whole: half of them would be told to customers as the truth. A day
//! that is not named is closed.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use serde_json::Value;

use super::super::field::{Field, Fields, nearest, quoted};

/// Minutes of a day.
pub(super) const DAY: u32 = 24 * 60;
const RANGES_MOST: usize = 8;
/// Two weeks: in one of them clocks may skip the only hours that there are.
const LOOK_AHEAD_DAYS: i64 = 15;

/// A day's names in a document, from Monday on.
const DAYS: [[&str; 2]; 7] = [
    ["monday", "mon"],
    ["tuesday", "tue"],
    ["wednesday", "wed"],
    ["thursday", "thu"],
    ["friday", "fri"],
    ["saturday", "sat"],
    ["sunday", "sun"],
];

/// A week of opening hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpeningHours {
    /// From Monday on, each day's ranges in their order.
    pub(super) days: [Vec<Range>; 7],
}

/// From a minute of a day up to another, which is not in it and lies behind the day's end where it is past midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Range {
    fn contains(self, minute: u32) -> bool {
        (self.from..self.to).contains(&minute)
    }
}

impl OpeningHours {
    /// Whether the business is open when its wall shows this.
    pub fn is_open(&self, at: DateTime) -> bool {
        let minute = u32::from(at.hour().unsigned_abs()) * 60 + u32::from(at.minute().unsigned_abs());
        let yesterday = at.date().yesterday();
        self.ranges(at.date()).iter().any(|range| range.contains(minute))
            || yesterday.is_ok_and(|date| self.ranges(date).iter().any(|range| range.contains(minute + DAY)))
    }

    /// When it opens next, if it is closed, or closes, if it is open. None where it never does.
    pub fn next_change(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let open_at = |at: Timestamp| self.is_open(zone.to_datetime(at));
        let open_now = open_at(now);
        let mut instants = self.edges(zone.to_datetime(now).date(), zone);
        // Where clocks are put forward or back, a wall may skip an edge, or show it twice.
        let horizon = now + LOOK_AHEAD_DAYS * 24.hours();
        let shifts = zone.following(now).map(|shift| shift.timestamp());
        instants.extend(shifts.take_while(|at| *at < horizon));
        instants.retain(|at| *at > now);
        instants.sort_unstable();
        instants.into_iter().find(|at| open_at(*at) != open_now)
    }

    /// Every instant from yesterday on at which a range begins or ends.
    fn edges(&self, today: Date, zone: &TimeZone) -> Vec<Timestamp> {
        let dates = (-1..=LOOK_AHEAD_DAYS).filter_map(|days: i64| today.checked_add(days.days()).ok());
        let walls = dates.flat_map(|date| {
            let minutes = self.ranges(date).iter().flat_map(|range| [range.from, range.to]);
            minutes.filter_map(move |minute| date.at(0, 0, 0, 0).checked_add(i64::from(minute).minutes()).ok())
        });
        let instants = walls.flat_map(|wall| {
            let instant = zone.to_ambiguous_timestamp(wall);
            [instant.earlier(), instant.later()]
        });
        instants.filter_map(Result::ok).collect()
    }

    fn ranges(&self, date: Date) -> &[Range] {
        let day = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
        self.days.get(day).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Reads a week. None where there is none, or where something in it is wrong.
pub(super) fn read(field: &Field<'_>) -> Option<OpeningHours> {
    let fields = field.any_object()?;
    // An empty object is how a back end may write "none".
    fields.names().next()?;
    let (hours, wrong) = field.has_errors(|| {
        unknown_days(&fields);
        let hours = OpeningHours { days: DAYS.map(|names| day(&fields, names)) };
        if !fields.names().any(|name| DAYS.as_flattened().contains(&name)) {
            field.error("names no day; write `monday` to `sunday`, or `mon` to `sun`");
        }
        hours
    });
    (!wrong).then_some(hours)
}

/// A day that is nearly right is an error, because without it the day would count as closed.
fn unknown_days(fields: &Fields<'_>) {
    let days = DAYS.as_flattened();
    for name in fields.names().filter(|name| !days.contains(name)) {
        match nearest(name, days.iter().copied()) {
            Some(near) => fields.at(name).error(format!("is no day; did you mean `{near}`?")),
            None => fields.at(name).warn("is no day and not used; days are `monday` to `sunday`, or `mon` to `sun`"),
        }
    }
}

fn day(fields: &Fields<'_>, [long, short]: [&str; 2]) -> Vec<Range> {
    if fields.get(long).is_some() && fields.get(short).is_some() {
        fields.at(short).error(format!("is the same day as `{long}`; keep one of them"));
    }
    let Some(field) = fields.get(long).or_else(|| fields.get(short)) else { return Vec::new() };
    let mut ranges: Vec<Range> = match field.value {
        Value::String(_) => range(&field).into_iter().collect(),
        Value::Array(_) => field.items(RANGES_MOST).iter().filter_map(range).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            field.mistyped("a text such as `09:00-17:00`, a list of such texts, or `closed`");
            Vec::new()
        }
    };
    ranges.sort_unstable();
    if ranges.iter().zip(ranges.iter().skip(1)).any(|(one, next)| next.from < one.to) {
        field.error("has hours that overlap; write each time once");
    }
    ranges
}

/// A range of hours; none where it is closed or wrong.
fn range(field: &Field<'_>) -> Option<Range> {
    let Value::String(text) = field.value else {
        field.mistyped("a text such as `09:00-17:00`");
        return None;
    };
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("closed") {
        return None;
    }
    let parsed = parse(text);
    if let Err(problem) = parsed {
        field.error(format!("is `{}`, {problem}", quoted(text)));
    }
    parsed.ok()
}

fn parse(text: &str) -> Result<Range, &'static str> {
    const SHAPE: &str = "which is no range of hours; write such as `09:00-17:00`, or `closed`";
    let (from, to) = text.split_once(['-', '–']).ok_or(SHAPE)?;
    let (from, to) = (minute(from).ok_or(SHAPE)?, minute(to).ok_or(SHAPE)?);
    if from == DAY {
        return Err("which begins at 24:00; begin the next day at 00:00");
    }
    if from == to {
        return Err("which ends where it begins; write `00:00-24:00` for a whole day, or `closed`");
    }
    Ok(Range { from, to: if to < from { to + DAY } else { to } })
}

/// The minute of the day that a clock shows: `9:00`, `09:00`, up to `24:00`.
fn minute(text: &str) -> Option<u32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(hours.len(), 1 | 2) || minutes.len() != 2 || !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= DAY).then_some(minute)
}

#[cfg(test)]
mod tests {
    use jiff::{civil::date, tz::TimeZoneDatabase};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::business::finding::Findings;

    fn hours(value: &Value) -> OpeningHours {
        let findings = Findings::default();
        let hours = read(&Field::root("openingHours", value, &findings));
        let findings = findings.into_list();
        hours.unwrap_or_else(|| panic!("{findings:?}"))
    }

    fn berlin() -> TimeZone {
        TimeZoneDatabase::bundled().get("Europe/Berlin").expect("it is there")
    }

    /// In July 2026 the 20th is a Monday.
    fn july(day: i8, hour: i8, minute: i8) -> DateTime {
        date(2026, 7, day).at(hour, minute, 59, 0)
    }

    #[test]
    fn a_range_holds_its_first_minute_and_not_its_last() {
        let hours = hours(&json!({"mon": ["9:00-12:00", "13:00 – 17:30"], "tuesday": "closed", "wed": []}));
        for (hour, minute, open) in [
            (8, 59, false),
            (9, 0, true),
            (11, 59, true),
            (12, 0, false),
            (12, 59, false),
            (13, 0, true),
            (17, 29, true),
            (17, 30, false),
        ] {
            assert_eq!(hours.is_open(july(20, hour, minute)), open, "{hour}:{minute}");
            assert!(!hours.is_open(july(21, hour, minute)) && !hours.is_open(july(22, hour, minute)));
        }
    }

    #[test]
    fn hours_past_midnight_belong_to_the_day_on_which_they_began() {
        let hours = hours(&json!({"fri": "18:00-02:00", "sunday": "20:00-00:00"}));
        for (day, hour, open) in [
            (24, 1, false),
            (24, 17, false),
            (24, 18, true),
            (24, 23, true),
            (25, 0, true),
            (25, 1, true),
            (25, 2, false),
            (25, 18, false),
            (26, 23, true),
            (27, 0, false),
        ] {
            assert_eq!(hours.is_open(july(day, hour, 30)), open, "{day}. {hour}:30");
        }
    }

    #[test]
    fn a_sunday_reaches_into_the_monday() {
        let hours = hours(&json!({"sun": "22:00-03:00"}));
        assert!(hours.is_open(july(27, 2, 59)) && !hours.is_open(july(27, 3, 0)) && !hours.is_open(july(28, 1, 0)));
    }

    #[test]
    fn twenty_four_is_an_end() {
        let hours = hours(&json!({"mon": "00:00-24:00", "tue": "18:00-24:00"}));
        assert!(hours.is_open(july(20, 0, 0)) && hours.is_open(july(20, 23, 59)));
        assert!(!hours.is_open(july(21, 0, 0)) && hours.is_open(july(21, 23, 59)) && !hours.is_open(july(22, 0, 0)));
    }

    #[test]
    fn hours_go_by_the_wall_also_on_the_day_on_which_clocks_change() {
        let zone = berlin();
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        // On 29 March 2026 the wall shows 03:00 after 01:59.
        let spring = hours(&json!({"sun": ["01:00-04:00", "06:00-07:00"]}));
        assert_eq!(spring.next_change(at("2026-03-28T23:30:00Z"), &zone), Some(at("2026-03-29T00:00:00Z")));
        assert_eq!(spring.next_change(at("2026-03-29T00:00:00Z"), &zone), Some(at("2026-03-29T02:00:00Z")), "2 hours");
        let skipped = hours(&json!({"sun": "02:30-04:00"}));
        assert_eq!(skipped.next_change(at("2026-03-29T00:10:00Z"), &zone), Some(at("2026-03-29T01:00:00Z")));
        // On 25 October it shows 02:00 again after 02:59.
        let autumn = hours(&json!({"sun": "01:00-04:00"}));
        assert_eq!(autumn.next_change(at("2026-10-24T23:00:00Z"), &zone), Some(at("2026-10-25T03:00:00Z")), "4 hours");
        let twice = hours(&json!({"sun": "01:00-02:30"}));
        assert_eq!(twice.next_change(at("2026-10-25T00:10:00Z"), &zone), Some(at("2026-10-25T00:30:00Z")));
        assert_eq!(twice.next_change(at("2026-10-25T00:30:00Z"), &zone), Some(at("2026-10-25T01:00:00Z")));
    }

    #[test]
    fn what_never_changes_has_no_next_change() {
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        for text in ["00:00-24:00", "closed"] {
            let week: serde_json::Map<_, _> = days.iter().map(|day| ((*day).to_owned(), json!(text))).collect();
            let hours = hours(&Value::Object(week));
            assert_eq!(hours.next_change(Timestamp::UNIX_EPOCH, &berlin()), None, "{text}");
        }
    }

    fn week() -> impl Strategy<Value = OpeningHours> {
        let range = (0..DAY, 1..DAY).prop_map(|(from, length)| Range { from, to: from + length });
        let day = prop_oneof![3 => prop::collection::vec(range, 0..3), 1 => Just(vec![Range { from: 0, to: DAY }])];
        prop::collection::vec(day, 7).prop_map(|days| OpeningHours { days: days.try_into().expect("seven") })
    }

    /// Minutes since 2026 began: any, or close to where clocks of the zones below change.
    fn minutes() -> impl Strategy<Value = i64> {
        let shifts = prop_oneof![Just(66_i64), Just(87), Just(94), Just(276), Just(297), Just(304)];
        let close = (shifts, 0_i64..2 * 24 * 60).prop_map(|(day, minute)| (day - 1) * 24 * 60 + minute);
        prop_oneof![0_i64..366 * 24 * 60, close]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn until_the_next_change_nothing_changes_and_then_it_does(
            hours in week(),
            minutes in minutes(),
            name in prop_oneof![Just("Europe/Berlin"), Just("America/St_Johns"), Just("Australia/Lord_Howe"), Just("UTC")],
        ) {
            let zone = TimeZoneDatabase::bundled().get(name).expect("it is there");
            let now = "2026-01-01T00:00:00Z".parse::<Timestamp>().expect("a time") + minutes.minutes();
            let open = |at: Timestamp| hours.is_open(zone.to_datetime(at));
            // The wall shows every minute of a week in one of two weeks.
            let walked = (1..=15 * 24 * 60).map(|n: i64| now + n.minutes()).find(|at| open(*at) != open(now));
            prop_assert_eq!(hours.next_change(now, &zone), walked);
        }

        #[test]
        fn the_prompt_says_open_now_where_it_is_open(hours in week(), minutes in minutes()) {
            let zone = berlin();
            let now = "2026-01-01T00:00:00Z".parse::<Timestamp>().expect("a time") + minutes.minutes();
            let (text, open) = (hours.describe(now, &zone), hours.is_open(zone.to_datetime(now)));
            prop_assert_eq!((text.contains("is open now"), text.contains("is closed now")), (open, !open), "{}", text);
        }
    }
}
