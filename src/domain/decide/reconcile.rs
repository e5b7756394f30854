//! What the last reading of each route says: writes that took effect or never will, and changes that were not ours.

use jiff::Timestamp;

use crate::domain::decide::rival;
use crate::domain::elb::balancer::LiveRoute;
use crate::domain::run::event::{Event, RouteStart, WriteResult};
use crate::domain::run::state::{Open, Phase, Route, State};
use crate::domain::run::watch::Watch;
use crate::domain::traffic::{Content, RouteId, Split, Unreadable};

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
    let split = live.forwards()?;
    let left = |route: &&Route| route.start.groups.values().any(|id| route.original().carries(id) && split.carries(id));
    let kin = &state.routes.values().find(left)?.start;
    Some(RouteStart {
        id: live.id.clone(),
        load_balancer: load_balancer.to_owned(),
        label: live.label(),
        conditions: live.conditions.clone(),
        workload: kin.workload.clone(),
        groups: kin.groups.clone(),
        content: live.content.clone(),
        found: None,
        limits: kin.limits,
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
            Some(Event::Drifted { route: route.start.id.clone(), expected: Box::new(route.known.clone()), live: None })
        }
        Err(_) => None,
    }
}

/// A write without an answer: a read decides it, at the latest the first one after its deadline.
fn opened(route: &Route, open: &Open, live: &Content, at: Timestamp) -> Option<Event> {
    let over = at > open.deadline;
    if live.forwards().is_some_and(|split| route.outdated(split, at)) {
        // It may be of the time before the write that this one was sent after, also where that is just what this one wants.
        return None;
    }
    if open.pending && !over {
        // A crash left it: whatever was sent may still be under way.
        return only(open).filter(|set| is(live, route, set)).map(|_| outcome(route, WriteResult::Applied, Some(live.split.clone()), None));
    }
    if open.sets.iter().any(|set| is(live, route, set)) {
        let decided = over || open.sets.len() == 1;
        return decided.then(|| outcome(route, WriteResult::Applied, Some(live.split.clone()), None));
    }
    if live.same(&route.known) {
        return over.then(|| outcome(route, WriteResult::Failed, None, Some("it never took effect".into())));
    }
    // What was sent can no longer come, and what is there is known to be someone else's: nothing of ours is open.
    drifted(route, live).or_else(|| over.then(|| outcome(route, WriteResult::Failed, None, Some("someone else's is there".into()))))
}

fn only(open: &Open) -> Option<&Split> {
    if let [set] = open.sets.as_slice() { Some(set) } else { None }
}

fn settled(route: &Route, live: &Content, at: Timestamp) -> Option<Event> {
    if live.forwards().is_some_and(|split| route.outdated(split, at)) && live.same_beside(&route.known) {
        return None;
    }
    if live.same(&route.known) {
        return route.drift.is_some().then(|| back(route, live));
    }
    drifted(route, live)
}

fn is(live: &Content, route: &Route, split: &Split) -> bool {
    live.split.same(split) && live.same_beside(&route.known)
}

fn drifted(route: &Route, live: &Content) -> Option<Event> {
    let known = route.changed().is_some_and(|changed| changed.same(live));
    (!known).then(|| back(route, live))
}

fn back(route: &Route, live: &Content) -> Event {
    Event::Drifted { route: route.start.id.clone(), expected: Box::new(route.known.clone()), live: Some(Box::new(live.clone())) }
}

fn outcome(route: &Route, result: WriteResult, live: Option<Split>, detail: Option<String>) -> Event {
    Event::Outcome { route: route.start.id.clone(), result, live, detail }
}
