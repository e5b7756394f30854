use jiff::civil::{Weekday, time};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("the test's text must be a timestamp")
}

fn every(days: &[Weekday], from: (i8, i8), to: Option<(i8, i8)>, place: &str) -> Window {
    let clock = |(h, m)| time(h, m, 0, 0);
    Window {
        days: days.into(),
        from: clock(from),
        to: to.map(clock),
        zone: zone(place).expect("the test's zone must exist"),
    }
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
fn earliest_begin(hours: &Hours, now: &str, need: u64) -> Option<String> {
    earliest_fit(hours, at(now), minutes(need)).map(|t| t.to_string())
}

#[test]
fn step_that_does_not_fit_waits_for_the_next_window() {
    let office = windows(vec![every(&ALL[..5], (9, 0), Some((17, 0)), "Europe/Berlin")]);
    let now = |text: &str| Some(text.to_owned());
    assert_eq!(
        earliest_begin(&office, "2026-01-05T08:00:00Z", 60),
        now("2026-01-05T08:00:00Z"),
        "on Monday at 09:00 in Berlin the window is open"
    );
    assert_eq!(
        earliest_begin(&office, "2026-01-05T15:00:00Z", 60),
        now("2026-01-05T15:00:00Z"),
        "a step may end together with the window"
    );
    assert_eq!(earliest_begin(&office, "2026-01-05T15:00:01Z", 60), now("2026-01-06T08:00:00Z"));
    assert_eq!(
        earliest_begin(&office, "2026-01-09T15:30:00Z", 60),
        now("2026-01-12T08:00:00Z"),
        "on Friday afternoon the next window is on Monday"
    );
    assert_eq!(earliest_begin(&office, "2026-01-05T08:00:00Z", 8 * 60 + 1), None, "no window is long enough");
}

#[test]
fn windows_follow_summer_time_and_may_cross_midnight() {
    let office = windows(vec![every(&ALL, (9, 0), Some((17, 0)), "Europe/Berlin")]);
    assert_eq!(
        earliest_begin(&office, "2026-03-28T20:00:00Z", 60).as_deref(),
        Some("2026-03-29T07:00:00Z"),
        "the clock is put forward before the window"
    );
    assert_eq!(
        earliest_begin(&office, "2026-10-24T20:00:00Z", 60).as_deref(),
        Some("2026-10-25T08:00:00Z"),
        "the clock is put back before the window"
    );
    let night = windows(vec![every(&[Weekday::Saturday], (22, 0), Some((6, 0)), "Europe/Berlin")]);
    assert_eq!(
        earliest_begin(&night, "2026-03-28T21:00:00Z", 7 * 60).as_deref(),
        Some("2026-03-28T21:00:00Z"),
        "this night is one hour shorter"
    );
    assert_eq!(earliest_begin(&night, "2026-03-28T21:00:00Z", 7 * 60 + 1).as_deref(), Some("2026-04-04T20:00:00Z"));
    assert_eq!(
        earliest_begin(&night, "2026-10-24T20:00:00Z", 9 * 60).as_deref(),
        Some("2026-10-24T20:00:00Z"),
        "this night is one hour longer"
    );
    let days = windows(vec![
        every(&[Weekday::Monday], (20, 0), None, "UTC"),
        every(&[Weekday::Tuesday], (0, 0), Some((4, 0)), "UTC"),
    ]);
    assert_eq!(
        earliest_begin(&days, "2026-01-05T00:00:00Z", 8 * 60).as_deref(),
        Some("2026-01-05T20:00:00Z"),
        "adjacent windows count as one"
    );
}

#[test]
fn skipped_and_repeated_clock_times_are_resolved() {
    let berlin = |from, to| every(&ALL, from, Some(to), "Europe/Berlin");
    let on = |w: &Window, date: &str| {
        span_on_day(w, date.parse().expect("the test's text must be a date")).map(|(a, b)| format!("{a} {b}"))
    };
    let spring = "2026-03-29";
    assert_eq!(
        on(&berlin((2, 30), (5, 0)), spring).as_deref(),
        Some("2026-03-29T01:00:00Z 2026-03-29T03:00:00Z"),
        "the window opens at 03:00, after the skipped time"
    );
    assert_eq!(
        on(&berlin((1, 0), (2, 30)), spring).as_deref(),
        Some("2026-03-29T00:00:00Z 2026-03-29T01:00:00Z"),
        "the window closes at 02:00, before the skipped time"
    );
    assert_eq!(on(&berlin((2, 10), (2, 50)), spring), None, "the clock skips the whole window");
    let autumn = "2026-10-25";
    assert_eq!(
        on(&berlin((2, 30), (5, 0)), autumn).as_deref(),
        Some("2026-10-25T01:30:00Z 2026-10-25T04:00:00Z"),
        "the window opens at the second 02:30"
    );
    assert_eq!(
        on(&berlin((1, 0), (2, 30)), autumn).as_deref(),
        Some("2026-10-24T23:00:00Z 2026-10-25T00:30:00Z"),
        "the window closes at the first 02:30"
    );
    assert_eq!(
        on(&berlin((2, 10), (2, 50)), autumn).as_deref(),
        Some("2026-10-25T00:10:00Z 2026-10-25T00:50:00Z"),
        "the window opens only once"
    );
}

#[test]
fn steps_wait_for_blackouts_and_not_before() {
    let blackout =
        Blackout { from: at("2026-12-24T00:00:00Z"), to: at("2027-01-02T00:00:00Z"), reason: Some("holidays".into()) };
    let mut hours = Hours { blackouts: vec![blackout], ..Hours::default() };
    assert_eq!(earliest_begin(&hours, "2026-12-23T23:00:00Z", 60).as_deref(), Some("2026-12-23T23:00:00Z"));
    assert_eq!(earliest_begin(&hours, "2026-12-23T23:00:01Z", 60).as_deref(), Some("2027-01-02T00:00:00Z"));
    hours.windows = vec![every(&[Weekday::Friday], (9, 0), Some((12, 0)), "Asia/Seoul")];
    assert_eq!(
        earliest_begin(&hours, "2026-12-19T00:00:00Z", 180).as_deref(),
        Some("2027-01-08T00:00:00Z"),
        "the search must go beyond one week"
    );
    hours.not_before = Some(at("2027-02-01T00:00:00Z"));
    assert_eq!(earliest_begin(&hours, "2026-12-19T00:00:00Z", 180).as_deref(), Some("2027-02-05T00:00:00Z"));
    assert_eq!(format_in_zone(&hours, at("2027-02-05T00:00:00Z")), "Fri 2027-02-05 09:00 KST (00:00 UTC)");
}

proptest! {
    /// For any windows: at every minute of a step, the wall clock is within a window and no blackout is in effect; and
    /// the step could not have begun earlier.
    #[test]
    fn step_stays_within_a_window_from_beginning_to_end(
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
            let (a, b) = (open.from, open.to.expect("the test's window has a closing time"));
            let within = if a < b { today && a <= clock && clock <= b } else { (today && a <= clock) || (before && clock <= b) };
            within && !(blackout.from < at && at < blackout.to)
        };
        if let Some(begins) = earliest_fit(&hours, later(minute), minutes(need)) {
            for offset in 0..=i64::try_from(need).unwrap_or(0) {
                prop_assert!(inside(begins + SignedDuration::from_mins(offset)), "{begins} + {offset} min, {hours:?}");
            }
            if begins > later(minute) {
                let earlier_begin = begins - SignedDuration::from_mins(1);
                let fits_earlier = earlier_begin >= later(minute) && (0..=i64::try_from(need).unwrap_or(0)).all(|o| inside(earlier_begin + SignedDuration::from_mins(o)));
                // If a clock shows a time twice, the window is open only once.
                let twice = open.zone.preceding(begins + SignedDuration::from_hours(6)).next().is_some_and(|t| begins.duration_since(t.timestamp()) < SignedDuration::from_hours(30));
                prop_assert!(!fits_earlier || twice, "{begins} is not the earliest time: {earlier_begin} also fits, {hours:?}");
            }
        }
    }
}
