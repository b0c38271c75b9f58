//! Opening hours in words, for a prompt: what the clock on the business's wall shows, whether it is open, when that
//! changes, and its week. All times are written with 24 hours, as they stand in the settings.

use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};

use super::opening_hours::{DAY, OpeningHours, Range};

const SHORT: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Weekday, date and time on a wall in that time zone, such as `Tuesday, 21 July 2026, 14:05 (Europe/Berlin)`.
pub fn local_time(now: Timestamp, zone: &TimeZone) -> String {
    let name = zone.iana_name().unwrap_or("UTC");
    format!("{} ({name})", now.to_zoned(zone.clone()).strftime("%A, %-d %B %Y, %H:%M"))
}

impl OpeningHours {
    /// For a prompt: the local weekday, date and time, whether the business is open, when that changes next, and the
    /// week, such as `It is Tuesday, 21 July 2026, 14:05 (Europe/Berlin). The business is open now and closes today at
    /// 17:00. Its opening hours: Mon-Fri 09:00-17:00, Sat 10:00-14:00, Sun closed.`
    pub fn describe(&self, now: Timestamp, zone: &TimeZone) -> String {
        let state = self.state(now, zone);
        format!("It is {}. The business {state}. Its opening hours: {}.", local_time(now, zone), self.week())
    }

    fn state(&self, now: Timestamp, zone: &TimeZone) -> String {
        let local = now.to_zoned(zone.clone());
        let open = self.is_open(local.datetime());
        let change = self.next_change(now, zone).map(|at| at.to_zoned(zone.clone()));
        match (open, change) {
            (true, Some(at)) => format!("is open now and closes {}", closing(&local, &at)),
            (false, Some(at)) => {
                format!("is closed now and opens {} at {}", day_of(&local, &at), at.strftime("%H:%M"))
            }
            (true, None) => "is open now, and always".to_owned(),
            (false, None) => "is closed now, and all week".to_owned(),
        }
    }

    /// The whole week in one line; days in a row with the same hours stand together.
    fn week(&self) -> String {
        let days: Vec<_> = SHORT.into_iter().zip(self.days.iter().map(|ranges| words(ranges))).collect();
        let runs = days.chunk_by(|(_, one), (_, next)| one == next);
        let runs = runs.filter_map(|run| {
            let ((first, hours), (last, _)) = (run.first()?, run.last()?);
            Some(if first == last { format!("{first} {hours}") } else { format!("{first}-{last} {hours}") })
        });
        runs.collect::<Vec<_>>().join(", ")
    }
}

/// The end of a day is 24:00 of that day: a midnight of tomorrow would be taken for the one after.
fn closing(now: &Zoned, at: &Zoned) -> String {
    let yesterday = (at.hour() == 0 && at.minute() == 0).then(|| at.checked_sub(1.day()).ok()).flatten();
    match yesterday {
        Some(day) => format!("{} at 24:00", day_of(now, &day)),
        None => format!("{} at {}", day_of(now, at), at.strftime("%H:%M")),
    }
}

fn day_of(now: &Zoned, at: &Zoned) -> String {
    let days = (at.date() - now.date()).get_days();
    match days {
        0 => "today".to_owned(),
        1 => format!("tomorrow ({})", at.strftime("%A")),
        _ => format!("on {}", at.strftime("%A, %-d %B,")),
    }
}

fn words(ranges: &[Range]) -> String {
    if ranges.is_empty() {
        return "closed".to_owned();
    }
    let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    let end = |minute: u32| clock(if minute > DAY { minute - DAY } else { minute });
    let ranges = ranges.iter().map(|range| format!("{}-{}", clock(range.from), end(range.to)));
    ranges.collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::business::CompanionSettings;

    fn described(companion: &serde_json::Value, now: &str) -> String {
        let settings = CompanionSettings::read(companion);
        settings.opening_hours.as_ref().expect("hours").describe(now.parse().expect("a time"), &settings.zone())
    }

    #[test]
    fn a_prompt_learns_the_time_the_state_and_the_week() {
        let companion = json!({"timezone": "Europe/Berlin", "openingHours": {
            "mon": ["09:00-12:00", "13:00-17:00"], "tue": ["09:00-12:00", "13:00-17:00"], "wed": "closed",
            "thu": "9:00-17:00", "fri": "18:00-02:00", "sat": "10:00-24:00",
        }});
        const WEEK: &str = "Its opening hours: Mon-Tue 09:00-12:00 and 13:00-17:00, Wed closed, Thu 09:00-17:00, Fri \
                            18:00-02:00, Sat 10:00-24:00, Sun closed.";
        for (now, expected) in [
            (
                "2026-07-21T12:05:00Z",
                "Tuesday, 21 July 2026, 14:05 (Europe/Berlin). The business is open now and closes today at 17:00.",
            ),
            (
                "2026-07-21T10:30:00Z",
                "Tuesday, 21 July 2026, 12:30 (Europe/Berlin). The business is closed now and opens today at 13:00.",
            ),
            (
                "2026-07-22T12:00:00Z",
                "Wednesday, 22 July 2026, 14:00 (Europe/Berlin). The business is closed now and opens tomorrow (Thursday) at 09:00.",
            ),
            (
                "2026-07-24T21:00:00Z",
                "Friday, 24 July 2026, 23:00 (Europe/Berlin). The business is open now and closes tomorrow (Saturday) at 02:00.",
            ),
            (
                "2026-07-24T22:00:00Z",
                "Saturday, 25 July 2026, 00:00 (Europe/Berlin). The business is open now and closes today at 02:00.",
            ),
            (
                "2026-07-25T18:00:00Z",
                "Saturday, 25 July 2026, 20:00 (Europe/Berlin). The business is open now and closes today at 24:00.",
            ),
            (
                "2026-07-25T22:00:00Z",
                "Sunday, 26 July 2026, 00:00 (Europe/Berlin). The business is closed now and opens tomorrow (Monday) at 09:00.",
            ),
        ] {
            assert_eq!(described(&companion, now), format!("It is {expected} {WEEK}"));
        }
    }

    #[test]
    fn a_change_that_is_days_away_has_its_date_and_one_that_never_comes_is_not_promised() {
        let monday = json!({"openingHours": {"mon": "09:00-10:00"}});
        let text = described(&monday, "2026-07-21T12:00:00Z");
        assert!(text.contains("(UTC). The business is closed now and opens on Monday, 27 July, at 09:00."), "{text}");
        let week = |text: &str| json!({"mon": text, "tue": text, "wed": text, "thu": text, "fri": text, "sat": text, "sun": text});
        let text = described(&json!({"openingHours": week("00:00-24:00")}), "2026-07-21T12:00:00Z");
        assert!(text.ends_with("is open now, and always. Its opening hours: Mon-Sun 00:00-24:00."), "{text}");
        let text = described(&json!({"openingHours": week("closed")}), "2026-07-21T12:00:00Z");
        assert!(text.ends_with("is closed now, and all week. Its opening hours: Mon-Sun closed."), "{text}");
    }
}
