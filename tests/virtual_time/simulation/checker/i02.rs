//! No write has only zero weights, a weight outside 0–999 (at HAProxy 0–256), more than 5 groups in an action, or a changed share of a
//! third-party group. A non-zero share never becomes weight 0, and a partial share never becomes 100 %.

use super::compare::{other_difference, share_of};
use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{By, Entry, EntryContent};
use crate::simulation::route_actions::{self, RouteActions};
use cutover::domain::haproxy::is_haproxy;
use cutover::domain::traffic::RouteId;
use cutover::plan::model::Shares;

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    match &entry.what {
        EntryContent::Set { route, content } => {
            let split = content.forward_split().ok_or("a write without a forward action")?;
            let weights: Vec<_> = split.members.iter().map(|m| m.weight.unwrap_or(1)).collect();
            ensure((1..=5).contains(&weights.len()), || {
                format!("an action with {} groups instead of 1 to 5", weights.len())
            })?;
            let max = if is_haproxy(route.id()) { 256 } else { 999 };
            ensure(weights.iter().any(|w| *w > 0) && weights.iter().all(|w| *w <= max), || {
                format!("weights {weights:?} are all zero or outside 0 to {max}")
            })?;
            check_shares(facts, route, &route_actions::from_content(content))
        }
        EntryContent::Applied { by: By::Us, route, before, after: Some(after) } => {
            let Some(route) = facts.route(route) else { return Ok(()) };
            other_difference(route, before, after).filter(|_| before.rest == after.rest).map_or(Ok(()), Err)
        }
        _ => Ok(()),
    }
}

/// Checks that a write (except in a rollback) gives each cluster no traffic, a part of the traffic or all of the
/// traffic, as its step does. With `resume --reassert`, the write may have the shares of an earlier step.
fn check_shares(facts: &Facts, route: &RouteId, actions: &RouteActions) -> Found {
    let Some(start) = facts.route(route).filter(|_| facts.rollback.is_none()) else { return Ok(()) };
    let first = if facts.agreed(route) { 0 } else { facts.step };
    let planned = (first..=facts.step).filter_map(|step| facts.shares_at(step));
    let right = |shares: &Shares| {
        shares.iter().all(|(cluster, share)| match (share, share_of(start, cluster, actions)) {
            (0, is) => is == 0.0,
            (100, is) => (is - 100.0).abs() < 1e-9,
            (share, is) => is > 0.0 && is < 100.0 && (is - f64::from(*share)).abs() < 0.5,
        })
    };
    ensure(planned.into_iter().any(right), || {
        format!("{}: weights {:?} match no shares of the plan up to step {}", start.label, actions.weights, facts.step)
    })
}
