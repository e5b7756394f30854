//! Checks how the listeners handle the traffic: stickiness, shares that weights cannot express, rules that the plan
//! does not move.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::context::{Context, finding};
use crate::base::duration;
use crate::base::finding::{Code, Finding};
use crate::base::text::list;
use crate::domain::elb::balancer::LiveRoute;
use crate::domain::elb::select::{SelectedRoute, short_name};
use crate::domain::traffic::shares::{self, ShareError};
use crate::plan::model::{ClusterAccess, RollbackStickiness, Selector, Shares, StepKind};

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    check_group_stickiness(context, findings);
    check_target_stickiness(context, findings);
    check_weights(context, findings);
    check_unmoved_rules(context, findings);
}

/// Returns how long a client stays with a group; `None` without group stickiness, or if stickiness has no duration.
fn sticky_for(route: &LiveRoute) -> Option<Duration> {
    let sticky = route.forwards().and(route.content.sticky())?;
    Some(Duration::from_secs(sticky.seconds?.into()))
}

fn check_group_stickiness(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut by_duration: BTreeMap<Duration, Vec<String>> = BTreeMap::new();
    for selected in &context.facts.selection.routes {
        if let Some(duration) = sticky_for(&selected.route) {
            by_duration.entry(duration).or_default().push(selected.route.label());
        }
    }
    let Some(longest) = by_duration.keys().max().copied() else { return };
    let (count, all) = (by_duration.values().map(Vec::len).sum::<usize>(), context.facts.selection.routes.len());
    let durations: Vec<String> =
        by_duration.iter().map(|(d, labels)| format!("{} on {}", duration::format_exact(*d), list(labels))).collect();
    let message = format!(
        "{count} of {all} routes have group stickiness: clients stay with their group for up to {}",
        durations.join("; ")
    );
    let rollback_effect = match context.plan.strategy.rollback_stickiness {
        RollbackStickiness::Break => {
            "an automatic rollback detaches the new target group from those routes, so that its cookies lose their \
             effect"
        }
        RollbackStickiness::Keep => {
            "a rollback leaves the new target group attached, and clients with a cookie stay on this group for that time"
        }
    };
    findings.push(finding(
        Code::CUT042,
        "stickiness",
        message,
        format!(
            "weights apply to new clients only: the real shares change later, and the old target group must stay for \
            that time after 100 %. With this plan, {rollback_effect}. Accept this finding in the plan, or turn off stickiness \
            first"
        ),
    ));
    check_last_pause(context, longest, findings);
}

/// Checks that the bakes after the last share step are at least as long as the stickiness.
fn check_last_pause(context: &Context<'_>, longest: Duration, findings: &mut Vec<Finding>) {
    let steps = &context.plan.strategy.steps;
    let after = steps.iter().rev().take_while(|s| !matches!(s.kind, StepKind::Shares(_)));
    let mut bake = Duration::ZERO;
    for step in after {
        match step.kind {
            StepKind::Bake(duration) => bake += duration,
            StepKind::Approval(_) => return,
            StepKind::Bind
            | StepKind::Shares(_)
            | StepKind::Exec(_)
            | StepKind::HeaderRoute(_)
            | StepKind::HandOver(_)
            | StepKind::Unknown => {}
        }
    }
    if bake < longest {
        let message = format!(
            "after the last share step the plan bakes for {}, but clients may stay with the old target group for {}",
            duration::format_exact(bake),
            duration::format_exact(longest)
        );
        let help = format!(
            "end `steps` with `- pause: {{duration: {}}}` or longer, and keep the old cluster until that pause ends",
            duration::format_exact(longest)
        );
        findings.push(finding(Code::CUT084, "stickiness", message, help));
    }
}

fn check_target_stickiness(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let sticky: BTreeSet<&str> = context
        .groups()
        .filter(|(_, g)| g.group.attributes.get("stickiness.enabled").is_some_and(|v| v == "true"))
        .map(|(a, _)| a)
        .collect();
    let is_affected = |selected: &&SelectedRoute| {
        let plain = selected.route.forwards().is_some() && selected.route.content.sticky().is_none();
        plain && selected.groups.values().any(|arn| sticky.contains(arn.as_str()))
    };
    let labels: Vec<String> =
        context.facts.selection.routes.iter().filter(is_affected).map(|r| r.route.label()).collect();
    if labels.is_empty() {
        return;
    }
    let names: Vec<&str> = sticky.iter().map(|a| context.facts.selection.group_name(a)).collect();
    let message = format!(
        "{} has target stickiness, but these routes have no group stickiness: {}",
        names.join(", "),
        list(&labels)
    );
    let help = "AWS refuses several target groups in an action if one of them has target stickiness and the action \
        has no group stickiness: turn on group stickiness in those actions, or turn off target stickiness in those \
        groups";
    findings.push(finding(Code::CUT070, names[0], message, help));
}

