//! Checks whether the new cluster can scale up to the targets that each step needs, and whether the old cluster stays
//! large enough for a rollback.

use super::context::{Context, finding};
use crate::base::duration;
use crate::base::finding::{Code, Finding};
use crate::domain::elb::select::SelectedEntry;
use crate::domain::health::gate;
use crate::domain::kubernetes::workload::{Hpa, PodOwner, WorkloadView};
use crate::plan::model::{StepKind, Workload};

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (workload, cluster, view) in context.views() {
        if view.owners.is_empty() {
            continue;
        }
        if context.is_raised(cluster) {
            check_upper_limit(context, workload, cluster, view, findings);
        } else if cluster == context.plan.strategy.from {
            check_lower_limit(context, workload, cluster, view, findings);
        }
    }
}

/// Returns the number of healthy targets in the groups of an entry that have the traffic at the start, as the raise
/// gate counts them.
pub(super) fn total(context: &Context<'_>, entry: &SelectedEntry) -> u32 {
    let start = context.plan.strategy.start.as_ref();
    let routes = || context.facts.selection.routes.iter().filter(|r| r.groups == entry.groups);
    let carries = |cluster: &str, arn: &str| match start {
        Some(shares) => shares.get(cluster).is_some_and(|share| *share > 0),
        None => routes().any(|r| r.route.content.split.carries(arn)),
    };
    let groups_at_start = entry.groups.iter().filter(|(cluster, arn)| carries(cluster, arn));
    groups_at_start.filter_map(|(_, arn)| context.facts.healthy(arn)).sum()
}

fn entries_of_workload<'a>(context: &Context<'a>, workload: &Workload) -> impl Iterator<Item = &'a SelectedEntry> {
    context.facts.selection.entries.iter().filter(move |e| e.workload == workload.name)
}

/// Reports the first step that needs more targets than the cluster can have.
fn check_upper_limit(
    context: &Context<'_>,
    workload: &Workload,
    cluster: &str,
    view: &WorkloadView,
    findings: &mut Vec<Finding>,
) {
    let max_targets: u32 = view.owners.iter().map(|o| find_hpa(view, o).map_or(o.replicas, |h| h.max)).sum();
    let gates = &context.plan.strategy.gates;
    let total = entries_of_workload(context, workload).map(|e| total(context, e)).max().unwrap_or(0);
    let need = |share: u32| gate::need(&gates.raise, share, total, &[], std::time::Duration::from_secs(30)).healthy;
    let steps = context.plan.strategy.steps.iter().filter_map(|s| match &s.kind {
        StepKind::Shares(shares) => shares.get(cluster).map(|share| (s.number, *share, need(*share))),
        _ => None,
    });
    let short: Vec<(usize, u32, u32)> = steps.filter(|(_, share, need)| *share > 0 && *need > max_targets).collect();
    let Some((step, share, needed)) = short.first() else { return };
    let at_peak = short.iter().map(|(_, _, n)| *n).max().unwrap_or(*needed);
    let limits: Vec<String> = view
        .owners
        .iter()
        .map(|o| match find_hpa(view, o) {
            Some(hpa) => format!("HPA {} allows at most {}", hpa.name, hpa.max),
            None => format!("{} {} has {} replicas and no HPA", o.kind, o.name, o.replicas),
        })
        .collect();
    let message = format!(
        "step {step} ({share} % to {cluster}) needs {needed} healthy targets of {}, but {}; the plan needs up to \
         {at_peak}",
        workload.name,
        limits.join(", ")
    );
    let help = format!(
        "the run would wait at step {step} for {}, then freeze. Raise the limit first:\n{}",
        duration::format_exact(gates.timeout),
        raise_commands(context, workload, cluster, view, at_peak).join("\n")
    );
    findings.push(finding(Code::CUT082, cluster, message, help));
}

fn raise_commands(
    context: &Context<'_>,
    workload: &Workload,
    cluster: &str,
    view: &WorkloadView,
    needed: u32,
) -> Vec<String> {
    let part = needed.div_ceil(u32::try_from(view.owners.len()).unwrap_or(1).max(1));
    let commands = view.owners.iter().map(|o| {
        if let Some(hpa) = find_hpa(view, o) {
            return patch(context, workload, cluster, hpa, "maxReplicas", part.max(hpa.max));
        }
        let place = kubectl_scope(context, workload, cluster);
        format!("kubectl{place} scale {}/{} --replicas={}", o.kind.to_lowercase(), o.name, part.max(o.replicas))
    });
    commands.collect()
}

/// Reports if the old cluster may scale in while its traffic falls, so that a rollback would lack capacity.
fn check_lower_limit(
    context: &Context<'_>,
    workload: &Workload,
    cluster: &str,
    view: &WorkloadView,
    findings: &mut Vec<Finding>,
) {
    let baseline = entries_of_workload(context, workload)
        .filter_map(|e| e.groups.get(cluster))
        .filter_map(|arn| context.facts.healthy(arn))
        .max()
        .unwrap_or(0);
    let min_targets: u32 = view.owners.iter().map(|o| find_hpa(view, o).map_or(o.replicas, |h| h.min)).sum();
    let shrinking: Vec<&Hpa> =
        view.owners.iter().filter_map(|o| find_hpa(view, o)).filter(|h| h.min < h.current.max(1)).collect();
    if min_targets >= baseline || shrinking.is_empty() {
        return;
    }
    let scale_in_limits: Vec<String> =
        shrinking.iter().map(|h| format!("HPA {} may scale in to {}", h.name, h.min)).collect();
    let message = format!(
        "{} of cluster {cluster} carries the traffic with {baseline} healthy targets, but {}",
        workload.name,
        scale_in_limits.join(", ")
    );
    let patches: Vec<String> = shrinking
        .iter()
        .map(|h| {
            patch(
                context,
                workload,
                cluster,
                h,
                "minReplicas",
                if shrinking.len() == 1 { baseline.min(h.max) } else { h.current },
            )
        })
        .collect();
    let restore_commands: Vec<String> =
        shrinking.iter().map(|h| patch(context, workload, cluster, h, "minReplicas", h.min)).collect();
    let help = format!(
        "the HPA scales the old workload in while its traffic falls; capacity would be missing for a rollback. Raise \
         `minReplicas` until the cutover is finished:\n{}\nRestore `minReplicas` afterwards:\n{}",
        patches.join("\n"),
        restore_commands.join("\n")
    );
    findings.push(finding(Code::CUT083, cluster, message, help));
}

fn find_hpa<'a>(view: &'a WorkloadView, owner: &PodOwner) -> Option<&'a Hpa> {
    view.hpas.iter().find(|h| h.target == format!("{}/{}", owner.kind, owner.name))
}

fn kubectl_scope(context: &Context<'_>, workload: &Workload, cluster: &str) -> String {
    let namespace = workload.service(cluster).map_or("default", |s| s.namespace.as_str());
    format!("{} -n {namespace}", context.kubectl_context(cluster))
}

fn patch(context: &Context<'_>, workload: &Workload, cluster: &str, hpa: &Hpa, field: &str, value: u32) -> String {
    let place = kubectl_scope(context, workload, cluster);
    format!("kubectl{place} patch hpa {} --type merge -p '{{\"spec\":{{\"{field}\":{value}}}}}'", hpa.name)
}
