use jiff::civil::{Weekday, time};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn every(days: &[Weekday], from: (i8, i8), to: Option<(i8, i8)>, place: &str) -> Window {
    let clock = |(h, m)| time(h, m, 0, 0);
    Window { days: days.into(), from: clock(from), to: to.map(clock), zone: zone(place).expect("a zone") }
}

const ALL: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

fn windows(windows: Vec<Window>) -> Hours {
    Hours { windows, ..Hours::default() }
}

fn minutes(n: u64) -> Duration {
    Duration::from_mins(n)
}

/// Returns the earliest time at which this many minutes fit.
fn then(hours: &Hours, now: &str, need: u64) -> Option<String> {
    earliest_fit(hours, at(now), minutes(need)).map(|t| t.to_string())
}

#[test]
fn what_fits_begins_now_and_what_does_not_waits_for_the_next_window() {
    let office = windows(vec![every(&ALL[..5], (9, 0), Some((17, 0)), "Europe/Berlin")]);
    let now = |text: &str| Some(text.to_owned());
    assert_eq!(then(&office, "2026-01-05T08:00:00Z", 60), now("2026-01-05T08:00:00Z"), "Monday, nine in Berlin");
    assert_eq!(then(&office, "2026-01-05T15:00:00Z", 60), now("2026-01-05T15:00:00Z"), "it ends with the window");
    assert_eq!(then(&office, "2026-01-05T15:00:01Z", 60), now("2026-01-06T08:00:00Z"));
    assert_eq!(then(&office, "2026-01-09T15:30:00Z", 60), now("2026-01-12T08:00:00Z"), "Friday afternoon");
    assert_eq!(then(&office, "2026-01-05T08:00:00Z", 8 * 60 + 1), None, "no window is that long");
}

#[test]
fn summer_time_moves_windows_and_midnight_divides_none() {
    let office = windows(vec![every(&ALL, (9, 0), Some((17, 0)), "Europe/Berlin")]);
    assert_eq!(
        then(&office, "2026-03-28T20:00:00Z", 60).as_deref(),
        Some("2026-03-29T07:00:00Z"),
        "put forward in between"
    );
    assert_eq!(then(&office, "2026-10-24T20:00:00Z", 60).as_deref(), Some("2026-10-25T08:00:00Z"), "put back");
    let night = windows(vec![every(&[Weekday::Saturday], (22, 0), Some((6, 0)), "Europe/Berlin")]);
    assert_eq!(
        then(&night, "2026-03-28T21:00:00Z", 7 * 60).as_deref(),
        Some("2026-03-28T21:00:00Z"),
        "an hour is missing in this night"
    );
    assert_eq!(then(&night, "2026-03-28T21:00:00Z", 7 * 60 + 1).as_deref(), Some("2026-04-04T20:00:00Z"));
    assert_eq!(
        then(&night, "2026-10-24T20:00:00Z", 9 * 60).as_deref(),
        Some("2026-10-24T20:00:00Z"),
        "and this one has one more"
    );
    let days = windows(vec![
        every(&[Weekday::Monday], (20, 0), None, "UTC"),
        every(&[Weekday::Tuesday], (0, 0), Some((4, 0)), "UTC"),
    ]);
    assert_eq!(
        then(&days, "2026-01-05T00:00:00Z", 8 * 60).as_deref(),
        Some("2026-01-05T20:00:00Z"),
        "windows that touch are one"
    );
}

#[test]
fn times_that_no_clock_shows_or_that_it_shows_twice() {
    let berlin = |from, to| every(&ALL, from, Some(to), "Europe/Berlin");
    let on = |w: &Window, date: &str| span_on_day(w, date.parse().expect("a date")).map(|(a, b)| format!("{a} {b}"));
    let spring = "2026-03-29";
    assert_eq!(
        on(&berlin((2, 30), (5, 0)), spring).as_deref(),
        Some("2026-03-29T01:00:00Z 2026-03-29T03:00:00Z"),
        "opens at three"
    );
    assert_eq!(
        on(&berlin((1, 0), (2, 30)), spring).as_deref(),
        Some("2026-03-29T00:00:00Z 2026-03-29T01:00:00Z"),
        "closes at two"
    );
    assert_eq!(on(&berlin((2, 10), (2, 50)), spring), None, "there is no such time");
    let autumn = "2026-10-25";
    assert_eq!(
        on(&berlin((2, 30), (5, 0)), autumn).as_deref(),
        Some("2026-10-25T01:30:00Z 2026-10-25T04:00:00Z"),
        "the second 02:30"
    );
    assert_eq!(
        on(&berlin((1, 0), (2, 30)), autumn).as_deref(),
        Some("2026-10-24T23:00:00Z 2026-10-25T00:30:00Z"),
        "the first 02:30"
    );
    assert_eq!(
        on(&berlin((2, 10), (2, 50)), autumn).as_deref(),
        Some("2026-10-25T00:10:00Z 2026-10-25T00:50:00Z"),
        "once"
    );
}

