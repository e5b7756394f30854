//! Compares the registered targets with the raise gate of every step, for groups whose number of targets does not
//! follow from an HPA or a replica count: workloads without a Service, and targets that are nodes.

use std::time::Duration;

use super::context::{Context, finding};
use super::hpa::total;
use super::zones::usable;
use crate::base::duration;
use crate::base::finding::{Code, Finding};
use crate::base::number::count;
use crate::domain::elb::select::{SelectedEntry, SelectedGroup};
use crate::domain::health::Target;
use crate::domain::health::gate;
use crate::plan::model::{StepKind, TargetType};

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (entry, old, new) in context.pairs() {
        check_unchecked(context, old, findings);
        if !has_limits(context, new) {
            check_registered(context, entry, new, findings);
        }
    }
}

/// Whether the replicas of the workload determine the number of targets.
fn has_limits(context: &Context<'_>, new: &SelectedGroup) -> bool {
    let mut views =
        context.views().filter(|(workload, cluster, _)| workload.name == new.workload && *cluster == new.cluster);
    new.group.target_type == TargetType::Ip.name() && views.any(|(_, _, view)| !view.owners.is_empty())
}

/// A step that needs more targets than a group has.
pub(super) struct ShortStep {
    /// The number of the step.
    pub step: usize,
    /// The share of the group's cluster in percent.
    pub share: u32,
    /// The number of healthy targets that the gate needs.
    pub need: u32,
}

/// Returns the steps that need more than `has` healthy targets.
pub(super) fn short_steps(
    context: &Context<'_>,
    entry: &SelectedEntry,
    new: &SelectedGroup,
    has: u32,
) -> Vec<ShortStep> {
    let total = total(context, entry);
    let need = |share: u32| gate::need(&context.plan.strategy.gates.raise, share, total, &[], Duration::ZERO).healthy;
    let steps = context.plan.strategy.steps.iter().filter_map(|s| match &s.kind {
        StepKind::Shares(shares) => shares.get(&new.cluster).map(|share| (s.number, *share)),
        _ => None,
    });
    let all = steps.map(|(step, share)| ShortStep { step, share, need: need(share) });
    all.filter(|step| step.share > 0 && step.need > has).collect()
}

/// Reports the first step that needs more targets than are registered.
fn check_registered(context: &Context<'_>, entry: &SelectedEntry, new: &SelectedGroup, findings: &mut Vec<Finding>) {
    let gates = &context.plan.strategy.gates;
    let Some(all) = context.facts.registered(&new.group.arn).filter(|all| *all > 0) else { return };
    let has = usable(context, new);
    let total = total(context, entry);
    let short = short_steps(context, entry, new, has);
    let Some(ShortStep { step, share, need }) = short.first() else { return };
    let peak = short.iter().map(|step| step.share).max().unwrap_or(*share);
    let most = short.iter().map(|step| step.need).max().unwrap_or(*need);
    let place = if has < all { " in the enabled zones" } else { "" };
    let name = &new.group.name;
    let message = format!(
        "step {step} ({share} % to {}) needs {need} healthy targets, but {name} has {}{place}; the plan needs up \
         to {most}",
        new.cluster,
        count(has as usize, "registered target")
    );
    let help = format!(
        "the run would wait at step {step} for {}, then freeze. Register more targets{}",
        duration::format_exact(gates.timeout),
        setting_advice(has, total, peak, gates.raise.min_healthy)
    );
    findings.push(finding(Code::CUT082, name, message, help));
}

/// Returns advice on which setting to lower, so that fewer targets are enough.
fn setting_advice(has: u32, total: u32, peak: u32, min_healthy: u32) -> String {
    if has == 0 {
        return String::new();
    }
    if min_healthy > has {
        return format!(". Or lower `gates.targetHealth.raise.minHealthy` ({min_healthy})");
    }
    let enough = (f64::from(has) * 100.0 / (f64::from(total) * f64::from(peak)) * 100.0).floor() / 100.0;
    format!(". Or lower `gates.targetHealth.raise.capacity` to {enough}, if one new target replaces several old ones")
}

/// Reports old groups whose targets have no health checks, so that the gate `capacity` cannot count healthy targets.
fn check_unchecked(context: &Context<'_>, old: &SelectedGroup, findings: &mut Vec<Finding>) {
    let name = &old.group.name;
    let unchecked = match context.facts.health.get(&old.group.arn) {
        Some(Ok(targets)) => !targets.is_empty() && targets.iter().all(Target::is_unchecked),
        _ => false,
    };
    if !unchecked || findings.iter().any(|f| f.code == Code::CUT304 && f.subject == *name) {
        return;
    }
    let message = format!(
        "the targets of {name} have no health checks (target type {}), so `gates.targetHealth.raise.capacity` cannot \
         count healthy targets, and requires no number of new targets",
        old.group.target_type
    );
    let help = "set `gates.targetHealth.raise.minHealthy` to the number of new targets needed for 100 % of the traffic, and \
        accept this finding. The health of the old cluster cannot be checked before a rollback";
    findings.push(finding(Code::CUT304, name, message, help));
}
