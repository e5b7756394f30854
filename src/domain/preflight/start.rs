//! Builds the event that starts a run, with everything that a rollback needs. Do not add reads or decisions.

use std::collections::BTreeMap;

use crate::base::finding::Code;
use crate::domain::elb;
use crate::domain::elb::other_type::is_network;
use crate::domain::elb::select::{SelectedGroup, SelectedRoute, Selection, SkipReason};
use crate::domain::hand_over::ItemStart;
use crate::domain::health::Target;
use crate::domain::health::gate::Sample;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::preflight::machine::commands;
use crate::domain::run::event::{BindingStart, GroupStart, NotMoved, RouteStart, Started, WaveStart};
use crate::domain::traffic::{ExternalOwner, Unreadable};
use crate::plan::model::{BindingMode, ClusterName, Plan, Shares, StepKind};

/// The input for a new run, in addition to the plan and the selection.
#[derive(Debug, Clone, Default)]
pub struct StartInput {
    /// The targets of each group, as just read.
    pub health: BTreeMap<String, Vec<Target>>,
    /// The UIDs of the clusters.
    pub clusters: BTreeMap<ClusterName, String>,
    /// The items of the plan's `handOver` steps.
    pub items: Vec<ItemStart>,
    /// The owner of the run, such as `alice@mac`.
    pub owner: String,
    /// The number of the first step, from 1.
    pub from_step: usize,
    /// The shares that a rollback restores; `None` means the current shares of each route.
    pub start: Option<Shares>,
}

/// Builds the `started` event of a new run. The caller sets the migration of a wave ([`Started::join_migration`]).
pub fn started_event(plan: &Plan, selection: &Selection, input: StartInput) -> Result<Started, Unreadable> {
    let routes = selection.routes.iter().map(|selected| RouteStart {
        id: selected.route.id.clone(),
        load_balancer: selected.load_balancer.clone(),
        listener: selected.route.listener.clone(),
        label: selected.route.label(),
        conditions: selected.route.conditions.clone(),
        workload: selected.workload.clone(),
        groups: selected.groups.clone(),
        content: selected.route.content.clone(),
        limits: selected.route.limits,
        content_at_start: None,
        settle: selected.settle.map(|time| time.as_secs()),
        keeps_connections: selection.load_balancers.get(&selected.load_balancer).is_some_and(is_network),
        reasserts: selected.reasserts,
        owners: owners(selection, selected),
    });
    let groups = selection.groups.iter().map(|(arn, selected)| group(selection, arn, selected, &input.health));
    Ok(Started {
        plan: plan.name.clone(),
        text: plan.text.clone(),
        hash: plan.hash.clone(),
        folder: plan.folder.clone().filter(|_| !commands(plan).is_empty()),
        owner: input.owner,
        from: plan.strategy.from.clone(),
        to: plan.strategy.to.clone(),
        wave: plan.wave.as_ref().map(|wave| WaveStart {
            migration: String::new(),
            name: wave.name.clone(),
            workloads: plan.workloads.iter().map(|workload| workload.name.clone()).collect(),
        }),
        from_step: input.from_step,
        start: input.start,
        load_balancers: selection.load_balancers.keys().cloned().collect(),
        routes: routes.collect(),
        other_routes: Some(selection.skipped.iter().map(|s| s.id.clone()).collect()),
        not_moved: not_moved(selection),
        keeps_weights: false,
        header_rules: Vec::new(),
        groups: groups.collect::<Result<_, _>>()?,
        clusters: input.clusters,
        bindings: bindings(plan, selection),
        items: input.items,
    })
}

/// Returns the routes that the plan selects and that this build cannot represent. A run starts only if the plan accepts
/// their findings.
fn not_moved(selection: &Selection) -> Vec<NotMoved> {
    let reported = |route: &str| selection.findings.iter().any(|f| f.code == Code::CUT053 && f.subject == route);
    let all = selection.skipped.iter().filter(|skipped| reported(&skipped.route));
    all.filter_map(|skipped| match &skipped.reason {
        SkipReason::UnknownElement { element } => {
            Some(NotMoved { label: skipped.route.clone(), reason: element.clone() })
        }
        _ => None,
    })
    .collect()
}

