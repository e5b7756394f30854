//! The plan file: what plans mean, what is said of wrong ones, and the weights that shares come to.

mod broken;
mod file;
mod gates;
mod hooks;
mod notifications;
mod read;
mod shares;

use cutover::plan::model::Plan;
use cutover::plan::{Diagnostics, lint};

/// A plan of one route, with more fields, in flow style, of its workload, its strategy and itself (line 9).
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

/// One of the errors has this code and place, and says so or advises it.
fn assert_said(plan: Result<Plan, Diagnostics>, code: &str, words: &str, line: usize) {
    let errors = plan.expect_err(words).errors;
    let says = |text: &str| text.contains(words);
    let found = errors.iter().any(|e| {
        e.code.name() == code && e.place.line == line && (says(&e.message) || e.help.as_deref().is_some_and(says))
    });
    assert!(found, "{code}, line {line}, `{words}`: {errors:#?}");
}
