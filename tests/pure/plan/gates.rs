//! Metric gates in the plan file: what they mean, and what is said of wrong ones.

use cutover::plan::Diagnostics;
use cutover::plan::model::Plan;
use cutover::plan::model::metric::{GateCondition, GateScope, MetricSource, NoData};

use super::assert_said;

fn with(metrics: &str, step: &str) -> Result<Plan, Diagnostics> {
    let steps = format!("steps: [{{setWeight: 5}}, {{pause: {{duration: 10m}}, gates: [{step}]}}, {{setWeight: 100}}]");
    super::with(
        "gates: [{name: of-workload, exec: {command: [./probe]}}]",
        &format!("gates: {{metrics: [{metrics}]}}, {steps}"),
        "",
    )
}

#[test]
fn gates_of_plan_workload_and_step_are_all_there() {
    let errors = "{name: errors, noData: fail, interval: 2m, prometheus: {address: \"http://p:9090/\", requests: r, errors: e}, errorRate: {maxDifference: 0.5}}";
    let plan = with(errors, "{name: smoke, http: {url: \"https://x/y\"}}").unwrap_or_else(|e| panic!("{e}"));
    let found: Vec<_> = plan.strategy.metrics.iter().map(|g| (g.name.as_str(), g.scope.clone())).collect();
    assert_eq!(
        found,
        [("of-workload", GateScope::Workload("w".into())), ("errors", GateScope::Plan), ("smoke", GateScope::Step(2))]
    );
    let errors = &plan.strategy.metrics[1];
    assert!(
        errors.raise
            && errors.guard
            && !errors.dry_run
            && errors.no_data == NoData::Fail
            && errors.window == errors.interval
    );
    let GateCondition::ErrorRate(rule) = errors.condition else { panic!("{errors:?}") };
    assert!((rule.max_difference - 0.005).abs() < 1e-12 && (rule.ratio - 1.5).abs() < 1e-12);
    assert!(matches!(&errors.source, MetricSource::Prometheus(p) if p.address == "http://p:9090"));
    assert_eq!(plan.strategy.metrics[2].condition, GateCondition::State);
}

#[test]
fn every_wrong_gate_is_named_with_its_place_and_what_would_be_right() {
    let said = |gate: &str, code: &str, words: &str| assert_said(with(gate, ""), code, words, 8);
    let prometheus = "prometheus: {address: \"http://p\", requests: r}";
    said("{name: g}", "CUT030", "a gate is incomplete");
    said("{name: g, errorRate: {}}", "CUT030", "exactly one of");
    said("{name: g, exec: {command: [x]}, kubernetes: {}}", "CUT030", "together");
    said(&format!("{{name: g, {prometheus}}}"), "CUT030", "add one of `share`");
    said(&format!("{{name: g, {prometheus}, share: {{}}, latency: {{}}}}"), "CUT030", "only one condition");
    said(&format!("{{name: g, {prometheus}, errorRate: {{}}}}"), "CUT031", "`errorRate` needs `requests` and `errors`");
    said("{name: g, http: {url: \"http://x\"}, share: {}}", "CUT031", "remove the condition");
    said(&format!("{{name: g, {prometheus}, share: {{}}, window: 5m}}"), "CUT031", "one `interval`");
    said("{name: g, raise: false, guard: false, exec: {command: [x]}}", "CUT031", "dryRun");
    said("{name: g, exec: {command: [x]}, successCondition: {}}", "CUT031", "atMost");
    said("{name: g, kubernetes: {}}", "CUT031", "no workload has a `service`");
    said("{name: g, http: {url: \"ftp://x\"}}", "CUT032", "not a valid URL");
    said("{name: g, http: {url: \"http://me:secret@x\"}}", "CUT032", "fromEnv");
    said("{name: g, http: {url: \"http://x\", headers: [{name: \"a b\", value: c}]}}", "CUT032", "header name");
    said("{name: g, http: {url: \"http://x\", headers: [{name: a}]}}", "CUT032", "is incomplete");
    said("{name: of-workload, exec: {command: [x]}}", "CUT008", "two gates are called");
    said("{name: g, exec: {command: [x]}, noData: promote}", "CUT005", "noData");
    said("{name: g, exec: {command: [x, \"{{clutser}}\"]}}", "CUT037", "did you mean `{{cluster}}`");
    said("{name: g, http: {url: \"http://x/{{side}}\"}}", "CUT037", "`cluster` and `window`");
    said(
        "{name: g, prometheus: {address: \"http://p\", query: \"x{w='{{workload}}'}\"}, successCondition: {atMost: 1}}",
        "CUT037",
        "`{{workload}}`",
    );
}
