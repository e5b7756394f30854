//! Decides about a rollback, from the state of the journal. Writes of a rollback never wait for a gate. The rollback
//! ends when every route was read as restored after the deadline of every write without a response. Target splits
//! belong in `desired_split`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::context::Context;
use super::decision::{Batch, Decision, wait};
use super::route_status::{self, GroupedStatuses, RouteStatus};
use super::{desired_split, drift_text, freeze, hand_over, header_rules, hooks, ramp, replacement, way_back};
use crate::base::number::count;
use crate::base::time::later;
use crate::base::{duration, text};
use crate::domain::run::event::{Event, RunOutcome, StopReason, WaitReason, Write};
use crate::domain::run::state::{Rollback, Route, State};
use crate::domain::run::unresolved::{self, Unresolved};
use crate::domain::traffic::{RouteContent, Split, Unreadable};
use crate::plan::model::{Plan, Step, StepKind};

/// How long a rollback waits for a process that does not answer and alone has the weights of a route. Then the run's
/// process ends and names it, with every other route restored. The next `rollback` tries it again.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

pub fn decide(c: &Context<'_>) -> Decision {
    let Some(rollback) = &c.state.rollback else { return Decision::Wait(Vec::new()) };
    let routes = restore_order(c.plan, c.state);
    let GroupedStatuses { writes, open, unread, blocked: mut left, mut abandoned } =
        GroupedStatuses::of(routes, |route| route_status(c, route, rollback));
    let mut items_left = Vec::new();
    // Hooks start only after the first write. If no route can be written, this process exits, which would kill a hook.
    if (rollback.has_written || (writes.is_empty() && left.is_empty()))
        && let Some(call) = hooks::next_during_writes(c.plan, c.state)
    {
        return call;
    }
    if !writes.is_empty() {
        let header_rules = c.state.header_rules.removable();
        return Decision::Write(Batch { restore: true, writes, raised_groups: Vec::new(), header_rules });
    }
    if let Some(decision) = header_rules::in_rollback(c.state) {
        return decision;
    }
    let kept = header_rules::kept(c.state);
    if let Some(until) = open {
        return wait(
            WaitReason::OpenWrite,
            "every route is restored, but an earlier write without a response can still take effect",
            Some(until),
        );
    }
    if unread.is_some() {
        let unreadable = freeze::unreadable_wait(c.state, c.observed).map(|wait| Decision::Wait(vec![wait]));
        return unreadable.unwrap_or_else(|| {
            wait(WaitReason::Unreadable, "a deleted rule is read again, to confirm the deletion", None)
        });
    }
    if let Some(ramping) = rollback.unfinished_stage().filter(|_| left.len() + abandoned.len() < c.state.routes.len()) {
        return ramp::next_stage(c, ramping);
    }
    if let Some(decision) = replacement::list_rules(c, rollback) {
        return decision;
    }
    // The traffic goes first. Where no route is restored, the items stay where the traffic is.
    if left.is_empty() || left.len() < c.state.routes.len() {
        match hand_over::back(c, rollback) {
            Err(decision) => return decision,
            Ok(items) => items_left = items,
        }
    }
    if left.is_empty() && items_left.is_empty() && kept.is_empty() {
        if let Some(decision) = hooks::next_after_restore(c.plan, c.state, rollback) {
            return decision;
        }
        abandoned.extend(hooks::not_undone(c.plan, c.state, rollback));
        return Decision::Record(vec![finished(c, rollback, abandoned)]);
    }
    let routes_left = left.len() + abandoned.len();
    left.append(&mut abandoned);
    left.append(&mut items_left);
    left.extend(hooks::not_undone(c.plan, c.state, rollback));
    let routes = if left.is_empty() {
        "every route is restored".to_owned()
    } else {
        stuck_message(c.state.routes.len(), routes_left, &left)
    };
    Decision::Exit(StopReason::Stuck, [vec![routes], kept].concat().join("; "))
}

