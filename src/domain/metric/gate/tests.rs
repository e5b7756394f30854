use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::domain::metric::verdict::judge::GateResult;
use crate::plan::model::metric::{ErrorRate, GateScope, MetricCommand};

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn gate(judge: GateCondition) -> MetricGate {
    let minute = Duration::from_mins(1);
    MetricGate {
        name: "g".into(),
        scope: GateScope::Plan,
        raise: true,
        guard: true,
        interval: minute,
        initial_delay: Duration::ZERO,
        window: minute,
        delay: Duration::ZERO,
        no_data: NoData::Hold,
        min_requests: 100,
        failure_limit: 0,
        dry_run: false,
        source: MetricSource::Exec(MetricCommand { command: vec!["true".into()], timeout: minute }),
        condition: judge,
    }
}

fn most(value: f64) -> MetricGate {
    gate(GateCondition::Condition { at_most: Some(value), at_least: None })
}

/// Returns the verdict of a gate with one measurement per minute; the last measurement ends now.
fn verdict_over(gate: &MetricGate, seen: &[MeasuredValue]) -> Verdict {
    let measured: Vec<_> = (0..)
        .zip(seen)
        .map(|(i, seen)| Measurement { from: at(i * 60), to: at(i * 60 + 60), seen: seen.clone() })
        .collect();
    let context = GateContext { sides: ClusterNames { old: "a", new: "b" }, written: 10.0, advisory: None };
    verdict(
        gate,
        &measured,
        &context,
        at(60 * i64::try_from(seen.len()).expect("the number of measurements must be small")),
    )
}

fn value(value: f64) -> MeasuredValue {
    MeasuredValue::Value { value }
}

fn nothing() -> MeasuredValue {
    MeasuredValue::Nothing { message: "no series".into() }
}

fn unreadable() -> MeasuredValue {
    MeasuredValue::Unreadable { message: "refused".into() }
}

#[test]
fn threshold_fails_after_more_failures_than_allowed() {
    let once = MetricGate { failure_limit: 1, ..most(0.5) };
    for (gate, seen, call, why) in [
        (&most(0.5), vec![value(0.5)], GateResult::Pass, "0.5 is at most 0.5"),
        (&most(0.5), vec![value(0.6)], GateResult::Fail, "0.6 is not at most 0.5"),
        (&once, vec![value(0.6)], GateResult::Hold, "failed measurements that the plan allows: 1"),
        (&once, vec![value(0.6), value(0.1)], GateResult::Pass, "0.1"),
        (&once, vec![value(0.6), value(0.1), value(0.7)], GateResult::Fail, "2 of 3 measurements failed"),
    ] {
        let verdict = verdict_over(gate, &seen);
        assert!(verdict.result == call && verdict.why.contains(why), "{seen:?}: {verdict:?}");
    }
}

#[test]
fn missing_data_has_the_effect_of_no_data_and_unreadable_metrics_hold() {
    let policy = |no_data| MetricGate { no_data, ..most(0.5) };
    let (hold, fail, pass) = (policy(NoData::Hold), policy(NoData::Fail), policy(NoData::Pass));
    let results = |seen: &[MeasuredValue]| {
        [verdict_over(&hold, seen).result, verdict_over(&fail, seen).result, verdict_over(&pass, seen).result]
    };
    assert_eq!(results(&[]), [GateResult::Hold; 3], "without measurements the gate must hold");
    assert_eq!(results(&[nothing()]), [GateResult::Hold, GateResult::Fail, GateResult::Pass]);
    assert_eq!(results(&[unreadable()]), [GateResult::Hold, GateResult::Fail, GateResult::Hold]);
    assert_eq!(results(&[value(0.1), nothing(), value(0.1)]), [GateResult::Pass, GateResult::Fail, GateResult::Pass]);
    assert_eq!(
        results(&[value(0.1), unreadable()]),
        [GateResult::Hold, GateResult::Fail, GateResult::Hold],
        "an unreadable measurement must not count as good"
    );
}

