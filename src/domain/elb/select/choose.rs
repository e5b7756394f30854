//! Selects the routes of a plan from all routes of the plan's load balancers.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{LiveResources, SelectedEntry, Selection, SkipReason, SkippedRoute};
use super::{entry, resolve};
use crate::domain::elb::balancer::LoadBalancer;
use crate::domain::traffic::{RouteId, UnreadRoute, Unreadable};
use crate::plan::model::{Plan, Shares};

/// Selects the routes for a run that begins at the first step. The live shares must equal `strategy.start`.
pub fn select(plan: &Plan, live_resources: &LiveResources) -> Selection {
    select_at(plan, live_resources, plan.strategy.start.as_ref())
}

/// Selects the routes for a run that begins at a later step (`--from-step`). The live shares must equal `start`;
/// `None` means that any shares are accepted.
pub fn select_at(plan: &Plan, live_resources: &LiveResources, start: Option<&Shares>) -> Selection {
    let mut selection = Selection::default();
    let mut reasons: BTreeMap<RouteId, SkipReason> = BTreeMap::new();
    let mut taken: BTreeMap<RouteId, String> = BTreeMap::new();
    for workload in &plan.workloads {
        for spec in &workload.routes {
            let resolved = resolve::entry(plan, live_resources, workload, spec, &mut selection);
            if let Some(resolved) = resolved {
                selection.entries.push(SelectedEntry {
                    workload: workload.name.clone(),
                    kind: spec.kind,
                    load_balancer: resolved.load_balancer.arn.clone(),
                    groups: resolved.groups.clone(),
                });
                let entry_selection = entry::EntrySelection { plan, start, spec, workload: &workload.name, resolved };
                entry_selection.select(live_resources, &mut selection, &mut reasons, &mut taken);
            }
        }
    }
    selection.skipped = skipped(live_resources, &selection, &reasons);
    selection
}

/// Returns an unread route as skipped, if the route has an element that this build does not know.
fn skipped_unknown(load_balancer: &LoadBalancer, route: &UnreadRoute) -> Option<SkippedRoute> {
    let Unreadable::Unrepresentable(element) = &route.why else { return None };
    Some(SkippedRoute {
        load_balancer: load_balancer.name.clone(),
        id: route.id.clone(),
        route: route.label.clone(),
        conditions: String::new(),
        reason: SkipReason::UnknownElement { element: element.clone() },
    })
}

fn skipped(
    live_resources: &LiveResources,
    selection: &Selection,
    reasons: &BTreeMap<RouteId, SkipReason>,
) -> Vec<SkippedRoute> {
    let selected: BTreeSet<&RouteId> = selection.routes.iter().map(|r| &r.route.id).collect();
    let mut all = Vec::new();
    for (arn, load_balancer) in &selection.load_balancers {
        let Some(Ok(listeners)) = live_resources.listeners.get(arn) else { continue };
        for route in listeners.iter().flat_map(|(_, routes)| routes).filter(|r| !selected.contains(&r.id)) {
            // If the selectors of all entries match nothing, a finding reports this, and no entry has selected or
            // skipped the route.
            let Some(reason) = reasons.get(&route.id).cloned() else { continue };
            all.push(SkippedRoute {
                load_balancer: load_balancer.name.clone(),
                id: route.id.clone(),
                route: route.label(),
                conditions: route.conditions.clone(),
                reason,
            });
        }
        all.extend(
            listeners.iter().flat_map(|(l, _)| &l.unread).filter_map(|route| skipped_unknown(load_balancer, route)),
        );
    }
    all
}
