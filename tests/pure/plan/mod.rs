//! The plan file: the parsed form of valid plans, the messages for invalid plans, and the weights computed from shares.

mod broken;
mod compare;
mod file;
mod gates;
mod header_route;
mod hooks;
mod notifications;
mod read;
mod rehearsals;
mod shares;
mod waves;

use cutover::plan::model::Plan;
use cutover::plan::{Diagnostics, lint};

/// Lints a plan with one route, with additional fields in flow style in the workload, in the strategy, and in `spec`
/// (line 9).
fn with(workload: &str, strategy: &str, spec: &str) -> Result<Plan, Diagnostics> {
    let text = format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: p}}
spec:
  aws: {{accountId: \"123456789012\", region: eu-central-1}}
  clusters: [{{name: a}}, {{name: b}}]
  workloads: [{{name: w, routes: [{{alb: {{loadBalancer: lb, targetGroups: {{a: ga, b: gb}}}}}}], {workload}}}]
  strategy: {{from: a, to: b, {strategy}}}
  {spec}
"
    );
    lint("p.yaml", text.as_bytes())
}

/// Asserts that one of the errors has this code and line, and these words in its message or help.
fn assert_refused(plan: Result<Plan, Diagnostics>, code: &str, words: &str, line: usize) {
    let errors = plan.expect_err(words).errors;
    let says = |text: &str| text.contains(words);
    let found = errors.iter().any(|e| {
        e.code.name() == code && e.place.line == line && (says(&e.message) || e.help.as_deref().is_some_and(says))
    });
    assert!(found, "{code}, line {line}, `{words}`: {errors:#?}");
}