/// Returns the shares of every share step, with the number of the step.
fn share_steps<'a>(context: &Context<'a>) -> Vec<(usize, &'a Shares)> {
    let steps = context.plan.strategy.steps.iter();
    steps.filter_map(|s| if let StepKind::Shares(shares) = &s.kind { Some((s.number, shares)) } else { None }).collect()
}

fn check_weights(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut wrong: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    for selected in &context.facts.selection.routes {
        let Some(split) = selected.route.forwards() else { continue };
        for (step, shares) in share_steps(context) {
            match shares::split_for(split, &selected.managed(), shares, selected.route.limits) {
                // Another check reports an action with too many target groups.
                Ok(_) | Err(ShareError::TooManyMembers(..)) => {}
                Err(why) => wrong.entry((step, why.to_string())).or_default().push(selected.route.label()),
            }
        }
    }
    for ((step, why), labels) in wrong {
        let message = format!("step {step} on {}: {why}", list(&labels));
        let help = "the other target groups of the route must keep their share. Choose another share, or simplify \
            their weights first";
        findings.push(finding(Code::CUT087, &labels[0], message, help));
    }
}

/// Reports routes that forward to groups of the old cluster that the plan does not name, so that the plan does not move
/// their traffic.
fn check_unmoved_rules(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let from = context.plan.strategy.from.as_str();
    let mut by_group: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for listeners in context.facts.live.listeners.values().flatten() {
        for route in listeners.iter().flat_map(|(_, routes)| routes) {
            let split = &route.content.split;
            for id in split.ids().filter(|id| split.carries(id)) {
                if context.group(id).is_none() && !is_of_other_wave(context, id) && belongs_to(context, from, id) {
                    by_group.entry(id).or_default().push(route.label());
                }
            }
        }
    }
    for (arn, labels) in by_group {
        let name = short_name(arn);
        let message = format!(
            "these routes forward to {name}, which also belongs to cluster {from} but is not in the plan: {}",
            list(&labels)
        );
        let help = format!(
            "the traffic of these routes stays on {from}: add the workload to the plan, or move this traffic before you retire {from}"
        );
        findings.push(finding(Code::CUT086, name, message, help));
    }
}

/// Whether another wave of the plan moves a group.
fn is_of_other_wave(context: &Context<'_>, arn: &str) -> bool {
    let group = context.facts.attached.values().flatten().flatten().find(|g| g.arn == arn);
    let matches = |selector: &Selector| match selector {
        Selector::Name(name) => name == short_name(arn),
        Selector::Arn(wanted) => wanted == arn,
        Selector::Tags(tags) => group.is_some_and(|group| tags.iter().all(|(k, v)| group.tags.get(k) == Some(v))),
    };
    let others = context.plan.wave.iter().flat_map(|wave| &wave.others).flat_map(|w| &w.routes);
    others.flat_map(|route| &route.target_groups).any(|(_, selector)| matches(selector))
}

/// Whether a group belongs to a cluster, according to a binding of the cluster or to a tag with the cluster's name.
fn belongs_to(context: &Context<'_>, cluster: &str, arn: &str) -> bool {
    let group = context.facts.attached.values().flatten().flatten().find(|g| g.arn == arn);
    let bindings = context.cluster(cluster).into_iter().flat_map(|c| c.bindings.iter().flatten());
    let bound = bindings.into_iter().any(|b| b.target_group_arn == arn || group.is_some_and(|g| b.binds(g)));
    let eks = context.plan.clusters.iter().find(|c| c.name == cluster).and_then(|c| match &c.access {
        ClusterAccess::Eks(name) => Some(name),
        _ => None,
    });
    let tagged = group.zip(eks).is_some_and(|(group, eks)| {
        group.tags.get("elbv2.k8s.aws/cluster") == Some(eks)
            || group.tags.get("eks:eks-cluster-name") == Some(eks)
            || group.tags.contains_key(&format!("kubernetes.io/cluster/{eks}"))
    });
    bound || tagged
}
