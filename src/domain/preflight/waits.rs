//! Reports durations of the plan that are 0s, which is allowed, but means that the run does not wait. Also reports
//! steps that wait forever, because no window is long enough for the writes of all routes and the following pauses.

use super::context::Context;
use super::context::finding;
use crate::base::duration;
use crate::base::finding::{Code, Finding};
use crate::base::number::count;
use crate::plan::model::Plan;
use crate::plan::schedule::steps_without_window;

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    findings.extend(notes(context.plan));
    check_steps_fit(context, findings);
}

/// Reports steps that do not fit into any window. The checks of the plan alone do not know the number of routes, except
/// by `expect`.
fn check_steps_fit(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let routes = context.facts.selection.routes.len();
    for (step, long) in steps_without_window(&context.plan.strategy, routes) {
        let message = format!(
            "step {} and the pauses after it take at least {} with {}, but no window is that long",
            step.number,
            duration::format_exact(long),
            count(routes, "route")
        );
        let help = format!(
            "the run would wait forever before step {}, with the shares of the previous steps. Use a longer window, \
             shorten the pauses after the step or split them with another step, or move the routes in several plans",
            step.number
        );
        findings.push(finding(Code::CUT306, "windows", message, help));
    }
}

/// Returns the findings about durations of 0s. They need no facts.
pub(super) fn notes(plan: &Plan) -> Vec<Finding> {
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
            "`stableFor: 0s`: two healthy readings in a row are enough to raise a share".to_owned(),
            "without `stableFor`, targets must stay healthy for three health check intervals",
        ));
    }
    all
}
