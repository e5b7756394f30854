//! The way back: derived from what was done, never authored. Restoring writes wait for no gate; the end waits for a read that shows every
//! route right, later than the deadline of every write that was never answered.

use jiff::Timestamp;

use super::{Batch, Decision, hold, hooks, ramp, wait, way_back};
use crate::base::duration;
use crate::domain::decide::goal;
use crate::domain::run::event::{Event, Outcome, Stop, WaitReason, Write};
use crate::domain::run::state::{Rollback, Route, State};
use crate::domain::run::watch::Watch;
use crate::domain::traffic::{Content, Split, Unreadable};
use crate::plan::model::{Plan, RollbackStickiness};

/// How a route stands.
enum Standing {
    Right,
    /// Right by the last read, but an older write may still come.
    Open(Timestamp),
    /// To be written.
    Wrong(Write),
    /// Deleted, as far as is known; only a look that finds nothing there settles it.
    Unseen,
    /// Not to be written as things are, and why: the run stays, for whoever changes that.
    Left(String),
    /// Nothing that this run could ever put back, and why: it ends without it.
    Lost(String),
}

pub fn decide(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> Decision {
    let Some(rollback) = &state.rollback else { return Decision::Wait(Vec::new()) };
    let (mut writes, mut left, mut lost, mut open, mut unseen) = (Vec::new(), Vec::new(), Vec::new(), None, false);
    let named = |route: &Route, why: String| format!("{}: {why}", route.start.label);
    for route in first_things_first(plan, state) {
        match standing(plan, state, watch, route, rollback, now) {
            Standing::Right => {}
            Standing::Open(until) => open = open.max(Some(until)),
            Standing::Wrong(write) => writes.push(write),
            Standing::Unseen => unseen = true,
            Standing::Left(why) => left.push(named(route, why)),
            Standing::Lost(why) => lost.push(named(route, why)),
        }
    }
    // The first write goes first; where nothing can be written, this process leaves, and a hook would not live to its end.
    if (rollback.wrote || (writes.is_empty() && left.is_empty()))
        && let Some(call) = hooks::beside(plan, state)
    {
        return call;
    }
    if !writes.is_empty() {
        return Decision::Write(Batch { restore: true, writes, raises: Vec::new() });
    }
    if let Some(until) = open {
        return wait(WaitReason::OpenWrite, "every route reads back right; a write that was never answered may still come", Some(until));
    }
    if unseen {
        let blind = hold::blind(watch).map(|wait| Decision::Wait(vec![wait]));
        return blind.unwrap_or_else(|| wait(WaitReason::Unreadable, "a rule that was deleted is looked for once more", None));
    }
    if let Some(ramping) = rollback.part().filter(|_| left.len() + lost.len() < state.routes.len()) {
        return ramp::next(plan, state, watch, ramping, now);
    }
    if left.is_empty() {
        if let Some(decision) = hooks::closing(plan, state, rollback) {
            return decision;
        }
        lost.extend(hooks::not_undone(plan, state, rollback));
        return Decision::Record(vec![finished(plan, state, rollback, lost)]);
    }
    left.append(&mut lost);
    left.extend(hooks::not_undone(plan, state, rollback));
    Decision::Leave(Stop::Stuck, stuck(&left))
}

/// Default actions first, they take what no rule takes; then the routes of which the largest share has to come back.
fn first_things_first<'a>(plan: &Plan, state: &'a State) -> Vec<&'a Route> {
    let moved = |route: &Route| -> i64 {
        let now = goal::shares_of(route, route.split());
        let was = state.started.start.as_ref().map_or_else(
            || goal::shares_of(route, route.original()),
            |start| start.iter().map(|(cluster, share)| (cluster.clone(), f64::from(*share))).collect(),
        );
        let lost = plan.clusters.iter().map(|c| was.get(&c.name).copied().unwrap_or(0.0) - now.get(&c.name).copied().unwrap_or(0.0));
        // Thousandths of a percent: an order needs no more.
        #[allow(clippy::cast_possible_truncation)]
        let all = (lost.filter(|l| *l > 0.0).sum::<f64>() * 1000.0) as i64;
        all
    };
    let mut routes: Vec<_> = state.routes.values().collect();
    routes.sort_by_key(|r| (r.start.id.kind(), -moved(r)));
    routes
}