/// Sorts the routes for a rollback: default actions first, because they handle all requests that match no rule; then
/// the routes with the largest share to restore.
fn restore_order<'a>(plan: &Plan, state: &'a State) -> Vec<&'a Route> {
    let moved = |route: &Route| -> i64 {
        let now = desired_split::shares_of(route, route.split());
        let was = state.started.start.as_ref().map_or_else(
            || desired_split::shares_of(route, route.original()),
            |start| start.iter().map(|(cluster, share)| (cluster.clone(), f64::from(*share))).collect(),
        );
        let lost_shares = plan
            .clusters
            .iter()
            .map(|c| was.get(&c.name).copied().unwrap_or(0.0) - now.get(&c.name).copied().unwrap_or(0.0));
        // The unit is a thousandth of a percent, which is precise enough for sorting.
        #[allow(clippy::cast_possible_truncation)]
        let all = (lost_shares.filter(|l| *l > 0.0).sum::<f64>() * 1000.0) as i64;
        all
    };
    let mut routes: Vec<_> = state.routes.values().collect();
    routes.sort_by_key(|r| (r.start.id.kind(), -moved(r)));
    routes
}

fn route_status(c: &Context<'_>, route: &Route, rollback: &Rollback) -> RouteStatus {
    if route.deletion_accepted {
        return RouteStatus::Reached;
    }
    if route.is_deleted() {
        return match read_error(c, route) {
            Some(Unreadable::NotFound(_)) if replacement::is_restored(c, route, rollback) => RouteStatus::Reached,
            Some(Unreadable::NotFound(_)) => RouteStatus::Abandoned(replacement::unrestored(c, route)),
            _ => RouteStatus::Unread("deleted at the last reading, which must be confirmed".into()),
        };
    }
    // A rollback that an operator requested ends without the routes that cannot be restored, instead of waiting.
    let unrestorable =
        |why: String| if rollback.automatic { RouteStatus::Blocked(why) } else { RouteStatus::Abandoned(why) };
    if rollback.automatic
        && let Some(live) = route.drifted_content()
    {
        return RouteStatus::Blocked(format!(
            "not rolled back, because someone else changed this route: {}",
            shares_text(route, live.forward_split())
        ));
    }
    if let Some(Unreadable::Unrepresentable(element)) = read_error(c, route) {
        return RouteStatus::Blocked(element.clone());
    }
    if let Some(why) = lost_process(c, route, rollback) {
        return RouteStatus::Blocked(why.to_owned());
    }
    let reading = route_status::fresh_reading(c, route).and_then(|r| r.value.as_ref().ok());
    if reading.is_some_and(|content| content.forward_split().is_none()) {
        return unrestorable(
            "someone else changed the action of this route, and it no longer forwards to target groups".into(),
        );
    }
    // The split of a stage depends on what another actor restored. The split of a full rollback does not.
    let restored =
        route.drifted_content().and_then(RouteContent::forward_split).filter(|_| rollback.unfinished_stage().is_some());
    let live = reading.and_then(RouteContent::forward_split).or(restored).unwrap_or(route.split());
    // A write without a response may have attached a group, which then stays attached.
    let sent_split = route.open_writes.as_ref().and_then(|open| open.splits.last());
    let sent_split = sent_split.filter(|_| reading.is_none() && restored.is_none());
    let desired = match desired_split::after_rollback(c.plan, c.state, route, rollback, sent_split.unwrap_or(live)) {
        Ok(desired) => desired,
        Err(e) => return unrestorable(e.to_string()),
    };
    // A reading from before the rollback, or of another process, does not count as read back. The writer reads first.
    let read = reading.is_some() && c.observed.routes.get(&route.start.id).is_some_and(|r| r.at >= rollback.since);
    // If another actor restored more than the stage does, the route is not written before the last stage.
    if live.equivalent(&desired) && restored.is_some_and(|split| split.equivalent(live)) {
        let open = route.open_writes.as_ref();
        return open.map_or(RouteStatus::Reached, |open| RouteStatus::OpenWrite(open.deadline.max(c.now)));
    }
    let is_restored = live.equivalent(&desired)
        && route.split().equivalent(&desired)
        && (read || route.read_back)
        && !route.is_outdated(live, c.now);
    match &route.open_writes {
        None if is_restored => RouteStatus::Reached,
        // A late reading may show an old value that equals the target split. In this case the route is written again.
        Some(open) if live.equivalent(&desired) && !open.pending && !route.is_outdated(live, c.now) => {
            if c.now <= open.deadline { RouteStatus::OpenWrite(open.deadline) } else { RouteStatus::OpenWrite(c.now) }
        }
        _ if c.observed.rejected_writes.contains_key(&route.start.id) => {
            RouteStatus::Blocked(format!("the write is rejected: {}", c.observed.rejected_writes[&route.start.id]))
        }
        _ if !rollback.force && rollback.to_step.is_none() && way_back::has_no_target(c.state, route, c.observed) => {
            RouteStatus::Blocked(way_back::no_target_text(c.state))
        }
        _ => RouteStatus::Pending(Write { route: route.start.id.clone(), expect: None, set: desired }),
    }
}

