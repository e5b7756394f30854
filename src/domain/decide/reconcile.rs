//! Compares the last reading of each route with the state, and returns events about drift and about open writes that
//! took effect or can no longer take effect. Do not add decisions about writes.

use jiff::{SignedDuration, Timestamp};

use super::context::Context;
use super::route_status;
use crate::domain::run::event::{Event, RouteStart, WriteResult};
use crate::domain::run::state::{OpenWrites, Phase, Route};
use crate::domain::traffic::{FoundRoute, RouteContent, RouteId, Split, Unreadable, same_conditions};

/// Returns the events to journal before any other decision.
pub fn events(c: &Context<'_>) -> Vec<Event> {
    let routes = c.state.routes.values().filter_map(|route| route_event(c, route));
    routes.chain(rule_events(c)).collect()
}

/// Returns events about changed conditions and new rules, which only a list of all rules shows. Only raises depend on
/// these events.
fn rule_events(c: &Context<'_>) -> Vec<Event> {
    if matches!(c.state.phase, Phase::RollingBack | Phase::Retiring) {
        return Vec::new();
    }
    let changed = c.observed.census.iter().filter_map(|found| conditions_event(c.state.routes.get(&found.id)?, found));
    changed.chain(new_rules(c)).collect()
}

/// Returns an event if the conditions of a rule differ from those that the state knows.
fn conditions_event(route: &Route, live: &FoundRoute) -> Option<Event> {
    let last = route.changed_conditions.as_ref().unwrap_or(&route.conditions);
    // Default routes have no conditions, and the first versions did not record conditions.
    if route.conditions.is_empty() || same_conditions(last, &live.conditions) {
        return None;
    }
    let (before, after) = (route.conditions.clone(), live.conditions.clone());
    Some(Event::ConditionsChanged { route: live.id.clone(), before, after })
}

/// Returns events for rules that were created since the start and that forward traffic to a group of the old cluster or
/// replace a deleted route.
fn new_rules(c: &Context<'_>) -> Vec<Event> {
    let Some(others) = &c.state.started.other_routes else { return Vec::new() };
    let known =
        |id: &RouteId| others.contains(id) || c.state.routes.contains_key(id) || c.state.newcomers.contains_key(id);
    let new = c.observed.census.iter().filter(|found| !known(&found.id));
    new.filter_map(|found| new_rule_event(c, found)).collect()
}

/// Returns an event with a new rule as a route of the run. The workload is taken from the deleted route that the rule
/// replaces, otherwise from a route whose group the rule forwards to.
fn new_rule_event(c: &Context<'_>, live: &FoundRoute) -> Option<Event> {
    let split = live.content.forward_split()?;
    let deleted = |route: &&Route| {
        let reading = route_status::fresh_reading(c, route);
        route.is_deleted() || reading.is_some_and(|r| matches!(r.value, Err(Unreadable::NotFound(_))))
    };
    let forwards = |route: &&Route| route.start.groups.values().any(|id| split.carries(id));
    let forwards_to_old =
        |route: &&Route| route.start.groups.values().any(|id| route.original().carries(id) && split.carries(id));
    let routes = || c.state.routes.values();
    let replaced = routes().filter(deleted).filter(forwards).find(|route| route.has_conditions_of(live));
    let related = &replaced.or_else(|| routes().find(forwards_to_old))?.start;
    let route = RouteStart {
        id: live.id.clone(),
        load_balancer: live.load_balancer.clone(),
        listener: live.listener.clone(),
        label: live.label.clone(),
        conditions: live.conditions.clone(),
        workload: related.workload.clone(),
        groups: related.groups.clone(),
        content: live.content.clone(),
        content_at_start: None,
        settle: related.settle,
        keeps_connections: related.keeps_connections,
        reasserts: related.reasserts,
        limits: related.limits,
        owners: live.owners.clone(),
    };
    Some(Event::RuleCreated { route: Box::new(route), replaces: replaced.map(|route| route.start.id.clone()) })
}

