//! `setHeaderRoute` in the plan file: its parsed form, and the messages for steps that cannot work.

use cutover::plan::Diagnostics;
use cutover::plan::model::{HeaderMatch, Plan, StepKind};

use super::assert_refused;

const HEADER: &str = "{headerName: X-Canary, headerValue: {exact: \"yes\"}}";

fn with(steps: &str) -> Result<Plan, Diagnostics> {
    super::with("", &format!("steps: [{steps}, {{setWeight: 100}}]"), "")
}

fn with_match(entries: &str) -> Result<Plan, Diagnostics> {
    with(&format!("{{setHeaderRoute: {{match: [{entries}]}}}}"))
}

#[test]
fn headers_are_read_and_an_empty_match_ends_them() {
    let steps = format!("{{setHeaderRoute: {{match: [{HEADER}]}}}}, {{setHeaderRoute: {{match: []}}}}");
    let plan = with(&steps).unwrap_or_else(|e| panic!("{e}"));
    let kinds: Vec<_> = plan.strategy.steps.into_iter().map(|step| step.kind).take(2).collect();
    let header = HeaderMatch { name: "X-Canary".into(), value: "yes".into() };
    assert_eq!(kinds, [StepKind::HeaderRoute(vec![header]), StepKind::HeaderRoute(Vec::new())]);
}

#[test]
fn headers_that_a_rule_cannot_match_are_refused() {
    let value = |value: &str| format!("{{headerName: X-Canary, headerValue: {{exact: \"{value}\"}}}}");
    let name = |name: &str| format!("{{headerName: \"{name}\", headerValue: {{exact: x}}}}");
    let refused = |entries: &str, words: &str| assert_refused(with_match(entries), "CUT230", words, 8);
    refused(&value("y*"), "wildcards");
    refused(&value("y?"), "wildcards");
    refused(&value(&"y".repeat(129)), "128");
    refused(&value(""), "128");
    refused(&name("Host"), "host condition");
    refused(&name(&"X".repeat(41)), "40");
    refused(&name("X Canary"), "name of a header");
    refused(&format!("{HEADER}, {}", name("x-canary")), "twice");
    let five: Vec<_> = (1..=5).map(|n| name(&format!("X-{n}"))).collect();
    refused(&five.join(", "), "room for 4");
    assert_refused(with_match("{headerName: X-Canary}"), "CUT004", "headerValue", 8);
}

#[test]
fn steps_in_the_wrong_place_are_refused() {
    assert_refused(with("{setHeaderRoute: {match: []}}"), "CUT232", "no step before it makes one", 8);
    let before_bind = format!("{{setHeaderRoute: {{match: [{HEADER}]}}}}, {{bind: {{}}}}");
    assert_refused(with(&before_bind), "CUT232", "before this step", 8);
}

#[test]
fn only_application_load_balancers_match_headers() {
    let text = format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: p}}
spec:
  aws: {{accountId: \"123456789012\", region: eu-central-1}}
  clusters: [{{name: a}}, {{name: b}}]
  workloads: [{{name: w, routes: [{{nlb: {{loadBalancer: lb, targetGroups: {{a: ga, b: gb}}}}}}]}}]
  strategy: {{from: a, to: b, steps: [{{setHeaderRoute: {{match: [{HEADER}]}}}}, {{setWeight: 100}}]}}
"
    );
    assert_refused(cutover::plan::lint("p.yaml", text.as_bytes()), "CUT231", "`nlb`", 8);
}