/// Returns why the process that has the weights of a route is lost: it has not answered since the rollback began, for
/// half a minute. `None` for a load balancer that stores the weights: its API is one for all routes, and comes back.
fn lost_process<'a>(c: &Context<'a>, route: &Route, rollback: &Rollback) -> Option<&'a str> {
    route.start.content.process.as_ref()?;
    let since = c.observed.unreadable_since?.max(rollback.since);
    match c.observed.routes.get(&route.start.id)?.value.as_ref().err()? {
        Unreadable::Unavailable(why) if later(since, GIVE_UP_AFTER) <= c.now => Some(why),
        _ => None,
    }
}

/// Returns the error of a route's last reading, if this reading is newer than the route's last event.
fn read_error<'a>(c: &Context<'a>, route: &Route) -> Option<&'a Unreadable> {
    route_status::fresh_reading(c, route)?.value.as_ref().err()
}

fn shares_text(route: &Route, split: Option<&Split>) -> String {
    split.map_or_else(String::new, |split| desired_split::shares_text(&route.start, split))
}

/// Returns what is not restored, one part for each reason.
fn stuck_message(all: usize, routes_left: usize, left: &[String]) -> String {
    let groups = unresolved::grouped(left);
    let parts = groups.iter().map(Unresolved::text).collect::<Vec<_>>().join("; ");
    match (all.saturating_sub(routes_left), groups.as_slice()) {
        (0, [one]) => format!("no route was restored: {}", one.reason),
        (0, _) => format!("no route was restored: {parts}"),
        (restored, _) => format!("{restored} of {} restored; NOT restored: {parts}", count(all, "route")),
    }
}

fn finished(c: &Context<'_>, rollback: &Rollback, left: Vec<String>) -> Event {
    let Context { plan, state, .. } = c;
    let mut notes: Vec<_> = broken_stickiness(plan, state, rollback).into_iter().collect();
    notes.extend(partial(plan, state, rollback));
    notes.extend(open_connections(plan, state));
    notes.extend(replacement::notes(c, rollback));
    let mut remarks = remarks(plan, state, rollback);
    // Without a plan, a rollback does only what its command says.
    if state.started.has_no_plan() {
        notes.append(&mut remarks);
    }
    let outcome = if rollback.automatic { RunOutcome::RolledBack } else { RunOutcome::Aborted };
    Event::Finished { outcome, remarks, unresolved: left, accepted: drift_text::accepted(c), notes }
}

