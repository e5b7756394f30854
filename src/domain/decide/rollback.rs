//! The rollback, derived from the journal. Restoring writes wait for no gate. The end waits for a reading that shows
//! every route restored, later than the deadline of every write without an answer. Target splits belong in `goal`.

use super::context::Context;
use super::decision::{Batch, Decision, wait};
use super::standing::{self, Standing, Tally};
use super::{goal, hold, hooks, ramp, way_back};
use crate::base::duration;
use crate::domain::run::event::{Event, Outcome, Stop, WaitReason, Write};
use crate::domain::run::state::{Rollback, Route, State};
use crate::domain::traffic::{Content, Split, Unreadable};
use crate::plan::model::{Plan, RollbackStickiness};

pub fn decide(c: &Context<'_>) -> Decision {
    let Some(rollback) = &c.state.rollback else { return Decision::Wait(Vec::new()) };
    let routes = first_things_first(c.plan, c.state);
    let Tally { writes, open, unread, mut left, mut lost } = Tally::of(routes, |route| standing(c, route, rollback));
    // The first write comes first. If nothing can be written, this process exits and a hook would be cut off.
    if (rollback.wrote || (writes.is_empty() && left.is_empty()))
        && let Some(call) = hooks::beside(c.plan, c.state)
    {
        return call;
    }
    if !writes.is_empty() {
        return Decision::Write(Batch { restore: true, writes, raises: Vec::new() });
    }
    if let Some(until) = open {
        return wait(
            WaitReason::OpenWrite,
            "every route is restored, but an earlier write without an answer can still take effect",
            Some(until),
        );
    }
    if unread.is_some() {
        let blind = hold::blind(c.state, c.watch).map(|wait| Decision::Wait(vec![wait]));
        return blind.unwrap_or_else(|| wait(WaitReason::Unreadable, "a deleted rule is read once more", None));
    }
    if let Some(ramping) = rollback.part().filter(|_| left.len() + lost.len() < c.state.routes.len()) {
        return ramp::next(c, ramping);
    }
    if left.is_empty() {
        if let Some(decision) = hooks::closing(c.plan, c.state, rollback) {
            return decision;
        }
        lost.extend(hooks::not_undone(c.plan, c.state, rollback));
        return Decision::Record(vec![finished(c.plan, c.state, rollback, lost)]);
    }
    left.append(&mut lost);
    left.extend(hooks::not_undone(c.plan, c.state, rollback));
    Decision::Leave(Stop::Stuck, stuck(&left))
}

/// Default actions first, because they take all requests that match no rule; then the routes with the largest share to
/// restore.
fn first_things_first<'a>(plan: &Plan, state: &'a State) -> Vec<&'a Route> {
    let moved = |route: &Route| -> i64 {
        let now = goal::shares_of(route, route.split());
        let was = state.started.start.as_ref().map_or_else(
            || goal::shares_of(route, route.original()),
            |start| start.iter().map(|(cluster, share)| (cluster.clone(), f64::from(*share))).collect(),
        );
        let lost = plan
            .clusters
            .iter()
            .map(|c| was.get(&c.name).copied().unwrap_or(0.0) - now.get(&c.name).copied().unwrap_or(0.0));
        // In thousandths of a percent, precise enough for sorting.
        #[allow(clippy::cast_possible_truncation)]
        let all = (lost.filter(|l| *l > 0.0).sum::<f64>() * 1000.0) as i64;
        all
    };
    let mut routes: Vec<_> = state.routes.values().collect();
    routes.sort_by_key(|r| (r.start.id.kind(), -moved(r)));
    routes
}

fn standing(c: &Context<'_>, route: &Route, rollback: &Rollback) -> Standing {
    if route.gone() {
        return if matches!(unread(c, route), Some(Unreadable::NotFound(_))) {
            Standing::Lost("the rule was deleted".into())
        } else {
            Standing::Unread("it was deleted when it was last read".into())
        };
    }
    // A rollback that an operator requested ends without what is impossible, instead of waiting for it.
    let never = |why: String| if rollback.automatic { Standing::Left(why) } else { Standing::Lost(why) };
    if rollback.automatic
        && let Some(live) = route.changed()
    {
        return Standing::Left(format!(
            "someone else changed it, it is not written: {}",
            spelled(route, live.forwards())
        ));
    }
    if let Some(Unreadable::Unrepresentable(element)) = unread(c, route) {
        return Standing::Left(element.clone());
    }
    let reading = standing::reading(c, route).and_then(|r| r.value.as_ref().ok());
    if reading.is_some_and(|content| content.forwards().is_none()) {
        return never("someone else changed it to an action that forwards nowhere".into());
    }
    let live = reading.and_then(Content::forwards).unwrap_or(route.split());
    // A write without an answer may have attached a group, which then stays attached.
    let sent = route.open.as_ref().and_then(|open| open.sets.last()).filter(|_| reading.is_none());
    let goal = match goal::back(c.plan, c.state, route, rollback, sent.unwrap_or(live)) {
        Ok(goal) => goal,
        Err(e) => return never(e.to_string()),
    };
    // A reading from before the rollback, or of another process, is not a read-back; the writer reads before it writes.
    let read = reading.is_some() && c.watch.routes.get(&route.start.id).is_some_and(|r| r.at >= rollback.since);
    let right =
        live.same(&goal) && route.split().same(&goal) && (read || route.read_back) && !route.outdated(live, c.now);
    match &route.open {
        None if right => Standing::Right,
        // A late reading may show the value that this write restores: then write again.
        Some(open) if live.same(&goal) && !open.pending && !route.outdated(live, c.now) => {
            if c.now <= open.deadline {
                Standing::Open(open.deadline)
            } else {
                Standing::Open(c.now)
            }
        }
        _ if c.watch.refused.contains_key(&route.start.id) => {
            Standing::Left(format!("the write is rejected: {}", c.watch.refused[&route.start.id]))
        }
        _ if !rollback.force && rollback.to_step.is_none() && way_back::none(c.state, route, c.watch) => {
            Standing::Left(
                "the old cluster has no healthy target for it; `cutover rollback --force` restores it anyway".into(),
            )
        }
        _ => Standing::Wrong(Write { route: route.start.id.clone(), expect: None, set: goal }),
    }
}

/// Why the last reading, if it is newer than the route's last event, failed.
fn unread<'a>(c: &Context<'a>, route: &Route) -> Option<&'a Unreadable> {
    standing::reading(c, route)?.value.as_ref().err()
}

fn spelled(route: &Route, split: Option<&Split>) -> String {
    let shares = split.map(|split| goal::shares_of(route, split)).unwrap_or_default();
    shares.iter().map(|(cluster, share)| format!("{cluster} {share:.0} %")).collect::<Vec<_>>().join(", ")
}

fn stuck(left: &[String]) -> String {
    format!("these routes are not restored, all others are: {}", left.join("; "))
}

fn finished(plan: &Plan, state: &State, rollback: &Rollback, left: Vec<String>) -> Event {
    let outcome = if rollback.automatic { Outcome::RolledBack } else { Outcome::Aborted };
    Event::Finished { outcome, remarks: remarks(plan, state, rollback), left }
}

/// The remark about cookies that still lead to the new cluster.
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
