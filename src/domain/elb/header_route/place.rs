//! Finds priorities for header rules between the existing rules of a listener, which are never changed.
//!
//! A header rule stands before the rule of its route, and after every rule that could match a request of this route and
//! has precedence over it. It may stand before another route of the plan, if that route has a header rule that stands
//! earlier still. So the header rules have the order of their routes.

use std::collections::BTreeSet;

use super::disjoint::are_disjoint;
use crate::domain::elb::balancer::LiveRoute;
use crate::domain::elb::rule::Condition;
use crate::domain::traffic::RouteId;

/// The priority after that of every rule, for a default action.
const AFTER_ALL: u32 = 50_001;

/// An existing rule of the listener.
pub(super) struct Existing<'a> {
    id: &'a RouteId,
    priority: u32,
    label: String,
    conditions: &'a [Condition],
}

impl<'a> Existing<'a> {
    /// Returns an existing rule; `None` for a default action.
    pub fn of(live: &'a LiveRoute) -> Option<Self> {
        let priority = live.priority?;
        Some(Self { id: &live.id, priority, label: live.label(), conditions: &live.rule.conditions })
    }
}

/// A route that needs header rules.
pub(super) struct Wanted<'a> {
    /// The route.
    pub live: &'a LiveRoute,
    /// The number of its header rules.
    pub rules: usize,
}

impl Wanted<'_> {
    fn priority(&self) -> u32 {
        self.live.priority.unwrap_or(AFTER_ALL)
    }
}

/// Returns the priorities of the header rules of each route, ascending; or what is in the way. Each rule stands as close
/// before its route as possible.
pub(super) fn place(existing: &[Existing<'_>], wanted: &[Wanted<'_>]) -> Vec<Result<Vec<u32>, String>> {
    let mut places: Vec<Result<Vec<u32>, String>> = wanted.iter().map(|_| Ok(Vec::new())).collect();
    // A route without a place blocks the routes after it, so the search begins again without it.
    while let Some(at) = try_place(existing, wanted, &mut places) {
        places[at] = Err(obstacle(existing, wanted, &places, at));
    }
    places
}

/// Places all routes without an error. Returns the first route, from the end, that has no place.
fn try_place(
    existing: &[Existing<'_>],
    wanted: &[Wanted<'_>],
    places: &mut [Result<Vec<u32>, String>],
) -> Option<usize> {
    let taken: BTreeSet<u32> = existing.iter().map(|rule| rule.priority).collect();
    let mut order: Vec<usize> = (0..wanted.len()).filter(|at| places[*at].is_ok()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(wanted[*at].priority()));
    let mut before = AFTER_ALL;
    for at in order {
        before = before.min(wanted[at].priority());
        let after = last_before(existing, wanted, places, at).map_or(0, |rule| rule.priority);
        let free = (after + 1..before).rev().filter(|priority| !taken.contains(priority));
        let mut found: Vec<u32> = free.take(wanted[at].rules).collect();
        if found.len() < wanted[at].rules {
            return Some(at);
        }
        found.reverse();
        before = found.first().copied().unwrap_or(before);
        places[at] = Ok(found);
    }
    None
}

/// Returns the last existing rule that must stay before the header rules of a route.
fn last_before<'e, 'a>(
    existing: &'e [Existing<'a>],
    wanted: &[Wanted<'_>],
    places: &[Result<Vec<u32>, String>],
    at: usize,
) -> Option<&'e Existing<'a>> {
    let route = &wanted[at];
    let has_header_rule =
        |rule: &Existing<'_>| wanted.iter().zip(places).any(|(w, place)| w.live.id == *rule.id && place.is_ok());
    let precedes = |rule: &&Existing<'_>| {
        rule.priority < route.priority()
            && !has_header_rule(rule)
            && !are_disjoint(rule.conditions, &route.live.rule.conditions)
    };
    existing.iter().filter(precedes).max_by_key(|rule| rule.priority)
}

/// Describes what is in the way of a route's header rules.
fn obstacle(
    existing: &[Existing<'_>],
    wanted: &[Wanted<'_>],
    places: &[Result<Vec<u32>, String>],
    at: usize,
) -> String {
    let route = &wanted[at];
    let needs = if route.rules == 1 { "one priority".to_owned() } else { format!("{} priorities", route.rules) };
    let before = route.live.label();
    match last_before(existing, wanted, places, at) {
        Some(rule) => {
            format!("{needs} must be free between {} and {before}, which may match the same requests", rule.label)
        }
        None => match existing.iter().min_by_key(|rule| rule.priority) {
            Some(first) => format!("{needs} must be free before {before}; {} is in the way", first.label),
            None => format!("{needs} must be free before {before}"),
        },
    }
}