#[test]
fn blackouts_and_not_before() {
    let blackout =
        Blackout { from: at("2026-12-24T00:00:00Z"), to: at("2027-01-02T00:00:00Z"), reason: Some("holidays".into()) };
    let mut hours = Hours { blackouts: vec![blackout], ..Hours::default() };
    assert_eq!(then(&hours, "2026-12-23T23:00:00Z", 60).as_deref(), Some("2026-12-23T23:00:00Z"));
    assert_eq!(then(&hours, "2026-12-23T23:00:01Z", 60).as_deref(), Some("2027-01-02T00:00:00Z"));
    hours.windows = vec![every(&[Weekday::Friday], (9, 0), Some((12, 0)), "Asia/Seoul")];
    assert_eq!(
        then(&hours, "2026-12-19T00:00:00Z", 180).as_deref(),
        Some("2027-01-08T00:00:00Z"),
        "further away than a week"
    );
    hours.not_before = Some(at("2027-02-01T00:00:00Z"));
    assert_eq!(then(&hours, "2026-12-19T00:00:00Z", 180).as_deref(), Some("2027-02-05T00:00:00Z"));
    assert_eq!(format_in_zone(&hours, at("2027-02-05T00:00:00Z")), "Fri 2027-02-05 09:00 KST (00:00 UTC)");
}

proptest! {
    /// For any windows: at every minute of a step that begins, the wall clock is within one of them and no blackout is
    /// on, and it could not have begun earlier.
    #[test]
    fn what_begins_is_within_a_window_all_the_time(
        from in (0i8..24, 0i8..60), to in (0i8..24, 0i8..60), day in 0usize..7, minute in 0i64..600_000, need in 1u64..240, off in 0i64..600_000,
        place in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Seoul", "Africa/Casablanca"]),
    ) {
        let start = at("2026-01-01T00:00:00Z");
        let later = |minutes: i64| start + SignedDuration::from_mins(minutes);
        let open = every(&[ALL[day], ALL[(day + 3) % 7]], from, Some(to), place);
        let blackout = Blackout { from: later(off), to: later(off + 3000), reason: None };
        let hours = Hours { windows: vec![open.clone()], blackouts: vec![blackout.clone()], not_before: None };
        let inside = |at: Timestamp| {
            let wall = at.to_zoned(open.zone.clone());
            let (today, clock) = (open.days.contains(&wall.weekday()), wall.time());
            let before = wall.date().yesterday().is_ok_and(|d| open.days.contains(&d.weekday()));
            let (a, b) = (open.from, open.to.expect("given"));
            let within = if a < b { today && a <= clock && clock <= b } else { (today && a <= clock) || (before && clock <= b) };
            within && !(blackout.from < at && at < blackout.to)
        };
        if let Some(begins) = earliest_fit(&hours, later(minute), minutes(need)) {
            for offset in 0..=i64::try_from(need).unwrap_or(0) {
                prop_assert!(inside(begins + SignedDuration::from_mins(offset)), "{begins} + {offset} min, {hours:?}");
            }
            if begins > later(minute) {
                let sooner = begins - SignedDuration::from_mins(1);
                let whole = sooner >= later(minute) && (0..=i64::try_from(need).unwrap_or(0)).all(|o| inside(sooner + SignedDuration::from_mins(o)));
                // If a clock shows a time twice, the window is open only once.
                let twice = open.zone.preceding(begins + SignedDuration::from_hours(6)).next().is_some_and(|t| begins.duration_since(t.timestamp()) < SignedDuration::from_hours(30));
                prop_assert!(!whole || twice, "{sooner} would do as well as {begins}, {hours:?}");
            }
        }
    }
}
