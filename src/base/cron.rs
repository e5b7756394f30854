//! Computes the times of a CronJob's schedule: five fields, as `cron` and the CronJob controller of Kubernetes read them.
//!
//! The controller uses the syntax of <https://pkg.go.dev/github.com/robfig/cron/v3>: `*`, `?`, lists, ranges and steps,
//! names of months and days, and `@hourly` to `@yearly`. Do not add waiting.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// The longest time between two runs that is found, in days. `29 2` comes once in at most eight years.
const MAX_DAYS: i32 = 8 * 366;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A schedule with its time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// One bit for each value of a field.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether the day of the month, or the day of the week, is `*`. The other one then decides alone.
    any_day: bool,
    zone: TimeZone,
}

impl Schedule {
    /// Parses a schedule. `zone` is an IANA name; `None` means UTC, the time zone of a managed control plane. Returns
    /// `None` for what the five fields do not have, such as `@every 1h`.
    pub fn parse(text: &str, zone: Option<&str>) -> Option<Self> {
        let zone = zone.map_or(Some(TimeZone::UTC), |name| TimeZone::get(name).ok())?;
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            fields => fields,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else { return None };
        let weekdays = field(weekday, 0, 7, &DAYS, 0)?;
        Some(Self {
            minutes: field(minute, 0, 59, &[], 0)?,
            hours: field(hour, 0, 23, &[], 0)?,
            days: field(day, 1, 31, &[], 1)?,
            months: field(month, 1, 12, &MONTHS, 1)?,
            // Sunday is 0 and 7.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            any_day: [day, weekday].iter().any(|text| text.starts_with(['*', '?'])),
            zone,
        })
    }

    /// Returns the last time of the schedule that is later than `after` and not later than `until`.
    pub fn latest(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let mut date = self.zone.to_datetime(until).date();
        let first = self.zone.to_datetime(after).date().max(back(date, MAX_DAYS));
        while date >= first {
            if let Some(found) = self.times(date).rev().find(|at| *at <= until) {
                return (found > after).then_some(found);
            }
            date = back(date, 1);
        }
        None
    }

    /// Returns the next time of the schedule after `after`.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut date = self.zone.to_datetime(after).date();
        for _ in 0..MAX_DAYS {
            if let Some(found) = self.times(date).find(|at| *at > after) {
                return Some(found);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// Returns the times of the schedule on a date, in order.
    fn times(&self, date: Date) -> impl DoubleEndedIterator<Item = Timestamp> {
        let runs = self.runs_on(date);
        let hours = (0..24).filter(move |hour| runs && has(self.hours, *hour));
        let minutes = move |hour| (0..60).filter(|minute| has(self.minutes, *minute)).map(move |minute| (hour, minute));
        hours.flat_map(minutes).filter_map(move |(hour, minute)| self.time(date.at(hour, minute, 0, 0)))
    }

    /// Returns the time of a wall clock. A time that the clock skips has no run.
    fn time(&self, at: DateTime) -> Option<Timestamp> {
        let found = self.zone.to_ambiguous_timestamp(at).compatible().ok()?;
        (self.zone.to_datetime(found) == at).then_some(found)
    }

    fn runs_on(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month()) && if self.any_day { day && weekday } else { day || weekday }
    }
}

fn back(date: Date, days: i32) -> Date {
    date.checked_sub(days.days()).unwrap_or(Date::MIN)
}

fn has(bits: u64, value: i8) -> bool {
    bits >> value & 1 == 1
}

/// Returns the values of a field as bits. `first` is the value of the first name.
fn field(text: &str, min: u32, max: u32, names: &[&str], first: u32) -> Option<u64> {
    let value = |text: &str| -> Option<u32> {
        let name = names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let number = name.map_or_else(|| text.parse().ok(), |at| Some(u32::try_from(at).ok()? + first))?;
        (min..=max).contains(&number).then_some(number)
    };
    text.split(',').try_fold(0, |bits, part| {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step: u32 = step.map_or(Some(1), |step| step.parse().ok()).filter(|step| *step > 0)?;
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (min, max),
            Some((from, to)) => (value(from)?, value(to)?),
            // `5/15` means from 5 on.
            None if part.contains('/') => (value(range)?, max),
            None => (value(range)?, value(range)?),
        };
        (from <= to).then(|| (from..=to).filter(|n| (n - from) % step == 0).fold(bits, |bits, n| bits | 1_u64 << n))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("the time should parse")
    }

    fn next(schedule: &str, zone: Option<&str>, after: &str) -> String {
        let schedule = Schedule::parse(schedule, zone).expect("the schedule should parse");
        schedule.next(at(after)).map_or_else(|| "never".into(), |time| time.to_string())
    }

    #[test]
    fn schedules_have_the_times_of_the_controller() {
        let after = "2026-12-01T03:20:30Z"; // a Tuesday
        for (schedule, wanted) in [
            ("* * * * *", "2026-12-01T03:21:00Z"),
            ("*/15 * * * *", "2026-12-01T03:30:00Z"),
            ("5/20 3 * * *", "2026-12-01T03:25:00Z"),
            ("0 2 * * *", "2026-12-02T02:00:00Z"),
            ("0 2 * * MON-wed", "2026-12-02T02:00:00Z"),
            ("0 2 * * 7", "2026-12-06T02:00:00Z"),
            ("0 2 13 * fri", "2026-12-04T02:00:00Z"),
            ("30 4 1,15 JAN ?", "2027-01-01T04:30:00Z"),
            ("@monthly", "2027-01-01T00:00:00Z"),
            ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
            ("0 0 31 2 *", "never"),
        ] {
            assert_eq!(next(schedule, None, after), wanted, "{schedule}");
        }
        for schedule in ["@every 1h", "* * * *", "60 * * * *", "* 5-3 * * *", "*/0 * * * *", "* * * * mond", ""] {
            assert_eq!(Schedule::parse(schedule, None), None, "{schedule}");
        }
        assert_eq!(Schedule::parse("* * * * *", Some("Mars/Base")), None);
    }

    #[test]
    fn schedule_follows_the_wall_clock_of_its_zone() {
        let berlin = Some("Europe/Berlin");
        assert_eq!(next("30 2 * * *", berlin, "2026-12-01T00:00:00Z"), "2026-12-01T01:30:00Z");
        // The clock skips 02:30 on this day.
        assert_eq!(next("30 2 * * *", berlin, "2026-03-28T12:00:00Z"), "2026-03-30T00:30:00Z");
    }

    #[test]
    fn latest_time_is_within_its_bounds() {
        let nightly = Schedule::parse("0 2 * * *", None).expect("the schedule should parse");
        let latest = |after: &str, until: &str| nightly.latest(at(after), at(until)).map(|time| time.to_string());
        assert_eq!(latest("2026-11-01T00:00:00Z", "2026-12-01T03:00:00Z").as_deref(), Some("2026-12-01T02:00:00Z"));
        assert_eq!(latest("2026-12-01T02:00:00Z", "2026-12-01T03:00:00Z"), None);
        assert_eq!(latest("2026-12-01T01:59:59Z", "2026-12-01T02:00:00Z").as_deref(), Some("2026-12-01T02:00:00Z"));
    }
}
