//! Checks whether the header rules of a plan fit: their values, their places and their number.

use std::collections::BTreeMap;

use super::context::{Context, finding};
use crate::base::arn;
use crate::base::finding::{Code, Finding};
use crate::base::number::count;
use crate::domain::elb::balancer::{Listener, LiveRoute};
use crate::domain::elb::header_route::{self, HeaderRoutePlan, RULE_QUOTA};
use crate::domain::run::header_rule::{TAG_KEY, parse_tag};
use crate::domain::traffic::RouteId;
use crate::plan::model::{HeaderMatch, Plan, StepKind};

/// Returns the headers of each `setHeaderRoute` step that makes rules, with the number of the step.
fn steps(plan: &Plan) -> impl Iterator<Item = (usize, &[HeaderMatch])> {
    plan.strategy.steps.iter().filter_map(|step| match &step.kind {
        StepKind::HeaderRoute(headers) if !headers.is_empty() => Some((step.number, headers.as_slice())),
        _ => None,
    })
}

/// Returns the names of the quotas that the checks need.
pub(super) fn needed_quotas(plan: &Plan) -> Vec<&'static str> {
    if plan.runs().iter().any(|run| steps(run).next().is_some()) { vec![RULE_QUOTA] } else { Vec::new() }
}

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (arn, balancer) in &context.facts.selection.load_balancers {
        let Some(Ok(listeners)) = context.facts.live.listeners.get(arn) else { continue };
        for (step, headers) in steps(context.plan) {
            let planned = plan_of(context, arn, listeners, headers);
            report(step, &balancer.name, &planned, findings);
            report_quota(context, &balancer.name, listeners, planned.rules.len(), findings);
        }
        if steps(context.plan).next().is_some() {
            report_leftovers(&balancer.name, listeners, findings);
        }
    }
    if let Some(Err(why)) = context.facts.quotas.get(RULE_QUOTA) {
        let message = format!("the quota {RULE_QUOTA} cannot be read: {why}");
        let help = "AWS refuses to make more rules than the quota allows, so the step `setHeaderRoute` might fail. Grant \
                    elasticloadbalancing:DescribeAccountLimits, or look the quota up in Service Quotas";
        findings.push(finding(Code::CUT355, RULE_QUOTA, message, help));
    }
}

fn plan_of(
    context: &Context<'_>,
    balancer: &str,
    listeners: &[(Listener, Vec<LiveRoute>)],
    headers: &[HeaderMatch],
) -> HeaderRoutePlan {
    let selected = context.facts.selection.routes.iter().filter(|route| route.load_balancer == balancer);
    let groups: BTreeMap<&RouteId, &str> = selected
        .filter_map(|route| Some((&route.route.id, route.groups.get(&context.plan.strategy.to)?.as_str())))
        .collect();
    header_route::plan(listeners, |id| groups.get(id).copied(), headers)
}

fn report(step: usize, balancer: &str, planned: &HeaderRoutePlan, findings: &mut Vec<Finding>) {
    for (label, why) in &planned.misfits {
        let message = format!("step {step} cannot make a header rule for {label} of {balancer}: {why}");
        let help = "cutover never changes existing rules. Change the priority of the rule that is in the way, or remove \
                    values or headers; or remove the step";
        findings.push(finding(Code::CUT350, label, message, help));
    }
    for (label, why) in &planned.left_out {
        let message = format!("step {step} makes no header rule for {label} of {balancer}: {why}");
        let help = "requests with the headers to this route go where its shares say, as all others; test it after its \
                    first share";
        findings.push(finding(Code::CUT352, label, message, help));
    }
    if planned.misfits.is_empty() && !planned.rules.is_empty() {
        let rules = count(planned.rules.len(), "header rule");
        let message = format!("step {step} makes {rules} on {balancer}");
        let help =
            "each is tagged, journalled before it is made, and removed at the end of the run and by every rollback";
        findings.push(finding(Code::CUT353, balancer, message, help));
    }
}

/// Compares the number of rules with the quota of the account. Default actions do not count.
fn report_quota(
    context: &Context<'_>,
    balancer: &str,
    listeners: &[(Listener, Vec<LiveRoute>)],
    new: usize,
    findings: &mut Vec<Finding>,
) {
    let Some(Ok(quota)) = context.facts.quotas.get(RULE_QUOTA) else { return };
    let routes = listeners.iter().flat_map(|(_, routes)| routes);
    let existing = routes.filter(|route| route.priority.is_some()).count();
    if existing + new > *quota as usize {
        let message = format!(
            "{balancer} has {}, and the plan adds {}, but the account allows {quota} ({RULE_QUOTA})",
            count(existing, "rule"),
            count(new, "header rule")
        );
        let help = "request an increase of this quota in Service Quotas, or remove the step";
        findings.push(finding(Code::CUT351, balancer, message, help));
    }
}

fn report_leftovers(balancer: &str, listeners: &[(Listener, Vec<LiveRoute>)], findings: &mut Vec<Finding>) {
    for route in listeners.iter().flat_map(|(_, routes)| routes) {
        let Some((run, _)) = route.tags.get(TAG_KEY).and_then(|value| parse_tag(value)) else { continue };
        let (label, id) = (route.label(), route.id.id());
        let message = format!("{label} of {balancer} is a header rule of run {run}");
        let help = format!(
            "if that run is over, remove the rule: {}; otherwise `cutover rollback {run}` removes it",
            arn::delete_rule(id)
        );
        findings.push(finding(Code::CUT354, &label, message, help));
    }
}