#[test]
fn comparison_needs_requests_even_with_no_data_pass() {
    let rule = ErrorRate { ratio: 1.5, alpha: 0.01, max_difference: 0.01, min_bake: Duration::from_mins(5) };
    let gate = MetricGate { no_data: NoData::Pass, ..gate(GateCondition::ErrorRate(rule)) };
    assert_eq!(verdict_over(&gate, &vec![nothing(); 30]).result, GateResult::Hold);
    let counts = |new| MeasuredValue::Counts {
        old: RequestCount { requests: 5400, errors: 54 },
        new: RequestCount { requests: 600, errors: new },
    };
    assert_eq!(verdict_over(&gate, &vec![counts(6); 10]).result, GateResult::Pass);
    assert_eq!(verdict_over(&gate, &[vec![counts(6); 10], vec![nothing()]].concat()).result, GateResult::Pass);
    assert_eq!(verdict_over(&gate, &vec![counts(60); 10]).result, GateResult::Fail);
    assert_eq!(verdict_over(&gate, &[vec![counts(6); 10], vec![unreadable()]].concat()).result, GateResult::Hold);
}

#[test]
fn old_measurement_does_not_pass() {
    let context = GateContext { sides: ClusterNames { old: "a", new: "b" }, written: 10.0, advisory: None };
    let measured = [Measurement { from: at(0), to: at(60), seen: value(0.1) }];
    assert_eq!(verdict(&most(0.5), &measured, &context, at(200)).result, GateResult::Pass);
    assert_eq!(verdict(&most(0.5), &measured, &context, at(600)).result, GateResult::Hold);
}

/// Windows are adjacent, wait until the source has complete data, and start again after a long time without
/// measurements.
#[test]
fn windows_are_adjacent() {
    let compare = MetricGate { delay: Duration::from_secs(20), ..gate(GateCondition::Share { tolerance: 2.0 }) };
    let span = |last: Option<i64>, now: i64| {
        let last = last.map(|to| Measurement { from: at(to - 60), to: at(to), seen: nothing() });
        MeasurementRequest::next_window(&compare, last.as_ref(), at(1000), Duration::ZERO, at(now))
            .map(|(from, to)| (from.as_second(), to.as_second()))
    };
    assert_eq!(span(None, 1079), None);
    assert_eq!(span(None, 1080), Some((1000, 1060)));
    assert_eq!(span(Some(1060), 1139), None);
    assert_eq!(span(Some(1060), 1147), Some((1060, 1120)));
    assert_eq!(span(Some(1060), 9000), Some((8860, 8920)));
    let plain = most(1.0);
    let asked = |last: Option<i64>, now| {
        let last = last.map(|to| Measurement { from: at(to - 60), to: at(to), seen: nothing() });
        MeasurementRequest::next_window(&plain, last.as_ref(), at(1000), Duration::ZERO, at(now)).is_some()
    };
    assert!(asked(None, 1000) && !asked(Some(1000), 1059) && asked(Some(1000), 1060));
}

/// CloudWatch counts in full minutes, so windows of CloudWatch begin at a full minute.
#[test]
fn cloud_watch_windows_are_full_minutes() {
    let source = MetricSource::CloudWatch(crate::plan::model::metric::CloudWatch::default());
    let gate = MetricGate { source, delay: Duration::from_mins(3), ..gate(GateCondition::Share { tolerance: 2.0 }) };
    let span = |last: Option<&Measurement>, now| {
        MeasurementRequest::next_window(&gate, last, at(1003), Duration::ZERO, at(now))
            .map(|(from, to)| (from.as_second(), to.as_second()))
    };
    assert_eq!(span(None, 1259), None);
    assert_eq!(span(None, 1260), Some((1020, 1080)));
    let (from, to) = span(None, 100_007).expect("a late measurement must be due");
    assert!(from % 60 == 0 && to - from == 60 && to <= 100_007 - 180, "{from} {to}");
}
