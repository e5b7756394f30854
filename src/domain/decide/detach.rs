//! Retiring the old cluster (`finalize --detach`): removes its groups from every route, then deletes its bindings.
//! Shares never change here: only groups at weight 0 are removed.

use super::context::Context;
use super::decision::{Batch, Decision, wait};
use super::standing::{self, Standing, Tally};
use crate::base::time::later;
use crate::domain::run::event::{BindingStart, Event, Outcome, Stop, WaitReason, Write};
use crate::domain::run::state::{Detach, Drift, Route, State};
use crate::domain::run::watch::Marker;
use crate::domain::traffic::Unreadable;
use crate::plan::model::Plan;

pub fn decide(c: &Context<'_>) -> Decision {
    let Some(detach) = &c.state.detach else { return Decision::Wait(Vec::new()) };
    let Tally { writes, open, unread, left, .. } = Tally::of(c.state.routes.values(), |route| standing(c, route));
    let late = later(c.state.gate_since, c.plan.strategy.gates.timeout) <= c.now;
    let marker = (c.watch.marker == Some(Marker::Missing))
        .then(|| "the marker tag is missing from the load balancer".to_owned());
    let unmarked = || {
        c.watch.marker_unread.as_ref().map(|why| format!("the marker tag on the load balancer cannot be read: {why}"))
    };
    if let Some(why) = marker.or_else(unmarked).or_else(|| c.watch.lapsed.clone()) {
        return if late { leave(why) } else { wait(WaitReason::Frozen, why, None) };
    }
    if !writes.is_empty() {
        return Decision::Write(Batch { restore: false, writes, raises: Vec::new() });
    }
    if let Some(until) = open {
        return wait(
            WaitReason::OpenWrite,
            "a write got no answer; the run waits until it can no longer take effect",
            Some(until),
        );
    }
    if let Some(why) = unread {
        return if late { leave(why) } else { wait(WaitReason::Unreadable, why, None) };
    }
    let bindings = bindings(c.plan, c.state, detach);
    // A route that still forwards to an old group needs the targets of that group.
    if !bindings.is_empty() && left.is_empty() {
        return match c.watch.unbound.first() {
            None => Decision::Unbind(bindings),
            Some(wait) if late => leave(wait.message.clone()),
            Some(_) => Decision::Wait(c.watch.unbound.clone()),
        };
    }
    Decision::Record(vec![Event::Finished { outcome: Outcome::Completed, remarks: remarks(detach, &bindings), left }])
}

/// The group of a route that belongs to the old cluster.
pub fn old<'a>(plan: &Plan, route: &'a Route) -> Option<&'a str> {
    route.start.groups.get(&plan.strategy.from).map(String::as_str)
}

fn standing(c: &Context<'_>, route: &Route) -> Standing {
    match &route.drift {
        Some(Drift::Gone) => return Standing::Right,
        Some(Drift::Changed(_)) => return Standing::Left("someone else changed it, it is not written".into()),
        None => {}
    }
    if let Some(open) = &route.open {
        return Standing::Open(open.deadline);
    }
    let Some(old) = old(c.plan, route) else { return Standing::Right };
    let reading = standing::reading(c, route);
    let Some(weight) = route.split().weight(old) else {
        return match reading.map(|r| &r.value) {
            _ if route.read_back => Standing::Right,
            Some(Ok(_)) => Standing::Right,
            Some(Err(why)) => Standing::Unread(why.to_string()),
            None => Standing::Unread("not read yet".into()),
        };
    };
    if let Some(why) = c.watch.refused.get(&route.start.id) {
        return Standing::Left(format!("the write is rejected: {why}"));
    }
    if let Some(Err(Unreadable::Unrepresentable(element))) = reading.map(|r| &r.value) {
        return Standing::Left(element.clone());
    }
    match route.split().detach(&[old]) {
        Some(set) if weight == 0 => {
            Standing::Wrong(Write { route: route.start.id.clone(), expect: Some(route.split().clone()), set })
        }
        _ => Standing::Left("the old group still carries traffic there".into()),
    }
}

/// The old cluster's bindings that this run created and that are not handled yet.
fn bindings(plan: &Plan, state: &State, detach: &Detach) -> Vec<BindingStart> {
    let key = |b: &BindingStart| (b.cluster.clone(), b.binding.full_name());
    let ours = state.started.bindings.iter().filter(|b| detach.bindings && b.create && b.cluster == plan.strategy.from);
    ours.filter(|b| !detach.dealt.contains_key(&key(b))).cloned().collect()
}

fn remarks(detach: &Detach, kept: &[BindingStart]) -> Vec<String> {
    let left = detach.dealt.iter().filter_map(|((cluster, binding), why)| Some((cluster, binding, why.as_deref()?)));
    let left = left
        .map(|(cluster, binding, why)| format!("the binding {binding} in cluster {cluster} was not deleted: {why}"));
    let kept =
        kept.iter().map(|b| format!("the binding {} in cluster {} was not deleted", b.binding.full_name(), b.cluster));
    left.chain(kept).collect()
}

fn leave(why: String) -> Decision {
    Decision::Leave(Stop::Waiting, format!("not finished yet: {why}"))
}
