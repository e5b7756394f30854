//! Metric gates in the plan file: their parsed form, and the messages for invalid gates.

use cutover::plan::Diagnostics;
use cutover::plan::model::Plan;
use cutover::plan::model::metric::{GateCondition, GateScope, MetricSource, NoData};

use super::assert_refused;

fn plan_with_gates(metrics: &str, step: &str) -> Result<Plan, Diagnostics> {
    let steps = format!("steps: [{{setWeight: 5}}, {{pause: {{duration: 10m}}, gates: [{step}]}}, {{setWeight: 100}}]");
    super::with(
        "gates: [{name: of-workload, exec: {command: [./probe]}}]",
        &format!("gates: {{metrics: [{metrics}]}}, {steps}"),
        "",
    )
}

#[test]
fn gates_of_plan_workload_and_step_are_read() {
    let errors = "{name: errors, noData: fail, interval: 2m, prometheus: {address: \"http://p:9090/\", requests: r, errors: e}, errorRate: {maxDifference: 0.5}}";
    let plan = plan_with_gates(errors, "{name: smoke, http: {url: \"https://x/y\"}}").unwrap_or_else(|e| panic!("{e}"));
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
fn every_invalid_gate_is_refused_with_position_and_advice() {
    let refused = |gate: &str, code: &str, words: &str| assert_refused(plan_with_gates(gate, ""), code, words, 8);
    let prometheus = "prometheus: {address: \"http://p\", requests: r}";
    refused("{name: g}", "CUT030", "a gate is incomplete");
    refused("{name: g, errorRate: {}}", "CUT030", "exactly one of");
    refused("{name: g, exec: {command: [x]}, kubernetes: {}}", "CUT030", "together");
    refused(&format!("{{name: g, {prometheus}}}"), "CUT030", "add one of `share`");
    refused(&format!("{{name: g, {prometheus}, share: {{}}, latency: {{}}}}"), "CUT030", "only one condition");
    refused(
        &format!("{{name: g, {prometheus}, errorRate: {{}}}}"),
        "CUT031",
        "`errorRate` needs `requests` and `errors`",
    );
    refused("{name: g, http: {url: \"http://x\"}, share: {}}", "CUT031", "remove the condition");
    refused(&format!("{{name: g, {prometheus}, share: {{}}, window: 5m}}"), "CUT031", "one `interval`");
    refused("{name: g, raise: false, guard: false, exec: {command: [x]}}", "CUT031", "dryRun");
    refused("{name: g, exec: {command: [x]}, successCondition: {}}", "CUT031", "atMost");
    refused("{name: g, kubernetes: {}}", "CUT031", "no workload has a `service`");
    refused("{name: g, http: {url: \"ftp://x\"}}", "CUT032", "not a valid URL");
    refused("{name: g, http: {url: \"http://me:secret@x\"}}", "CUT032", "fromEnv");
    refused("{name: g, http: {url: \"http://x\", headers: [{name: \"a b\", value: c}]}}", "CUT032", "header name");
    refused("{name: g, http: {url: \"http://x\", headers: [{name: a}]}}", "CUT032", "is incomplete");
    refused("{name: of-workload, exec: {command: [x]}}", "CUT008", "two gates are called");
    refused("{name: g, exec: {command: [x]}, noData: promote}", "CUT005", "noData");
    refused("{name: g, exec: {command: [x, \"{{clutser}}\"]}}", "CUT037", "did you mean `{{cluster}}`");
    refused("{name: g, http: {url: \"http://x/{{side}}\"}}", "CUT037", "`cluster` and `window`");
    refused(
        "{name: g, prometheus: {address: \"http://p\", query: \"x{w='{{workload}}'}\"}, successCondition: {atMost: 1}}",
        "CUT037",
        "`{{workload}}`",
    );
}
