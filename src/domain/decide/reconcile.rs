//! What the last reading of each route says: writes that took effect or never will, and changes that were not ours.

use jiff::Timestamp;

use crate::domain::decide::rival;
use crate::domain::elb::action::{self, Action, Forward};
use crate::domain::elb::balancer::LiveRoute;
use crate::domain::run::event::{Event, RouteStart, WriteResult};
use crate::domain::run::state::{Open, Phase, Route, State};
use crate::domain::run::watch::Watch;
use crate::domain::traffic::{RouteId, Unreadable};

/// What must be journalled before anything else is decided.
pub fn events(state: &State, watch: &Watch) -> Vec<Event> {
    let routes = state.routes.values().filter_map(|route| event(route, watch));
    routes.chain(appeared(state, watch)).collect()
}

/// Rules that were made since the start and carry traffic to a group that the run moves it away from.
fn appeared(state: &State, watch: &Watch) -> Vec<Event> {
    let (Some(others), false) = (&state.started.others, matches!(state.phase, Phase::RollingBack | Phase::Detaching)) else {
        return Vec::new();
    };
    let known = |id: &RouteId| others.contains(id) || state.routes.contains_key(id) || state.newcomers.contains_key(id);
    let new = watch.census.iter().filter(|(_, route)| !known(&route.id));
    let starts = new.filter_map(|(load_balancer, route)| start(state, load_balancer, route));
    starts.map(|route| Event::Appeared { route: Box::new(route) }).collect()
}

/// A newcomer as a route of the run: of the workload whose group it carries traffic to.
fn start(state: &State, load_balancer: &str, live: &LiveRoute) -> Option<RouteStart> {
    let forward = live.forward()?;
    let left = |route: &&Route| {
        let carried =
            route.original().target_groups.iter().map(|t| &t.target_group_arn).filter(|arn| route.start.groups.values().any(|g| g == *arn));
        carried.into_iter().any(|arn| route.original().weight(arn).unwrap_or(0) > 0 && forward.weight(arn).unwrap_or(0) > 0)
    };
    let kin = &state.routes.values().find(left)?.start;
    Some(RouteStart {
        id: live.id.clone(),
        load_balancer: load_balancer.to_owned(),
        label: live.label(),
        conditions: live.conditions.clone(),
        workload: kin.workload.clone(),
        groups: kin.groups.clone(),
        actions: live.actions.clone(),
        found: None,
        owners: rival::owners(&live.tags),
    })
}

fn event(route: &Route, watch: &Watch) -> Option<Event> {
    let reading = watch.routes.get(&route.start.id).filter(|r| r.at >= route.touched)?;
    match &reading.value {
        Ok(live) => match &route.open {
            Some(open) => opened(route, open, live, reading.at),
            None => settled(route, live, reading.at),
        },
        Err(Unreadable::NotFound(_)) if !route.gone() => {
            Some(Event::Drifted { route: route.start.id.clone(), expected: route.known.clone(), live: None })
        }
        Err(_) => None,
    }
}

/// A write without an answer: a read decides it, at the latest the first one after its deadline.
fn opened(route: &Route, open: &Open, live: &LiveRoute, at: Timestamp) -> Option<Event> {
    let over = at > open.deadline;
    if live.forward().is_some_and(|forward| route.outdated(forward, at)) {
        // It may be of the time before the write that this one was sent after, also where that is just what this one wants.
        return None;
    }
    if open.pending && !over {
        // A crash left it: whatever was sent may still be under way.
        return only(open).filter(|set| is(live, route, set)).map(|set| outcome(route, WriteResult::Applied, Some(set.clone()), None));
    }
    if let Some(set) = open.sets.iter().find(|set| is(live, route, set)) {
        let decided = over || open.sets.len() == 1;
        return decided.then(|| outcome(route, WriteResult::Applied, Some(set.clone()), None));
    }
    if action::same(&live.actions, &route.known) {
        return over.then(|| outcome(route, WriteResult::Failed, None, Some("it never took effect".into())));
    }
    // What was sent can no longer come, and what is there is known to be someone else's: nothing of ours is open.
    drifted(route, &live.actions)
        .or_else(|| over.then(|| outcome(route, WriteResult::Failed, None, Some("someone else's is there".into()))))
}

fn only(open: &Open) -> Option<&Forward> {
    if let [set] = open.sets.as_slice() { Some(set) } else { None }
}

fn settled(route: &Route, live: &LiveRoute, at: Timestamp) -> Option<Event> {
    if live.forward().is_some_and(|forward| route.outdated(forward, at) && is(live, route, forward)) {
        return None;
    }
    if action::same(&live.actions, &route.known) {
        return route.drift.is_some().then(|| back(route, &live.actions));
    }
    drifted(route, &live.actions)
}

fn is(live: &LiveRoute, route: &Route, forward: &Forward) -> bool {
    action::same(&live.actions, &action::with_forward(&route.known, forward))
}

fn drifted(route: &Route, live: &[Action]) -> Option<Event> {
    let known = route.drift.as_ref().is_some_and(|d| d.as_ref().is_some_and(|d| action::same(d, live)));
    (!known).then(|| back(route, live))
}

fn back(route: &Route, live: &[Action]) -> Event {
    Event::Drifted { route: route.start.id.clone(), expected: route.known.clone(), live: Some(live.to_vec()) }
}

fn outcome(route: &Route, result: WriteResult, live: Option<Forward>, detail: Option<String>) -> Event {
    Event::Outcome { route: route.start.id.clone(), result, live, detail }
}
