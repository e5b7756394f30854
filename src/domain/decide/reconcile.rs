//! Compares the last reading of each route with the state: detects writes that took effect or never will, and drift.
//! Only records; never writes.

use jiff::Timestamp;

use super::context::Context;
use super::standing;
use crate::domain::run::event::{Event, RouteStart, WriteResult};
use crate::domain::run::state::{Open, Phase, Route, State};
use crate::domain::traffic::{Content, Found, RouteId, Split, Unreadable};

/// The events to journal before anything else is decided.
pub fn events(c: &Context<'_>) -> Vec<Event> {
    let routes = c.state.routes.values().filter_map(|route| event(c, route));
    routes.chain(appeared(c)).collect()
}

/// Rules that were created since the start and forward traffic to a group of the old cluster.
fn appeared(c: &Context<'_>) -> Vec<Event> {
    let (Some(others), false) =
        (&c.state.started.others, matches!(c.state.phase, Phase::RollingBack | Phase::Detaching))
    else {
        return Vec::new();
    };
    let known =
        |id: &RouteId| others.contains(id) || c.state.routes.contains_key(id) || c.state.newcomers.contains_key(id);
    let new = c.watch.census.iter().filter(|found| !known(&found.id));
    let starts = new.filter_map(|found| start(c.state, found));
    starts.map(|route| Event::Appeared { route: Box::new(route) }).collect()
}

/// A new rule as a route of the run, with the workload whose group it forwards to.
fn start(state: &State, live: &Found) -> Option<RouteStart> {
    let split = live.content.forwards()?;
    let left = |route: &&Route| route.start.groups.values().any(|id| route.original().carries(id) && split.carries(id));
    let kin = &state.routes.values().find(left)?.start;
    Some(RouteStart {
        id: live.id.clone(),
        load_balancer: live.load_balancer.clone(),
        label: live.label.clone(),
        conditions: live.conditions.clone(),
        workload: kin.workload.clone(),
        groups: kin.groups.clone(),
        content: live.content.clone(),
        found: None,
        limits: kin.limits,
        owners: live.owners.clone(),
    })
}

fn event(c: &Context<'_>, route: &Route) -> Option<Event> {
    let reading = standing::reading(c, route)?;
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

/// A write without an answer is decided by a reading, at the latest the first one after its deadline.
fn opened(route: &Route, open: &Open, live: &Content, at: Timestamp) -> Option<Event> {
    let over = at > open.deadline;
    if live.forwards().is_some_and(|split| route.outdated(split, at)) {
        // The reading may be older than an earlier write, even if it shows what this write sets.
        return None;
    }
    if open.pending && !over {
        // After a crash, any of the writes may still take effect.
        return only(open)
            .filter(|set| is(live, route, set))
            .map(|_| outcome(route, WriteResult::Applied, Some(live.split.clone()), None));
    }
    if open.sets.iter().any(|set| is(live, route, set)) {
        let decided = over || open.sets.len() == 1;
        return decided.then(|| outcome(route, WriteResult::Applied, Some(live.split.clone()), None));
    }
    if live.same(&route.known) {
        return over.then(|| outcome(route, WriteResult::Failed, None, Some("it never took effect".into())));
    }
    // The write can no longer take effect, and the live content is known drift: close the write.
    drifted(route, live)
        .or_else(|| over.then(|| outcome(route, WriteResult::Failed, None, Some("someone else wrote over it".into()))))
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
    Event::Drifted {
        route: route.start.id.clone(),
        expected: Box::new(route.known.clone()),
        live: Some(Box::new(live.clone())),
    }
}

fn outcome(route: &Route, result: WriteResult, live: Option<Split>, detail: Option<String>) -> Event {
    Event::Outcome { route: route.start.id.clone(), result, live, detail }
}
