//! Decides about a rollback in stages, for an old cluster that needs time to scale up: between two stages, the rollback
//! waits and checks the health of the old cluster.
//!
//! A plain `rollback` restores everything at once, so stages are optional. A stage waits as long as the old cluster is
//! not known to be healthy, except if a group of the new cluster has traffic but no healthy target: waiting does not
//! help this traffic.

use std::collections::BTreeSet;

use super::carrying;
use super::context::Context;
use super::decision::{Decision, wait};
use crate::base::time::later;
use crate::domain::health::gate::{self, GuardVerdict};
use crate::domain::run::event::{Event, WaitReason};
use crate::domain::run::state::RampProgress;

/// Returns the decision after the current stage was read back on every route that can be written.
pub fn next_stage(c: &Context<'_>, ramp: &RampProgress) -> Decision {
    let old_groups = c.state.all_return_groups();
    if let Some(dead) = dead_group(c, old_groups) {
        let early = Some(format!("{} has no healthy target, so waiting does not help its traffic", c.name(dead)));
        return Decision::Record(vec![Event::Ramped { percent: 100, early }]);
    }
    let written = c.state.routes.values().map(|r| r.last_event_at).max().unwrap_or(ramp.since).max(ramp.since);
    let percent = ramp.ramp.percents.iter().copied().find(|p| *p > ramp.percent).unwrap_or(100);
    let due = later(written, std::time::Duration::from_secs(ramp.ramp.every));
    if c.now < due {
        return wait(
            WaitReason::Ramp,
            format!("rollback at {} %; the next stage is {percent} %", ramp.percent),
            Some(due),
        );
    }
    let mut unread_groups = Vec::new();
    for group in old_groups {
        if c.observed.unreadable.contains_key(group) {
            let message =
                format!("the rollback waits before {percent} %: the health of {} cannot be read", c.name(group));
            return wait(WaitReason::Unreadable, message, None);
        }
        if c.observed.samples_of(group).back().is_none_or(|sample| sample.at < written) {
            unread_groups.push(group.clone());
        } else if let Some(why) = unready_reason(c, group, percent) {
            let message = format!("the rollback waits before {percent} %: {} {why}", c.name(group));
            return wait(WaitReason::Ramp, message, None);
        }
    }
    if unread_groups.is_empty() {
        Decision::Record(vec![Event::Ramped { percent, early: None }])
    } else {
        Decision::ReadHealth(unread_groups)
    }
}

/// Returns a group of the new cluster that still has traffic, but no healthy target.
fn dead_group<'a>(c: &Context<'a>, old_groups: &BTreeSet<String>) -> Option<&'a String> {
    let known = |group: &String| !c.observed.unreadable.contains_key(group) && c.observed.healthy(group) == Some(0);
    c.state.groups_with_traffic().keys().find(|group| !old_groups.contains(*group) && known(group))
}

/// Returns why a group of the old cluster cannot take this share, according to the guard's conditions; `None` if it
/// can.
fn unready_reason(c: &Context<'_>, group: &str, share: u32) -> Option<String> {
    let gates = &c.plan.strategy.gates;
    let total = carrying::targets_for_all_traffic(c, group);
    match gate::guard(c.observed.samples_of(group), &gates.guard, share, total, gates.raise.capacity, c.now) {
        GuardVerdict::Passing => None,
        GuardVerdict::Failing(_, why) | GuardVerdict::Failed(why) => Some(why),
        GuardVerdict::Unknown => Some("was not read yet".into()),
    }
}
