//! Letting the old cluster go: its groups are taken out of every route, then its bindings are deleted. No share changes: what is taken out
//! carries nothing.

use jiff::Timestamp;

use super::{Batch, Decision, wait};
use crate::base::time::later;
use crate::domain::run::event::{BindingStart, Event, Outcome, Stop, WaitReason, Write};
use crate::domain::run::state::{Detach, Drift, Route, State};
use crate::domain::run::watch::{Marker, Watch};
use crate::domain::traffic::Unreadable;
use crate::plan::model::Plan;

/// How a route stands.
enum Standing {
    /// Without the old group, and read so.
    Done,
    Write(Write),
    /// Until then nobody knows whether a write took effect.
    Open(Timestamp),
    /// Not read since the last thing that happened to it.
    Unread(String),
    /// Not ours to write, and why.
    Left(String),
}

pub fn decide(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> Decision {
    let Some(detach) = &state.detach else { return Decision::Wait(Vec::new()) };
    let (mut writes, mut left, mut open, mut unread) = (Vec::new(), Vec::new(), None, None);
    for route in state.routes.values() {
        match standing(plan, watch, route) {
            Standing::Done => {}
            Standing::Write(write) => writes.push(write),
            Standing::Open(until) => open = open.max(Some(until)),
            Standing::Unread(why) => unread = Some(format!("{}: {why}", route.start.label)),
            Standing::Left(why) => left.push(format!("{}: {why}", route.start.label)),
        }
    }
    let late = later(state.gate_since, plan.strategy.gates.timeout) <= now;
    let marker = (watch.marker == Some(Marker::Missing)).then(|| "the marker tag is gone from the load balancer".to_owned());
    let unmarked = || watch.marker_unread.as_ref().map(|why| format!("whose marker is on the load balancer cannot be read: {why}"));
    if let Some(why) = marker.or_else(unmarked).or_else(|| watch.lapsed.clone()) {
        return if late { leave(why) } else { wait(WaitReason::Frozen, why, None) };
    }
    if !writes.is_empty() {
        return Decision::Write(Batch { restore: false, writes, raises: Vec::new() });
    }
    if let Some(until) = open {
        return wait(WaitReason::OpenWrite, "a write was never answered; it is decided once it can no longer take effect", Some(until));
    }
    if let Some(why) = unread {
        return if late { leave(why) } else { wait(WaitReason::Unreadable, why, None) };
    }
    let bindings = bindings(plan, state, detach);
    // What still forwards to the old groups needs their targets.
    if !bindings.is_empty() && left.is_empty() {
        return match watch.unbound.first() {
            None => Decision::Unbind(bindings),
            Some(wait) if late => leave(wait.message.clone()),
            Some(_) => Decision::Wait(watch.unbound.clone()),
        };
    }
    Decision::Record(vec![Event::Finished { outcome: Outcome::Completed, remarks: remarks(detach, &bindings), left }])
}

/// The group of a route that belongs to the cluster that is let go.
pub fn old<'a>(plan: &Plan, route: &'a Route) -> Option<&'a str> {
    route.start.groups.get(&plan.strategy.from).map(String::as_str)
}

fn standing(plan: &Plan, watch: &Watch, route: &Route) -> Standing {
    match &route.drift {
        Some(Drift::Gone) => return Standing::Done,
        Some(Drift::Changed(_)) => return Standing::Left("someone else changed it, it is left alone".into()),
        None => {}
    }
    if let Some(open) = &route.open {
        return Standing::Open(open.deadline);
    }
    let Some(old) = old(plan, route) else { return Standing::Done };
    let reading = watch.routes.get(&route.start.id).filter(|r| r.at >= route.touched);
    let Some(weight) = route.split().weight(old) else {
        return match reading.map(|r| &r.value) {
            _ if route.read_back => Standing::Done,
            Some(Ok(_)) => Standing::Done,
            Some(Err(why)) => Standing::Unread(why.to_string()),
            None => Standing::Unread("not read yet".into()),
        };
    };
    if let Some(why) = watch.refused.get(&route.start.id) {
        return Standing::Left(format!("the write is refused: {why}"));
    }
    if let Some(Err(Unreadable::Unrepresentable(element))) = reading.map(|r| &r.value) {
        return Standing::Left(element.clone());
    }
    match route.split().detach(&[old]) {
        Some(set) if weight == 0 => Standing::Write(Write { route: route.start.id.clone(), expect: Some(route.split().clone()), set }),
        _ => Standing::Left("the old group carries traffic there".into()),
    }
}

/// The old cluster's bindings that this plan makes, as far as they are not dealt with.
fn bindings(plan: &Plan, state: &State, detach: &Detach) -> Vec<BindingStart> {
    let key = |b: &BindingStart| (b.cluster.clone(), b.binding.full_name());
    let ours = state.started.bindings.iter().filter(|b| detach.bindings && b.create && b.cluster == plan.strategy.from);
    ours.filter(|b| !detach.dealt.contains_key(&key(b))).cloned().collect()
}

fn remarks(detach: &Detach, kept: &[BindingStart]) -> Vec<String> {
    let left = detach.dealt.iter().filter_map(|((cluster, binding), why)| Some((cluster, binding, why.as_deref()?)));
    let left = left.map(|(cluster, binding, why)| format!("the binding {binding} in cluster {cluster} was left there: {why}"));
    let kept = kept.iter().map(|b| format!("the binding {} in cluster {} was left there", b.binding.full_name(), b.cluster));
    left.chain(kept).collect()
}

fn leave(why: String) -> Decision {
    Decision::Leave(Stop::Waiting, format!("not over yet: {why}"))
}
