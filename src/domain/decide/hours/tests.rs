use jiff::civil::Weekday::{self, Friday, Monday, Thursday, Tuesday, Wednesday};
use jiff::civil::time;

use super::*;
use crate::base::hours::{Hours, Window, zone};
use crate::domain::fixture;
use crate::plan::model::{Plan, StepKind};
use crate::plan::schedule::earliest_starts;

const WEEKDAYS: [Weekday; 5] = [Monday, Tuesday, Wednesday, Thursday, Friday];

fn at(text: &str) -> Timestamp {
    text.parse().expect("the test's text must be a timestamp")
}

/// Returns hours with a window on weekdays from 09:00 UTC to this time.
fn office(to: (i8, i8)) -> Hours {
    let zone = zone("UTC").expect("the zone UTC must exist");
    let window = Window { days: WEEKDAYS.into(), from: time(9, 0, 0, 0), to: Some(time(to.0, to.1, 0, 0)), zone };
    Hours { windows: vec![window], ..Hours::default() }
}

#[test]
fn only_steps_that_raise_wait_for_a_window() {
    let mut plan = fixture::plan();
    plan.strategy.hours = office((17, 0));
    let wait = |plan: &Plan, step, now: &str| {
        wait(&plan.strategy, step, 1, at(now)).map(|w| (w.message, w.until.map(|t| t.to_string())))
    };
    let evening = "2026-01-05T16:55:00Z";
    let (message, until) = wait(&plan, 2, evening).expect("step 2 must wait");
    assert_eq!(
        message,
        "step 2 and the pause after it take 10m15s, longer than the window is still open; \
         the step starts Tue 2026-01-06 09:00 UTC (09:00 UTC)"
    );
    assert_eq!(until.as_deref(), Some("2026-01-06T09:00:00Z"));
    let (message, _) = wait(&plan, 2, "2026-01-05T20:00:00Z").expect("step 2 must wait");
    assert!(message.starts_with("no window is open now; the step starts Tue 2026-01-06 09:00"), "{message}");
    assert_eq!(
        (wait(&plan, 1, evening), wait(&plan, 3, evening), wait(&plan, 5, evening)),
        (None, None, None),
        "bind and pauses must not wait"
    );
    plan.strategy.steps[5].kind = StepKind::Shares(fixture::shares(90, 10));
    assert_eq!(wait(&plan, 6, evening), None, "a step that lowers the share must not wait");
    let blackout =
        Blackout { from: at("2026-01-05T10:05:00Z"), to: at("2026-01-05T11:00:00Z"), reason: Some("sale".into()) };
    plan.strategy.hours.blackouts = vec![blackout];
    let (message, until) =
        wait(&plan, 2, "2026-01-05T10:00:00Z").expect("step 2 must wait for the end of the blackout");
    assert!(message.contains("(sale) leaves no room for step 2, which takes 10m15s"), "{message}");
    assert_eq!(until.as_deref(), Some("2026-01-05T11:00:00Z"));
    plan.strategy.hours.not_before = Some(at("2026-02-02T12:00:00Z"));
    let (message, until) = wait(&plan, 1, evening).expect("no step may begin before `notBefore`");
    assert_eq!(
        (message.as_str(), until.as_deref()),
        ("not before Mon 2026-02-02 12:00 UTC (12:00 UTC)", Some("2026-02-02T12:00:00Z"))
    );
}

#[test]
fn schedule_contains_the_earliest_start_of_each_step_and_the_end() {
    let mut plan = fixture::plan();
    plan.strategy.hours = office((10, 30));
    let times: Vec<_> = earliest_starts(&plan, at("2026-01-09T09:00:00Z"), 0).iter().map(ToString::to_string).collect();
    let hour = "2026-01-09T09:";
    assert_eq!(
        times,
        [
            &format!("{hour}00:00Z"),
            &format!("{hour}00:15Z"),
            &format!("{hour}00:30Z"),
            &format!("{hour}10:30Z"),
            &format!("{hour}10:45Z"),
            &format!("{hour}10:45Z"),
            &format!("{hour}11:00Z"),
            "2026-01-09T10:11:00Z"
        ]
    );
    let late = earliest_starts(&plan, at("2026-01-09T10:18:00Z"), 0);
    assert_eq!(late.get(3).map(ToString::to_string).as_deref(), Some("2026-01-09T10:28:30Z"));
    assert_eq!(
        late.get(5).map(ToString::to_string).as_deref(),
        Some("2026-01-12T09:00:00Z"),
        "the step and its pause of one hour do not fit into the rest of the window"
    );
}