/// Returns the owners of the route, followed by the owners of its load balancer.
fn owners(selection: &Selection, selected: &SelectedRoute) -> Vec<ExternalOwner> {
    let balancer = selection
        .load_balancers
        .get(&selected.load_balancer)
        .map(|lb| elb::owners_from_tags(&lb.tags))
        .unwrap_or_default();
    let mut all = elb::owners_from_tags(&selected.route.tags);
    all.extend(balancer);
    all.dedup();
    all
}

fn group(
    selection: &Selection,
    arn: &str,
    selected: &SelectedGroup,
    health: &BTreeMap<String, Vec<Target>>,
) -> Result<(String, GroupStart), Unreadable> {
    let targets =
        health.get(arn).ok_or_else(|| Unreadable::Unavailable(format!("the health of {}", selected.group.name)))?;
    let attributes = &selected.group.attributes;
    let balancer = selection.load_balancers.get(&selected.load_balancer);
    // The default is `use_load_balancer_configuration`, which is on for ALBs, where only a group can switch it off, and
    // off for NLBs.
    let own = attributes.get("load_balancing.cross_zone.enabled").map(String::as_str);
    let inherited = balancer.and_then(|lb| lb.attributes.get("load_balancing.cross_zone.enabled")).map(String::as_str);
    let off = own == Some("false")
        || (own == Some("use_load_balancer_configuration") && inherited == Some("false"))
        || (own != Some("true") && inherited != Some("true") && balancer.is_some_and(is_network));
    let start = GroupStart {
        name: selected.group.name.clone(),
        cluster: selected.cluster.clone(),
        workload: selected.workload.clone(),
        healthy: Sample::of(jiff::Timestamp::UNIX_EPOCH, targets).counts.healthy,
        interval: selected.group.health_check.interval_seconds,
        cross_zone: !off,
        zones: balancer.map(|lb| lb.zones.clone()).unwrap_or_default(),
        deregistration_delay: attributes
            .get("deregistration_delay.timeout_seconds")
            .and_then(|v| v.parse().ok())
            .unwrap_or(300),
    };
    Ok((arn.to_owned(), start))
}

/// Returns the bindings of every cluster whose share is ever above 0, if the plan has a `bind` step.
fn bindings(plan: &Plan, selection: &Selection) -> Vec<BindingStart> {
    if !plan.strategy.steps.iter().any(|s| s.kind == StepKind::Bind) {
        return Vec::new();
    }
    let wanted = |selected: &SelectedGroup| -> Option<BindingStart> {
        let workload = plan.workloads.iter().find(|w| w.name == selected.workload)?;
        (plan.strategy.peak(&selected.cluster) > 0).then_some(())?;
        let binding = Binding::for_group(workload, &selected.cluster, &selected.group)?;
        let create = workload.binding.mode == BindingMode::Create;
        Some(BindingStart { cluster: selected.cluster.clone(), workload: workload.name.clone(), create, binding })
    };
    selection.groups.values().filter_map(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::finding::Finding;
    use crate::domain::elb::select::SkippedRoute;
    use crate::domain::fixture::{forward, route};

    /// Only the unknown elements of routes that the plan selects have a finding.
    #[test]
    fn accepted_routes_with_an_unknown_element_are_not_moved() {
        let skipped = |priority, reason| SkippedRoute {
            load_balancer: "alpha".into(),
            id: route(80, Some(priority), forward(&[])).id,
            route: format!("80 rule {priority}"),
            conditions: String::new(),
            reason,
        };
        let unknown = SkipReason::UnknownElement { element: "Quantum".into() };
        let selection = Selection {
            skipped: vec![skipped(10, unknown.clone()), skipped(11, unknown), skipped(12, SkipReason::Redirects)],
            findings: vec![Finding::new(Code::CUT053, "80 rule 10", "80 rule 10 cannot be written: Quantum")],
            ..Selection::default()
        };
        assert_eq!(not_moved(&selection), [NotMoved { label: "80 rule 10".into(), reason: "Quantum".into() }]);
    }
}
