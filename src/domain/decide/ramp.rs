//! A way back in parts, for an old cluster that has grown cold: between two of them time, and a look at its health.
//!
//! Nobody is made to go this way: `rollback` without parts goes all of it at once. So what is not known to be well is waited for here, for as
//! long as it takes. Only where the traffic is on a group without any healthy target is there nothing to be gained by waiting.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Decision, guard, wait, way_back};
use crate::base::time::later;
use crate::domain::elb::arn::short;
use crate::domain::health::gate::{self, Guard};
use crate::domain::run::event::{Event, WaitReason};
use crate::domain::run::state::{Ramping, State};
use crate::domain::run::watch::Watch;
use crate::plan::model::Plan;

/// What follows a part that reads back right on every route that it can be written to.
pub fn next(plan: &Plan, state: &State, watch: &Watch, ramp: &Ramping, now: Timestamp) -> Decision {
    let home: BTreeSet<&str> = state.routes.values().flat_map(|route| way_back::carriers(state, route)).collect();
    if let Some(dead) = dead(state, watch, &home) {
        let early = Some(format!("{} has no healthy target, so there is nothing to wait for", short(dead)));
        return Decision::Record(vec![Event::Ramped { percent: 100, early }]);
    }
    let written = state.routes.values().map(|r| r.touched).max().unwrap_or(ramp.since).max(ramp.since);
    let percent = ramp.ramp.percents.iter().copied().find(|p| *p > ramp.percent).unwrap_or(100);
    let due = later(written, std::time::Duration::from_secs(ramp.ramp.every));
    if now < due {
        return wait(WaitReason::Ramp, format!("{} % of the way back; {percent} % is next", ramp.percent), Some(due));
    }
    let mut unseen = Vec::new();
    for group in home {
        if watch.unreadable.contains_key(group) {
            let message = format!("{percent} % of the way back waits: the health of {} cannot be read", short(group));
            return wait(WaitReason::Unreadable, message, None);
        }
        if watch.of(group).back().is_none_or(|sample| sample.at < written) {
            unseen.push(group.to_owned());
        } else if let Some(why) = unwell(plan, state, watch, group, percent, now) {
            let message = format!("{percent} % of the way back waits: {} {why}", short(group));
            return wait(WaitReason::Ramp, message, None);
        }
    }
    if unseen.is_empty() { Decision::Record(vec![Event::Ramped { percent, early: None }]) } else { Decision::Look(unseen) }
}

/// A group that has traffic still, and nobody to serve it.
fn dead<'a>(state: &'a State, watch: &Watch, home: &BTreeSet<&str>) -> Option<&'a str> {
    let known = |group: &str| !watch.unreadable.contains_key(group) && watch.healthy(group) == Some(0);
    guard::carrying(state).into_keys().find(|group| !home.contains(group) && known(group))
}

/// Why a group of the old side could not take this much of the traffic; by the same measure as the guard's.
fn unwell(plan: &Plan, state: &State, watch: &Watch, group: &str, share: u32, now: Timestamp) -> Option<String> {
    let gates = &plan.strategy.gates;
    let total = guard::family_total(state, watch, group);
    match gate::guard(watch.of(group), &gates.guard, share, total, gates.raise.capacity, now) {
        Guard::Fine => None,
        Guard::Failing(_, why) | Guard::Failed(why) => Some(why),
        Guard::Unknown => Some("was not seen yet".into()),
    }
}
