//! Corrects the advice of CUT048: if the old cluster has no traffic, either `from` and `to` are swapped, or the target
//! groups of the two clusters are swapped. The bindings show which of the two mistakes was made.

use super::context::Context;
use crate::base::finding::{Code, Finding};
use crate::domain::elb::balancer::TargetGroup;
use crate::domain::elb::select::SelectedGroup;

pub(super) fn correct_advice(context: &Context<'_>, findings: &mut [Finding]) {
    for finding in findings.iter_mut().filter(|f| f.code == Code::CUT048) {
        finding.help = swapped_groups(context, &finding.subject).or(finding.help.take());
    }
}

/// Returns the text that the old cluster binds the target group that the plan lists for the new cluster; `None` if it
/// does not.
fn swapped_groups(context: &Context<'_>, workload: &str) -> Option<String> {
    let (from, to) = (&context.plan.strategy.from, &context.plan.strategy.to);
    let of = |cluster: &str| {
        let mut groups = context.facts.selection.groups.values().filter(|g| g.workload == workload);
        groups.find(|g| g.cluster == cluster)
    };
    let (old, new): (&SelectedGroup, &SelectedGroup) = (of(from)?, of(to)?);
    let swapped = is_bound(context, from, &new.group)
        && !is_bound(context, from, &old.group)
        && !is_bound(context, to, &new.group);
    let (old, new) = (&old.group.name, &new.group.name);
    swapped.then(|| {
        format!(
            "are the target groups swapped? Cluster {from} binds {new}, which the plan lists for {to}. Write \
             `targetGroups: {{{from}: {new}, {to}: {old}}}`"
        )
    })
}

fn is_bound(context: &Context<'_>, cluster: &str, group: &TargetGroup) -> bool {
    let bindings = context.facts.clusters.get(cluster).and_then(|cluster| cluster.bindings.as_ref().ok());
    bindings.is_some_and(|all| all.iter().any(|binding| binding.binds(group)))
}
