//! Tests the floors of metric gates while a step settles.

use std::collections::BTreeSet;

use super::*;
use crate::domain::decide::metrics;
use crate::domain::metric::gate::{MeasuredValue, Measurement};
use crate::domain::metric::verdict::RequestCount;
use crate::plan::model::Plan;
use crate::plan::model::metric::{
    ErrorRate, GateCondition, GateScope, MetricCommand, MetricGate, MetricSource, NoData,
};

const MINUTE: std::time::Duration = std::time::Duration::from_mins(1);

fn gated_plan() -> Plan {
    let rule = ErrorRate { ratio: 1.5, alpha: 0.01, max_difference: 0.01, min_bake: MINUTE };
    let mut plan = plan();
    plan.strategy.metrics = vec![MetricGate {
        name: "errors".into(),
        scope: GateScope::Plan,
        raise: true,
        guard: true,
        interval: MINUTE,
        initial_delay: std::time::Duration::ZERO,
        window: MINUTE,
        delay: std::time::Duration::ZERO,
        no_data: NoData::Hold,
        min_requests: 0,
        failure_limit: 0,
        dry_run: false,
        source: MetricSource::Exec(MetricCommand { command: vec!["true".into()], timeout: MINUTE }),
        condition: GateCondition::ErrorRate(rule),
    }];
    plan
}

/// Returns a run whose step 4 (50 %) was written at second 3, and whose route has this settle time.
fn written(settle: Option<u64>) -> State {
    let mut state = run(forward(&ORIGINAL))
        .after(1, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() })
        .after(2, intended(false, 12, &HALF))
        .after(3, outcome(WriteResult::Applied, Some(&HALF)));
    state.routes.values_mut().for_each(|route| route.start.settle = settle);
    state
}

fn measured(from: i64, errors: u64) -> Event {
    let count = |errors| RequestCount { requests: 100, errors };
    let seen = MeasuredValue::Counts { old: count(0), new: count(errors) };
    Event::GateMeasured { gate: "errors".into(), measurement: Measurement { from: at(from), to: at(from + 60), seen } }
}

/// Returns the windows that are due at this second.
fn due(state: &State, second: i64) -> Vec<(Timestamp, Timestamp)> {
    let requests = metrics::due_measurements(&gated_plan(), state, &BTreeSet::new(), at(second));
    requests.into_iter().map(|request| (request.from, request.to)).collect()
}

#[test]
fn measurements_begin_half_a_minute_after_the_write() {
    assert_eq!(due(&written(Some(600)), 92), []);
    assert_eq!(due(&written(Some(600)), 93), [(at(33), at(93))]);
    assert_eq!(due(&written(None), 93), [], "a route without a settle time of its own waits for the settle");
}

#[test]
fn failing_requests_roll_back_before_the_step_has_settled() {
    let decide_at = |state: &State, second| {
        let seen = watch(second).seen(second, Ok(forward(&HALF)), [10, 10]);
        let context = Context { plan: &gated_plan(), state, observed: &seen, now: at(second) };
        decide(&context, ProcessOptions::default())
    };
    let rolls_back = |decision: &Decision| {
        matches!(decision, Decision::Record(events) if events.iter().any(|e| matches!(e,
            Event::RollbackStarted { cause, .. } if cause.contains("b fails 90 of the last 100 requests"))))
    };
    let few = written(Some(600)).after(94, measured(33, 20));
    assert!(!rolls_back(&decide_at(&few, 95)), "only the floor counts while the step settles");
    let most = written(Some(600)).after(94, measured(33, 90));
    assert!(rolls_back(&decide_at(&most, 95)), "{:?}", decide_at(&most, 95));
    // The measurements of the previous shares say nothing about the new shares.
    let mut before = run(forward(&ORIGINAL)).after(1, measured(-100, 90));
    let old = std::mem::take(&mut before.gates);
    let mut later = written(Some(600));
    later.gates = old;
    let floor =
        metrics::failed_guard(&Context { plan: &gated_plan(), state: &later, observed: &watch(95), now: at(95) });
    assert_eq!(floor, Some(("errors".into(), "b fails 90 of the last 100 requests".into())), "as before the write");
}
