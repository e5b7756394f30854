//! Checks the registered targets against the raise gate of every coming step, where no autoscaler or replica count says
//! how many there can be: workloads without a Service, and targets that are nodes.

use std::time::Duration;

use super::context::{Context, finding};
use super::hpa::total;
use crate::base::duration;
use crate::base::finding::{Code, Finding};
use crate::base::number::count;
use crate::domain::elb::select::{SelectedEntry, SelectedGroup};
use crate::domain::health::Target;
use crate::domain::health::gate;
use crate::plan::model::{StepKind, TargetType};

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (entry, old, new) in context.pairs() {
        uncounted(context, old, findings);
        if !has_limits(context, new) {
            registered(context, entry, new, findings);
        }
    }
}

/// Whether the replicas of the workload decide how many targets there can be.
fn has_limits(context: &Context<'_>, new: &SelectedGroup) -> bool {
    let mut views =
        context.views().filter(|(workload, cluster, _)| workload.name == new.workload && *cluster == new.cluster);
    new.group.target_type == TargetType::Ip.name() && views.any(|(_, _, view)| !view.owners.is_empty())
}

/// Finds the first step that needs more targets than are registered.
fn registered(context: &Context<'_>, entry: &SelectedEntry, new: &SelectedGroup, findings: &mut Vec<Finding>) {
    let gates = &context.plan.strategy.gates;
    let Some(has) = context.facts.registered(&new.group.arn).filter(|has| *has > 0) else { return };
    let total = total(context, entry);
    let need = |share: u32| gate::need(&gates.raise, share, total, &[], Duration::ZERO).healthy;
    let steps = context.plan.strategy.steps.iter().filter_map(|s| match &s.kind {
        StepKind::Shares(shares) => shares.get(&new.cluster).map(|share| (s.number, *share)),
        _ => None,
    });
    let short: Vec<(usize, u32)> = steps.filter(|(_, share)| *share > 0 && need(*share) > has).collect();
    let Some((step, share)) = short.first() else { return };
    let peak = short.iter().map(|(_, share)| *share).max().unwrap_or(*share);
    let name = &new.group.name;
    let message = format!(
        "step {step} ({share} % to {}) needs {} healthy targets, but {name} has {}; the plan needs up to {}",
        new.cluster,
        need(*share),
        count(has as usize, "registered target"),
        need(peak)
    );
    let help = format!(
        "the run would wait at step {step} for {}, then freeze. Register more targets. {}",
        duration::format_exact(gates.timeout),
        knob(has, total, peak, gates.raise.min_healthy)
    );
    findings.push(finding(Code::CUT082, name, message, help));
}

/// Returns which setting admits fewer targets.
fn knob(has: u32, total: u32, peak: u32, min_healthy: u32) -> String {
    if min_healthy > has {
        return format!("Or lower `gates.targetHealth.raise.minHealthy` ({min_healthy})");
    }
    let enough = (f64::from(has) * 100.0 / (f64::from(total) * f64::from(peak)) * 100.0).floor() / 100.0;
    format!(
        "Or, if a new target does the work of several old ones, lower `gates.targetHealth.raise.capacity`: with {enough} \
         these targets are enough"
    )
}

/// Reports old groups whose targets have no health checks: the gate `capacity` has no number to compare with.
fn uncounted(context: &Context<'_>, old: &SelectedGroup, findings: &mut Vec<Finding>) {
    let name = &old.group.name;
    let unchecked = match context.facts.health.get(&old.group.arn) {
        Some(Ok(targets)) => !targets.is_empty() && targets.iter().all(Target::is_unchecked),
        _ => false,
    };
    if !unchecked || findings.iter().any(|f| f.code == Code::CUT304 && f.subject == *name) {
        return;
    }
    let message = format!(
        "the targets of {name} have no health checks (target type {}): `gates.targetHealth.raise.capacity` cannot compare \
         with them and asks for nothing",
        old.group.target_type
    );
    let help = "set `gates.targetHealth.raise.minHealthy` to the number of new targets that all the traffic needs, and \
        accept this finding. Nobody can tell whether the old side is healthy when a rollback returns the traffic to it";
    findings.push(finding(Code::CUT304, name, message, help));
}