fn route_event(c: &Context<'_>, route: &Route) -> Option<Event> {
    let reading = route_status::fresh_reading(c, route)?;
    match &reading.value {
        Ok(live) => match &route.open_writes {
            Some(open) => with_open_write(route, open, live, reading.at),
            None => without_open_write(route, live, reading.at),
        },
        Err(Unreadable::NotFound(_)) if !route.is_deleted() => Some(Event::Drifted {
            route: route.start.id.clone(),
            expected: Box::new(route.confirmed.clone()),
            live: None,
        }),
        Err(_) => None,
    }
}

/// The maximum delay between a change and the first reading that shows it. AWS documents no limit.
const MAX_DELAY: SignedDuration = SignedDuration::from_secs(10);

/// Decides by a reading whether an open write took effect. A reading that shows the effect decides at once, or if there
/// are several open writes, after their deadline. A reading that still shows the confirmed content decides
/// [`MAX_DELAY`] after the deadline.
fn with_open_write(route: &Route, open: &OpenWrites, live: &RouteContent, at: Timestamp) -> Option<Event> {
    let deadline_passed = at > open.deadline;
    if live.forward_split().is_some_and(|split| route.is_outdated(split, at)) {
        // The reading may be older than an earlier write, even if it shows the split of this write.
        return None;
    }
    if open.pending && !deadline_passed {
        // After a crash, any of the writes may still take effect.
        return single_split(open)
            .filter(|set| has_split(live, route, set))
            .map(|_| outcome(route, WriteResult::Applied, Some(live.split.clone()), None));
    }
    if open.splits.iter().any(|set| has_split(live, route, set)) {
        let decided = deadline_passed || open.splits.len() == 1;
        return decided.then(|| outcome(route, WriteResult::Applied, Some(live.split.clone()), None));
    }
    if live.equivalent(&route.confirmed) {
        return (at.duration_since(open.deadline) > MAX_DELAY).then(|| {
            outcome(route, WriteResult::Failed, None, Some("reads do not show the write, so it is sent again".into()))
        });
    }
    // The write can no longer take effect, and the live content is known drift: close the write.
    drifted(route, live).or_else(|| {
        deadline_passed.then(|| {
            outcome(route, WriteResult::Failed, None, Some("someone else changed the route after the write".into()))
        })
    })
}

fn single_split(open: &OpenWrites) -> Option<&Split> {
    if let [set] = open.splits.as_slice() { Some(set) } else { None }
}

fn without_open_write(route: &Route, live: &RouteContent, at: Timestamp) -> Option<Event> {
    // Most readings, in a run over thousands of routes.
    if route.drift.is_none() && live.equivalent(&route.confirmed) {
        return None;
    }
    if live.forward_split().is_some_and(|split| route.is_outdated(split, at))
        && live.equivalent_except_split(&route.confirmed)
    {
        return None;
    }
    if live.equivalent(&route.confirmed) {
        return route.drift.is_some().then(|| drift_event(route, live));
    }
    drifted(route, live)
}

/// Whether a reading shows a split that the run sent. The write may have reached a process that had just restarted.
fn has_split(live: &RouteContent, route: &Route, split: &Split) -> bool {
    let sent = route.confirmed.with_split(split);
    live.equivalent(&sent) || sent.kept_as(live)
}

fn drifted(route: &Route, live: &RouteContent) -> Option<Event> {
    let known = route.drifted_content().is_some_and(|changed| changed.equivalent(live));
    (!known).then(|| drift_event(route, live))
}

fn drift_event(route: &Route, live: &RouteContent) -> Event {
    Event::Drifted {
        route: route.start.id.clone(),
        expected: Box::new(route.confirmed.clone()),
        live: Some(Box::new(live.clone())),
    }
}

fn outcome(route: &Route, result: WriteResult, live: Option<Split>, detail: Option<String>) -> Event {
    Event::Outcome { route: route.start.id.clone(), result, live, detail }
}
