//! The compare gate in the plan file.

use std::time::Duration;

use cutover::plan::model::Plan;
use cutover::plan::{Diagnostics, lint};

use super::assert_refused;

const SERVICE: &str = "service: {namespace: shop, name: checkout, port: 80}";

fn gated(workload: &str, gate: &str) -> Result<Plan, Diagnostics> {
    let text = format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: p}}
spec:
  aws: {{accountId: \"123456789012\", region: eu-central-1}}
  clusters: [{{name: a, eks: shop-a}}, {{name: b, eks: shop-b}}]
  workloads: [{{name: w, routes: [{{alb: {{loadBalancer: lb, targetGroups: {{a: ga, b: gb}}}}}}], {workload}}}]
  strategy: {{from: a, to: b, gates: {{compare: {gate}}}, steps: [{{setWeight: 100}}]}}
"
    );
    lint("p.yaml", text.as_bytes())
}

#[test]
fn the_compare_gate_is_read() {
    let gate = |text: &str| gated(SERVICE, text).unwrap_or_else(|e| panic!("{e}")).strategy.compare.expect("a gate");
    assert_eq!((gate("{}").every, gate("{}").ignore.len()), (Duration::from_mins(10), 0));
    let full = gate("{every: 90s, ignore: [{code: CUT120, object: shop/checkout, reason: known}]}");
    assert_eq!(full.every, Duration::from_secs(90));
    let entry = &full.ignore[0];
    assert_eq!((entry.code.as_str(), entry.object.as_deref()), ("CUT120", Some("shop/checkout")));
}

#[test]
fn every_invalid_compare_gate_is_refused_with_position_and_advice() {
    let refused = |workload: &str, gate: &str, code: &str, words: &str| {
        assert_refused(gated(workload, gate), code, words, 8);
    };
    refused(SERVICE, "{every: 30s}", "CUT014", "1m");
    refused(SERVICE, "{ignore: [{code: CUT048, reason: x}]}", "CUT026", "is not a finding of `compare`");
    refused(SERVICE, "{ignore: [{code: CUT999, reason: x}]}", "CUT025", "CUT999");
    refused("", "{}", "CUT004", "nothing to compare");
    let named = "{}, metrics: [{name: compare, exec: {command: [x]}}]";
    refused(SERVICE, named, "CUT008", "compare");
}
