//! Reports durations of the plan that are 0s, which is allowed, but means that the run does not wait.

use super::context::Context;
use super::context::finding;
use crate::base::finding::{Code, Finding};
use crate::plan::model::Plan;

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    findings.extend(notes(context.plan));
}

/// Returns the findings about durations of 0s. They need no facts, so an offline check also has these findings.
pub fn notes(plan: &Plan) -> Vec<Finding> {
    let strategy = &plan.strategy;
    let mut all = Vec::new();
    if strategy.settle.is_zero() {
        all.push(finding(
            Code::CUT303,
            "settle",
            "`settle: 0s`: a step counts as settled as soon as its weights were read back".to_owned(),
            "AWS publishes no limit for how long a weight takes to reach every node: the next step and the gates may \
             use traffic from before the new weights",
        ));
    }
    if strategy.gates.raise.stable_for.is_some_and(|d| d.is_zero()) {
        all.push(finding(
            Code::CUT303,
            "stableFor",
            "`stableFor: 0s`: two healthy readings in a row are enough for a raise".to_owned(),
            "without `stableFor`, targets must stay healthy for three health check intervals",
        ));
    }
    all
}