fn standing(plan: &Plan, state: &State, watch: &Watch, route: &Route, rollback: &Rollback, now: Timestamp) -> Standing {
    if route.gone() {
        return if missing(route, watch) { Standing::Lost("the rule was deleted".into()) } else { Standing::Unseen };
    }
    // What a person asked for and cannot be had is not asked for again.
    let never = |why: String| if rollback.automatic { Standing::Left(why) } else { Standing::Lost(why) };
    if rollback.automatic
        && let Some(live) = route.changed()
    {
        return Standing::Left(format!("someone else changed it, it is left alone: {}", spelled(route, live.forwards())));
    }
    if let Some(Unreadable::Unrepresentable(element)) = unread(route, watch) {
        return Standing::Left(element.clone());
    }
    let reading = reading(route, watch);
    if reading.is_some_and(|content| content.forwards().is_none()) {
        return never("someone else made it something that forwards nowhere".into());
    }
    let live = reading.and_then(Content::forwards).unwrap_or(route.split());
    // A write that nobody heard of may have attached a group, which then stays attached.
    let sent = route.open.as_ref().and_then(|open| open.sets.last()).filter(|_| reading.is_none());
    let goal = match goal::back(plan, state, route, rollback, sent.unwrap_or(live)) {
        Ok(goal) => goal,
        Err(e) => return never(e.to_string()),
    };
    // What was confirmed or read before the rollback began, or by another process, is no read-back; the writer reads before it writes.
    let read = reading.is_some() && watch.routes.get(&route.start.id).is_some_and(|r| r.at >= rollback.since);
    let right = live.same(&goal) && route.split().same(&goal) && (read || route.read_back) && !route.outdated(live, now);
    match &route.open {
        None if right => Standing::Right,
        // A late read may show what a write without an answer was to restore: then it is written again.
        Some(open) if live.same(&goal) && !open.pending && !route.outdated(live, now) => {
            if now <= open.deadline {
                Standing::Open(open.deadline)
            } else {
                Standing::Open(now)
            }
        }
        _ if watch.refused.contains_key(&route.start.id) => {
            Standing::Left(format!("the write is refused: {}", watch.refused[&route.start.id]))
        }
        _ if !rollback.force && rollback.to_step.is_none() && way_back::none(state, route, watch) => {
            Standing::Left("the way back has no healthy target; `cutover rollback --force` goes there all the same".into())
        }
        _ => Standing::Wrong(Write { route: route.start.id.clone(), expect: None, set: goal }),
    }
}

/// The content as last read, if that reading is later than all that we did to the route.
fn reading<'a>(route: &Route, watch: &'a Watch) -> Option<&'a Content> {
    let reading = watch.routes.get(&route.start.id).filter(|r| r.at >= route.touched)?;
    reading.value.as_ref().ok()
}

/// Whether the last look, later than all that we did to the route, did not find it.
fn missing(route: &Route, watch: &Watch) -> bool {
    matches!(unread(route, watch), Some(Unreadable::NotFound(_)))
}

/// Why the last look, later than all that we did to the route, could not read it.
fn unread<'a>(route: &Route, watch: &'a Watch) -> Option<&'a Unreadable> {
    watch.routes.get(&route.start.id).filter(|r| r.at >= route.touched)?.value.as_ref().err()
}

fn spelled(route: &Route, split: Option<&Split>) -> String {
    let shares = split.map(|split| goal::shares_of(route, split)).unwrap_or_default();
    shares.iter().map(|(cluster, share)| format!("{cluster} {share:.0} %")).collect::<Vec<_>>().join(", ")
}

fn stuck(left: &[String]) -> String {
    format!("everything else is back, but these routes are not: {}", left.join("; "))
}

fn finished(plan: &Plan, state: &State, rollback: &Rollback, left: Vec<String>) -> Event {
    let outcome = if rollback.automatic { Outcome::RolledBack } else { Outcome::Aborted };
    Event::Finished { outcome, remarks: remarks(plan, state, rollback), left }
}

/// Cookies that still lead to the new cluster.
fn remarks(plan: &Plan, state: &State, rollback: &Rollback) -> Vec<String> {
    let keeps = plan.strategy.rollback_stickiness == RollbackStickiness::Keep || !rollback.automatic;
    let sticky = state.routes.values().filter(|r| keeps && goal::sticky_clients(plan, state, r));
    let longest = sticky.filter_map(|r| r.start.content.sticky()?.seconds).max();
    let to = &plan.strategy.to;
    longest
        .map(|s| {
            format!(
                "weights restored, clients with a cookie stay on {to} for up to {}",
                duration::show(std::time::Duration::from_secs(s.into()))
            )
        })
        .into_iter()
        .collect()
}
