//! Retires the old cluster (`finalize --detach`): detaches the old groups from every route, then deletes the old
//! bindings. Only groups at weight 0 are detached, so shares never change here.

use super::context::Context;
use super::decision::{Batch, Decision, wait};
use super::left_out;
use super::route_status::{self, GroupedStatuses, RouteStatus};
use crate::base::time::later;
use crate::domain::run::event::{BindingStart, Event, RunOutcome, StopReason, WaitReason, Write};
use crate::domain::run::observation::Marker;
use crate::domain::run::state::{Drift, Retirement, Route, State};
use crate::domain::traffic::Unreadable;
use crate::plan::model::Plan;

pub fn decide(c: &Context<'_>) -> Decision {
    let Some(detach) = &c.state.retirement else { return Decision::Wait(Vec::new()) };
    let GroupedStatuses { writes, open, unread, blocked, .. } =
        GroupedStatuses::of(c.state.routes.values(), |route| route_status(c, route));
    let late = later(c.state.gate_timeout_since, c.plan.strategy.gates.timeout) <= c.now;
    let marker = (c.observed.marker == Some(Marker::Missing))
        .then(|| "the marker tag is missing from the load balancer".to_owned());
    let marker_error = || {
        c.observed.marker_error.as_ref().map(|why| format!("the marker tag on the load balancer cannot be read: {why}"))
    };
    if let Some(why) = marker.or_else(marker_error).or_else(|| c.observed.lock_warning.clone()) {
        return if late { exit_unfinished(why) } else { wait(WaitReason::Frozen, why, None) };
    }
    if !writes.is_empty() {
        return Decision::Write(Batch { restore: false, writes, raised_groups: Vec::new(), header_rules: Vec::new() });
    }
    if let Some(until) = open {
        return wait(
            WaitReason::OpenWrite,
            "a write is not confirmed; the run waits until the write can no longer take effect",
            Some(until),
        );
    }
    if let Some(why) = unread {
        return if late { exit_unfinished(why) } else { wait(WaitReason::Unreadable, why, None) };
    }
    let bindings = bindings(c.plan, c.state, detach);
    // A route that still forwards to an old group needs the targets of that group.
    if !bindings.is_empty() && blocked.is_empty() {
        return match c.observed.binding_waits.first() {
            None => Decision::Unbind(bindings),
            Some(wait) if late => exit_unfinished(wait.message.clone()),
            Some(_) => Decision::Wait(c.observed.binding_waits.clone()),
        };
    }
    Decision::Record(vec![Event::Finished {
        outcome: RunOutcome::Completed,
        remarks: remarks(detach, &bindings).into_iter().chain(configured_members(c)).collect(),
        unresolved: blocked,
        accepted: left_out::texts(c.state).collect(),
        notes: Vec::new(),
    }])
}

/// Returns the group of a route that belongs to the old cluster.
pub fn old_group<'a>(plan: &Plan, route: &'a Route) -> Option<&'a str> {
    route.start.groups.get(&plan.strategy.from).map(String::as_str)
}

/// Whether the members of a route come from the configuration of its load balancer, so that none can be detached.
fn has_configured_members(route: &Route) -> bool {
    route.confirmed.process.is_some()
}

fn route_status(c: &Context<'_>, route: &Route) -> RouteStatus {
    if has_configured_members(route) {
        return RouteStatus::Reached;
    }
    match &route.drift {
        Some(Drift::Gone) => return RouteStatus::Reached,
        Some(Drift::Changed(_)) => {
            return RouteStatus::Blocked("not detached, because someone else changed this route".into());
        }
        None => {}
    }
    if let Some(open) = &route.open_writes {
        return RouteStatus::OpenWrite(open.deadline);
    }
    let Some(old) = old_group(c.plan, route) else { return RouteStatus::Reached };
    let reading = route_status::fresh_reading(c, route);
    let Some(weight) = route.split().weight(old) else {
        return match reading.map(|r| &r.value) {
            _ if route.read_back => RouteStatus::Reached,
            Some(Ok(_)) => RouteStatus::Reached,
            Some(Err(why)) => RouteStatus::Unread(why.to_string()),
            None => RouteStatus::Unread("not read yet".into()),
        };
    };
    if let Some(why) = c.observed.rejected_writes.get(&route.start.id) {
        return RouteStatus::Blocked(format!("the write is rejected: {why}"));
    }
    if let Some(Err(Unreadable::Unrepresentable(element))) = reading.map(|r| &r.value) {
        return RouteStatus::Blocked(element.clone());
    }
    match route.split().detach(&[old]) {
        Some(set) if weight == 0 => {
            RouteStatus::Pending(Write { route: route.start.id.clone(), expect: Some(route.split().clone()), set })
        }
        _ => RouteStatus::Blocked("the old group still has weight on this route".into()),
    }
}

/// Returns the old cluster's bindings that this run created and that were neither deleted nor skipped yet.
fn bindings(plan: &Plan, state: &State, detach: &Retirement) -> Vec<BindingStart> {
    let key = |b: &BindingStart| (b.cluster.clone(), b.binding.full_name());
    let created_bindings =
        state.started.bindings.iter().filter(|b| detach.bindings && b.create && b.cluster == plan.strategy.from);
    created_bindings.filter(|b| !detach.handled.contains_key(&key(b))).cloned().collect()
}

fn remarks(detach: &Retirement, remaining: &[BindingStart]) -> Vec<String> {
    let skipped =
        detach.handled.iter().filter_map(|((cluster, binding), why)| Some((cluster, binding, why.as_deref()?)));
    let skipped = skipped
        .map(|(cluster, binding, why)| format!("the binding {binding} in cluster {cluster} was not deleted: {why}"));
    let remaining = remaining
        .iter()
        .map(|b| format!("the binding {} in cluster {} was not deleted", b.binding.full_name(), b.cluster));
    skipped.chain(remaining).collect()
}

/// Returns a remark if members of the old cluster stay in the configuration of load balancers.
fn configured_members(c: &Context<'_>) -> Option<String> {
    let routes = c.state.routes.values().filter(|route| has_configured_members(route));
    let labels: Vec<_> = routes.map(|route| route.start.label.as_str()).collect();
    let from = &c.plan.strategy.from;
    (!labels.is_empty()).then(|| {
        format!(
            "the servers of cluster {from} stay at weight 0 in the configuration of {}: remove them there, and configure \
             the weights of the other cluster, before the next reload",
            labels.join(", ")
        )
    })
}

fn exit_unfinished(why: String) -> Decision {
    Decision::Exit(StopReason::Waiting, format!("not finished yet: {why}"))
}