/// Returns the note that clients lost their stickiness, because the rollback detached the new groups.
fn broken_stickiness(plan: &Plan, state: &State, rollback: &Rollback) -> Option<String> {
    let detached = state.routes.values().filter(|route| {
        desired_split::breaks_stickiness(plan, state, route, rollback)
            && route.start.groups.values().any(|arn| route.split().weight(arn).is_none())
    });
    let labels: Vec<&str> = detached.map(|route| route.start.label.as_str()).collect();
    let (from, to) = (&plan.strategy.from, &plan.strategy.to);
    (!labels.is_empty()).then(|| {
        format!(
            "the rollback broke the stickiness of {} ({}): the target groups of {to} are detached, so that clients \
             with a cookie for {to} go to {from}; a session that only {to} knows is lost",
            count(labels.len(), "route"),
            text::list(&labels)
        )
    })
}

/// Returns the groups of the new cluster to which connections may still be open after a rollback, each with its load
/// balancer: the new cluster may have had traffic on a route whose connections outlive a change of the weights.
pub fn groups_with_connections(plan: &Plan, state: &State) -> BTreeSet<(String, String)> {
    let to = &plan.strategy.to;
    let raised = |step: &Step| {
        let written = step.number < state.step || (step.number == state.step && state.first_write.is_some());
        written && matches!(&step.kind, StepKind::Shares(shares) if shares.get(to).is_some_and(|share| *share > 0))
    };
    let raised = plan.strategy.steps.iter().any(raised);
    let carried = |route: &&Route| {
        let at_start = route.start.content_at_start.as_ref();
        let group = route.start.groups.get(to);
        raised || at_start.zip(group).is_some_and(|(content, group)| content.split.carries(group))
    };
    let kept = state.routes.values().filter(|route| route.start.keeps_connections).filter(carried);
    kept.filter_map(|route| Some((route.start.groups.get(to)?.clone(), route.start.load_balancer.clone()))).collect()
}

/// Returns the note that connections to the new cluster may still be open.
fn open_connections(plan: &Plan, state: &State) -> Option<String> {
    let groups = groups_with_connections(plan, state);
    let name = |arn: &String| state.started.groups.get(arn).map_or(arn.clone(), |group| group.name.clone());
    let groups: BTreeSet<_> = groups.iter().map(|(group, _)| name(group)).collect();
    let groups: Vec<_> = groups.iter().map(String::as_str).collect();
    (!groups.is_empty()).then(|| {
        format!(
            "existing connections to {} remain until they close; only new connections follow the restored weights",
            text::list(&groups)
        )
    })
}

/// Returns the note about an abort that leaves the new cluster with a share: the run is over, so no guard protects this
/// traffic.
fn partial(plan: &Plan, state: &State, rollback: &Rollback) -> Option<String> {
    let (step, shares) = rollback.to_step.and_then(|step| Some((step, desired_split::share_step_at(plan, step)?.1)))?;
    let to = &plan.strategy.to;
    let share = shares.get(to).copied().filter(|share| *share > 0)?;
    let run = &state.run;
    Some(format!(
        "{to} keeps {share} % of the traffic, and nobody guards it any more; to go on: cutover run PLAN --from-step {}; \
         to roll back: cutover rollback {run}",
        step + 1
    ))
}

/// Whether clients with a cookie may stay on the new cluster after the run's rollback.
pub fn sticky_clients_left(plan: &Plan, state: &State) -> bool {
    let of = |rollback| desired_split::routes_with_cookies(plan, state, rollback).next().is_some();
    state.rollback.as_ref().is_some_and(of)
}

/// Returns a remark about clients whose cookies still lead to the new cluster, if cookies may exist.
fn remarks(plan: &Plan, state: &State, rollback: &Rollback) -> Vec<String> {
    let sticky = desired_split::routes_with_cookies(plan, state, rollback);
    let longest = sticky.filter_map(|r| r.start.content.sticky()?.seconds).max();
    let (to, run) = (&plan.strategy.to, &state.run);
    longest
        .map(|s| {
            format!(
                "the weights are restored, but clients with a cookie stay on {to} for up to {}; to end that now: \
                 cutover rollback {run} --stickiness break",
                duration::format_exact(Duration::from_secs(s.into()))
            )
        })
        .into_iter()
        .collect()
}
